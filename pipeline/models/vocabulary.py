"""What a model needs to know of its tokenizer folder: sizes, special ids, and how pairs are laid out."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.text.characters import Alphabet
from pipeline.text.tokenizers import TOKENIZER_FILE, read_tokenizer


def check_pairs(folder: Path, architecture: str) -> None:
    """Refuse a tokenizer whose token types do not tell the two texts of a pair apart.

    Raises:
        ModelError: They do not.
    """
    probe = read_tokenizer(folder).encode("a", "a")
    if any(side not in (None, kind) for side, kind in zip(probe.sequence_ids, probe.type_ids, strict=True)):
        raise ModelError(
            folder / TOKENIZER_FILE,
            expected=f"pairs with token types 0 and 1, by which {architecture!r} knows the second text",
            got=f"{' '.join(probe.tokens)}, with token types {' '.join(map(str, probe.type_ids))}",
            remedy="use a tokenizer of kind words or characters, or one like BERT's, or another architecture",
        )


@dataclass(frozen=True)
class Vocabulary:
    """Sizes and ids of a tokenizer folder. `num_characters` is 0 where words are not spelt out."""

    size: int
    pad: int
    unknown: int | None
    num_characters: int

    @classmethod
    def read(cls, folder: Path) -> "Vocabulary":
        """The vocabulary of the tokenizer in `folder`.

        Raises:
            ModelError: The folder holds no fast tokenizer, or one without a padding token.
        """
        tokenizer = read_tokenizer(folder)
        pad = tokenizer.token_to_id("[PAD]")
        if pad is None:
            pad = tokenizer.token_to_id("<pad>")
        if pad is None:
            raise ModelError(
                folder / TOKENIZER_FILE,
                expected="a padding token, [PAD] or <pad>",
                got="none",
                remedy="add one to the tokenizer",
            )
        alphabet = Alphabet.open(folder)
        return cls(
            # Ids may have gaps: the highest counts, not their number.
            size=max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1,
            pad=pad,
            unknown=tokenizer.token_to_id("[UNK]"),
            num_characters=len(alphabet) if alphabet else 0,
        )
