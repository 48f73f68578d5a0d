"""Windows of long contexts, from selection to a score: each is a row, and an example has one answer."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.binding.bind import EvaluationSet, Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.evaluation.cached import score_cached
from pipeline.evaluation.evaluate import evaluate
from pipeline.files import read_json
from pipeline.inference.cache_targets import cache_targets
from pipeline.objectives.needs import needs
from pipeline.schema import Answer, Example, Passage
from pipeline.selection.select import select
from pipeline.tables import read_rows, write_rows
from pipeline.training.stream import row_identities

LIMITS = {"max_length": 40, "max_question_tokens": 8}
TERMS = [{"loss": "kd_kl", "from": "teacher"}, {"loss": "answer_margin", "from": "teacher"}]


@pytest.fixture
def windows(passages, teacher_folder, tmp_path):
    """The folder of windows over contexts of very different lengths, two of which are the same row."""
    rows = passages(12)
    rows = [
        Example(row.id, row.question, row.text, tuple(Answer(one.text, one.start) for one in row.answers))
        for row in [*rows, rows[0]]
    ]
    write_rows(tmp_path / "examples" / "train.arrow", Example, rows)
    limits = {"max_tokens": 40, "max_question_tokens": 8, "stride": 8}
    select(
        tmp_path / "examples",
        tmp_path / "towns",
        language="en",
        method="windows",
        tokenizer=teacher_folder,
        **limits,
    )
    return tmp_path / "towns"


def test_questions_without_an_answer_score_the_same_from_a_cache(windows, teacher_folder, tmp_path):
    rows = read_rows(windows / "train.arrow", Passage)
    rows = [
        replace(row, answers=(), gold_texts=(), is_impossible=True) if row.example % 2 else row
        for row in rows
    ]
    write_rows(tmp_path / "half" / "dev.arrow", Passage, rows)
    options = {"teacher": teacher_folder, "passages": tmp_path / "half", "splits": ["dev"], **LIMITS}
    fields = {"span_logits": {"dtype": "float32"}, "null_logits": {"dtype": "float32"}}
    cache_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", fields=fields, **options)
    bind(
        tmp_path / "inputs",
        name="teacher",
        language="en",
        tokenizer=teacher_folder,
        sources=[],
        evaluate=[EvaluationSet(tmp_path / "half", "dev")],
        lost_mass_limit=0.0,
        **LIMITS,
    )
    for threshold in (-1.0, 0.5):
        metrics = evaluate(
            tmp_path / "scores",
            name="teacher",
            kind="teacher",
            model=teacher_folder,
            inputs=tmp_path / "inputs" / "evaluate",
            max_answer_tokens=4,
            latency_rows=1,
            speed_rows=2,
            null_score_diff_threshold=threshold,
        )
        expected = metrics["sets"]["half.dev"]
        limits = {"max_answer_tokens": 4, "null_score_diff_threshold": threshold}
        for folders in ([tmp_path / "set"], [tmp_path / "set"] * 2):
            found = score_cached(folders, tmp_path / "half", "dev", language="en", **limits)
            assert found["best"] == pytest.approx(expected["best"], abs=1e-4)
            for part in ("has_answer", "no_answer"):
                assert found[part] == pytest.approx(expected[part])
            assert found["unanswered"] == expected["unanswered"]


def test_from_selection_to_scores(windows, teacher_folder, tmp_path):
    held = read_rows(windows / "train.arrow", Passage)
    examples = {passage.example for passage in held}
    assert len(examples) == 13 < len(held)
    cache_targets(
        tmp_path / "set",
        manifest_out=tmp_path / "set.json",
        teacher=teacher_folder,
        passages=windows,
        splits=["train"],
        fields={"span_logits": {"dtype": "float32"}, "top_spans": {"k": 8}},
        **LIMITS,
    )
    inputs = bind(
        tmp_path / "inputs",
        name="student",
        language="en",
        tokenizer=teacher_folder,
        sources=[
            Source(0, 0, windows, "train", {"teacher": TargetSet(tmp_path / "set", *needs(TERMS)["teacher"])})
        ],
        evaluate=[EvaluationSet(windows, "train")],
        lost_mass_limit=0.0,
        **LIMITS,
    )
    (source,) = inputs.sources
    columns = source.columns()
    assert (source.rows, source.cut_rows) == (len(held), 0)
    # A window without the answer has no gold span, and what the teacher says of it all the same.
    shown = np.array([bool(passage.answers) for passage in held])
    assert 13 <= shown.sum() < len(held)
    np.testing.assert_array_equal(columns["gold"].values.reshape(-1, 2)[:, 0] >= 0, shown)
    cache = TargetCache.open(tmp_path / "set", expected=source.targets["teacher"]["identity"])
    positions = cache.positions(*row_identities(columns))
    assert len(set(positions.tolist())) == len(held)
    assert (cache.batch(positions, ["start_logits"])["passage_length"] > 0).all()
    # What is confusing in a window overlaps no gold answer of its example, shown there or not.
    for at, passage in enumerate(held):
        first, last = columns["teacher/confusing"].row(at)
        if first >= 0:
            offsets = columns["passage_offsets"].row(at).reshape(-1, 2)
            text = passage.text[offsets[first][0] : offsets[last][1]]
            assert not set(text.split()) & set(passage.gold_texts)
    metrics = evaluate(
        tmp_path / "scores",
        name="teacher",
        kind="teacher",
        model=teacher_folder,
        inputs=tmp_path / "inputs" / "evaluate",
        max_answer_tokens=4,
        latency_rows=1,
        speed_rows=2,
    )
    scores = metrics["sets"]["towns.train"]
    assert scores["rows"] == 13
    predictions = read_json(tmp_path / "scores" / "predictions" / "towns.train.json")
    contexts = {row: example.context for row, example in enumerate(_examples(tmp_path))}
    for row, said in enumerate(predictions):
        assert contexts[row][slice(*said["span"])] == said["prediction"]
    cached = score_cached([tmp_path / "set"], windows, "train", language="en", max_answer_tokens=4)
    assert {name: cached[name] for name in ("em", "f1", "rows")} == pytest.approx(
        {name: scores[name] for name in ("em", "f1", "rows")}
    )


def _examples(folder):
    return read_rows(folder / "examples" / "train.arrow", Example)
