import pytest

from pipeline.evaluation.fold import fold
from pipeline.evaluation.reader import Span
from pipeline.schema import Passage, Segment


def test_the_surest_window_answers(passage):
    passages = [
        passage("w1 w2", example=0, window=0, golds=["w2"]),
        passage("w2 w3", example=0, window=1, golds=["w2"], context_start=3),
        passage("w9", example=1, golds=["w9"]),
    ]
    first, second = fold(passages, [Span(0, 2, -3.0), Span(3, 5, -1.0), Span(0, 2, -2.0)])
    assert (first.prediction.text, first.prediction.start, first.prediction.end) == ("w3", 6, 8)
    assert first.prediction.score == pytest.approx(0.36788, abs=1e-5)
    assert first.golds == ("w2",)
    assert second.prediction.text == "w9"


def test_examples_come_in_their_order_whatever_the_passages(passage):
    passages = [passage("w1", example=2), passage("w2", example=0)]
    assert [answered.id for answered in fold(passages, [Span(0, 2, -1.0)] * 2)] == ["id0", "id2"]


def test_equal_ids_are_two_examples(passage):
    rows = [passage("w1", example=0), passage("w2", example=1)]
    same = [Passage(row.example, 0, "same", "?", row.text, row.segments, (), ()) for row in rows]
    assert [answered.prediction.text for answered in fold(same, [Span(0, 2, -1.0)] * 2)] == ["w1", "w2"]


def test_a_window_without_a_span_gives_way(passage):
    passages = [passage("w1", window=0), passage("w2", window=1), passage("w3", example=1)]
    answered = fold(passages, [None, Span(0, 2, -9.0), None])
    assert answered[0].prediction.text == "w2"
    assert answered[1].prediction is None


def test_the_span_of_the_context_covers_what_selection_cut():
    text = "One. Three."
    selected = Passage(0, 0, "x", "?", text, (Segment(0, 0, 5), Segment(5, 10, 6)), (), ())
    (answered,) = fold([selected], [Span(0, 10, 0.0)])
    assert answered.prediction.text == "One. Three"
    assert "One. Two. Three."[answered.prediction.start : answered.prediction.end] == "One. Two. Three"
