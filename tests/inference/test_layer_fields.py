"""Fields of a teacher's layers against the full tensors that the model itself returns, row by row."""

import copy

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    DistilBertConfig,
    ElectraConfig,
    FunnelConfig,
    MPNetConfig,
    RobertaConfig,
)

from pipeline.cache.fields import spec_of
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.cache.triangle import unpack_triangle
from pipeline.errors import ModelError, ParamsError
from pipeline.inference.cache_targets import cache_targets, plan_targets
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.text.tokenizers import Encoder

LIMITS = {"max_length": 60, "max_question_tokens": 16}
SMALL = {
    "vocab_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "hidden_size": 8,
    "intermediate_size": 16, "max_position_embeddings": 96, "pad_token_id": 0,
}  # fmt: skip
CONFIGS = {
    "bert": BertConfig(**SMALL),
    "roberta": RobertaConfig(**SMALL, type_vocab_size=1),
    "electra": ElectraConfig(**SMALL, embedding_size=4),
    "distilbert": DistilBertConfig(
        vocab_size=64, n_layers=3, n_heads=2, dim=8, hidden_dim=16, max_position_embeddings=96
    ),
    "albert": AlbertConfig(**SMALL, embedding_size=4),
}
OTHERS = {
    "mpnet": MPNetConfig(**{**SMALL, "pad_token_id": 1}),
    "funnel": FunnelConfig(
        vocab_size=64, block_sizes=[1, 1], d_model=8, n_head=2, d_head=4, d_inner=16, num_decoder_layers=1
    ),
}
NO_TYPES = {"roberta", "distilbert", "mpnet"}
FIELDS = {
    "hidden_states": {"layers": [0, 2, -1]},
    "unit_vectors": {"layers": [1]},
    "first_token": {"layers": [2], "unit": True},
    "first_token_3": {},
    "sentence_vector": {"pooling": "mean", "layer": 2},
    "gram": {"layers": [[1, 1], [0, 3]]},
    "fsp": {"layers": [[2, 2], [0, 3]]},
    "attention_scores": {"layers": [0, 1, -1]},
    "attention_qk": {"layers": [1]},
}
PASSAGE_FIELDS = {"span_logits": {}, "top_spans": {"k": 2}, "qa_attention": {"layer": 1}}


def make(name, kind=AutoModelForQuestionAnswering, **options):
    torch.manual_seed(0)
    config = copy.deepcopy({**CONFIGS, **OTHERS}[name])
    config.num_labels = 2 if kind is AutoModelForQuestionAnswering else 5
    model = kind.from_config(config, **options).eval()
    # Attention and hidden states far from uniform, so that an error shows.
    for parameter in model.parameters():
        parameter.data.mul_(4)
    return model


@pytest.fixture
def encoded(tokenizer_folder, passages):
    rows = passages(9)
    return Encoder.open(tokenizer_folder).encode(
        [row.question for row in rows], ["", *(row.text for row in rows[1:])], **LIMITS
    )


def full(model, row, name):
    """All that the model returns when it reads one row alone, without padding."""
    inputs = {"input_ids": row.input_ids, "token_type_ids": row.token_type_ids}
    inputs = {
        key: torch.from_numpy(np.asarray(values)).long()[None]
        for key, values in inputs.items()
        if key != "token_type_ids" or name not in NO_TYPES
    }
    with torch.no_grad():
        return model(**inputs, output_hidden_states=True, output_attentions=True)


def softmax(scores):
    return torch.from_numpy(scores).softmax(-1).numpy()


def close(got, expected, scale=1e-4):
    expected = np.asarray(expected)
    np.testing.assert_allclose(
        got, expected, atol=scale * max(1.0, np.abs(expected).max(initial=0)), rtol=1e-4
    )


@pytest.mark.parametrize("batch_tokens", [150, 100_000])
@pytest.mark.parametrize("name", CONFIGS)
def test_each_field_is_that_of_the_full_tensors(name, batch_tokens, encoded):
    teacher = SpanTeacher(make(name), fields=FIELDS, batch_tokens=batch_tokens)
    columns = teacher.read(encoded, teacher.fields)
    assert set(columns) == {
        column.name for field, own in teacher.fields.items() for column in spec_of(field).given(own)
    }
    slow = make(name, attn_implementation="eager")
    for at, row in enumerate(encoded):
        outputs = full(slow, row, name)
        hidden = [state[0].numpy().astype(np.float64) for state in outputs.hidden_states]
        n, d = hidden[0].shape
        assert (len(hidden), n) == (4, len(row.input_ids))

        def got(column, *shape, at=at):
            return columns[column].row(at).reshape(shape)

        for layer in (0, 2, 3):
            close(got(f"hidden_states_{layer}", n, d), hidden[layer])
        close(got("unit_vectors_1", n, d), hidden[1] / np.linalg.norm(hidden[1], axis=1, keepdims=True))
        close(got("first_token_2", d), hidden[2][0] / np.linalg.norm(hidden[2][0]))
        close(got("first_token_3", d), hidden[3][0])
        close(got("sentence_vector", d), hidden[2].mean(0))
        close(unpack_triangle(got("gram_1_1", -1)), hidden[1] @ hidden[1].T / d)
        close(got("gram_0_3", n, n), hidden[0] @ hidden[3].T / d)
        close(unpack_triangle(got("fsp_2_2", -1)), hidden[2].T @ hidden[2] / n)
        close(got("fsp_0_3", d, d), hidden[0].T @ hidden[3] / n)
        for block in range(3):
            close(softmax(got(f"attention_scores_{block}", 2, n, n)), outputs.attentions[block][0], 1e-3)
        query, key = (got(f"attention_{part}_1", n, 2, d // 2) for part in ("query", "key"))
        scores = np.einsum("ihd,jhd->hij", query, key) / np.sqrt(d // 2)
        close(got("attention_scores_1", 2, n, n), scores)


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_sums_and_means_over_heads(name, encoded):
    def read(heads):
        fields = {"attention_scores": {"layers": [1], "heads": heads}}
        return SpanTeacher(make(name), fields=fields).read(encoded, ["attention_scores_1"])[
            "attention_scores_1"
        ]

    each, total, mean = map(read, ("each", "sum", "mean"))
    for at, row in enumerate(encoded):
        n = len(row.input_ids)
        scores = each.row(at).reshape(2, n, n)
        close(total.row(at).reshape(n, n), scores.sum(0))
        close(mean.row(at).reshape(n, n), scores.mean(0))


def test_scores_are_those_of_numpy(encoded):
    model = make("bert")
    teacher = SpanTeacher(model, fields={"attention_scores": {"layers": [1]}})
    scores = teacher.read(encoded, ["attention_scores_1"])["attention_scores_1"]
    weights = {
        key: value.detach().double().numpy()
        for key, value in model.bert.encoder.layer[1].attention.self.named_parameters()
    }
    for at, row in enumerate(encoded):
        states = full(make("bert"), row, "bert").hidden_states[1][0].double().numpy()
        query = (states @ weights["query.weight"].T + weights["query.bias"]).reshape(-1, 2, 4)
        key = (states @ weights["key.weight"].T + weights["key.bias"]).reshape(-1, 2, 4)
        close(scores.row(at).reshape(2, len(states), -1), np.einsum("ihd,jhd->hij", query, key) / 2)


def test_fsp_as_the_hidden_states_it_is_made_of(encoded):
    fields = {
        "fsp": {"layers": [[0, 2], 1], "store": "hidden_states"}, "hidden_states": {"layers": [0, 1, 2]},
    }  # fmt: skip
    teacher = SpanTeacher(make("bert"), fields=fields)
    columns = teacher.read(encoded, teacher.fields)
    for fsp, layer in (("fsp_0_2_x", 0), ("fsp_0_2_y", 2), ("fsp_1_1_x", 1)):
        assert np.array_equal(columns[fsp].values, columns[f"hidden_states_{layer}"].values)


def test_what_a_field_says_does_not_depend_on_the_others(encoded):
    together = SpanTeacher(make("bert"), fields={**FIELDS, **PASSAGE_FIELDS})
    every = together.read(encoded, together.fields)
    for name, options in together.fields.items():
        alone = SpanTeacher(make("bert"), fields={name: options})
        for column, values in alone.read(encoded, [name]).items():
            assert values.values.tobytes() == every[column].values.tobytes(), column


def test_a_row_without_a_passage_has_its_layers_still(encoded):
    teacher = SpanTeacher(make("bert"), fields={"hidden_states": {"layers": [1]}, **PASSAGE_FIELDS})
    assert encoded[0].passage[0] == encoded[0].passage[1]
    columns = teacher.read(encoded, teacher.fields)
    assert len(columns["start_logits"].row(0)) == len(columns["qa_attention"].row(0)) == 0
    assert len(columns["hidden_states_1"].row(0)) == 8 * len(encoded[0].input_ids)


def test_hooks_are_gone_and_only_the_wanted_layers_have_them(encoded):
    model = make("bert")
    teacher = SpanTeacher(model, fields={"attention_qk": {"layers": [1]}, "span_logits": {}})
    hooked = []

    def note(module, args):
        blocks = [block for block in model.bert.encoder.layer if block._forward_hooks]
        hooked.append(len(blocks))

    handle = model.bert.encoder.register_forward_pre_hook(note)
    teacher.read(encoded, teacher.fields)
    handle.remove()
    assert set(hooked) == {0}  # no hidden state was asked for
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_bfloat16_products_are_stored_in_float32(encoded):
    exact, rough = (
        SpanTeacher(make("bert"), fields={"gram": {"layers": [2]}}, autocast=autocast).read(
            encoded, ["gram_2_2"]
        )
        for autocast in ("float32", "bfloat16")
    )
    gap = np.abs(exact["gram_2_2"].values - rough["gram_2_2"].values)
    assert rough["gram_2_2"].values.dtype == np.float32
    assert 0 < gap.max() < 0.1 * np.abs(exact["gram_2_2"].values).max()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_classifiers(name, encoded):
    for kind, field in (
        (AutoModelForSequenceClassification, "class_logits"),
        (AutoModelForTokenClassification, "token_logits"),
    ):
        model = make(name, kind)
        teacher = SpanTeacher(model, fields={field: {}, "hidden_states": {"layers": [3]}}, batch_tokens=150)
        columns = teacher.read(encoded, teacher.fields)
        for at, row in enumerate(encoded):
            outputs = full(make(name, kind, attn_implementation="eager"), row, name)
            close(columns[field].row(at).reshape(outputs.logits[0].shape), outputs.logits[0])
            close(columns["hidden_states_3"].row(at), outputs.hidden_states[3][0].ravel())


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_the_pooler(name, encoded):
    model = make(name, AutoModelForSequenceClassification)
    teacher = SpanTeacher(model, fields={"sentence_vector": {"pooling": "pooler"}}, batch_tokens=150)
    columns = teacher.read(encoded, ["sentence_vector"])
    for at, row in enumerate(encoded):
        close(
            columns["sentence_vector"].row(at), full(model.base_model, row, name).pooler_output[0]
        ) if name == "bert" else None
        first = full(make(name, AutoModelForSequenceClassification, attn_implementation="eager"), row, name)
        dense = model.base_model.pooler.dense if name == "bert" else model.base_model.pooler
        with torch.no_grad():
            close(columns["sentence_vector"].row(at), dense(first.hidden_states[3][0, 0]).tanh())


def test_a_model_without_a_pooler(encoded):
    with pytest.raises(ModelError, match=r"BertForQuestionAnswering: expected a model with a pooler"):
        SpanTeacher(make("bert"), fields={"sentence_vector": {"pooling": "pooler"}})


def test_other_encoders_give_hidden_states_alone(encoded):
    teacher = SpanTeacher(make("mpnet"), fields={"hidden_states": {"layers": [0, 3]}, "span_logits": {}})
    columns = teacher.read(encoded, teacher.fields)
    for at, row in enumerate(encoded):
        outputs = full(make("mpnet", attn_implementation="eager"), row, "mpnet")
        for layer in (0, 3):
            close(columns[f"hidden_states_{layer}"].row(at), outputs.hidden_states[layer][0].ravel())
    with pytest.raises(
        ModelError, match=r"a teacher with heads; got .*'mpnet'; of it can be cached: .*hidden_states"
    ):
        SpanTeacher(make("mpnet"), fields={"attention_scores": {"layers": [0]}})


def test_an_encoder_whose_layers_are_no_sequences_of_tokens(encoded):
    teacher = SpanTeacher(make("funnel"), fields={"hidden_states": {"layers": [1]}})
    with pytest.raises(ModelError, match="'funnel': expected hidden states of 3 layers"):
        teacher.read(encoded, teacher.fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"hidden_states": {"layers": [4]}},
            r"layers from -4 to 3: BertForQ.* of type 'bert' has 3 blocks; got 4",
        ),
        ({"attention_qk": {"layers": [3]}}, r"layers from -3 to 2"),
        (
            {"class_logits": {}},
            r"For\w*SequenceClassification; got BertForQuestionAnswering; of it can be cached",
        ),
        ({"qa_attention": {"layer": 3}}, r"a layer from -3 to 2, the model has 3; got 3"),
    ],
)
def test_what_a_model_cannot_give(fields, message):
    with pytest.raises(ModelError, match=message):
        SpanTeacher(make("bert"), fields=fields)


@pytest.fixture
def made_with(teacher_folder, passage_folder, passages):
    rows = passages(14)
    return {
        "teacher": teacher_folder,
        "passages": passage_folder(train=[*rows, rows[3]]),
        "splits": ["train"],
        "fields": {name: {**options, "dtype": "float32"} for name, options in FIELDS.items()},
        "batch_tokens": 500,
        "max_length": 90,
        "max_question_tokens": 16,
    }


@pytest.mark.parametrize("backend", ["arrow", "hdf5"])
def test_what_is_read_back_is_what_the_teacher_says(made_with, tmp_path, passages, backend):
    cache_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", backend=backend, **made_with)
    cache = TargetCache.open(tmp_path / "set")
    teacher = SpanTeacher.open(
        made_with["teacher"], max_length=90, fields=made_with["fields"], batch_tokens=500
    )
    rows = passages(14)
    live = LiveTargets(
        teacher, Encoder.open(made_with["teacher"]), [*rows, rows[3]], max_length=90, max_question_tokens=16
    )
    columns = [name for name in cache.columns if not name.endswith("_offsets")]
    picked = np.array([13, 2, 2, 14, 7])
    stored, said = cache.batch(picked, columns), live.batch(picked, columns)
    assert set(stored) == set(said)
    for name, values in said.items():
        assert stored[name].shape == values.shape, name
        close(stored[name], values, 1e-5)


def test_the_plan_is_close_to_what_is_written(made_with, tmp_path):
    made_with["fields"] = FIELDS  # float16
    planned = plan_targets(tmp_path / "set", **made_with)
    cache_targets(tmp_path / "set", manifest_out=tmp_path / "set.json", **made_with)
    fields = load_manifest(tmp_path / "set").fields
    assert set(planned.fields) == set(fields)
    for name, field in fields.items():
        if name == "tokens":
            continue
        (shard,) = field.shards
        # What is not of any row: the file's frame and what the shard says of itself.
        described = 2_000 + len(str(planned.settings.covers(name)))
        written = (shard.bytes - described) / shard.rows
        assert written == pytest.approx(planned.fields[name].bytes_per_row, rel=0.15)


def test_a_layer_beyond_the_model_stops_before_any_work(made_with, tmp_path):
    made_with["passages"] = tmp_path / "nowhere"
    for fields, message in (
        ({"hidden_states": {"layers": [0, 4]}}, "layers from -4 to 3"),
        ({"token_logits": {}}, "a teacher with classes"),
    ):
        with pytest.raises(ModelError, match=message):
            plan_targets(tmp_path / "set", **{**made_with, "fields": fields})
    with pytest.raises(ParamsError, match="did you mean 'hidden_states'"):
        plan_targets(tmp_path / "set", **{**made_with, "fields": {"hiden_states": {}}})


@pytest.mark.parametrize("store", ["hidden_states", "gram"])
def test_a_choice_once_made_stands(made_with, tmp_path, passage_folder, passages, store):
    by_length = sorted(passages(14), key=lambda row: len(row.text))
    out = {"manifest_out": tmp_path / "set.json"}
    for train, options in ((by_length[:2], {"store": store}), ([*by_length[:2], *by_length[-3:]], {})):
        made_with["passages"] = passage_folder(train=train)
        made_with["fields"] = {"fsp": {"layers": [[1, 1]], **options}}
        cache_targets(tmp_path / "set", **out, **made_with)
    # More rows, of other lengths: those that were there are not read again.
    field = load_manifest(tmp_path / "set").fields["fsp_1_1"]
    assert field.options["store"] == store
    assert [shard.rows for shard in field.shards] == [2, 3]


def test_a_headless_encoder_and_a_classifier_from_folders(tmp_path, tokenizer_folder, encoded):
    make("bert", AutoModelForSequenceClassification).save_pretrained(tmp_path / "classes")
    torch.manual_seed(0)
    BertModel(CONFIGS["bert"], add_pooling_layer=False).save_pretrained(tmp_path / "bare")
    classes = SpanTeacher.open(tmp_path / "classes", max_length=60, fields={"class_logits": {}})
    assert classes.read(encoded, ["class_logits"])["class_logits"].lengths.tolist() == [5] * len(encoded)
    bare = SpanTeacher.open(tmp_path / "bare", max_length=60, fields={"first_token": {"layers": [-1]}})
    assert bare.read(encoded, ["first_token_3"])["first_token_3"].lengths.tolist() == [8] * len(encoded)
    for fields, message in (
        ({"sentence_vector": {"pooling": "pooler"}}, r"no weights for pooler\.dense"),
        ({"span_logits": {}}, "no weights for qa_outputs"),
        ({"class_logits": {}, "token_logits": {}}, "SequenceClassification|fields of one head"),
    ):
        with pytest.raises(ModelError, match=message):
            SpanTeacher.open(tmp_path / "bare", max_length=60, fields=fields)
    with pytest.raises(
        ModelError, match="got BertForSequenceClassification; of it can be cached: class_logits"
    ):
        SpanTeacher.open(tmp_path / "classes", max_length=60, fields={"span_logits": {}})
