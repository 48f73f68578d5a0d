from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import Answer, Example, Segment
from pipeline.selection.passages import passages
from pipeline.selection.selected import Selected

PLACES = st.integers(0, 60)

# Plain values: the packages' own types are made in the test.
DRAWN = st.tuples(
    st.text(max_size=60),
    st.lists(st.tuples(PLACES, PLACES), max_size=4),
    st.lists(st.lists(st.tuples(PLACES, st.booleans()), max_size=8), min_size=1, max_size=3),
)


def _built(drawn: tuple) -> tuple[Example, Selected]:
    context, answer_places, window_cuts = drawn
    size = len(context)
    ordered = [sorted((min(a, size), min(b, size))) for a, b in answer_places]
    answers = tuple(Answer(context[start:end], start) for start, end in ordered if start < end)
    windows = []
    for cuts in window_cuts:
        is_kept = {min(place, size): kept for place, kept in cuts}
        spans = pairwise(sorted(is_kept))
        windows.append(tuple((start, end) for start, end in spans if is_kept[start]))
    return Example("x", "q", context, answers), Selected(tuple(windows))


@given(DRAWN)
def test_every_character_has_its_origin(drawn: tuple):
    example, selected = _built(drawn)
    for passage, spans in zip(passages(7, example, selected), selected.windows, strict=True):
        assert passage.text == "".join(example.context[start:end] for start, end in spans)
        assert sum(segment.length for segment in passage.segments) == len(passage.text)
        places = [place for start, end in spans for place in range(start, end)]
        for character, place in enumerate(places):
            assert passage.text[character] == example.context[place]
            assert passage.context_span(character, character + 1) == (place, place + 1)
        for before, after in zip(passage.segments, passage.segments[1:], strict=False):
            assert before.context_start + before.length < after.context_start  # else one run
        assert (passage.example, passage.id, passage.question) == (7, "x", "q")


@given(DRAWN)
def test_answers_survive_exactly_where_all_their_characters_stay_together(drawn: tuple):
    example, selected = _built(drawn)
    for passage, spans in zip(passages(0, example, selected), selected.windows, strict=True):
        kept = {place for start, end in spans for place in range(start, end)}
        expected = [
            answer
            for answer in example.answers
            if set(range(answer.start, answer.start + len(answer.text))) <= kept
        ]
        assert [answer.text for answer in passage.answers] == [answer.text for answer in expected]
        for moved, answer in zip(passage.answers, expected, strict=True):
            end = moved.start + len(moved.text)
            assert passage.text[moved.start : end] == moved.text
            assert passage.context_span(moved.start, end) == (answer.start, answer.start + len(answer.text))
        assert passage.gold_texts == tuple(answer.text for answer in example.answers)


def test_windows_are_numbered_and_touching_spans_are_one_run():
    example = Example("x", "q", "abcdef", (Answer("bc", 1), Answer("f", 5)))
    first, second = passages(3, example, Selected((((0, 2), (2, 3), (5, 6)), ((4, 6),))))
    assert first.segments == (Segment(0, 0, 3), Segment(3, 5, 1))
    assert first.answers == (Answer("bc", 1), Answer("f", 3))
    assert (second.window, second.text, second.answers) == (1, "ef", (Answer("f", 1),))


def test_gold_texts_of_their_own_stand_beside_the_answers():
    example = Example("x", "q", "abc", (Answer("b", 1),), gold_texts=("not b", "b or so"))
    (passage,) = passages(0, example, Selected((((0, 2),),)))
    assert (passage.answers, passage.gold_texts) == ((Answer("b", 1),), ("not b", "b or so"))


def test_an_impossible_row_stays_so():
    (passage,) = passages(0, Example("x", "q", "abc", is_impossible=True), Selected((((0, 3),),)))
    assert passage.is_impossible
    assert passage.gold_texts == ()
