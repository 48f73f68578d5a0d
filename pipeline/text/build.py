"""Word-level tokenizers made out of text."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import BertPreTokenizer, PreTokenizer, Split, WhitespaceSplit
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.processors import TemplateProcessing

from pipeline.errors import DataError, ParamsError
from pipeline.files import write_json
from pipeline.registry import did_you_mean
from pipeline.text.characters import Alphabet
from pipeline.text.mask import MASK
from pipeline.text.tokenizers import TOKENIZER_FILE, read_tokenizer

CONFIG_FILE = "tokenizer_config.json"

PADDING, UNKNOWN, SEPARATOR = SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[SEP]")
FIRST = "[CLS]"

BUILT_KINDS = ("characters", "words")


def build_tokenizer(
    texts: Iterable[str],
    out: Path,
    *,
    kind: str,
    min_frequency: int = 1,
    max_words: int | None = None,
    lowercase: bool = True,
    cls_token: bool = False,
) -> None:
    """Build a word-level tokenizer from `texts` in the folder `out`, loadable by AutoTokenizer too.

    "words" are split at white space and around every punctuation mark, and have characters
    (characters.json) for readers that embed them. "characters" makes each character but white space a token,
    Latin letters and digits too: answers in Chinese begin and end anywhere.
    The most frequent come first, equal ones in the order of their code points; a pair is laid out as
    question, [SEP], text, with token types 0 and 1, or as BERT has it.

    Args:
        texts: Where words are counted.
        out: The folder, which is made if need be.
        kind: "words" or "characters".
        min_frequency: Rarer words are unknown.
        max_words: How many words are kept at most, special tokens not counted.
        lowercase: Words are looked up in lower case; characters.json keeps the case.
        cls_token: Put [CLS] before and [SEP] behind, as for BERT, which classifies by its first token.

    Raises:
        ParamsError: The kind is unknown.
        DataError: The texts hold no word.
    """
    if kind not in BUILT_KINDS:
        raise ParamsError(
            "kind", expected="a kind of tokenizer", got=repr(kind), remedy=did_you_mean(kind, BUILT_KINDS)
        )
    normalizer = Normalizers([Lowercase()] if lowercase else [])
    splitter = _splitter(kind)
    words: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for text in chain.from_iterable(text.split(MASK) for text in texts):
        normal = normalizer.normalize_str(text)
        # The splitter's word for a single character is the character itself, or none for white space.
        words.update(
            normal if kind == "characters" else (word for word, _ in splitter.pre_tokenize_str(normal))
        )
        characters.update(text)
    frequent = [word for word in _by_frequency(words) if words[word] >= min_frequency]
    kept = [word for word in frequent if splitter.pre_tokenize_str(word)][:max_words]
    if not kept:
        raise DataError(
            "texts", expected="words to build a tokenizer from", got="none", remedy="name data sets with text"
        )
    special = [*SPECIAL_TOKENS, *([FIRST] if cls_token else [])]
    vocabulary = {word: number for number, word in enumerate([*special, *kept])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    before, after = (f"{FIRST} ", f" {SEPARATOR}") if cls_token else ("", "")
    tokenizer.post_processor = TemplateProcessing(
        single=f"{before}$A{after}",
        pair=f"{before}$A:0 {SEPARATOR}:0 $B:1{after and f'{after}:1'}",
        special_tokens=[(token, vocabulary[token]) for token in special],
    )
    tokenizer.add_special_tokens(special)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / TOKENIZER_FILE))
    write_config(out)
    if kind == "words":
        Alphabet(tuple(c for c in _by_frequency(characters) if not c.isspace())).save(out)


def write_config(folder: Path) -> None:
    """Write what AutoTokenizer needs beside the tokenizer's file, unless it is there."""
    if (folder / CONFIG_FILE).is_file():
        return
    vocabulary = read_tokenizer(folder).get_vocab()
    roles = {"pad_token": PADDING, "unk_token": UNKNOWN, "sep_token": SEPARATOR, "cls_token": FIRST}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{role: token for role, token in roles.items() if token in vocabulary},
    }
    write_json(folder / CONFIG_FILE, config)


def _splitter(kind: str) -> PreTokenizer:
    if kind == "words":
        return BertPreTokenizer()
    return PreTokenizers([WhitespaceSplit(), Split(Regex("."), "isolated")])


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
