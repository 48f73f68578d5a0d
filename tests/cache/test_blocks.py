from types import ModuleType

import numpy as np
import pytest

from pipeline.cache.blocks import encode_block
from pipeline.cache.ragged import Ragged
from pipeline.errors import CacheError

FIELDS = ["tokens", "qa_attention", "span_logits", "top_spans"]


@pytest.fixture
def answer(filling: ModuleType) -> dict[str, Ragged]:
    """A right answer for four rows."""
    rows = filling.make_rows(["a", "b", "c", "d"])
    return filling.FakeTeacher(rows)(np.arange(4), frozenset(FIELDS))


def encoded(filling: ModuleType, answer: dict[str, Ragged], **fields: object) -> dict[str, object]:
    settings = filling.make_settings(**fields)
    return encode_block(settings, FIELDS, np.array([10, 11, 12, 13]), answer, lambda row: f"row {row}")


def with_value(column: Ragged, row: int, value: float) -> Ragged:
    values = column.values.copy()
    values[column.offsets[row]] = value
    return Ragged(values, column.offsets)


def without_last(column: Ragged, row: int) -> Ragged:
    rows = [column.row(at) for at in range(len(column))]
    rows[row] = rows[row][:-1]
    return Ragged.from_rows(rows, column.values.dtype)


def test_floats_are_encoded_and_the_rest_is_not(filling: ModuleType, answer: dict[str, Ragged]) -> None:
    fields = encoded(filling, answer)
    stored = fields["span_logits"].columns["start_logits"]
    assert stored.values.dtype == np.float16
    assert np.allclose(stored.values, answer["start_logits"].values, rtol=1e-3)
    assert fields["top_spans"].columns["top_log_probs"].values.dtype == np.float32
    assert set(fields["span_logits"].errors) == {"start_logits", "end_logits"}
    assert fields["span_logits"].errors["start_logits"].divergence is not None
    assert fields["qa_attention"].errors["qa_attention"].divergence is None
    assert fields["tokens"].errors == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["start_logits", "qa_attention", "top_log_probs"])
def test_not_a_number_names_its_row(
    filling: ModuleType, answer: dict[str, Ragged], column: str, value: float
) -> None:
    answer[column] = with_value(answer[column], 2, value)
    with pytest.raises(CacheError, match=rf"^row 12: expected finite {column}; got -?(nan|inf)"):
        encoded(filling, answer)


def test_what_float16_cannot_hold_names_its_row_and_the_way_out(
    filling: ModuleType, answer: dict[str, Ragged]
) -> None:
    answer["end_logits"] = with_value(answer["end_logits"], 1, 1e5)
    with pytest.raises(CacheError, match=r"^row 11: .*end_logits below 65520.*set dtype: float32"):
        encoded(filling, answer)
    encoded(filling, answer, fields={"span_logits": {"dtype": "float32"}})


@pytest.mark.parametrize(
    "column",
    ["start_logits", "end_logits", "qa_attention", "passage_offsets", "question_offsets", "top_ends"],
)
def test_a_row_of_another_length_is_named(
    filling: ModuleType, answer: dict[str, Ragged], column: str
) -> None:
    answer[column] = without_last(answer[column], 3)
    with pytest.raises(CacheError, match=r"^row 13: expected \d+ values of"):
        encoded(filling, answer)


def test_missing_rows_are_refused(filling: ModuleType, answer: dict[str, Ragged]) -> None:
    answer["start_logits"] = Ragged.from_rows([answer["start_logits"].row(at) for at in range(3)], np.float32)
    with pytest.raises(CacheError, match="4 rows of float32; got 3 rows of float32"):
        encoded(filling, answer)


def test_another_type_is_refused(filling: ModuleType, answer: dict[str, Ragged]) -> None:
    answer["start_logits"] = Ragged(
        answer["start_logits"].values.astype(np.float64), answer["start_logits"].offsets
    )
    with pytest.raises(CacheError, match="4 rows of float32; got 4 rows of float64"):
        encoded(filling, answer)


def test_a_missing_column_is_refused(filling: ModuleType, answer: dict[str, Ragged]) -> None:
    del answer["end_logits"]
    with pytest.raises(CacheError, match="the teacher: expected columns"):
        encoded(filling, answer)
