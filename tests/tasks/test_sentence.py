"""Text without labels, read by an encoder without a head."""

import numpy as np
import torch
from transformers import BertConfig, BertModel

from pipeline.binding.bind import EvaluationSet, bind
from pipeline.cache.reader import TargetCache
from pipeline.datasets.prepare import prepare
from pipeline.evaluation.evaluate import evaluate
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.checkpoint import reference
from pipeline.inference.folders import resolve
from pipeline.selection.select import select
from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import read_tokenizer

LIMITS = {"max_tokens": 20, "max_question_tokens": 8}


def test_vectors_of_plain_text(tmp_path):
    (tmp_path / "text.txt").write_text("one fine day\n\nthe end came\n")
    prepare(
        tmp_path / "examples/text",
        reader="text",
        language="en",
        folder=tmp_path,
        files={"train": "text.txt"},
        labels="none",
    )
    encoder = tmp_path / "encoder"
    build_tokenizer(["one fine day", "the end came"], encoder, kind="words")
    torch.manual_seed(0)
    shape = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(BertConfig(vocab_size=9, **shape), add_pooling_layer=False).save_pretrained(encoder)
    passages = tmp_path / "passages/text"
    select(tmp_path / "examples/text", passages, language="en", method="none", tokenizer=encoder, **LIMITS)
    teacher = tmp_path / "teachers/encoder"
    reference(teacher, str(encoder), "sentence")
    cache_targets(
        tmp_path / "targets",
        manifest_out=tmp_path / "manifest.json",
        teacher=teacher,
        passages=passages,
        splits=["train"],
        fields={"sentence_vector": {"pooling": "mean", "dtype": "float32"}},
        max_length=20,
        max_question_tokens=8,
    )
    vectors = TargetCache.open(tmp_path / "targets").batch(np.arange(2), ["sentence_vector"])[
        "sentence_vector"
    ]
    tokens = read_tokenizer(encoder)
    model = BertModel.from_pretrained(encoder)
    for text, vector in zip(("one fine day", "the end came"), vectors, strict=True):
        with torch.no_grad():
            states = model(torch.tensor([tokens.encode(text).ids])).last_hidden_state
        np.testing.assert_allclose(vector, states[0].mean(0), atol=1e-6)

    bind(
        tmp_path / "inputs",
        name="encoder",
        language="en",
        tokenizer=resolve(teacher),
        max_length=20,
        max_question_tokens=8,
        sources=[],
        evaluate=[EvaluationSet(passages, "train")],
        lost_mass_limit=0.0,
        task="sentence",
    )
    metrics = evaluate(
        tmp_path / "scores",
        name="encoder",
        kind="teacher",
        model=resolve(teacher),
        inputs=tmp_path / "inputs/evaluate",
        max_answer_tokens=8,
        latency_rows=2,
        speed_rows=2,
    )
    assert metrics["sets"]["text.train"] == {"task": "sentence", "rows": 0, "unlabelled": 2}
    assert metrics["speed"]["rows_per_second"] > 0
