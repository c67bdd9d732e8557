"""From a log to the cause: clean, keep what matters, match, rank."""
