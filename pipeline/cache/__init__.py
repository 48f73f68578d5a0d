"""The target cache: what a teacher said about every row, on disk. See FORMAT.md."""
