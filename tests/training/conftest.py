"""A small made-up student: tokenizer, bound inputs, and targets that a fake teacher gives."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline import fingerprint
from pipeline.cache.arrow import ArrowBackend
from pipeline.cache.fields import spec_of
from pipeline.cache.fill import fill
from pipeline.cache.plan import plan
from pipeline.cache.ragged import Ragged
from pipeline.cache.rows import RowTable
from pipeline.cache.settings import CacheSettings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(46))]
CHARACTERS_PER_WORD = 4
SHAPE = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "max_length": 64,
}


@dataclass(frozen=True)
class Row:
    """One row: token counts of student and teacher, and what the teacher says."""

    identity: bytes
    question: int
    passage: int
    gold: tuple[int, int]
    teacher: dict[str, np.ndarray]


class FakeTeacher:
    """Targets made on the spot, in float32: a source that is no cache."""

    def __init__(self, rows):
        self.rows = rows

    def positions(self, row_ids, occurrences):
        where = {row.identity: place for place, row in enumerate(self.rows)}
        return np.array([where[identity] for identity in row_ids])

    def announce(self, positions, columns):
        assert len(positions)

    def batch(self, positions, columns):
        rows = [self.rows[position].teacher for position in positions]
        lengths = {
            "passage_length": np.array([len(row["start_logits"]) for row in rows], dtype=np.int32),
            "question_length": np.array([len(row["question_offsets"]) for row in rows], dtype=np.int32),
        }
        return lengths | {name: pad([row[name] for row in rows]) for name in columns}


def pad(arrays):
    shape = np.max([array.shape for array in arrays], axis=0)
    padded = np.zeros((len(arrays), *shape), dtype=arrays[0].dtype)
    for place, array in enumerate(arrays):
        padded[(place, *map(slice, array.shape))] = array
    return padded


def make_rows(count, seed=0):
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        question, passage = int(random.integers(3, 7)), int(random.integers(8, 30))
        start = int(random.integers(passage - 2))
        # The teacher cuts every student word in two.
        size, asked = 2 * passage, 2 * question
        attention = random.random((size, asked)).astype(np.float32)
        rows.append(
            Row(
                identity=number.to_bytes(16, "little"),
                question=question,
                passage=passage,
                gold=(start, start + 1) if number % 5 else (-1, -1),
                teacher={
                    "start_logits": random.normal(size=size).astype(np.float32) * 3,
                    "end_logits": random.normal(size=size).astype(np.float32) * 3,
                    "qa_attention": attention / attention.sum(1, keepdims=True),
                    "passage_offsets": spans(size, CHARACTERS_PER_WORD // 2),
                    "question_offsets": spans(asked, CHARACTERS_PER_WORD // 2),
                },
            )
        )
    return rows


def spans(count, width):
    starts = np.arange(count, dtype=np.int32) * width
    return np.stack([starts, starts + width], axis=1)


def write_inputs(folder, rows, tokenizer, *, phases=1, identity=None, seed=0):
    """An inputs folder, one source a phase, each over all rows."""
    random = np.random.default_rng(seed)
    columns = {name: [] for name in ("input_ids", "token_type_ids", "question", "passage", "gold", "row_id")}
    columns |= {name: [] for name in ("passage_offsets", "question_offsets")}
    columns |= {name: [] for name in ("teacher/start_map", "teacher/end_map", "teacher/confusing")}
    for row in rows:
        words = random.integers(4, len(WORDS), size=row.question + row.passage)
        question, passage = words[: row.question], words[row.question :]
        columns["input_ids"].append(np.concatenate([[2], question, [3], passage, [3]]))
        columns["token_type_ids"].append(np.repeat([0, 1], [row.question + 2, row.passage + 1]))
        first = row.question + 2
        columns["question"].append(np.array([1, 1 + row.question]))
        columns["passage"].append(np.array([first, first + row.passage]))
        columns["gold"].append(np.array(row.gold))
        columns["row_id"].append(np.frombuffer(row.identity + bytes(4), dtype=np.uint8))
        columns["passage_offsets"].append(spans(row.passage, CHARACTERS_PER_WORD).ravel())
        columns["question_offsets"].append(spans(row.question, CHARACTERS_PER_WORD).ravel())
        mapped = np.arange(2 * row.passage) // 2
        columns["teacher/start_map"].append(mapped)
        columns["teacher/end_map"].append(np.where(mapped == 0, -1, mapped))
        has_answer = row.gold[0] >= 0
        columns["teacher/confusing"].append(
            np.array([row.passage - 2, row.passage - 1] if has_answer else [-1, -1])
        )
    small = {"token_type_ids": np.uint8, "row_id": np.uint8}
    ragged = {name: Ragged.from_rows(values, small.get(name, np.int32)) for name, values in columns.items()}
    folder.mkdir(parents=True)
    sources = []
    for phase in range(phases):
        file = f"{phase}-0.arrow"
        ArrowBackend().write(folder / file, ragged, {})
        targets = {
            "teacher": {
                "set": "made_up",
                "columns": [],
                "fields": ["qa_attention", "span_logits", "top_spans"],
                "identity": identity or {},
                "lost": {"start": 0.0, "end": 0.0},
                "confusing_rows": len(rows),
            }
        }
        sources.append(
            {
                "phase": phase,
                "source": 0,
                "dataset": "made_up",
                "split": "train",
                "rows": len(rows),
                "gold_rows": len(rows),
                "cut_rows": 0,
                "file": file,
                "targets": targets,
            }
        )
    head = {"name": "student", "language": "en", "sources": sources}
    head |= {"tokenizer": fingerprint.tokenizer(tokenizer), "max_length": 64}
    (folder / "inputs.json").write_text(json.dumps(head))
    return folder


def write_tokenizer(folder):
    tokenizer = Tokenizer(
        models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def fill_cache(folder, rows, dtype="float32"):
    """A cache of what the fake teacher says."""
    table = RowTable.build(
        input_hashes=[row.identity for row in rows],
        gold_hashes=[row.identity for row in rows],
        lengths=[2 * (row.passage + row.question) + 3 for row in rows],
        question_lengths=[2 * row.question for row in rows],
        splits=["train"] * len(rows),
    )
    settings = CacheSettings(
        teacher={"weights": "made up", "config": "made up"},
        tokenizer="made up",
        numbers={},
        fields={
            "span_logits": {"dtype": dtype},
            "qa_attention": {"dtype": dtype, "layer": -1},
            "top_spans": {"k": 2},
        },
    )

    def read(ordinals, fields):
        said = [rows[ordinal].teacher for ordinal in ordinals]
        names = {"start_logits", "end_logits", "qa_attention", "passage_offsets", "question_offsets"}
        columns = {
            name: Ragged.from_rows([teacher[name].ravel() for teacher in said], said[0][name].dtype)
            for name in names
        }
        spans = np.zeros((len(ordinals), 1))
        for name, kind in [("top_starts", np.int32), ("top_ends", np.int32), ("top_log_probs", np.float32)]:
            columns[name] = Ragged.of_equal(spans.astype(kind))
        held = {column.name for field in fields for column in spec_of(field).columns}
        return {name: column for name, column in columns.items() if name in held}

    return fill(plan(folder, table, settings), read)


@dataclass(frozen=True)
class World:
    """All that a training run needs."""

    rows: list[Row]
    inputs: Path
    tokenizer: Path
    cache: Path

    @property
    def teacher(self):
        return FakeTeacher(self.rows)


@pytest.fixture(scope="session", autouse=True)
def _own_stamps(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLDBREW_CACHE", str(tmp_path_factory.mktemp("stamps")))
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    rows = make_rows(22)
    tokenizer = write_tokenizer(folder / "tokenizer")
    identity = fill_cache(folder / "cache", rows).identity
    inputs = write_inputs(folder / "inputs", rows, tokenizer, phases=2, identity=dict(identity))
    return World(rows, inputs, tokenizer, folder / "cache")


@pytest.fixture(name="fill_cache", scope="session")
def _fill_cache():
    return fill_cache


@pytest.fixture(scope="session")
def shape():
    return SHAPE


@pytest.fixture(scope="session")
def columns(world):
    """The stream of the first source, as some terms need it."""
    from pipeline.objectives.declarations import needs
    from pipeline.training.stream import Stream, Targets, row_identities

    read, _ = ArrowBackend().open(world.inputs / "0-0.arrow")

    def build(terms):
        places = world.teacher.positions(*row_identities(read))
        return Stream(
            read, {alias: Targets(world.teacher, places, names) for alias, (_, names) in needs(terms).items()}
        )

    return build
