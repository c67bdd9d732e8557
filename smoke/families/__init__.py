"""What each model family needs to be loaded and asked."""
