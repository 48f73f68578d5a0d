import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from pipeline.datasets.best_span import best_span

STORY = "the boy who lived met the old boy in the house of the old man"
CONTEXT = STORY.split()


def run(*answers: str, max_words: int = 30) -> str | None:
    found = best_span(CONTEXT, [answer.split() for answer in answers], max_words=max_words)
    return None if found is None else " ".join(CONTEXT[found[0] : found[1] + 1])


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["the house"], "the house"),
        (["old man"], "old man"),
        # One answer is found whole in few words, the other one not.
        (["a very young girl", "old boy"], "old boy"),
        (["a girl"], None),
        (["", "man"], "man"),
    ],
)
def test_by_hand(answers: list[str], expected: str | None) -> None:
    assert run(*answers) == expected


def test_of_equal_spans_the_shortest_and_then_the_first_counts() -> None:
    assert best_span(["a", "x", "a", "a"], [["a"]], max_words=4) == (0, 0)
    # "a x b" and "b a b": two of three words against both of two, in either.
    assert best_span(["b", "x", "a", "x", "b", "x", "a"], [["a", "b"]], max_words=3) == (2, 4)


def test_no_span_is_longer_than_the_limit() -> None:
    assert run("the boy who lived met") == "the boy who lived met"
    assert run("the boy who lived met", max_words=3) == "the boy who"


class AtSpaces:
    def tokenize(self, text: str) -> list[str]:
        return text.split()


SCORER = RougeScorer(["rougeL"], tokenizer=AtSpaces())
WORDS = st.lists(st.sampled_from("abcdef"), max_size=9)


def score(words: list[str], answers: list[list[str]]) -> float:
    found = [SCORER.score(" ".join(answer), " ".join(words))["rougeL"] for answer in answers]
    precision, recall = (max(getattr(one, side) for one in found) for side in ("precision", "recall"))
    return 2.44 * precision * recall / (recall + 1.44 * precision) if precision else 0.0


@given(WORDS, st.lists(WORDS.filter(bool), min_size=1, max_size=2), st.integers(1, 5))
def test_no_other_span_scores_higher(words: list[str], answers: list[list[str]], limit: int) -> None:
    every = {
        (first, last): score(words[first : last + 1], answers)
        for first in range(len(words))
        for last in range(first, min(first + limit, len(words)))
    }
    found = best_span(words, answers, max_words=limit)
    best = max(every.values(), default=0.0)
    if found is None:
        assert best == 0
        return
    assert every[found] == pytest.approx(best)
    as_good = [span for span, value in every.items() if value == pytest.approx(best, rel=1e-12)]
    assert found == min(as_good, key=lambda span: (span[1] - span[0], span[0]))


def test_answers_longer_than_a_machine_word() -> None:
    answer = [f"w{number}" for number in range(100)]
    words = ["x", *answer, "x"]
    assert best_span(words, [answer], max_words=64) == (1, 64)
    assert best_span(words, [answer[:64]], max_words=80) == (1, 64)
    assert best_span(answer[70:], [answer], max_words=5) is None
