"""A small made-up student: tokenizer, bound inputs, and targets that a fake teacher gives."""

import json
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

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
from pipeline.training.train import train

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(46))]
CHARACTERS_PER_WORD = 4
TEACHER_WIDTH = 24
CLASSES = ["one", "other", "third"]
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
            "token_length": np.array([len(row["hidden_states_1"]) for row in rows], dtype=np.int32),
        }
        return lengths | {name: pad([row[name] for row in rows]) for name in columns}


def pad(arrays):
    shape = np.max([array.shape for array in arrays], axis=0)
    padded = np.zeros((len(arrays), *shape), dtype=arrays[0].dtype)
    for place, array in enumerate(arrays):
        padded[(place, *map(slice, array.shape))] = array
    return padded


def make_rows(count, seed=0):
    random, more, of_layers = (np.random.default_rng(key) for key in (seed, [seed, 1], [seed, 2]))
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
                    "hidden_states_2": of_layers.normal(size=(asked + size + 3, TEACHER_WIDTH)).astype("f4"),
                    # As if it had cut the words as the student does.
                    "class_logits": more.normal(size=len(CLASSES)).astype(np.float32),
                    "hidden_states_1": more.normal(size=(question + passage + 3, 16)).astype(np.float32),
                },
            )
        )
    return rows


def spans(count, width):
    starts = np.arange(count, dtype=np.int32) * width
    return np.stack([starts, starts + width], axis=1)


def write_inputs(folder, rows, tokenizer, *, phases=1, identity=None, seed=0):
    """An inputs folder, one source a phase, each over all rows."""
    sources = [InputSource(phase, "train", rows, identity or {}, seed=seed) for phase in range(phases)]
    return write_sources(folder, sources, tokenizer)


BESIDE = ("start_map", "end_map", "confusing", "token_spans")


@dataclass(frozen=True)
class InputSource:
    """A source of bound inputs; of its teacher, where it has one, the alias is `alias`.

    Where its `task` is one of `CLASSES`, its teacher cuts words as the student does.
    """

    phase: int
    split: str
    rows: list[Row]
    identity: dict[str, str]
    alias: str | None = "teacher"
    target_set: str = "made_up"
    seed: int = 0
    task: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def columns(self):
        random = np.random.default_rng(self.seed)
        names = ("input_ids", "token_type_ids", "question", "passage", "gold", "row_id")
        columns = {name: [] for name in (*names, "passage_offsets", "question_offsets")}
        has_maps = self.alias is not None and self.task is None
        if has_maps:
            columns |= {f"{self.alias}/{name}": [] for name in BESIDE}
        for number, row in enumerate(self.rows):
            words = random.integers(4, len(WORDS), size=row.question + row.passage)
            question, passage = words[: row.question], words[row.question :]
            columns["input_ids"].append(np.concatenate([[2], question, [3], passage, [3]]))
            columns["token_type_ids"].append(np.repeat([0, 1], [row.question + 2, row.passage + 1]))
            first = row.question + 2
            columns["question"].append(np.array([1, 1 + row.question]))
            columns["passage"].append(np.array([first, first + row.passage]))
            columns["gold"].append(np.array(row.gold if self.task is None else [number % len(CLASSES)]))
            columns["row_id"].append(np.frombuffer(row.identity + bytes(4), dtype=np.uint8))
            columns["passage_offsets"].append(spans(row.passage, CHARACTERS_PER_WORD).ravel())
            columns["question_offsets"].append(spans(row.question, CHARACTERS_PER_WORD).ravel())
            if has_maps:
                mapped = np.arange(2 * row.passage) // 2
                columns[f"{self.alias}/start_map"].append(mapped)
                columns[f"{self.alias}/end_map"].append(np.where(mapped == 0, -1, mapped))
                confusing = [row.passage - 2, row.passage - 1] if row.gold[0] >= 0 else [-1, -1]
                columns[f"{self.alias}/confusing"].append(np.array(confusing))
                # Special tokens are one of the teacher's, words two.
                widths = np.concatenate([[1], [2] * row.question, [1], [2] * row.passage, [1]])
                ends = widths.cumsum()
                columns[f"{self.alias}/token_spans"].append(np.stack([ends - widths, ends], axis=1).ravel())
        small = {"token_type_ids": np.uint8, "row_id": np.uint8}
        return {name: Ragged.from_rows(values, small.get(name, np.int32)) for name, values in columns.items()}

    @property
    def targets(self):
        bound = {
            "set": self.target_set,
            "columns": [],
            "fields": ["qa_attention", "span_logits", "top_spans"],
            "identity": self.identity,
            "options": self.options,
            "equal_tokens": self.task is not None,
            "lost": {"start": 0.0, "end": 0.0},
            "confusing_rows": len(self.rows),
        }
        return {} if self.alias is None else {self.alias: bound}


def write_sources(folder, sources, tokenizer, heads=None):
    """An inputs folder with these sources, of a student with these heads."""
    folder.mkdir(parents=True)
    described = []
    for source in sources:
        ordinal = sum(entry["phase"] == source.phase for entry in described)
        file = f"{source.phase}-{ordinal}.arrow"
        ArrowBackend().write(folder / file, source.columns, {})
        described.append(
            {
                "phase": source.phase,
                "source": ordinal,
                "dataset": "made_up",
                "split": source.split,
                "rows": len(source.rows),
                "gold_rows": len(source.rows),
                "cut_rows": 0,
                "file": file,
                "targets": source.targets,
                "task": source.task,
            }
        )
    head = {"name": "student", "language": "en", "sources": described}
    head |= {"tokenizer": fingerprint.tokenizer(tokenizer), "max_length": 64}
    (folder / "inputs.json").write_text(json.dumps(head | ({"heads": heads} if heads else {})))
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
    from pipeline.objectives.needs import needs
    from pipeline.training.stream import Stream, Targets, row_identities

    read, _ = ArrowBackend().open(world.inputs / "0-0.arrow")

    def build(terms):
        places = world.teacher.positions(*row_identities(read))
        return Stream(
            read, {alias: Targets(world.teacher, places, names) for alias, (_, names) in needs(terms).items()}
        )

    return build


@pytest.fixture(scope="session")
def run():
    """Run orders at once, each in a process of its own, and return their exit statuses."""
    command = [sys.executable, str(Path(__file__).parent / "student_process.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def send(*orders):
            process.stdin.write(json.dumps(orders) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield send
        process.stdin.close()


@pytest.fixture(scope="session")
def make_order(world):
    """What a process of its own is to do."""

    def make(inputs, folder, phases, **extra):
        return {
            "out": str(folder / "student"),
            "work": str(folder / "work"),
            "inputs": str(inputs),
            "tokenizer": str(world.tokenizer),
            "rows": len(world.rows),
            "phases": [asdict(phase) for phase in phases],
            **extra,
        }

    return make


@pytest.fixture(scope="session")
def ranks():
    """An order as two, one for each of two ranks."""

    def split(order):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        return [
            {
                **order,
                "note_rows": f"{order['note_rows']}{rank}",
                "environment": {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            }
            for rank in range(2)
        ]

    return split


@pytest.fixture(scope="session")
def files():
    """What lies in a folder, to the byte."""
    return lambda folder: {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="session")
def write_inputs_of(world, tmp_path_factory):
    """Inputs of any sources."""

    def write(*sources, heads=None):
        return write_sources(tmp_path_factory.mktemp("sources") / "inputs", sources, world.tokenizer, heads)

    return write


@pytest.fixture(scope="session")
def input_source():
    return InputSource


@pytest.fixture(scope="module")
def inputs(world):
    """What the students of a module are bound to."""
    return world.inputs


@pytest.fixture(scope="module")
def options(shape):
    """What the students of a module are made with."""
    return shape


@pytest.fixture(scope="module")
def student(request, world, inputs, options):
    """Train in this process."""

    def run(folder, phases=None, **changes):
        settings = {
            "name": "student",
            "inputs": inputs,
            "tokenizer": world.tokenizer,
            "architecture": "bert",
            "options": options,
            "phases": phases or request.module.PHASES,
            "seed": 1,
            "work": folder / "work",
            "targets": {"made_up": world.teacher},
        }
        return train(folder / "student", **{**settings, **changes})

    return run


@pytest.fixture(scope="module")
def uninterrupted(student, tmp_path_factory):
    """A student that was trained without a break."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    student(folder)
    return folder / "student"
