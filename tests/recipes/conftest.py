"""Raw files as recipes name them, a few made-up rows each, and a checkpoint where one is named."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROWS = 24
NAMES = ("Ada", "Boris", "Clara", "David", "Elena", "Frank", "Greta", "Henry")
TOWNS = ("Lisbon", "Madrid", "Oslo", "Paris", "Quito", "Rome")
ZH_NAMES, ZH_TOWNS = "赵钱孙李周吴郑王", ("北京", "上海", "南京", "杭州", "苏州", "武汉")
WORDS = ("where", "does", "live", "lives", "in", "it", "rained", "the", "harvest", "was", "late", ".", "?")


def _facts(language: str) -> Iterator[tuple[str, str, str, str]]:
    """A name, a town, a question about them and a text that answers it."""
    for row in range(ROWS):
        if language == "zh":
            name, town = ZH_NAMES[row % 8], ZH_TOWNS[row * 5 % 6]
            yield name, town, f"{name}先生住在哪里？", f"今年下雨。{name}先生住在{town}。收成很晚。"
        else:
            name, town = NAMES[row % 8], TOWNS[row * 5 % 6]
            yield (
                name,
                town,
                f"Where does {name} live?",
                f"It rained. {name} lives in {town}. The harvest was late.",
            )


def _squad(language: str) -> str:
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": f"q{row}",
                    "question": question,
                    "answers": [{"text": town, "answer_start": text.index(town)}],
                }
            ],
        }
        for row, (_, town, question, text) in enumerate(_facts(language))
    ]
    return json.dumps({"version": "1.1", "data": [{"title": "towns", "paragraphs": paragraphs}]})


# The columns of a label, of a first text where there are two, and of a text.
_GLUE = {
    "mrpc": ("Quality", "#1 String", "#2 String"),
    "qqp": ("is_duplicate", "question1", "question2"),
    "sst2": ("label", None, "sentence"),
    "stsb": ("score", "sentence1", "sentence2"),
}


def _named_columns(dataset: Mapping[str, Any]) -> str:
    """A file with a header: of GLUE, or as its options name the columns; of classes there it has three."""
    options, is_glue = dataset["options"], dataset["reader"] == "glue"
    named = _GLUE[options["task"]] if is_glue else [options.get(key) for key in ("label", "question", "text")]
    of_three = not is_glue and dataset["task"] == "classification"
    lines = [
        (_entailment(row) if of_three else str(row % 2), question, f"{text} ")
        for row, (*_, question, text) in enumerate(_facts(dataset["language"]))
    ]
    kept = [(name, *cells) for name, *cells in zip(named, *lines, strict=True) if name is not None]
    return "\n".join(["\t".join(cells) for cells in zip(*kept, strict=True)] + [""])


def _entailment(row: int) -> str:
    return ("contradiction", "entailment", "neutral")[row % 3]


def _ocnli(language: str) -> str:
    rows = (
        {"sentence1": question, "sentence2": text, "label": _entailment(row), "id": row}
        for row, (*_, question, text) in enumerate(_facts(language))
    )
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def _xnli(language: str) -> str:
    lines = (
        f"{question}\t{text}\t{_entailment(row)}" for row, (*_, question, text) in enumerate(_facts(language))
    )
    return "\n".join(["text_a\ttext_b\tlabel", *lines, ""])


def _conll(language: str) -> str:
    rows = (f"{name}\tB-person\nlives\tO\nin\tO\n{town}\tB-location\n" for name, town, *_ in _facts(language))
    return "\n".join(rows)


def _pairs(language: str) -> str:
    lines = (f"{question}\t{text}\t{row % 2}" for row, (*_, question, text) in enumerate(_facts(language)))
    return "\n".join([*lines, ""])


def _reqa(language: str) -> str:
    questions, texts = zip(*(facts[2:] for facts in _facts(language)), strict=True)
    return json.dumps({"questions": questions, "answers": texts, "question_ids": list(range(ROWS))})


def _wikiextractor(language: str) -> str:
    text = "\n".join(text for *_, text in _facts(language))
    return f'<doc id="1" url="" title="Towns">\nTowns\n\n{text}\n</doc>\n'


_WRITERS: Mapping[str, Callable[[str], str]] = {
    "conll": _conll,
    "ocnli": _ocnli,
    "pairs": _pairs,
    "reqa": _reqa,
    "squad": _squad,
    "wikiextractor": _wikiextractor,
    "xnli": _xnli,
}


def _written(dataset: Mapping[str, Any]) -> str:
    reader = dataset["reader"]
    if reader == "glue" or (reader == "pairs" and dataset["options"].get("header", True)):
        return _named_columns(dataset)
    return _WRITERS[reader](dataset["language"])


def _write_checkpoint(folder: Path, width: int) -> None:
    """A BERT of six layers with a head for spans, which other tasks leave aside, and its tokenizer."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForQuestionAnswering, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = [*special, *WORDS, *(word.lower() for word in NAMES + TOWNS), "##s"]
    tokenizer = Tokenizer(WordPiece({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=6,
        num_attention_heads=1,
        intermediate_size=32,
    )
    torch.manual_seed(0)
    BertForQuestionAnswering(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def write_raw() -> Callable[[Mapping[str, Any], int], None]:
    """Writes the raw files and checkpoints that params name, below the folder that is worked in."""

    def write(params: Mapping[str, Any], width: int) -> None:
        for dataset in params["datasets"].values():
            for files in dataset["files"].values():
                for file in [files] if isinstance(files, str) else files:
                    path = Path(dataset["folder"]) / file
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(_written(dataset), encoding="utf-8")
        named = [model["model"].get("from") for model in params["teachers"].values()]
        for folder in dict.fromkeys(name for name in named if name is not None):
            _write_checkpoint(Path(folder), width)

    return write
