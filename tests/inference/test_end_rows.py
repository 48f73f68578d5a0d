"""The ends of a two-step teacher: given the gold start, which labels change, and given its own starts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import MismatchError, ModelError
from pipeline.inference.cache_targets import cache_targets, plan_targets
from pipeline.inference.inputs import collate
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models.reading import read
from pipeline.schema import Answer
from pipeline.tasks.answers import gold_span
from pipeline.text.tokenizers import Encoder

LIMITS = {"max_length": 90, "max_question_tokens": 16}
SPANS = {"span_logits": {"dtype": "float32"}, "top_spans": {"k": 4}}
FIELDS = {**SPANS, "end_rows": {"dtype": "float32"}, "top_end_rows": {"k": 3, "dtype": "float32"}}
COLUMNS = ["gold_start", "gold_end_logits", "best_starts", "best_end_logits", "start_logits", "end_logits"]


@pytest.fixture
def rows(passages):
    """The last five have no label; two have one text and two labels."""
    some = passages(30, unlabelled=5)
    word = some[3].text.split()[0]
    return [*some, replace(some[3], answers=(Answer(word, 0),)), some[4]]


@pytest.fixture
def filled(two_step_folder, passage_folder, tmp_path):
    def run(rows, name="set", **changes):
        made = {
            "teacher": two_step_folder,
            "passages": passage_folder(train=rows),
            "splits": ["train"],
            "fields": FIELDS,
            "shard_rows": 16,
            **LIMITS,
        }
        return cache_targets(tmp_path / name, manifest_out=tmp_path / f"{name}.json", **{**made, **changes})

    return run


def shards(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("shards/*/*")}


def test_a_row_holds_the_ends_given_its_gold_start_and_given_its_own(filled, rows, two_step_folder, tmp_path):
    filled(rows)
    cache = TargetCache.open(tmp_path / "set")
    assert verify(tmp_path / "set") == []
    encoder = Encoder.open(two_step_folder)
    encoded = encoder.encode([row.question for row in rows], [row.text for row in rows], **LIMITS)
    teacher = SpanTeacher.open(two_step_folder, max_length=90, fields=FIELDS)
    batch = cache.batch(np.arange(len(rows)), COLUMNS)
    assert batch["gold_length"].tolist() == [1] * 25 + [0] * 5 + [1, 1]
    for at, (row, tokens) in enumerate(zip(rows, encoded, strict=True)):
        inputs = collate([tokens], pad_token_id=0)
        start = gold_span(row.answers, tokens.passage_offsets)[0]
        with torch.inference_mode():
            said = read(teacher._model, *inputs, starts=torch.tensor([start]), num_starts=3)
        length = int(batch["passage_length"][at])
        own = int(batch["start_length"][at])
        assert own == min(3, length)
        assert batch["best_starts"][at, :own].tolist() == said.best_starts[0, :own].tolist()
        expected = said.best_end_logits[0, :own]
        got = batch["best_end_logits"][at, :own, :length]
        np.testing.assert_allclose(got, expected, atol=1e-5)
        np.testing.assert_allclose(batch["end_logits"][at, :length], expected[0], atol=1e-5)
        if row.answers:
            assert batch["gold_start"][at].tolist() == [start]
            np.testing.assert_allclose(
                batch["gold_end_logits"][at, 0, :length], said.end_logits[0], atol=1e-5
            )
    # Equal texts with other labels: what depends on the text alone is one, what depends on labels is not.
    assert np.array_equal(batch["end_logits"][3], batch["end_logits"][30])
    assert batch["gold_start"][30] == 0 != batch["gold_start"][3]
    assert not np.allclose(batch["gold_end_logits"][3], batch["gold_end_logits"][30])


def test_live_targets_are_the_cached_ones(filled, rows, two_step_folder, tmp_path):
    filled(rows)
    teacher = SpanTeacher.open(two_step_folder, max_length=90, fields=FIELDS)
    live = LiveTargets(teacher, Encoder.open(two_step_folder), rows, **LIMITS)
    cache = TargetCache.open(tmp_path / "set")
    for picked in (np.array([3, 30, 0]), np.array([25, 27, 28])):
        expected, got = cache.batch(picked, COLUMNS), live.batch(picked, COLUMNS)
        assert expected.keys() == got.keys()
        for name, values in expected.items():
            assert values.shape == got[name].shape, name
            np.testing.assert_allclose(got[name], values, atol=1e-5, err_msg=name)


def test_a_mended_label_computes_its_end_row_and_nothing_else(filled, rows, tmp_path):
    filled(rows)
    before, identity = shards(tmp_path / "set"), load_manifest(tmp_path / "set").identity
    mended = list(rows)
    mended[5] = replace(rows[5], answers=(Answer(rows[5].text.split()[1], len(rows[5].text.split()[0]) + 1),))
    assert filled(mended)["inputs_read"] == 1
    after = shards(tmp_path / "set")
    assert before.items() <= after.items()
    (new,) = after.keys() - before.keys()
    assert new.startswith("shards/end_rows/")
    now = load_manifest(tmp_path / "set")
    assert {name for name in identity if identity[name] != now.identity[name]} == {"end_rows"}
    assert sorted(shard.rows for shard in now.fields["end_rows"].shards) == [1, 15, 16]
    cache = TargetCache.open(tmp_path / "set")
    assert cache.batch(np.array([5]), ["gold_start"])["gold_start"].tolist() == [[1]]
    assert verify(tmp_path / "set") == []
    # The old label comes back, and so does its row.
    assert filled(rows)["inputs_read"] == 0
    assert load_manifest(tmp_path / "set").identity == identity


def test_without_end_rows_labels_touch_nothing(filled, rows, tmp_path):
    filled(rows, fields=SPANS)
    identity = load_manifest(tmp_path / "set").identity
    assert filled([replace(row, answers=()) for row in rows], fields=SPANS)["inputs_read"] == 0
    assert load_manifest(tmp_path / "set").identity == identity


def test_fields_beside_a_field_move_none_of_its_bytes(filled, rows, tmp_path):
    filled(rows, "all")
    for name, options in FIELDS.items():
        filled(rows, name, fields={name: options})
        alone = {file: data for file, data in shards(tmp_path / name).items() if f"/{name}/" in file}
        assert alone
        assert alone.items() <= shards(tmp_path / "all").items()


def test_a_cluster_writes_the_bytes_of_one_process(filled, rows, workers, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    filled(rows, "alone")
    torch.set_num_threads(threads)
    filled(rows, "spread", workers=workers)
    assert shards(tmp_path / "alone") == shards(tmp_path / "spread")


def test_a_teacher_of_one_step_has_no_such_rows(filled, rows, teacher_folder, tmp_path):
    for name in ("end_rows", "top_end_rows"):
        with pytest.raises(ModelError, match=rf"fields.{name}: expected a two-step reader.* 'bert'"):
            filled(rows, teacher=teacher_folder, fields={name: {}})
    assert not (tmp_path / "set").exists()


def test_a_teacher_that_is_told_no_labels(two_step_folder, rows):
    teacher = SpanTeacher.open(two_step_folder, max_length=90, fields=FIELDS)
    encoded = Encoder.open(two_step_folder).encode([rows[0].question], [rows[0].text], **LIMITS)
    assert len(teacher.read(encoded, ["top_end_rows"])) == 2
    with pytest.raises(ValueError, match="depends on gold answers"):
        teacher.read(encoded, ["end_rows"])


def test_a_row_without_a_passage_has_no_ends(two_step_folder):
    teacher = SpanTeacher.open(two_step_folder, max_length=90, fields=FIELDS)
    encoded = Encoder.open(two_step_folder).encode(["where ?", "where ?"], ["", "ada lives"], **LIMITS)
    said = teacher.read(encoded, [*FIELDS], answers=[(), (Answer("lives", 4),)])
    assert {name: column.lengths.tolist() for name, column in said.items()} == {
        "start_logits": [0, 2],
        "end_logits": [0, 2],
        "top_starts": [0, 3],
        "top_ends": [0, 3],
        "top_log_probs": [0, 3],
        "gold_start": [0, 1],
        "gold_end_logits": [0, 2],
        "best_starts": [0, 2],
        "best_end_logits": [0, 4],
    }


def test_labels_that_a_worker_sees_otherwise(
    filled, rows, workers, passage_folder, two_step_folder, tmp_path
):
    """Workers read labels themselves: a folder that is not the plan's stops the fill."""
    from pipeline.inference import spread

    planned = plan_targets(
        tmp_path / "set",
        teacher=two_step_folder,
        passages=passage_folder(train=rows),
        splits=["train"],
        fields=FIELDS,
        **LIMITS,
    )
    source = spread.Source(
        two_step_folder, tmp_path / "passages", ("train",), FIELDS, planned.settings.numbers
    )
    passage_folder(train=[replace(row, answers=()) for row in rows])
    reader = spread._Reader(source, planned.settings)
    tasks = spread.groups(planned)
    assert {task.is_of_gold for task in tasks} == {False, True}
    for task in tasks:
        if not task.is_of_gold:
            reader.check(task)
            continue
        with pytest.raises(MismatchError, match="the rows that the cache was planned with"):
            reader.check(task)
