"""The target cache: what a teacher said about every row, on disk. See FORMAT.md."""

from pipeline.registry import Table

BACKENDS = Table("cache backend", {"arrow": "pipeline.cache.arrow:ArrowBackend"})
