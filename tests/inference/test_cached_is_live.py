"""The claim of the whole project: a student is taught the same from a cache as beside its teacher."""

import numpy as np
import pytest
import torch

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models import build
from pipeline.models.reading import read
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import Encoder
from pipeline.training.stream import Stream, Targets, row_identities

LIMITS = {"max_length": 90, "max_question_tokens": 16}
FIELDS = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 4},
    "qa_attention": {"layer": -2, "dtype": "float32"},
}
TERMS = [
    {"loss": "gold", "weight": 1.0},
    {"loss": "kd_kl", "from": "teacher", "weight": 1.0, "temperature": 2.0},
    {"loss": "kd_ce", "from": "teacher", "weight": 0.5, "temperature": 8.0},
    {"loss": "answer_margin", "from": "teacher", "weight": 0.3},
    {"loss": "qa_attention_mse", "from": "teacher", "weight": 0.1},
]
MODELS = {
    "bert": {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2},
    "qanet": {
        "d_model": 16,
        "num_heads": 2,
        "num_blocks": 1,
        "num_passes": 1,
        "word_size": 8,
        "trainable_words": True,
    },
}


@pytest.mark.parametrize("kind", ["words", "characters"])
@pytest.mark.parametrize("architecture", ["bert", "qanet"])
def test_every_term_agrees(architecture, kind, tmp_path, teacher_folder, passages, passage_folder):
    rows = passages(40, unlabelled=5)
    folder = passage_folder(train=[*rows, rows[3]])
    cache_targets(
        tmp_path / "set",
        manifest_out=tmp_path / "set.json",
        teacher=teacher_folder,
        passages=folder,
        splits=["train"],
        fields=FIELDS,
        **LIMITS,
    )
    texts = [text for row in rows for text in (row.question, row.text)]
    build_tokenizer(texts, tmp_path / "tokenizer", kind=kind)
    inputs = bind(
        tmp_path / "inputs",
        name="student",
        language="en",
        tokenizer=tmp_path / "tokenizer",
        max_length=400,
        max_question_tokens=60,
        sources=[
            Source(0, 0, folder, "train", {"teacher": TargetSet(tmp_path / "set", *needs(TERMS)["teacher"])})
        ],
        evaluate=[],
        lost_mass_limit=0.01,
    )
    columns = inputs.sources[0].columns()
    cache = TargetCache.open(tmp_path / "set", expected=inputs.sources[0].targets["teacher"]["identity"])
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields=FIELDS, batch_tokens=300)
    live = LiveTargets(teacher, Encoder.open(teacher_folder), [*rows, rows[3]], **LIMITS)
    wanted = needs(TERMS)["teacher"][1]
    streams = [
        Stream(columns, {"teacher": Targets(source, source.positions(*row_identities(columns)), wanted)})
        for source in (cache, live)
    ]
    objective = build_objective(TERMS)
    model = build(
        architecture, tmp_path / "tokenizer", {**MODELS[architecture], "max_length": 400}, seed=3
    ).eval()
    counted = np.ones(16, dtype=np.bool_)
    for at in (np.arange(16), np.arange(25, 41)):
        measured = []
        for stream in streams:
            batch = stream.__getitems__((at, counted))
            with torch.no_grad():
                outputs = read(
                    model,
                    batch["inputs"],
                    batch["question"],
                    batch["passage"],
                    attention_layer=objective.reads.attention_layer,
                )
                measured.append(objective(outputs, batch)[1])
        from_cache, from_teacher = measured
        assert set(from_cache) == {term["loss"] for term in TERMS}
        for name, (total, count) in from_cache.items():
            assert count == from_teacher[name][1] > 0
            torch.testing.assert_close(total, from_teacher[name][0], rtol=1e-5, atol=1e-5)
