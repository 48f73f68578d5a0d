"""The word that stands in a text for one that is hidden."""

from tokenizers import Tokenizer

MASK = "[MASK]"

# What tokenizers call it: BERT's kin, then RoBERTa's.
_TOKENS = (MASK, "<mask>")


def mask_id(tokenizer: Tokenizer) -> int | None:
    """The id of a hidden word: the tokenizer's own, else that of unknown words; None where it has neither."""
    unknown = getattr(tokenizer.model, "unk_token", None)
    names = (*_TOKENS, *([unknown] if unknown else []))
    return next((found for name in names if (found := tokenizer.token_to_id(name)) is not None), None)
