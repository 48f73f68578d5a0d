"""What every selection method in the table promises."""

from pathlib import Path

import pytest
from sklearn.utils import estimator_checks

from pipeline.errors import ParamsError
from pipeline.schema import Answer, Example, Passage
from pipeline.selection import SELECTORS
from pipeline.selection.select import select
from pipeline.tables import read_rows, write_rows
from pipeline.text.tokenizers import Encoder
from pipeline.text.vocabulary import vocabulary

# The checks of scikit-learn that do not feed an estimator matrices of numbers.
CHECKS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_mixin_order,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_parameters_default_constructible,
    estimator_checks.check_set_params,
    estimator_checks.check_valid_tag_types,
]

ROWS = [
    ("Who is it?", "It is Bob. " * 20),
    ("Who is it? " * 20, "It is."),
    ("Who?", ""),
    ("Who?", "   "),
    ("", "It is Bob."),
    ("", "Bob " * 50),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Words, each known or not a token of its own; one special token around a pair."""
    folder = tmp_path_factory.mktemp("tokenizer") / "words"
    vocabulary(folder, kind="words", texts=["Who is it? It is."])
    return folder


@pytest.fixture(scope="module")
def encoder(tokenizer: Path) -> Encoder:
    return Encoder.open(tokenizer)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", SELECTORS.names())
def test_is_a_scikit_learn_estimator(name: str, check):
    check(name, SELECTORS.load(name)())


@pytest.mark.parametrize("name", SELECTORS.names())
def test_windows_lie_in_the_context_and_fit(name: str, tokenizer: Path, encoder: Encoder):
    selector = SELECTORS.load(name)(tokenizer=tokenizer, max_tokens=20, max_question_tokens=8)
    selected = selector.fit(ROWS).transform(ROWS)
    assert len(selected) == len(ROWS)
    assert [row.is_cut for row in selected] == [True, False, False, False, False, True]
    assert [row.question_is_cut for row in selected] == [False, True, False, False, False, False]
    for (question, context), row in zip(ROWS, selected, strict=True):
        room = 20 - encoder.num_special_with(question) - min(encoder.count_tokens([question])[0], 8)
        for spans in row.windows:
            text = "".join(context[start:end] for start, end in spans)
            assert encoder.count_tokens([text])[0] <= room
            assert row.is_cut or text == context


@pytest.mark.parametrize("name", SELECTORS.names())
def test_every_row_has_passages_whose_characters_are_the_contexts(name: str, tokenizer: Path, tmp_path: Path):
    rows = [
        Example(
            str(at), question, context, (Answer("Bob", context.index("Bob")),) if "Bob" in context else ()
        )
        for at, (question, context) in enumerate(ROWS)
    ]
    write_rows(tmp_path / "examples" / "train.arrow", Example, rows)
    limits = {"tokenizer": tokenizer, "max_tokens": 20, "max_question_tokens": 8}
    made = []
    for out in ("once", "again"):
        report = select(tmp_path / "examples", tmp_path / out, language="en", method=name, **limits)
        made.append(read_rows(tmp_path / out / "train.arrow", Passage))
        assert report["splits"]["train"]["rows"] == len(rows)
        assert report["splits"]["train"]["passages"] == len(made[-1])
    assert made[0] == made[1]
    assert list(dict.fromkeys(passage.example for passage in made[0])) == list(range(len(rows)))
    for passage in made[0]:
        context = rows[passage.example].context
        copied = [context[s.context_start : s.context_start + s.length] for s in passage.segments]
        assert passage.text == "".join(copied)
        assert passage.gold_texts == rows[passage.example].golds
        for answer in passage.answers:
            assert passage.text[answer.start : answer.start + len(answer.text)] == answer.text


@pytest.mark.parametrize("name", SELECTORS.names())
def test_rows_owe_nothing_to_those_beside_them(name: str, tokenizer: Path):
    selector = SELECTORS.load(name)(tokenizer=tokenizer, max_tokens=20, max_question_tokens=8).fit(ROWS)
    assert selector.transform(ROWS) == [kept for row in ROWS for kept in selector.transform([row])]


@pytest.mark.parametrize("name", SELECTORS.names())
def test_settings_without_room_are_refused(name: str, tokenizer: Path):
    selector = SELECTORS.load(name)(tokenizer=tokenizer, max_tokens=9, max_question_tokens=8)
    with pytest.raises(ParamsError, match="max_tokens: expected at least 10"):
        selector.fit(ROWS)


@pytest.mark.parametrize("name", SELECTORS.names())
def test_no_tokenizer_is_refused(name: str):
    with pytest.raises(ParamsError, match="the folder of the teacher's tokenizer; got none"):
        SELECTORS.load(name)().fit(ROWS)
