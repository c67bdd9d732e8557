"""Pages that the models read."""
