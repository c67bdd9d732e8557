"""The command line: Click and Rich live here and nowhere else."""
