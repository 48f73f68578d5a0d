"""Augmentation: new rows out of those of a data set, which a teacher then reads like any others.

An augmenter is a function `augment(words, random, corpus, *, options...)` that gives other words for those of
a text: it replaces some, leaves some out or moves them, as `random`, which is the row's own, decides. Labels
move with their words: one that `is_fixed` keeps its text, one that `is_needed` is not left out. Rows whose
labels are broken all the same are dropped. `corpus` knows the words of all rows.
"""

from pipeline.registry import Table

AUGMENTERS = Table(
    "augmenter",
    {
        "delete": "pipeline.augmentation.delete:delete",
        "long_disorder": "pipeline.augmentation.long_disorder:long_disorder",
        "mask": "pipeline.augmentation.mask:mask",
        "ngram": "pipeline.augmentation.ngram:ngram",
        "short_disorder": "pipeline.augmentation.short_disorder:short_disorder",
        "tang2019": "pipeline.augmentation.tang2019:tang2019",
    },
    arguments=("words", "random", "corpus"),
)
