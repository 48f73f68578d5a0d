"""Passages: the part of a context that a teacher can read, with its exact map to the original."""

from pipeline.registry import Table

SELECTORS = Table(
    "selection method",
    {
        "none": "pipeline.selection.head:HeadOfContext",
        "tfidf": "pipeline.selection.tfidf:TfidfSentenceSelector",
        "windows": "pipeline.selection.windows:SlidingWindows",
    },
    arguments=(),
)
