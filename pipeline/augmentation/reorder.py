"""Words change places, and the white space between them does not."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.augmentation.words import Word


def reorder(words: Sequence[Word], order: Sequence[int]) -> list[Word]:
    """The words in another order: the word at `order[place]` comes to each place."""
    return [replace(words[old], gap=words[place].gap) for place, old in enumerate(order)]
