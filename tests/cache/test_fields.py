import pytest

from pipeline.cache.fields import FIELDS, TOKENS, field_problems, is_field, kind_of, spec_of


@pytest.mark.parametrize("field", [*FIELDS, TOKENS])
def test_every_field_stands_on_its_own_defaults(field: str) -> None:
    spec = spec_of(field)
    options = spec.resolve({})
    assert field_problems(field, {"layers": [0]} if spec.layers else options) == []
    columns = spec.stored(options)
    assert [column.name for column in columns] == [column.name for column in spec.columns]
    assert all(column.dtype != "floating" and column.axes for column in columns)


def test_column_names_are_unique_over_all_fields() -> None:
    names = [column.name for field in [*FIELDS, TOKENS] for column in spec_of(field).columns]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("top_spans", ("top_spans", ())),
        ("hidden_states_12", ("hidden_states", (12,))),
        ("gram_0_11", ("gram", (0, 11))),
        ("hidden_states_03", None),
        ("hidden_states_3_3", None),
        ("gram_3", None),
        ("span_logits_3", None),
        ("hidden_state", None),
    ],
)
def test_names_carry_their_layers(name: str, kind: tuple[str, tuple[int, ...]] | None) -> None:
    assert kind_of(name) == kind
    assert is_field(name) == (kind is not None)


def test_columns_are_named_after_their_layer() -> None:
    assert [column.name for column in spec_of("attention_qk_3").columns] == [
        "attention_query_3",
        "attention_key_3",
    ]


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
        ("hidden_states", {}, "layers: expected a list of layers, [0, 6]; got None"),
        ("hidden_states", {"layers": 3}, "layers: expected a list of layers, [0, 6]; got 3"),
        ("hidden_states", {"layers": [[0, 3]]}, "layers: expected a list of layers, [0, 6]; got [[0, 3]]"),
        (
            "gram",
            {"layers": [[0]]},
            "layers: expected a list of pairs of layers, [[0, 6], [3, 3]]; got [[0]]",
        ),
        ("gram_3_3", {"layers": [3]}, "layers: expected two layers; got [3]"),
        ("attention_scores_2", {"heads": 2}, "heads: expected one of each, sum, mean; got 2"),
        ("first_token_0", {"unit": 1}, "unit: expected true or false; got 1"),
        (
            "hidden_states_3",
            {"layers": [3]},
            "unknown option 'layers' of hidden_states_3; known: dtype, layer, scale, width",
        ),
    ],
)
def test_wrong_options_are_named(field: str, options: dict[str, object], problem: str) -> None:
    assert field_problems(field, options) == [problem]
