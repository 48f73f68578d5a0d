"""A whole data set: what is made, what is dropped and why, and what decides it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.augmentation.augment import augment
from pipeline.augmentation.row import augmented
from pipeline.augmentation.words import Word
from pipeline.errors import DataError, ParamsError
from pipeline.files import write_json
from pipeline.schema import Answer, Example
from pipeline.tables import read_rows, write_rows

ROWS = [
    Example("a", "", "the cat sat on the mat ", labels=("1",)),
    Example("b", "", "a dog ran up a hill ", labels=("0",)),
    Example("c", "", "yes", labels=None),
    Example("a", "", "the cat sat on the mat", labels=("1",)),
]
PAIRS = [Example("p", "who ran up a hill ?", "a dog ran", labels=("1",))]
SPANS = [
    Example(
        "q",
        "Who ran?",
        "Up a hill, 'twas told, ran Rex the dog.",
        (Answer("Rex", 27), Answer("Rex the dog", 27)),
    )
]
TAGGED = [Example("t", "", "Ada Low saw Oslo , alone", labels=("B-per", "I-per", "O", "B-loc", "O", "O"))]

Make = Callable[..., tuple[dict[str, Any], list[Example]]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Augments rows and gives the summary and the new rows."""

    def run(rows: Sequence[Example], **options: Any) -> tuple[dict[str, Any], list[Example]]:
        examples, out = tmp_path / "examples", tmp_path / "out"
        write_rows(examples / "train.arrow", Example, rows)
        write_json(examples / "summary.json", {"language": "en", "classes": ["0", "1"]})
        settings = {"labels": "class", "method": "mask", "language": "en", "splits": ["train"], **options}
        summary = augment(examples, out, **settings)
        assert json.loads((out / "summary.json").read_text()) == summary
        return summary, read_rows(out / "train.arrow", Example)

    return run


def test_rows_are_made_or_dropped_for_a_reason(make: Make) -> None:
    summary, made = make(ROWS, times=12, options={"probability": 0.3})
    reasons = summary["reasons"]["train"]
    assert summary["splits"] == {"train": {"rows_in": 48, "rows_out": len(made)}}
    assert len(made) + sum(reasons.values()) == 48
    assert set(reasons) == {"unchanged", "duplicate"}
    assert summary["classes"] == ["0", "1"]
    assert summary["language"] == "en"
    texts = [row.context for row in made]
    assert len(set(texts)) == len(texts)
    assert not set(texts) & {row.context.strip() for row in ROWS}
    assert {row.id.split("+")[0] for row in made} == {"a", "b", "c"}
    assert [row.labels for row in made] == [None] * len(made)
    # All rows once, then all again.
    numbers = [int(row.id.split("+")[1]) for row in made]
    assert numbers == sorted(numbers)
    assert numbers[0] == 1
    # In an order that is drawn each time.
    assert len({tuple(row.id for row in made if row.id.endswith(f"+{number}")) for number in (3, 4, 5)}) > 1


def test_the_seed_and_the_rows_own_texts_decide(make: Make) -> None:
    _, made = make(ROWS, seed=3)
    assert make(ROWS, seed=3)[1] == made
    assert make(ROWS, seed=4)[1] != made
    more = [Example("x", "", "quite another row that is new"), *ROWS[::-1]]
    assert {row.context for row in make(more, seed=3)[1]} > {row.context for row in made}


def test_a_split_stops_where_it_should(make: Make) -> None:
    summary, made = make(ROWS, times=20, max_rows=5)
    assert len(made) == 5
    assert make(ROWS, times=20)[1][:5] == made
    assert summary["reasons"]["train"]["beyond_max_rows"] > 40
    assert sum(summary["reasons"]["train"].values()) == 75


def test_a_split_that_stops_early_is_of_rows_from_everywhere(make: Make) -> None:
    rows = [Example(str(place), "", f"row {place} of a long table of rows") for place in range(400)]
    _, made = make(rows, times=1, max_rows=100, options={"probability": 0.5})
    places = [int(row.id.split("+")[0]) for row in made]
    assert places != sorted(places)
    assert all(15 < sum(low <= place < low + 100 for place in places) < 35 for low in (0, 100, 200, 300))


def test_labels_can_be_kept(make: Make) -> None:
    labels = {row.id: row.labels for row in ROWS}
    _, made = make(ROWS, keep_labels=True)
    assert all(row.labels == labels[row.id.split("+")[0]] for row in made)
    assert {row.labels for row in made} >= {("0",), ("1",)}


def test_the_texts_of_a_pair_take_turns(make: Make) -> None:
    (old,) = PAIRS

    def changed(sides: str) -> set[tuple[bool, bool]]:
        _, made = make(PAIRS, times=30, sides=sides, options={"probability": 0.5})
        return {(row.question != old.question, row.context != old.context) for row in made}

    assert changed("first") == {(True, False)}
    assert changed("second") == {(False, True)}
    _, made = make(PAIRS, times=30, options={"probability": 0.5})
    for row in made:
        turn = int(row.id.split("+")[1]) % 3
        assert row.question == old.question or turn != 2
        assert row.context == old.context or turn != 1
    assert (True, True) in changed("both")


@pytest.mark.parametrize("method", ["mask", "delete", "ngram", "short_disorder", "long_disorder", "tang2019"])
def test_answers_move_and_questions_stay(make: Make, method: str) -> None:
    options = {"length": 4} if method == "long_disorder" else {}
    summary, made = make(SPANS, labels="answers", method=method, times=40, keep_labels=True, options=options)
    assert "answer_lost" not in summary["reasons"]["train"]
    for row in made:
        assert row.question == "Who ran?"
        assert [answer.text for answer in row.answers] == ["Rex", "Rex the dog"]
        assert all(row.context[each.start :].startswith(each.text) for each in row.answers)
    assert make(SPANS, labels="answers", method=method, times=9, options=options)[1][0].answers == ()


def test_tags_move_with_their_words(make: Make) -> None:
    settings = {"labels": "tags", "method": "short_disorder", "options": {"bac": 0.4}}
    _, made = make(TAGGED, times=100, keep_labels=True, **settings)
    # All ways to exchange neighbours, of whom the two words of a person are one.
    assert {row.context: row.labels for row in made} == {
        "saw Ada Low Oslo , alone": ("O", "B-per", "I-per", "B-loc", "O", "O"),
        "saw Ada Low , Oslo alone": ("O", "B-per", "I-per", "O", "B-loc", "O"),
        "saw Ada Low Oslo alone ,": ("O", "B-per", "I-per", "B-loc", "O", "O"),
        "Ada Low Oslo saw , alone": ("B-per", "I-per", "B-loc", "O", "O", "O"),
        "Ada Low Oslo saw alone ,": ("B-per", "I-per", "B-loc", "O", "O", "O"),
        "Ada Low saw , Oslo alone": ("B-per", "I-per", "O", "O", "B-loc", "O"),
        "Ada Low saw Oslo alone ,": ("B-per", "I-per", "O", "B-loc", "O", "O"),
    }


def test_texts_without_words_are_dropped(make: Make) -> None:
    summary, made = make(ROWS, method="delete", times=20, options={"probability": 0.8})
    assert summary["reasons"]["train"]["no_words_left"] > 0
    assert all(row.context.strip() for row in made)
    pairs, _ = make(PAIRS, method="delete", times=60, options={"probability": 0.8})
    assert pairs["reasons"]["train"]["no_words_left"] > 0


def forgetting(words: Sequence[Word], random: Any, corpus: Any, *, what: str) -> list[Word]:
    """An augmenter of one's own that heeds no label."""
    if what == "text":
        return [replace(word, text=word.text.upper()) for word in words]
    if what == "tags":
        return [replace(word, tags=()) for word in words[1:]]
    return [word for word in words if not word.is_needed]


@pytest.mark.parametrize(
    ("rows", "labels", "what", "reason"),
    [
        (SPANS, "answers", "text", "answer_not_in_context"),
        (SPANS, "answers", "answers", "answer_lost"),
        (TAGGED, "tags", "tags", "wrong_label"),
    ],
)
def test_rows_whose_labels_are_broken_are_dropped(
    make: Make, monkeypatch: pytest.MonkeyPatch, rows: list[Example], labels: str, what: str, reason: str
) -> None:
    monkeypatch.setattr("pipeline.registry.imported", {"mine:forgetting": forgetting}.__getitem__)
    with pytest.raises(DataError, match=rf"out\.train: expected at least one new row; got 10 {reason}"):
        make(rows, labels=labels, method="mine:forgetting", options={"what": what})


def test_nothing_new_is_refused_and_what_was_there_stays(make: Make, tmp_path: Path) -> None:
    _, made = make(ROWS)
    with pytest.raises(DataError, match="got 40 unchanged; choose another method"):
        make(ROWS, options={"probability": 0.0})
    assert read_rows(tmp_path / "out/train.arrow", Example) == made
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "tang"}, ParamsError, "augmenter 'tang'.*did you mean 'tang2019'"),
        ({"options": {"p": 0.1}}, ParamsError, "unknown option 'p' of augmenter 'mask'"),
        ({"splits": ["dev"]}, DataError, r"dev\.arrow: expected a table; got no such file"),
    ],
)
def test_what_is_not_there(make: Make, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(ROWS, **options)


def test_an_impossible_question_keeps_its_label(make: Make) -> None:
    rows = [replace(SPANS[0], answers=(), is_impossible=True)]
    _, made = make(rows, labels="answers", keep_labels=True)
    assert {row.is_impossible for row in made} == {True}
    _, made = make(rows, labels="answers")
    assert {row.is_impossible for row in made} == {False}


def test_free_answers_are_labels_too(make: Make) -> None:
    rows = [replace(SPANS[0], gold_texts=("a dog called Rex",))]
    _, made = make(rows, labels="answers", keep_labels=True)
    assert {row.gold_texts for row in made} == {("a dog called Rex",)}
    _, made = make(rows, labels="answers")
    assert {row.gold_texts for row in made} == {None}


def test_chinese_words_are_hidden_whole(make: Make) -> None:
    rows = [Example("z", "", "长江流过武汉。武汉在湖北。")]
    _, made = make(rows, language="zh", options={"probability": 0.5})
    words = {"长江", "流过", "武汉", "。", "在", "湖北"}
    assert all(set(row.context.replace("[MASK]", "")) <= set("".join(words)) for row in made)
    assert any("[MASK]武汉。" in row.context for row in made)


def test_a_row_is_the_same_wherever_it_is_made() -> None:
    settings = {"language": "en", "labels": "class", "sides": "cycle", "seed": 5}

    def draw(words: Sequence[Word], random: Any) -> list[Word]:
        return [Word(str(random.randrange(10**6)))]

    made = [augmented(ROWS[0], number, change=draw, **settings) for number in range(2)]
    assert [(row.id, row.context) for row in made] == GOLDEN


# By hashlib and random, from the seed, the number and the texts, each with its length.
GOLDEN = [("a+1", "540711"), ("a+2", "833410")]
