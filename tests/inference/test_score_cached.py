"""Scores from a cache are those of the teacher itself; ends that know the answer are refused."""

import pytest

from pipeline.errors import MismatchError
from pipeline.evaluation.cached import cached_spans, score_cached
from pipeline.evaluation.fold import fold
from pipeline.evaluation.metric import METRICS, percentages
from pipeline.evaluation.reader import Reader, read_all
from pipeline.evaluation.rows import TokenRow
from pipeline.inference.cache_targets import cache_targets
from pipeline.tasks.span import NUM_STARTS
from pipeline.text.tokenizers import Encoder

LIMITS = {"max_length": 90, "max_question_tokens": 16}
OWN_ENDS = {"top_end_rows": {"k": NUM_STARTS, "dtype": "float32"}}


@pytest.fixture
def rows(passages):
    return passages(40, unlabelled=3)


@pytest.fixture
def filled(passage_folder, rows, tmp_path):
    def run(teacher, name="set", max_length=90, **fields):
        out = tmp_path / name
        cache_targets(
            out,
            manifest_out=tmp_path / f"{name}.json",
            teacher=teacher,
            passages=passage_folder(dev=rows),
            splits=["dev"],
            fields={"span_logits": {"dtype": "float32"}, **fields},
            **{**LIMITS, "max_length": max_length},
        )
        return out

    return run


def scored(tmp_path, *folders, **options):
    made = {"language": "en", "max_answer_tokens": 4, **options}
    return score_cached(folders, tmp_path / "passages", "dev", **made)


def read_by(teacher, rows):
    """The spans that the teacher itself finds."""
    encoded = Encoder.open(teacher).encode(
        [row.question for row in rows], [row.text for row in rows], **LIMITS
    )
    tokens = [
        TokenRow(
            row.input_ids,
            row.token_type_ids,
            row.character_ids,
            row.question,
            row.passage,
            row.passage_offsets,
        )
        for row in encoded
    ]
    return read_all(Reader.open(teacher), tokens, max_answer_tokens=4)


def test_variants_are_scored_by_the_worst_where_asked(teacher_folder, filled, tmp_path):
    folder = filled(teacher_folder)
    plain, found = scored(tmp_path, folder), scored(tmp_path, folder, variants=True)
    assert "worst_variant" not in plain
    # No id here names a variant, so each row is a question by itself.
    assert found.pop("worst_variant") == {name: plain[name] for name in ("em", "f1", "rows")}
    assert found == plain


@pytest.mark.parametrize("kind", ["teacher_folder", "two_step_folder"])
def test_a_cache_scores_as_its_teacher_does(kind, request, filled, rows, tmp_path):
    teacher = request.getfixturevalue(kind)
    folder = filled(teacher, **(OWN_ENDS if kind == "two_step_folder" else {}))
    expected = read_by(teacher, rows)
    found = cached_spans([folder], rows, max_answer_tokens=4)
    assert [(span.start, span.end) for span in found] == [(span.start, span.end) for span in expected]
    assert [span.log_prob for span in found] == pytest.approx([span.log_prob for span in expected], abs=1e-4)
    score = METRICS.load("en")
    of_labelled = [score(row.prediction.text, row.golds) for row in fold(rows, expected) if row.golds]
    scores = scored(tmp_path, folder)
    by_word = scores.pop("by_question_word")
    assert scores == {**percentages(of_labelled), "rows": 37, "unlabelled": 3, "unanswered": 0}
    assert sum(of_word["rows"] for of_word in by_word.values()) == 37
    assert scored(tmp_path, folder, folder) == {**scores, "by_question_word": by_word}


def test_an_ensemble_is_the_mean_of_its_probabilities(make_teacher, filled, tmp_path):
    """Of one-step teachers with all the weight on one, it is that one."""
    one, other = filled(make_teacher(), "one"), filled(make_teacher(scale=-1.0), "other")
    alone = scored(tmp_path, one), scored(tmp_path, other)
    assert alone[0] != alone[1]
    assert scored(tmp_path, one, other, weights=[1.0, 1e-9]) == alone[0]
    assert scored(tmp_path, one, other, weights=[1e-9, 1.0]) == alone[1]


def test_ends_that_know_the_answer_are_refused(two_step_folder, filled, tmp_path):
    folder = filled(two_step_folder, end_rows={})
    message = (
        "expected top_end_rows, which scores are made of; got end_rows alone, which are given the gold start:"
        " a score of them would know the answer; add 'top_end_rows: {}'"
    )
    with pytest.raises(MismatchError, match=message):
        scored(tmp_path, folder)
    filled(two_step_folder, end_rows={}, **OWN_ENDS)
    without = filled(two_step_folder, "without", **OWN_ENDS)
    assert scored(tmp_path, folder) == scored(tmp_path, without)


def test_a_two_step_teacher_of_which_no_ends_are_cached(two_step_folder, filled, tmp_path):
    folder = filled(two_step_folder)
    with pytest.raises(
        MismatchError, match="expected top_end_rows, which scores are made of; got no such field"
    ):
        scored(tmp_path, folder, two_step=True)


def test_teachers_of_other_tokens(teacher_folder, filled, tmp_path):
    one, cut = filled(teacher_folder, "one"), filled(teacher_folder, "cut", max_length=40)
    with pytest.raises(MismatchError, match="with whose probabilities these are averaged; got others"):
        scored(tmp_path, one, cut)
