"""The target cache: what a teacher said about every row, on disk. See FORMAT.md."""

from pipeline.registry import Table

# Archives, whose shards are compressed, are for keeping and sending: they are unpacked whole when opened.
BACKENDS = Table(
    "cache backend",
    {
        "arrow": "pipeline.cache.arrow:ArrowBackend",
        "arrow_zstd": "pipeline.cache.arrow:archive",
        "hdf5": "pipeline.cache.hdf5:Hdf5Backend",
        "hdf5_zstd": "pipeline.cache.hdf5:archive",
        "zarr": "pipeline.cache.zarr:ZarrBackend",
        "zarr_zstd": "pipeline.cache.zarr:archive",
    },
)
