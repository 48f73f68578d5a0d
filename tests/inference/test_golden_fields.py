"""The numbers of every target field on a tiny teacher whose weights come from a formula.

A cache's keys carry the `numerics` version of each field, which is raised by hand. Where this test fails, the
numbers of a field have changed: raise its `numerics` in pipeline/cache/fields.py, or every cache would go on
serving the old ones, then write the new numbers with

    COLDBREW_WRITE_GOLDEN=1 python -m pytest tests/inference/test_golden_fields.py

How the numbers are right is shown in test_teacher.py and test_layer_fields.py, by other routes; here they
only must not move.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from transformers import BertForSequenceClassification, BertForTokenClassification

from pipeline.cache.fields import FIELDS, TOKENS, spec_of
from pipeline.inference.captures import CAPTURES
from pipeline.inference.teacher import SpanTeacher
from pipeline.schema import Answer
from pipeline.text.tokenizers import Encoder

GOLDEN = Path(__file__).with_name("golden_fields.json")
QUESTIONS = ["where does ada live ?", "where is oslo ?"]
TEXTS = ["ada lives in rome . bob works in oslo .", "the"]

# Of fields of layers, one stored field for each way in which numbers are worked out.
ASKED = {
    "span_logits": {"span_logits": {}},
    "null_logits": {"null_logits": {}},
    "top_spans": {"top_spans": {"k": 3}},
    "qa_attention": {"qa_attention": {"layer": 1}},
    "end_rows": {"end_rows": {}},
    "top_end_rows": {"top_end_rows": {"k": 2}},
    "class_logits": {"class_logits": {}},
    "token_logits": {"token_logits": {}},
    "hidden_states": {"hidden_states": {"layers": [0, 3]}},
    "unit_vectors": {"unit_vectors": {"layers": [2]}},
    "first_token": {"first_token_1": {}, "first_token_2": {"unit": True}},
    "sentence_vector": {"sentence_vector": {"pooling": "mean"}},
    "gram": {"gram": {"layers": [[1, 1], [0, 2]]}},
    "fsp": {"fsp": {"layers": [[1, 1], [0, 2]]}, "fsp_2_2": {"store": "hidden_states"}},
    "attention_scores": {
        "attention_scores_0": {},
        "attention_scores_1": {"heads": "sum"},
        "attention_scores_2": {"heads": "mean"},
    },
    "attention_qk": {"attention_qk": {"layers": [1]}},
}
CLASSIFIERS = {"class_logits": BertForSequenceClassification, "token_logits": BertForTokenClassification}


@pytest.fixture(scope="module")
def columns(teacher_folder, two_step_folder, make_classifier):
    """By kind of field, what the columns of its stored fields hold."""
    rows = Encoder.open(teacher_folder).encode(QUESTIONS, TEXTS, max_length=32, max_question_tokens=8)
    read = {}
    for kind, fields in ASKED.items():
        if kind in CLASSIFIERS:
            teacher = SpanTeacher(make_classifier(CLASSIFIERS[kind]), fields=fields)
        elif spec_of(kind).two_step:
            two_step = SpanTeacher.open(two_step_folder, max_length=32, fields=fields)
            words = Encoder.open(two_step_folder).encode(
                QUESTIONS, TEXTS, max_length=32, max_question_tokens=8
            )
            read[kind] = two_step.read(words, fields, answers=[(Answer("rome", 13),), ()])
            continue
        else:
            teacher = SpanTeacher.open(teacher_folder, max_length=32, fields=fields)
        read[kind] = teacher.read(rows, teacher.fields)
    return {TOKENS: teacher.read(rows, [TOKENS]), **read}


def described(columns, kind: str) -> dict:
    return {
        "numerics": spec_of(kind).numerics,
        "columns": {
            name: [values.row(at).tolist() for at in range(len(TEXTS))]
            for name, values in columns[kind].items()
        },
    }


def test_every_field_has_a_capture_and_golden_numbers(columns):
    assert set(CAPTURES.names()) == set(FIELDS) == set(ASKED)
    if os.environ.get("COLDBREW_WRITE_GOLDEN"):
        golden = {field: described(columns, field) for field in (TOKENS, *FIELDS)}
        GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    assert set(json.loads(GOLDEN.read_text())) == {TOKENS, *FIELDS}


@pytest.mark.parametrize("field", [TOKENS, *FIELDS])
def test_numbers_have_not_moved_under_the_same_version(columns, field):
    golden = json.loads(GOLDEN.read_text())[field]
    now = described(columns, field)
    assert now["numerics"] >= golden["numerics"]
    if now["numerics"] == golden["numerics"]:
        for name, rows in golden["columns"].items():
            for expected, got in zip(rows, now["columns"][name], strict=True):
                np.testing.assert_allclose(
                    got, expected, atol=1e-5, err_msg=f"{name}: raise numerics of {field}"
                )
    else:
        pytest.fail(f"numerics of {field} was raised: write new golden numbers (see this file's docstring)")
