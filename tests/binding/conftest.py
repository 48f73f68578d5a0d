from dataclasses import dataclass

import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from pipeline import fingerprint
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings
from pipeline.schema import Answer, Passage, Segment
from pipeline.tables import write_rows
from pipeline.text.tokenizers import Encoder

TEXT = "Red foxes met one brown bear near Oslo in 1923."


def passage(index, question, answers=(), text=TEXT):
    return Passage(
        example=index,
        window=0,
        id=f"q{index}",
        question=question,
        text=text,
        segments=(Segment(0, 0, len(text)),),
        answers=tuple(Answer(answer, text.index(answer)) for answer in answers),
        gold_texts=tuple(answers),
    )


PASSAGES = [
    passage(0, "who met a bear?", ["Red foxes"]),
    passage(1, "where?", ["Oslo"]),
    passage(2, "when did they meet?"),
    passage(0, "who met a bear?", ["Red foxes"]),
]


def _save(folder, splitter):
    """A word-level tokenizer that splits text by `splitter`, in the layout of BERT."""
    tokenizer = Tokenizer(
        models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def words(tmp_path):
    """The student's tokenizer: words and punctuation."""
    return _save(tmp_path / "words", pre_tokenizers.Whitespace())


@pytest.fixture
def pieces(tmp_path):
    """The teacher's tokenizer: runs of up to three characters."""
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split(Regex(r".{1,3}"), "isolated")]
    )
    return _save(tmp_path / "pieces", splitter)


@pytest.fixture
def dataset(tmp_path):
    """A data set of passages with a train and a dev split."""
    folder = tmp_path / "passages" / "foxes"
    write_rows(folder / "train.arrow", Passage, PASSAGES)
    write_rows(folder / "dev.arrow", Passage, PASSAGES[1:2])
    return folder


@dataclass(frozen=True)
class Teacher:
    """What is said of `PASSAGES`: logits by chance, the same best spans everywhere."""

    rows: list
    start_logits: list
    end_logits: list
    log_probs: tuple = (-1.0, -2.0, -3.0)

    def __call__(self, rows, fields):
        read = [self.rows[row] for row in rows]
        spans = [TEXT.index(words) for words in SPANS], [TEXT.index(words) + len(words) for words in SPANS]
        columns = {
            "tokens": {
                "passage_offsets": [row.passage_offsets.reshape(-1) for row in read],
                "question_offsets": [row.question_offsets.reshape(-1) for row in read],
            },
            "span_logits": {
                "start_logits": [self.start_logits[row] for row in rows],
                "end_logits": [self.end_logits[row] for row in rows],
            },
            "top_spans": {
                "top_starts": [[covering(row, start) for start in spans[0]] for row in read],
                "top_ends": [[covering(row, end - 1) for end in spans[1]] for row in read],
                "top_log_probs": [self.log_probs] * len(read),
            },
        }
        return {
            name: Ragged.from_rows(
                [np.array(value) for value in values], np.int32 if "log" not in name else np.float32
            )
            for field in fields
            for name, values in columns[field].items()
        }


SPANS = ("foxes", "one brown", "Oslo")


def covering(row, character):
    return int(np.searchsorted(row.passage_offsets[:, 1], character, side="right"))


def _fill(folder, tokenizer, *, seed=0, log_probs=(-1.0, -2.0, -3.0), max_length=64):
    """A teacher with this tokenizer whose answers lie in the cache `folder`."""
    encoder = Encoder.open(tokenizer)
    rows = encoder.encode(
        [row.question for row in PASSAGES],
        [row.text for row in PASSAGES],
        max_length=max_length,
        max_question_tokens=20,
    )
    generator = np.random.default_rng(seed)
    logits = [[generator.normal(size=len(row.passage_offsets)) for row in rows] for _ in range(2)]
    made = Teacher(rows, *logits, log_probs)
    table = RowTable.build(
        input_hashes=[fingerprint.input_hash(row.question, row.text) for row in PASSAGES],
        gold_hashes=[fingerprint.gold_hash(row.answers) for row in PASSAGES],
        lengths=[len(row.input_ids) for row in rows],
        question_lengths=[len(row.question_offsets) for row in rows],
        splits=["train"] * len(PASSAGES),
    )
    settings = CacheSettings(
        teacher={"weights": f"{seed}" * 32, "config": "1" * 32},
        tokenizer=encoder.fingerprint,
        numbers={"max_length": max_length},
        fields={"span_logits": {"dtype": "float32"}, "top_spans": {"k": 3}},
    )
    fill(plan(folder, table, settings), made)
    return made


@pytest.fixture
def fill_teacher(monkeypatch, tmp_path):
    """Fills the cache of a teacher, of any tokenizer."""
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path / "stamps"))
    return _fill


@pytest.fixture
def teacher(fill_teacher, tmp_path, pieces):
    """A teacher whose answers lie in the cache `bert_foxes`."""
    return fill_teacher(tmp_path / "bert_foxes", pieces)
