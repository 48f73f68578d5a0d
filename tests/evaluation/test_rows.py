from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.rows import collate, windows
from pipeline.text.tokenizers import Encoded, Encoder


def row(passage, question=2, *, passage_first=False):
    """[CLS] question [SEP] passage [SEP], every token with an id of its own."""
    count = question + passage + 3
    parts = {"question": (1, 1 + question), "passage": (question + 2, question + 2 + passage)}
    if passage_first:
        parts = {"passage": (1, 1 + passage), "question": (passage + 2, passage + 2 + question)}
    return Encoded(
        input_ids=np.arange(100, 100 + count, dtype=np.int32),
        token_type_ids=np.zeros(count, np.uint8),
        question_offsets=np.stack([np.arange(question), np.arange(question) + 1], axis=1).astype(np.int32),
        passage_offsets=np.stack([np.arange(passage), np.arange(passage) + 1], axis=1).astype(np.int32),
        character_ids=np.arange(count * 16, dtype=np.uint16).reshape(count, 16),
        lost_passage_tokens=0,
        **parts,
    )


@given(st.integers(0, 40), st.integers(6, 30), st.integers(0, 10), st.booleans())
def test_windows_show_every_token_in_its_place(passage, max_length, overlap, passage_first):
    whole = row(passage, passage_first=passage_first)
    if overlap >= max_length - 5:
        with pytest.raises(ValueError, match="cannot share"):
            list(windows(whole, max_length=max_length, overlap=overlap))
        return
    cut = list(windows(whole, max_length=max_length, overlap=overlap))
    shown = [part.passage_offsets[:, 0].tolist() for part in cut]
    assert sorted({token for part in shown for token in part}) == list(range(passage))
    for one, other in pairwise(shown):
        assert one[len(one) - overlap :] == other[:overlap]
    for part in cut:
        assert len(part) <= max_length
        assert len(part.character_ids) == len(part.token_type_ids) == len(part)
        asked = slice(*part.question)
        assert part.input_ids[asked].tolist() == whole.input_ids[slice(*whole.question)].tolist()
        first = whole.input_ids[whole.passage[0]] if passage else 0
        expected = part.passage_offsets[:, 0] + first
        assert part.input_ids[slice(*part.passage)].tolist() == expected.tolist()
        assert part.character_ids[asked].tolist() == whole.character_ids[slice(*whole.question)].tolist()


def test_a_row_that_fits_is_one_window():
    whole = row(9)
    (only,) = windows(whole, max_length=14, overlap=3)
    assert only.input_ids.tolist() == whole.input_ids.tolist()
    assert (only.question, only.passage) == (whole.question, whole.passage)


def test_collate_pads_to_the_longest():
    rows = [next(windows(row(size), max_length=20, overlap=0)) for size in (1, 4)]
    batch = collate(rows, pad_token_id=7)
    assert batch.inputs["input_ids"].tolist() == [
        [100, 101, 102, 103, 104, 105, 7, 7, 7],
        [100, 101, 102, 103, 104, 105, 106, 107, 108],
    ]
    assert batch.inputs["attention_mask"].sum(1).tolist() == [6, 9]
    assert batch.inputs["character_ids"].shape == (2, 9, 16)
    assert batch.inputs["character_ids"][0, 6:].sum() == 0
    assert batch.passage.tolist() == [[4, 5], [4, 8]]


def test_windows_of_a_real_encoding(model_folder):
    context = " ".join(f"w{number % 50}" for number in range(90))
    (whole,) = Encoder.open(model_folder).encode(
        ["where is w1 ?"], [context], max_length=10_000, max_question_tokens=8
    )
    for part in windows(whole, max_length=32, overlap=5):
        for token, (start, end) in zip(
            part.input_ids[slice(*part.passage)], part.passage_offsets, strict=True
        ):
            assert context[start:end] == f"w{token - 7}"
