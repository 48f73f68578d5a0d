import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from pipeline.cache.columns import ENCODINGS, FLOATING, SCALES, Column, scale_name, stored_columns
from pipeline.cache.encoding import EncodingError, decode, decode_rows, encode, measure
from pipeline.cache.gather import ColumnReader
from pipeline.cache.ragged import Ragged

LINE = Column("values", FLOATING, ("passage",), "raw logit")
BLOCK = Column("values", FLOATING, ("passage", "question"), "probability over the question")


def column(*rows: list[float]) -> Ragged:
    return Ragged.from_rows([np.array(row, np.float32) for row in rows], np.float32)


def encoded(given: Ragged, dtype: str, *, logits: bool) -> tuple[Ragged, EncodingError]:
    parts = stored_columns(LINE, dtype, "row")
    stored = encode(given, parts, given.lengths)
    error = measure(given, decode_rows(stored, parts[0]), logits=logits)
    return stored["values"], error


def test_float32_is_exact() -> None:
    values = column([0.1, 1e-30], [])
    stored, error = encoded(values, "float32", logits=True)
    assert np.array_equal(stored.values, values.values)
    assert error.summary() == {"maximum": 0.0, "mean": 0.0, "kl": 0.0}


def test_float16_by_hand() -> None:
    # Next to 0.1 float16 holds 0.0999755859375; 1 and 2048 are exact, 2049 becomes 2048.
    stored, error = encoded(column([0.1, 1.0], [2049.0]), "float16", logits=False)
    assert stored.values.dtype == np.float16
    assert error.largest == 1.0
    assert error.total == pytest.approx(1.0 + np.float32(0.1) - 0.0999755859375, rel=1e-6)
    assert error.summary()["mean"] == pytest.approx(error.total / 3)
    assert error.divergence is None


def test_divergence_as_scipy_has_it() -> None:
    generator = np.random.default_rng(0)
    rows = [generator.normal(0, 9, size).astype(np.float32) for size in (1, 7, 0, 300)]
    _, error = encoded(Ragged.from_rows(rows, np.float32), "float16", logits=True)
    expected = 0.0
    for row in rows:
        if len(row):
            given, kept = (log_softmax(part.astype(np.float64)) for part in (row, row.astype(np.float16)))
            expected += float(np.sum(np.exp(given) * (given - kept)))
    assert error.divergence == pytest.approx(expected, rel=1e-9)
    assert error.summary()["kl"] == pytest.approx(expected / 4)


def test_no_values() -> None:
    stored, error = encoded(column([], []), "float16", logits=True)
    assert len(stored) == 2
    assert error.summary() == {"maximum": 0.0, "mean": 0.0, "kl": 0.0}


def test_what_float16_cannot_hold_becomes_infinite() -> None:
    parts = stored_columns(LINE, "float16", "row")
    assert np.isinf(encode(column([70_000.0]), parts, np.array([1]))["values"].values[0])


def test_parts_add_up() -> None:
    parts = [EncodingError(1.0, 2.0, 4, 0.5, 1), EncodingError(3.0, 1.0, 2, 0.25, 2)]
    assert EncodingError.sum(parts) == EncodingError(3.0, 3.0, 6, 0.75, 3)
    assert EncodingError.sum([]).summary() == {"maximum": 0.0, "mean": 0.0, "kl": None}


rows = st.lists(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), max_size=6).map(
        lambda row: np.array(row, np.float32)
    ),
    max_size=6,
)


@settings(deadline=None)
@given(rows)
def test_bfloat16_as_torch_rounds_it(drawn: list[np.ndarray]) -> None:
    stored, error = encoded(Ragged.from_rows(drawn, np.float32), "bfloat16", logits=False)
    values = np.concatenate([*drawn, np.empty(0, np.float32)])
    expected = torch.from_numpy(values).bfloat16()
    assert np.array_equal(stored.values, expected.view(torch.uint16).numpy())
    assert error.largest == (expected.float().numpy() - values).__abs__().max(initial=0.0)


@pytest.mark.parametrize("dtype", ENCODINGS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("unit", ["raw logit", "probability over the question"])
@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_a_padded_batch_decodes_to_the_values_within_half_a_step(
    dtype: str, scale: str, unit: str, shapes: list[tuple[int, int]], seed: int
) -> None:
    generator = np.random.default_rng(seed)
    blocks = [generator.random(shape, np.float32) for shape in shapes]
    if unit == "raw logit":
        blocks = [(block - 0.5) * 40 for block in blocks]
    given = Ragged.from_rows([block.ravel() for block in blocks], np.float32)
    parts = stored_columns(Column("values", FLOATING, ("passage", "question"), unit), dtype, scale)
    stored = encode(given, parts, np.array([down for down, _ in shapes]))
    every = np.arange(len(shapes))
    padded = ColumnReader([stored["values"]]).padded(every, np.array([across for _, across in shapes]))
    scales = stored.get(scale_name("values"))
    back = decode(padded, parts[0].encoding, scales and ColumnReader([scales]).padded(every))
    for block, got, (down, across) in zip(blocks, back, shapes, strict=True):
        assert got.dtype in (np.float16, np.float32)
        assert not got[down:].any()
        assert not got[:, across:].any()
        largest = np.abs(block).max(initial=0.0)
        step = {"float32": 0.0, "float16": largest * 2**-11, "bfloat16": largest * 2**-8}
        # Even in the root: a step there is twice the root times as far.
        limit = step.get(dtype, largest / 127 * (1.02 if unit != "raw logit" else 0.51))
        if block.size:
            assert np.abs(got[:down, :across].astype(np.float32) - block).max() <= limit
    flat = decode_rows(stored, parts[0])
    for row, (got, (down, across)) in enumerate(zip(back, shapes, strict=True)):
        ends = slice(given.offsets[row], given.offsets[row + 1])
        assert np.array_equal(flat[ends], got[:down, :across].astype(np.float32).ravel())


def test_a_token_scale_is_finer_than_a_row_scale() -> None:
    block = np.array([[100.0, -50.0], [0.01, 0.02]], np.float32)
    given = Ragged.from_rows([block.ravel()], np.float32)
    errors = {}
    for scale in SCALES:
        parts = stored_columns(Column("values", FLOATING, ("token", "width"), "activation"), "int8", scale)
        stored = encode(given, parts, np.array([2]))
        errors[scale] = np.abs(decode_rows(stored, parts[0]) - block.ravel())[2:].max()
    assert errors["token"] < 1e-4 < errors["row"]


def test_roots_keep_small_probabilities() -> None:
    probabilities = column([0.97, 0.02, 0.003, 0.0004])
    kept = {}
    for unit in ("activation", "probability"):
        parts = stored_columns(Column("values", FLOATING, ("passage",), unit), "int8", "row")
        kept[unit] = int((encode(probabilities, parts, np.array([4]))["values"].values > 0).sum())
    assert kept == {"activation": 2, "probability": 4}
