"""Readers, one a format, that turn raw files into examples and say what they refused.

A reader is a function `read(folder, files, *, options...) -> Rows`. `files` says, for each split, what
to read in `folder`: a file, or whatever the format calls a split. Rows come as they stand in the file;
`pipeline.datasets.prepare` checks them.
"""

from pipeline.registry import Table

READERS = Table(
    "reader",
    {
        "demo": "pipeline.datasets.demo:read",
        "hub": "pipeline.datasets.hub:read",
        "squad": "pipeline.datasets.squad:read",
    },
    arguments=("folder", "files"),
)
