import pytest

from pipeline.text.treebank import word_spans, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He is a lawyer.", "he is a lawyer"),
        ("She didn't go; Mark's dog can’t.", "she did n't go mark 's dog ca n't"),
        ("They're at O'Brien's (o'clock)", "they 're at o'brien 's o'clock"),
        ("a well-known U.S. pilot, e.g. he", "a well-known u.s pilot e.g he"),
        ("5,000 men at 10:30, 3.5 km. Rome,Paris", "5,000 men at 10:30 3.5 km rome paris"),
        ("$5 & more... end.Next", "$ 5 & more end next"),
        ('"Quoted" -- text!?', "quoted text"),
        ("", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert words(text) == expected.split()


def test_words_stand_where_they_are_said_to() -> None:
    text = "She didn’t see MARK's dog."
    assert [text[start:end] for start, end in word_spans(text)] == [
        "She", "did", "n’t", "see", "MARK", "'s", "dog",
    ]  # fmt: skip
    assert len(words(text)) == len(word_spans(text))
