import numpy as np
import pytest
from scipy.special import log_softmax

from pipeline.cache.encoding import EncodingError, encode, measure
from pipeline.cache.ragged import Ragged


def column(*rows: list[float]) -> Ragged:
    return Ragged.from_rows([np.array(row, np.float32) for row in rows], np.float32)


def encoded(given: Ragged, dtype: str, *, logits: bool) -> tuple[Ragged, EncodingError]:
    stored = encode(given, dtype)
    return stored, measure(given, stored, logits=logits)


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
    assert np.isinf(encode(column([70_000.0]), "float16").values[0])


def test_parts_add_up() -> None:
    parts = [EncodingError(1.0, 2.0, 4, 0.5, 1), EncodingError(3.0, 1.0, 2, 0.25, 2)]
    assert EncodingError.sum(parts) == EncodingError(3.0, 3.0, 6, 0.75, 3)
    assert EncodingError.sum([]).summary() == {"maximum": 0.0, "mean": 0.0, "kl": None}
