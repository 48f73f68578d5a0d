"""QANet's tokenizer: a fast one that also spells the words, by their offsets into the text."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding
from transformers import BatchEncoding, PreTrainedTokenizerFast

from pipeline.text.characters import CHARACTERS_FILE, PADDING_ID, WORD_CHARACTERS, Alphabet


class QANetTokenizer(PreTrainedTokenizerFast):
    """Adds `character_ids` to what it returns, where its folder has characters.json.

    The tokenizer below turns every unknown word into one id; its spelling is all that tells it from others.
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "characters_file": CHARACTERS_FILE}  # noqa: RUF012
    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012

    @cached_property
    def alphabet(self) -> Alphabet | None:
        """The characters that have ids; None where words are not spelt out."""
        file = self.init_kwargs.get("characters_file")
        return Alphabet.open(Path(file).parent) if file else None

    @classmethod
    def _from_pretrained(cls, *args: Any, **kwargs: Any) -> "QANetTokenizer":
        tokenizer: QANetTokenizer = super()._from_pretrained(*args, **kwargs)  # type: ignore[no-untyped-call]
        _ = tokenizer.alphabet  # Read now: the folder may be gone later.
        return tokenizer

    def _encode_plus(  # type: ignore[override]
        self, text: Any, text_pair: Any = None, **options: Any
    ) -> BatchEncoding:
        encoded: BatchEncoding = super()._encode_plus(text, text_pair, **options)
        if self.alphabet is None:
            return encoded
        if options.get("is_split_into_words"):
            raise ValueError(
                "QANetTokenizer spells words by their place in a text: give texts, not lists of words"
            )
        is_batch = not isinstance(text, str)
        samples = _samples(text, text_pair) if is_batch else [(text, text_pair)]
        origins = encoded.get("overflow_to_sample_mapping", range(len(samples)))
        spelt = [
            self._spelt(encoding, samples[int(origin)]).tolist()
            for encoding, origin in zip(encoded.encodings or [], origins, strict=True)
        ]
        is_nested = is_batch or options.get("return_tensors") or options.get("return_overflowing_tokens")
        more = BatchEncoding({"character_ids": spelt}, tensor_type=options.get("return_tensors"))
        encoded["character_ids"] = more["character_ids"] if is_nested else spelt[0]
        return encoded

    def _spelt(self, encoding: Encoding, texts: Sequence[str | None]) -> npt.NDArray[np.uint16]:
        ids = np.full((len(encoding.ids), WORD_CHARACTERS), PADDING_ID, np.uint16)
        sides = np.array([-1 if side is None else side for side in encoding.sequence_ids])
        offsets = np.array(encoding.offsets).reshape(-1, 2)
        for side, text in enumerate(texts):
            if text is not None and self.alphabet is not None:
                ids[sides == side] = self.alphabet.ids(text, offsets[sides == side])
        return ids

    def _pad(self, encoded_inputs: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        padded: dict[str, Any] = super()._pad(encoded_inputs, *args, **kwargs)
        if "character_ids" in padded:
            missing = len(padded["input_ids"]) - len(padded["character_ids"])
            nothing = [[PADDING_ID] * WORD_CHARACTERS] * missing
            on_right = (kwargs.get("padding_side") or self.padding_side) == "right"
            spelt = [list(word) for word in padded["character_ids"]]
            padded["character_ids"] = spelt + nothing if on_right else nothing + spelt
        return padded

    def _save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> tuple[str, ...]:
        files: tuple[str, ...] = super()._save_pretrained(save_directory, *args, **kwargs)
        if self.alphabet is None:
            return files
        self.alphabet.save(Path(save_directory))
        return (*files, str(Path(save_directory) / CHARACTERS_FILE))


def _samples(text: Sequence[Any], text_pair: Sequence[str] | None) -> list[Sequence[str | None]]:
    if text_pair is not None:
        return list(zip(text, text_pair, strict=True))
    return [(sample, None) if isinstance(sample, str) else sample for sample in text]
