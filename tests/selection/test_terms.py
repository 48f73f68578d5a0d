from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.selection.terms import TOKENS, Terms, character_ngrams, words

TEXTS = st.lists(st.text(alphabet="abAB 长江 流，。1_é🀀İ", max_size=20) | st.text(max_size=10), max_size=6)


def test_words_are_lowercased_runs():
    assert words("The Elbe, 1990!") == ["the", "elbe", "1990"]


def test_characters_and_pairs_stop_at_punctuation():
    assert character_ngrams("长江，A流") == ["长", "江", "a", "流", "长江", "a流"]


@pytest.mark.parametrize("language", sorted(TOKENS))
@given(texts=TEXTS)
def test_terms_of_many_texts_are_those_of_each(language: str, texts: list[str]):
    terms = Terms.of(texts, language)
    expected = [Counter(TOKENS[language](text)) for text in texts]
    found = [Counter(terms.term[terms.text == row].tolist()) for row in range(len(texts))]
    assert [sorted(counts.values()) for counts in found] == [sorted(counts.values()) for counts in expected]
    assert int(terms.term.max(initial=0)) < terms.num_terms
    assert len(np.unique(terms.term)) == len({term for counts in expected for term in counts})


@pytest.mark.parametrize("language", sorted(TOKENS))
def test_codes_mean_the_same_in_every_object(language: str):
    one = Terms.of(["江流", "elbe"], language)
    two = Terms.of(["长", "江流 elbe"], language)
    assert set(one.code(np.unique(one.term))) == set(two.code(np.unique(two.term[two.text == 1])))
    assert len(np.unique(two.code(np.unique(two.term)))) == len(np.unique(two.term))
