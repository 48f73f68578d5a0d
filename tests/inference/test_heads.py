import pytest
from transformers import AutoConfig, BertConfig, DistilBertConfig, MPNetConfig

from pipeline.cache.settle import settle
from pipeline.errors import ModelError
from pipeline.inference.heads import HEADS, check_heads, classes_of, config_of, shape_of
from pipeline.models.qanet import QANetConfig
from pipeline.models.rmr import RMRConfig

ENCODER = {
    "hidden_states", "unit_vectors", "first_token", "sentence_vector", "gram", "fsp",
    "attention_scores", "attention_qk",
}  # fmt: skip
SPAN = {"span_logits", "top_spans", "qa_attention"}
TWO_STEP = {"end_rows", "top_end_rows"}


@pytest.mark.parametrize(
    ("config", "architecture", "offers"),
    [
        (BertConfig(), "BertForQuestionAnswering", ENCODER | SPAN | {"null_logits"}),
        (BertConfig(), "BertForSequenceClassification", ENCODER | {"class_logits"}),
        (DistilBertConfig(), "DistilBertForTokenClassification", ENCODER | {"token_logits"}),
        (BertConfig(), "BertModel", ENCODER),
        (MPNetConfig(), "MPNetModel", ENCODER - {"attention_scores", "attention_qk"}),
        (QANetConfig(), "QANetForQuestionAnswering", SPAN),
        (RMRConfig(), "RMRForQuestionAnswering", SPAN | TWO_STEP),
    ],
)
def test_what_each_kind_of_teacher_offers(config, architecture, offers):
    shape = shape_of(config, architecture)
    assert set(shape.offers) == offers
    # What is offered can be settled, and what is not cannot.
    for field in [*ENCODER, *HEADS]:
        options = {} if field in HEADS or field == "sentence_vector" else {"layers": [0]}
        if field in offers:
            settle({field: options}, shape)
            check_heads({field: options}, config, architecture)
        else:
            of_it = "of it can be cached: " + ", ".join(shape.offers)
            one_step = field in TWO_STEP and offers >= SPAN
            with pytest.raises(ModelError, match="whose end is the same" if one_step else of_it):
                check_heads({field: options}, config, architecture) or settle({field: options}, shape)


def test_sizes_by_the_names_that_a_family_gives_them():
    shape = shape_of(DistilBertConfig(n_layers=5, n_heads=3, dim=12), "DistilBertModel")
    assert (shape.layers, shape.width, shape.num_heads, shape.num_classes) == (5, 12, 3, None)


def test_the_architecture_is_the_configurations_where_none_is_named(tmp_path):
    config = BertConfig(num_labels=7, architectures=["BertForSequenceClassification"])
    config.save_pretrained(tmp_path)
    assert shape_of(config_of(tmp_path)).num_classes == 7
    assert isinstance(config_of(tmp_path), type(AutoConfig.from_pretrained(tmp_path)))


@pytest.mark.parametrize(
    ("architecture", "named", "classes"),
    [
        ("BertForSequenceClassification", {0: "no", 1: "yes"}, ("no", "yes")),
        ("BertForTokenClassification", {10: "k", 2: "c", 0: "a"}, ("a", "c", "k")),
        ("BertForSequenceClassification", {0: "LABEL_0", 1: "LABEL_1"}, ()),
        ("BertForQuestionAnswering", {0: "no", 1: "yes"}, ()),
        ("BertModel", {0: "no", 1: "yes"}, ()),
    ],
)
def test_names_of_classes(architecture, named, classes):
    assert classes_of(BertConfig(architectures=[architecture], id2label=named)) == classes


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(ModelError, match="a configuration that AutoConfig can load"):
        config_of(tmp_path)
