import numpy as np
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, BertModel

from pipeline.errors import ModelError, ParamsError
from pipeline.inference.teacher import SpanTeacher
from pipeline.text.tokenizers import Encoder

LIMITS = {"max_length": 90, "max_question_tokens": 16}
FIELDS = {"span_logits": {}, "top_spans": {"k": 5}, "qa_attention": {"layer": -2}}
GROUPS = ("tokens", *FIELDS)


@pytest.fixture
def encoded(tokenizer_folder, passages):
    rows = passages(24)
    return Encoder.open(tokenizer_folder).encode(
        [row.question for row in rows], [row.text for row in rows], **LIMITS
    )


def open_teacher(folder, **options) -> SpanTeacher:
    return SpanTeacher.open(folder, max_length=90, fields=FIELDS, **options)


def test_columns_are_in_the_order_of_the_rows_and_as_long_as_they_say(teacher_folder, encoded):
    columns = open_teacher(teacher_folder).read(encoded, GROUPS)
    assert set(columns) == {
        "passage_offsets", "question_offsets", "start_logits", "end_logits",
        "top_starts", "top_ends", "top_log_probs", "qa_attention",
    }  # fmt: skip
    for at, row in enumerate(encoded):
        passage, question = row.passage[1] - row.passage[0], row.question[1] - row.question[0]
        assert columns["start_logits"].row(at).shape == (passage,)
        assert columns["qa_attention"].row(at).shape == (passage * question,)
        assert columns["passage_offsets"].row(at).tolist() == row.passage_offsets.ravel().tolist()
    assert {name: column.values.dtype.name for name, column in columns.items()} == {
        "passage_offsets": "int32", "question_offsets": "int32", "start_logits": "float32",
        "end_logits": "float32", "top_starts": "int32", "top_ends": "int32",
        "top_log_probs": "float32", "qa_attention": "float32",
    }  # fmt: skip


def test_logits_are_those_of_the_model_read_row_by_row(teacher_folder, encoded):
    columns = open_teacher(teacher_folder).read(encoded, ["span_logits"])
    model = AutoModelForQuestionAnswering.from_pretrained(teacher_folder)
    for at, row in enumerate(encoded):
        with torch.no_grad():
            outputs = model(
                input_ids=torch.from_numpy(row.input_ids).long()[None],
                token_type_ids=torch.from_numpy(row.token_type_ids).long()[None],
            )
        passage = slice(*row.passage)
        np.testing.assert_allclose(
            columns["start_logits"].row(at), outputs.start_logits[0, passage], atol=1e-5
        )
        np.testing.assert_allclose(columns["end_logits"].row(at), outputs.end_logits[0, passage], atol=1e-5)


def test_attention_is_that_of_numpy_over_the_hidden_states(teacher_folder, encoded):
    columns = open_teacher(teacher_folder).read(encoded, ["qa_attention"])
    model = AutoModelForQuestionAnswering.from_pretrained(teacher_folder)
    encoder: BertModel = model.bert
    layer = encoder.encoder.layer[-2].attention.self
    for at, row in enumerate(encoded):
        with torch.no_grad():
            states = encoder(
                input_ids=torch.from_numpy(row.input_ids).long()[None],
                token_type_ids=torch.from_numpy(row.token_type_ids).long()[None],
                output_hidden_states=True,
            ).hidden_states[-3][0].numpy()  # fmt: skip
        weights = {name: value.detach().numpy().astype(float) for name, value in layer.named_parameters()}
        passage, question = states[slice(*row.passage)], states[slice(*row.question)]
        heads = []
        for head in range(2):
            part = slice(8 * head, 8 * head + 8)
            query = (passage @ weights["query.weight"].T + weights["query.bias"])[:, part]
            key = (question @ weights["key.weight"].T + weights["key.bias"])[:, part]
            scores = np.exp(query @ key.T / np.sqrt(8))
            heads.append(scores / scores.sum(axis=1, keepdims=True))
        expected = np.mean(heads, axis=0)
        np.testing.assert_allclose(
            columns["qa_attention"].row(at).reshape(expected.shape), expected, atol=1e-5
        )


def test_top_spans_are_those_of_brute_force(teacher_folder, encoded):
    columns = open_teacher(teacher_folder).read(encoded, GROUPS)
    for at in range(len(encoded)):
        start, end = (log_softmax(columns[name].row(at)) for name in ("start_logits", "end_logits"))
        spans = [
            (start[i] + end[j], i, j) for i in range(len(start)) for j in range(i, min(i + 30, len(start)))
        ]
        best = sorted(spans, reverse=True)[:5]
        np.testing.assert_allclose(
            columns["top_log_probs"].row(at), [score for score, _, _ in best], atol=1e-5
        )
        found = zip(columns["top_starts"].row(at), columns["top_ends"].row(at), strict=True)
        assert [(int(i), int(j)) for i, j in found] == [(i, j) for _, i, j in best]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(float) - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


def test_a_row_has_no_more_spans_than_there_are(teacher_folder, tokenizer_folder):
    row = Encoder.open(tokenizer_folder).encode(["where ?", "where ?"], ["rome", "rome oslo lima"], **LIMITS)
    columns = open_teacher(teacher_folder).read(row, ["top_spans"])
    assert columns["top_starts"].row(0).tolist() == [0]
    assert columns["top_log_probs"].row(0).tolist() == [0.0]
    assert len(columns["top_ends"].row(1)) == 5


@pytest.mark.parametrize("batch_tokens", [1, 100, 333, 100_000])
def test_values_do_not_depend_on_the_size_of_batches(teacher_folder, encoded, batch_tokens):
    expected = open_teacher(teacher_folder, batch_tokens=1000).read(encoded, GROUPS)
    columns = open_teacher(teacher_folder, batch_tokens=batch_tokens).read(encoded, GROUPS)
    for name, column in columns.items():
        assert column.offsets.tolist() == expected[name].offsets.tolist()
        np.testing.assert_allclose(column.values, expected[name].values, atol=1e-5)


def test_the_same_block_gives_the_same_bytes(teacher_folder, encoded):
    first, second = (open_teacher(teacher_folder).read(encoded, GROUPS) for _ in range(2))
    assert all(first[name].values.tobytes() == second[name].values.tobytes() for name in first)


def test_only_the_fields_asked_for_are_computed(teacher_folder, encoded):
    assert set(open_teacher(teacher_folder).read(encoded, ["top_spans"])) == {
        "top_starts", "top_ends", "top_log_probs",
    }  # fmt: skip


def test_tokens_alone_need_no_forward_pass(teacher_folder, encoded):
    teacher = open_teacher(teacher_folder)
    assert set(teacher.read(encoded, ["tokens"])) == {"passage_offsets", "question_offsets"}
    assert teacher.tokens.padded == 0


def test_a_row_without_passage_tokens_has_empty_columns(teacher_folder, tokenizer_folder):
    rows = Encoder.open(tokenizer_folder).encode(["where ?"] * 2, ["\u200b", "rome in lima"], **LIMITS)
    columns = open_teacher(teacher_folder).read(rows, GROUPS)
    assert [len(columns["start_logits"].row(at)) for at in range(2)] == [0, 3]
    assert len(columns["top_starts"].row(0)) == len(columns["qa_attention"].row(0)) == 0


def test_padding_is_counted(teacher_folder, encoded):
    teacher = open_teacher(teacher_folder, batch_tokens=10**9)
    teacher.read(encoded, GROUPS)
    lengths = [len(row.input_ids) for row in encoded]
    assert teacher.tokens.real == sum(lengths)
    assert teacher.tokens.padded == max(lengths) * len(lengths)
    assert teacher.tokens.waste == pytest.approx(1 - sum(lengths) / (max(lengths) * len(lengths)))


def test_not_a_number_stops_with_the_rows_name(teacher_folder, encoded):
    model = AutoModelForQuestionAnswering.from_pretrained(teacher_folder)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[int(encoded[7].input_ids[4])] = torch.nan
    first = next(at for at, row in enumerate(encoded) if encoded[7].input_ids[4] in row.input_ids)
    teacher = SpanTeacher(model, fields=FIELDS, batch_tokens=1)
    with pytest.raises(ModelError, match=r"teacher, row \d+th: expected finite start_logits; got nan"):
        teacher.read(encoded, GROUPS, lambda at: f"{at}th")
    with pytest.raises(ModelError, match=f"teacher, row {first}: "):
        teacher.read(encoded[: first + 1], GROUPS)


def test_bfloat16_is_near_float32_and_not_equal(teacher_folder, encoded):
    exact = open_teacher(teacher_folder).read(encoded, GROUPS)["start_logits"].values
    rough = open_teacher(teacher_folder, autocast="bfloat16").read(encoded, GROUPS)["start_logits"].values
    assert rough.dtype == np.float32
    assert 0 < np.abs(exact - rough).max() < 0.3


def test_an_unknown_autocast_type_is_refused(teacher_folder):
    with pytest.raises(ParamsError, match="did you mean 'bfloat16'"):
        open_teacher(teacher_folder, autocast="bfloat")


def test_a_limit_above_the_models_positions_is_refused(teacher_folder):
    with pytest.raises(ModelError, match="at most 96 tokens"):
        SpanTeacher.open(teacher_folder, max_length=97, fields=FIELDS)
