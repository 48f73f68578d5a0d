from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer

from pipeline.errors import ParamsError
from pipeline.selection.terms import TOKENS
from pipeline.selection.tfidf import CorpusIdf, TfidfSentenceSelector, sentence_scores
from pipeline.text.tokenizers import Encoder

WORD = st.sampled_from(["elbe", "rhine", "flows", "the", "江", "流过", ",", ""])
TEXT = st.lists(WORD, max_size=6).map(" ".join)
GROUPS = st.lists(st.lists(TEXT, min_size=1, max_size=4), min_size=1, max_size=4)


def _reference(vectorizer: TfidfVectorizer, question: list[str], sentences: list[list[str]]) -> np.ndarray:
    return (vectorizer.transform(sentences) @ vectorizer.transform([question]).T).toarray()[:, 0]


def _fitted(documents: list[list[str]]) -> TfidfVectorizer | None:
    vectorizer = TfidfVectorizer(analyzer=list)
    return vectorizer.fit(documents) if any(documents) else None


@pytest.mark.parametrize("language", sorted(TOKENS))
@settings(max_examples=150)
@given(data=st.data(), documents=GROUPS)
def test_scores_equal_a_vectorizer_fitted_on_each_row(language: str, data: st.DataObject, documents):
    groups = data.draw(st.lists(st.integers(0, len(documents) - 1), max_size=6))
    questions = [data.draw(TEXT) for _ in groups]
    tokens = TOKENS[language]
    scores = sentence_scores(questions, groups, documents, language=language)
    assert len(scores) == len(groups)
    for question, group, row in zip(questions, groups, scores, strict=True):
        sentences = [tokens(sentence) for sentence in documents[group]]
        vectorizer = _fitted(sentences)
        expected = np.zeros(len(sentences))
        if vectorizer is not None:
            expected = _reference(vectorizer, tokens(question), sentences)
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("language", sorted(TOKENS))
@settings(max_examples=150)
@given(question=TEXT, documents=GROUPS, corpus=st.lists(TEXT, min_size=1, max_size=8))
def test_corpus_scores_equal_a_vectorizer_fitted_once(language: str, question: str, documents, corpus):
    tokens = TOKENS[language]
    vectorizer = _fitted([tokens(text) for text in corpus])
    idf = CorpusIdf.learn(corpus, language)
    (row,) = sentence_scores([question], [0], documents, language=language, corpus=idf)
    sentences = [tokens(sentence) for sentence in documents[0]]
    expected = np.zeros(len(sentences))
    if vectorizer is not None:
        expected = _reference(vectorizer, tokens(question), sentences)
    np.testing.assert_allclose(row, expected, rtol=0, atol=1e-12)


def test_a_group_without_sentences_has_no_scores():
    scores = sentence_scores(["elbe", "elbe"], [0, 1], [[], ["the elbe"]], language="en")
    assert [row.tolist() for row in scores] == [[], [pytest.approx(0.7071067811865475)]]


CONTEXT = "Dogs bark all day long. The Elbe is long. Cats sleep. It rains. The Elbe flows north."


def _selector(tokenizer: Path, **options) -> TfidfSentenceSelector:
    return TfidfSentenceSelector(tokenizer=tokenizer, max_question_tokens=6, **options).fit([])


def _kept(tokenizer: Path, question: str, context: str, **options) -> list[str]:
    (selected,) = _selector(tokenizer, **options).transform([(question, context)])
    (spans,) = selected.windows
    return [context[start:end] for start, end in spans]


def test_short_contexts_stay_whole(tokenizer: Path):
    assert _kept(tokenizer, "Where is the Elbe?", CONTEXT, max_tokens=30, top_sentences=1) == [CONTEXT]


def test_the_nearest_sentences_stay_in_their_order(tokenizer: Path):
    kept = _kept(tokenizer, "Where does the Elbe flow north", CONTEXT, max_tokens=18, top_sentences=2)
    assert kept == ["The Elbe is long. ", "The Elbe flows north."]


def test_the_lowest_scored_goes_until_the_rest_fits(tokenizer: Path):
    # Six question tokens and a separator leave 7: room for the best sentence of 5, not for two.
    kept = _kept(tokenizer, "Where does the Elbe flow north", CONTEXT, max_tokens=14, top_sentences=2)
    assert kept == ["The Elbe flows north."]


def test_the_first_of_equal_sentences_wins(tokenizer: Path):
    kept = _kept(tokenizer, "Nothing", "A b c. D e f. G h i.", max_tokens=10, top_sentences=1)
    assert kept == ["A b c. "]


def test_a_sentence_that_is_too_long_is_cut_at_the_limit(tokenizer: Path):
    context = "the elbe " * 20
    (selected,) = _selector(tokenizer, max_tokens=10).transform([("the elbe", context)])
    assert selected.windows == (((0, len("the elbe the elbe the elbe the")),),)
    assert selected.is_cut
    assert selected.is_truncated


def test_long_questions_count_up_to_their_limit(tokenizer: Path):
    (selected,) = _selector(tokenizer, max_tokens=12).transform([("who " * 50, "It is it is it.")])
    assert selected.question_is_cut
    assert selected.is_cut  # 6 of the question, 1 special, 6 of the context


def test_an_empty_context_is_kept_empty(tokenizer: Path):
    (selected,) = _selector(tokenizer).transform([("Who?", "")])
    assert selected.windows == ((),)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(
        st.tuples(TEXT, st.lists(TEXT, max_size=8).map(". ".join) | st.text(max_size=80)), max_size=5
    ),
    max_tokens=st.integers(8, 20),
    top=st.integers(1, 5),
    idf=st.sampled_from(["row", "corpus"]),
    language=st.sampled_from(["en", "zh"]),
)
def test_what_is_kept_always_fits(
    tokenizer: Path, encoder: Encoder, rows: list, max_tokens: int, top: int, idf: str, language: str
):
    selector = TfidfSentenceSelector(
        tokenizer=tokenizer,
        language=language,
        max_tokens=max_tokens,
        max_question_tokens=6,
        top_sentences=top,
        idf=idf,
    )
    for (question, context), selected in zip(rows, selector.fit(rows).transform(rows), strict=True):
        (spans,) = selected.windows
        assert list(spans) == sorted(spans)
        text = "".join(context[start:end] for start, end in spans)
        room = max_tokens - encoder.num_special_with(question) - min(encoder.count_tokens([question])[0], 6)
        assert encoder.count_tokens([text])[0] <= room
        assert selected.is_cut == (encoder.count_tokens([context])[0] > room)
        if not selected.is_cut:
            assert text == context


def test_rows_do_not_depend_on_their_neighbours(tokenizer: Path):
    rows = [("Where is the Elbe?", CONTEXT), ("Do cats sleep?", CONTEXT), ("Dogs?", CONTEXT + " Dogs.")]
    selector = _selector(tokenizer, max_tokens=16)
    assert selector.transform(rows) == [selector.transform([row])[0] for row in rows]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": None}, "the folder of the teacher's tokenizer"),
        ({"language": "eng"}, "did you mean 'en'"),
        ({"idf": "rows"}, "did you mean 'row'"),
        ({"top_sentences": 0}, "at least 1; got 0"),
        ({"max_tokens": 40}, "at least 42"),
    ],
)
def test_settings_that_cannot_be_obeyed(tokenizer: Path, options: dict, message: str):
    with pytest.raises(ParamsError, match=message):
        TfidfSentenceSelector(**{"tokenizer": tokenizer, **options}).fit([])


def test_a_clone_has_the_same_settings(tokenizer: Path):
    selector = TfidfSentenceSelector(tokenizer=tokenizer, top_sentences=3)
    assert clone(selector).get_params() == selector.get_params()
