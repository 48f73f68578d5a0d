import pytest

from pipeline.cache.fields import FIELDS, TOKENS, field_problems, spec_of


@pytest.mark.parametrize("field", [*FIELDS, TOKENS])
def test_every_field_stands_on_its_own_defaults(field: str) -> None:
    spec = spec_of(field)
    options = spec.resolve({})
    assert field_problems(field, options) == []
    columns = spec.stored(options)
    assert [column.name for column in columns] == [column.name for column in spec.columns]
    assert all(column.dtype != "floating" and column.axes for column in columns)


def test_column_names_are_unique_over_all_fields() -> None:
    names = [column.name for field in [*FIELDS, TOKENS] for column in spec_of(field).columns]
    assert len(names) == len(set(names))


def test_the_dtype_option_is_the_type_stored() -> None:
    spec = FIELDS["span_logits"]
    assert {column.dtype for column in spec.stored(spec.resolve({"dtype": "float32"}))} == {"float32"}


@pytest.mark.parametrize(
    ("field", "options", "problem"),
    [
        (
            "span_logits",
            {"dtype": "int4"},
            "dtype: expected one of float32, float16, bfloat16, int8; got 'int4'",
        ),
        ("top_spans", {"k": 0}, "k: expected a whole number of at least 1; got 0"),
        ("top_spans", {"k": True}, "k: expected a whole number of at least 1; got True"),
        ("qa_attention", {"layer": "last"}, "layer: expected a whole number; got 'last'"),
        ("top_spans", {"dtype": "float32"}, "unknown option 'dtype' of top_spans; known: k"),
    ],
)
def test_wrong_options_are_named(field: str, options: dict[str, object], problem: str) -> None:
    assert field_problems(field, options) == [problem]
