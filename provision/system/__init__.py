"""Effects: processes, files, packages, the Hub. Nothing here decides."""
