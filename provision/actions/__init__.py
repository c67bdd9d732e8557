"""One use case each; the only place where core meets system."""
