"""Sliding windows lose nothing, overlap as asked, and begin with words."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertTokenizerFast

from pipeline.datasets.prepare import prepare
from pipeline.errors import ParamsError
from pipeline.schema import Answer, Example, Passage
from pipeline.selection.select import select
from pipeline.selection.windows import SlidingWindows, spans
from pipeline.tables import read_rows, write_rows
from pipeline.text.tokenizers import Encoder

WORDS = ["ada", "bob", "##o", "##s", "."]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory) -> Path:
    """WordPiece with BERT's layout, in which long words fall to pieces."""
    vocabulary = {word: at for at, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    folder = tmp_path_factory.mktemp("pieces")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_by_hand():
    context = "ab cd ef gh ij"
    offsets = np.array([(at, at + 2) for at in range(0, 14, 3)])
    assert spans(context, offsets, 3, 1) == [(0, 8), (6, 14)]
    assert spans(context, offsets, 3, 2) == [(0, 8), (3, 11), (6, 14)]
    assert spans(context, offsets, 2, 0) == [(0, 5), (6, 11), (12, 14)]


def test_a_window_begins_with_a_word():
    context = "ab cdef gh"
    offsets = np.array([(0, 2), (3, 5), (5, 7), (8, 10)])
    assert spans(context, offsets, 3, 1) == [(0, 7), (3, 10)]
    # But not where the word is as long as the window.
    assert spans("abcdefgh", offsets[:, :1] * 0 + [[0, 2], [2, 4], [4, 6], [6, 8]], 2, 1) == [
        (0, 4),
        (2, 6),
        (4, 8),
    ]
    # Chinese has no spaces, and each character is a word.
    chinese = np.array([(at, at + 1) for at in range(5)])
    assert spans("国家气象局", chinese, 3, 1) == [(0, 3), (2, 5)]


@given(st.lists(st.sampled_from(["ada", "bobos", "adaos", ".", "zu"]), min_size=1, max_size=60), st.data())
def test_every_short_span_lies_in_a_window(pieces, words, data):
    encoder = Encoder.open(pieces)
    context = " ".join(words)
    stride = data.draw(st.integers(0, 6))
    selector = SlidingWindows(tokenizer=pieces, max_tokens=14, max_question_tokens=4, stride=stride)
    (selected,) = selector.fit([]).transform([("ada bob", context)])
    found = [span for (span,) in selected.windows]
    assert found[0][0] == 0
    assert found[-1][1] == len(context)
    (encoded,) = encoder.encode([""], [context], max_length=10_000, max_question_tokens=4)
    offsets = encoded.passage_offsets
    for first in range(len(offsets)):
        last = min(first + max(stride, 1), len(offsets)) - 1
        begin, end = int(offsets[first, 0]), int(offsets[last, 1])
        assert any(start <= begin and end <= stop for start, stop in found)
    counts = encoder.count_tokens([context[start:stop] for start, stop in found])
    assert max(counts) <= 14 - 3 - 2


@pytest.mark.parametrize("stride", [-1, 7])
def test_a_stride_as_long_as_a_window(pieces, stride):
    selector = SlidingWindows(tokenizer=pieces, max_tokens=14, max_question_tokens=4, stride=stride)
    with pytest.raises(ParamsError, match="stride: expected 0 to 6"):
        selector.fit([])


@pytest.mark.slow
def test_no_answer_of_real_rows_is_lost_but_one_longer_than_the_overlap(tmp_path, shared_file):
    """CMRC2018 trial, whose answers are the longest, with the tokenizer of bert-base-chinese."""
    vocabulary = shared_file("data/vocab/bert-base-chinese-vocab.txt")
    trial = shared_file("data/cmrc2018/cmrc2018_trial.json")
    BertTokenizerFast(str(vocabulary)).save_pretrained(tmp_path / "bert")
    prepare(
        tmp_path / "examples",
        reader="squad",
        language="zh",
        folder=trial.parent,
        files={"trial": trial.name},
    )
    kept = {}
    for method in ("tfidf", "windows"):
        limits = {"tokenizer": tmp_path / "bert", "max_tokens": 512, "max_question_tokens": 40}
        report = select(tmp_path / "examples", tmp_path / method, language="zh", method=method, **limits)
        kept[method] = report["splits"]["trial"]["answers"]["cut"]["kept"]
        assert report["splits"]["trial"]["answers"]["cut"]["rows"] == 434
    rows = read_rows(tmp_path / "windows" / "trial.arrow", Passage)
    shown = {passage.example for passage in rows if passage.answers}
    (lost,) = {passage.example: passage for passage in rows if passage.example not in shown}.values()
    assert all(len(text) > 128 for text in lost.gold_texts)
    assert kept["tfidf"] < kept["windows"] == 433


def test_passages_of_windows(tmp_path, pieces):
    context = "ada bob ada bob ada bob ada bos ada bob ada bob"
    answer = Answer("bos", context.index("bos"))
    rows = [
        Example("a", "bob", context, (answer,)),
        Example("b", "bob", "ada bob", (Answer("ada", 0),)),
        Example("c", "bob", context, is_impossible=True),
    ]
    write_rows(tmp_path / "examples" / "train.arrow", Example, rows)
    limits = {"tokenizer": pieces, "max_tokens": 10, "max_question_tokens": 2, "stride": 2}
    report = select(tmp_path / "examples", tmp_path / "out", language="en", method="windows", **limits)
    passages = read_rows(tmp_path / "out" / "train.arrow", Passage)
    whole = [passage for passage in passages if passage.example == 0]
    assert [passage.window for passage in whole] == list(range(len(whole)))
    assert len(whole) > 1
    for passage in whole:
        assert passage.gold_texts == ("bos",)
        for kept in passage.answers:
            start, end = passage.context_span(kept.start, kept.start + len(kept.text))
            assert context[start:end] == "bos"
    # A window that does not show the answer has none to learn.
    assert 0 < sum(bool(passage.answers) for passage in whole) < len(whole)
    assert all(passage.is_impossible for passage in passages if passage.example == 2)
    counts = report["splits"]["train"]
    assert counts["passages"] == len(passages) == 2 * len(whole) + 1
    assert counts["answers"] == {
        "all": {"rows": 2, "kept": 2, "share": 1.0},
        "cut": {"rows": 1, "kept": 1, "share": 1.0},
    }
    assert (counts["contexts_cut"], counts["contexts_truncated"]) == (2, 0)
