"""Readers, one a format, that turn raw files into examples and say what they refused.

A reader is a function `read(folder, files, *, options...) -> Rows`. `files` says, for each split, what
to read in `folder`: a file, or whatever the format calls a split. Rows come as they stand in the file;
`pipeline.datasets.prepare` checks them.
"""

from pipeline.registry import Table

READERS = Table(
    "reader",
    {
        "conll": "pipeline.datasets.conll:read",
        "demo": "pipeline.datasets.demo:read",
        "demo_kinds": "pipeline.datasets.demo_kinds:read",
        "glue": "pipeline.datasets.glue:read",
        "hub": "pipeline.datasets.hub:read",
        "narrativeqa": "pipeline.datasets.narrativeqa:read",
        "ocnli": "pipeline.datasets.pairs:OCNLI",
        "pairs": "pipeline.datasets.pairs:read",
        "reqa": "pipeline.datasets.reqa:read",
        "squad": "pipeline.datasets.squad:read",
        "text": "pipeline.datasets.plain:read_lines",
        "wikiextractor": "pipeline.datasets.plain:read_wikiextractor",
        "wikiqa": "pipeline.datasets.pairs:WIKIQA",
        "xnli": "pipeline.datasets.xnli:read",
    },
    arguments=("folder", "files"),
)
