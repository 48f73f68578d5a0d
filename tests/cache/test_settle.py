import numpy as np
import pytest

from pipeline.cache.settings import CacheSettings
from pipeline.cache.settle import TeacherShape, settle
from pipeline.errors import ModelError, ParamsError

BERT = TeacherShape("a bert", layers=6, width=8, num_heads=2, num_classes=3)


def test_a_layer_is_a_field() -> None:
    settled = settle({"hidden_states": {"layers": [0, 3, -1], "dtype": "float32"}, "top_spans": {}}, BERT)
    assert settled == {
        "hidden_states_0": {"dtype": "float32", "layer": 0, "width": 8},
        "hidden_states_3": {"dtype": "float32", "layer": 3, "width": 8},
        "hidden_states_6": {"dtype": "float32", "layer": 6, "width": 8},
        "top_spans": {},
    }


def test_pairs_and_layers_with_themselves() -> None:
    settled = settle({"gram": {"layers": [[3, 3], [0, 6], 2]}}, BERT)
    assert {name: options["layers"] for name, options in settled.items()} == {
        "gram_3_3": [3, 3],
        "gram_0_6": [0, 6],
        "gram_2_2": [2, 2],
    }


def test_settling_twice_changes_nothing() -> None:
    fields = {
        "hidden_states": {"layers": [1]},
        "fsp": {"layers": [[1, 2]]},
        "attention_scores": {"layers": [0], "heads": "sum"},
        "class_logits": {},
        "sentence_vector": {},
    }
    once = settle(fields, BERT)
    assert settle(once, BERT) == once
    assert settle({"hidden_states_1": {}}, BERT)["hidden_states_1"] == once["hidden_states_1"]


def test_sizes_are_the_teachers() -> None:
    assert settle({"attention_qk": {"layers": [5]}}, BERT)["attention_qk_5"] == {
        "layer": 5, "num_heads": 2, "width": 8,
    }  # fmt: skip
    assert settle({"class_logits": {}}, BERT)["class_logits"] == {"num_classes": 3}
    with pytest.raises(ParamsError, match="width: expected 8, as a bert has it; got 9"):
        settle({"hidden_states_3": {"width": 9}}, BERT)


@pytest.mark.parametrize(
    ("field", "options", "message"),
    [
        ("hidden_states", {"layers": [7]}, r"layers from -7 to 6: a bert has 6 blocks; got 7"),
        ("gram", {"layers": [[0, -8]]}, r"layers from -7 to 6: a bert has 6 blocks; got -8"),
        ("attention_scores", {"layers": [6]}, r"layers from -6 to 5: a bert has 6 blocks; got 6"),
        ("sentence_vector", {"layer": 9}, r"layers from -7 to 6"),
        ("hidden_states_9", {}, r"layers from -7 to 6"),
    ],
)
def test_a_layer_beyond_the_model(field: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        settle({field: options}, BERT)


def test_what_a_teacher_has_not() -> None:
    reader = TeacherShape("a 'qanet'")
    assert settle({"span_logits": {}}, reader) == {"span_logits": {}}
    with pytest.raises(ModelError, match="a teacher with classes; got a 'qanet'"):
        settle({"class_logits": {}}, reader)
    with pytest.raises(ModelError, match="a teacher with layers; got a 'qanet'"):
        settle({"hidden_states": {"layers": [0]}}, reader)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hidden_states": {"layers": [6, -1]}}, "hidden_states_6 twice"),
        ({"hidden_states": {"layers": [3]}, "hidden_states_3": {}}, "hidden_states_3 twice"),
        ({"hidden_states_3": {"layer": 2}}, "the layer of its name"),
        ({"hidden_state": {}}, "did you mean 'hidden_states'"),
        ({"hidden_states": {}}, "a list of layers"),
        ({"sentence_vector": {"pooling": "pooler", "layer": 2}}, "the pooler reads the last one"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        settle(fields, BERT)


@pytest.mark.parametrize(
    ("layers", "tokens", "store"),
    [
        ([3, 3], [4, 4], "hidden_states"),  # 32 values against 36
        ([3, 3], [5, 5], "gram"),
        ([0, 3], [3, 4], "hidden_states"),  # 56 values against 64
        ([0, 3], [4, 4], "gram"),
    ],
)
def test_fsp_is_stored_as_what_is_smaller(layers: list[int], tokens: list[int], store: str) -> None:
    name = "fsp_" + "_".join(map(str, layers))
    asked = {"fsp": {"layers": [layers]}}
    assert settle(asked, BERT, tokens=np.array(tokens))[name]["store"] == store
    # What was chosen once stands, and so does what params say.
    for other in ("gram", "hidden_states"):
        kept = settle(asked, BERT, tokens=np.array(tokens), stored={name: {"store": other}})
        assert kept[name]["store"] == other
        said = settle({"fsp": {"layers": [layers], "store": other}}, BERT, tokens=np.array(tokens))
        assert said[name]["store"] == other


def test_settings_take_settled_fields_alone() -> None:
    made = {"teacher": {}, "tokenizer": "t", "numbers": {}}
    with pytest.raises(ParamsError, match="a field as it is stored, with width, layer"):
        CacheSettings(fields={"hidden_states": {"layers": [3]}}, **made)  # type: ignore[arg-type]
    CacheSettings(fields=settle({"hidden_states": {"layers": [3]}}, BERT), **made)  # type: ignore[arg-type]
