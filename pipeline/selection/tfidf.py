"""Sentence selection by TF-IDF (Ren et al. 2020): of a long context, the sentences nearest the question.

Scores are those of scikit-learn's `TfidfVectorizer` (smooth idf, l2 norm, cosine) fitted on the sentences of
each row, worked out for all rows at once with sorted arrays instead of a fit a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ParamsError
from pipeline.registry import did_you_mean
from pipeline.selection.budget import Budget
from pipeline.selection.selected import Pair, Selected
from pipeline.selection.shortener import Shortener
from pipeline.selection.terms import TOKENS, Terms
from pipeline.text.sentences import sentences

_Floats = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]

_IDF = ("row", "corpus")

# Scores that agree so far are equal: the order must not hang on rounding.
_TIE_DIGITS = 9


@dataclass(frozen=True)
class CorpusIdf:
    """Inverse document frequencies over the sentences of a corpus; terms outside it count nothing."""

    codes: _Int64
    values: _Floats

    @classmethod
    def learn(cls, documents: Sequence[str], language: str) -> "CorpusIdf":
        """Count in how many of the `documents` each term stands."""
        terms = Terms.of(documents, language)
        different = np.unique(terms.term * len(documents) + terms.text)
        term, frequency = np.unique(different // max(len(documents), 1), return_counts=True)
        codes = terms.code(term)
        order = np.argsort(codes)
        return cls(codes[order], _smooth_idf(frequency, len(documents))[order])

    def of(self, codes: _Int64) -> _Floats:
        """The idf of each term, 0 where the corpus has none."""
        if not len(self.codes):
            return np.zeros(len(codes))
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[places] == codes, self.values[places], 0.0)


def sentence_scores(
    questions: Sequence[str],
    groups: Sequence[int],
    documents: Sequence[Sequence[str]],
    *,
    language: str,
    corpus: CorpusIdf | None = None,
) -> list[_Floats]:
    """Cosine of each question with each sentence of its group.

    Args:
        questions: One text a row.
        groups: For each row, which of the `documents` it asks about.
        documents: Groups of sentences; rows about one context share its group.
        language: Whose terms to count.
        corpus: Where idf comes from; None for each group's own sentences.

    Returns:
        For each row, the score of every sentence of its group.
    """
    sizes = np.array([len(group) for group in documents], dtype=np.int64)
    texts = [*questions, *(sentence for group in documents for sentence in group)]
    terms = Terms.of(texts, language)
    is_question = terms.text < len(questions)
    index = _Index.build(terms, is_question, sizes, corpus, len(questions))
    row_group = np.asarray(groups, dtype=np.int64)
    row_starts = np.concatenate([[0], np.cumsum(sizes[row_group])])

    asked = terms.text[is_question] * terms.num_terms + terms.term[is_question]
    keys, counts = np.unique(asked, return_counts=True)
    row, term = np.divmod(keys, terms.num_terms)
    place, is_known = index.find(row_group[row] * terms.num_terms + term)
    weights = counts * (index.idf_at(place, is_known) if corpus is None else corpus.of(terms.code(term)))
    weights *= _inverse_norms(row, weights, len(questions))[row]
    row, place, weights = row[is_known], place[is_known], weights[is_known]

    # Each known question term meets the entries of its list, one a sentence that holds it.
    lengths = index.starts[place + 1] - index.starts[place]
    entries = np.repeat(index.starts[place] - np.cumsum(lengths) + lengths, lengths) + np.arange(
        lengths.sum()
    )
    cells = row_starts[np.repeat(row, lengths)] + index.sentence[entries]
    products = np.repeat(weights, lengths) * index.weight[entries]
    scores = np.bincount(cells, products, minlength=int(row_starts[-1])).astype(np.float64, copy=False)
    return [scores[start:end] for start, end in pairwise(row_starts.tolist())]


@dataclass(frozen=True)
class _Index:
    """For each group and term, the sentences that hold it and its normalised weight there."""

    keys: _Int64
    idf: _Floats
    starts: _Int64
    sentence: _Int64
    weight: _Floats

    @classmethod
    def build(
        cls,
        terms: Terms,
        is_question: npt.NDArray[np.bool_],
        sizes: _Int64,
        corpus: CorpusIdf | None,
        num_questions: int,
    ) -> "_Index":
        first = np.cumsum(sizes) - sizes
        text_group = np.repeat(np.arange(len(sizes)), sizes)
        text = terms.text[~is_question] - num_questions
        group = text_group[text]
        width = int(sizes.max(initial=0)) + 1
        pairs = (group * terms.num_terms + terms.term[~is_question]) * width + (text - first[group])
        entries, counts = np.unique(pairs, return_counts=True)
        lists, sentence = np.divmod(entries, width)
        is_first = np.concatenate([[True], lists[1:] != lists[:-1]]) if len(lists) else np.zeros(0, np.bool_)
        begins = np.flatnonzero(is_first)
        starts = np.append(begins, len(lists))
        keys = lists[begins]
        key_group, key_term = np.divmod(keys, terms.num_terms)
        frequency = np.diff(starts)
        idf = _smooth_idf(frequency, sizes[key_group]) if corpus is None else corpus.of(terms.code(key_term))
        raw = counts * np.repeat(idf, frequency)
        flat = first[np.repeat(key_group, frequency)] + sentence
        weight = raw * _inverse_norms(flat, raw, int(sizes.sum()))[flat]
        return cls(keys, idf, starts, sentence, weight)

    def find(self, keys: _Int64) -> tuple[_Int64, npt.NDArray[np.bool_]]:
        """Where each key's list is, and whether there is one."""
        places = np.searchsorted(self.keys, keys)
        is_known = np.zeros(len(keys), np.bool_)
        inside = places < len(self.keys)
        is_known[inside] = self.keys[places[inside]] == keys[inside]
        return places, is_known

    def idf_at(self, places: _Int64, is_known: npt.NDArray[np.bool_]) -> _Floats:
        """The idf of what was found, else 0."""
        idf = np.zeros(len(places))
        idf[is_known] = self.idf[places[is_known]]
        return idf


def _smooth_idf(frequency: _Int64, num_documents: _Int64 | int) -> _Floats:
    idf: _Floats = np.log((1.0 + num_documents) / (1.0 + frequency)) + 1.0
    return idf


def _inverse_norms(owner: _Int64, weights: _Floats, num_owners: int) -> _Floats:
    squares = np.bincount(owner, weights * weights, minlength=num_owners)
    return np.divide(1.0, np.sqrt(squares), out=np.zeros(num_owners), where=squares > 0)


class TfidfSentenceSelector(Shortener):
    """Keeps the sentences nearest the question, where a context is longer than the limit.

    Source: Ren et al. 2020: ten sentences, 512 tokens, a question of at most 40; `idf` over the row's own
    sentences. A row is a pair of a question and its context.

    Args:
        tokenizer: Folder of the teacher's tokenizer, in whose tokens limits are counted.
        language: "en" or "zh": sentences and terms.
        top_sentences: How many sentences are kept at most.
        max_tokens: The limit for question, passage and special tokens.
        max_question_tokens: The limit for the question alone.
        idf: "row" counts each context's own sentences, "corpus" those of all that `fit` saw.

    Attributes:
        budget_: The limits, with the tokenizer.
        corpus_idf_: What `fit` learnt for "corpus", else None.
    """

    def __init__(
        self,
        *,
        tokenizer: Path | None = None,
        language: str = "en",
        top_sentences: int = 10,
        max_tokens: int = 512,
        max_question_tokens: int = 40,
        idf: str = "row",
    ) -> None:
        self.tokenizer = tokenizer
        self.language = language
        self.top_sentences = top_sentences
        self.max_tokens = max_tokens
        self.max_question_tokens = max_question_tokens
        self.idf = idf

    def fit(self, X: Sequence[Pair], y: None = None) -> "TfidfSentenceSelector":
        """Check the settings, open the tokenizer and, for corpus idf, count terms.

        Raises:
            ParamsError: A setting cannot be obeyed.
        """
        self._check()
        self.budget_ = Budget.open(self.tokenizer, self.max_tokens, self.max_question_tokens)
        self.corpus_idf_ = None
        if self.idf == "corpus":
            contexts = dict.fromkeys(context for _, context in X)
            documents = [part for context in contexts for part in self._parts(context)]
            self.corpus_idf_ = CorpusIdf.learn(documents, self.language)
        return self

    def scores(self, X: Sequence[Pair]) -> list[_Floats]:
        """For each row, the score of every sentence of its context."""
        contexts = list(dict.fromkeys(context for _, context in X))
        number = {context: place for place, context in enumerate(contexts)}
        return sentence_scores(
            [question for question, _ in X],
            [number[context] for _, context in X],
            [self._parts(context) for context in contexts],
            language=self.language,
            corpus=self.corpus_idf_,
        )

    def _shorten(self, pairs: Sequence[Pair], rooms: Sequence[int]) -> list[Selected]:
        spans = {context: sentences(context, self.language) for context in dict.fromkeys(c for _, c in pairs)}
        ranked = [
            # Of two equal sentences the earlier is the better one.
            [
                spans[context][place]
                for place in np.argsort(-scores.round(_TIE_DIGITS), kind="stable")[: self.top_sentences]
            ]
            for (_, context), scores in zip(pairs, self.scores(pairs), strict=True)
        ]
        contexts = [context for _, context in pairs]
        counts = self.budget_.most(contexts, ranked, rooms)
        selected = [
            Selected((tuple(sorted(best[:count])),), is_cut=True)
            for best, count in zip(ranked, counts, strict=True)
        ]
        alone = [row for row, count in enumerate(counts) if not count]
        heads = self.budget_.cut(
            [pairs[row][0] for row in alone],
            [contexts[row] for row in alone],
            [ranked[row][0] for row in alone],
        )
        for row, head in zip(alone, heads, strict=True):
            selected[row] = Selected(((head,),), is_cut=True, is_truncated=True)
        return selected

    def _parts(self, context: str) -> list[str]:
        return [context[start:end] for start, end in sentences(context, self.language)]

    def _check(self) -> None:
        for name, known in (("language", tuple(TOKENS)), ("idf", _IDF)):
            value = getattr(self, name)
            if value not in known:
                raise ParamsError(
                    name,
                    expected=f"one of {', '.join(known)}",
                    got=repr(value),
                    remedy=did_you_mean(value, known),
                )
        if self.top_sentences < 1:
            raise ParamsError(
                "top_sentences", expected="at least 1", got=str(self.top_sentences), remedy="keep a sentence"
            )
