"""Characters of words, for readers that embed them beside the words themselves.

A word-level tokenizer turns every word it does not know into one and the same id. The characters are
therefore taken from the text as it is written, by the offsets of its tokens, and so survive.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.files import read_json, write_json

CHARACTERS_FILE = "characters.json"
WORD_CHARACTERS = 16
PADDING_ID = 0
UNKNOWN_ID = 1

_CODE_POINTS = 0x110000


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """The Unicode code point of every character."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


@dataclass(frozen=True)
class Alphabet:
    """The characters that have ids of their own: the first has id 2, after padding and unknown."""

    characters: tuple[str, ...]

    @classmethod
    def open(cls, folder: Path) -> "Alphabet | None":
        """The alphabet of a tokenizer folder; None where its words have no characters.

        Raises:
            ModelError: The file is there but is not a list of different characters.
        """
        path = folder / CHARACTERS_FILE
        if not path.is_file():
            return None
        characters = read_json(path, what="a list of characters")
        is_list = isinstance(characters, list) and all(isinstance(c, str) and len(c) == 1 for c in characters)
        if not is_list or len(set(characters)) != len(characters):
            raise ModelError(
                path,
                expected="a JSON list of different single characters",
                got="something else",
                remedy="build the tokenizer again",
            )
        return cls(tuple(characters))

    def save(self, folder: Path) -> None:
        """Write the file that `open` reads."""
        write_json(folder / CHARACTERS_FILE, list(self.characters))

    def __len__(self) -> int:
        """How many ids there are, padding and unknown included."""
        return len(self.characters) + 2

    @cached_property
    def _table(self) -> npt.NDArray[np.uint16]:
        table = np.full(_CODE_POINTS, UNKNOWN_ID, dtype=np.uint16)
        table[[ord(character) for character in self.characters]] = np.arange(2, len(self), dtype=np.uint16)
        return table

    def ids(self, text: str, offsets: npt.NDArray[np.integer]) -> npt.NDArray[np.uint16]:
        """Character ids of the tokens that stand at `offsets` in `text`.

        Args:
            text: The text as it was written, not normalised.
            offsets: First character and the one after the last, one line a token; equal for a special token.

        Returns:
            One line of `WORD_CHARACTERS` ids a token, cut or padded with 0.
        """
        offsets = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
        places = offsets[:, :1] + np.arange(WORD_CHARACTERS)
        is_inside = places < offsets[:, 1:]
        if not is_inside.any():
            return np.full(places.shape, PADDING_ID, dtype=np.uint16)
        known = self._table[code_points(text)]
        return np.where(is_inside, known[np.where(is_inside, places, 0)], np.uint16(PADDING_ID))
