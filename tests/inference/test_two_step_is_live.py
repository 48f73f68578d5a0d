"""A two-step student of a two-step teacher: bound, and taught from the cache as beside its teacher."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.reader import TargetCache
from pipeline.errors import MismatchError
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models import build
from pipeline.models.reading import read
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.text.tokenizers import Encoder
from pipeline.training.stream import Stream, Targets, row_identities

LIMITS = {"max_length": 90, "max_question_tokens": 16}
FIELDS = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 4},
    "qa_attention": {"dtype": "float32"},
    "end_rows": {"dtype": "float32"},
}
TERMS = [
    {"loss": "gold"},
    {"loss": "kd_ce", "from": "teacher", "temperature": 2.0, "end_rows": True},
    {"loss": "answer_margin", "from": "teacher", "weight": 0.3},
    {"loss": "qa_attention_mse", "from": "teacher", "weight": 0.1},
]


@pytest.fixture
def rows(passages):
    return passages(20, unlabelled=4)


@pytest.fixture
def bound(two_step_folder, passage_folder, rows, tmp_path):
    """Caches some rows, and binds a student of the teacher's own tokenizer to them."""

    def run(bound_rows):
        folder = passage_folder(train=rows)
        out = tmp_path / "set"
        made = {"teacher": two_step_folder, "passages": folder, "splits": ["train"], "fields": FIELDS}
        cache_targets(out, manifest_out=tmp_path / "set.json", **made, **LIMITS)
        folder = passage_folder(train=bound_rows)
        inputs = bind(
            tmp_path / "inputs",
            name="student",
            language="en",
            tokenizer=two_step_folder,
            sources=[Source(0, 0, folder, "train", {"teacher": TargetSet(out, *needs(TERMS)["teacher"])})],
            evaluate=[],
            lost_mass_limit=0.01,
            **LIMITS,
        )
        return inputs.sources[0]

    return run


def test_every_term_agrees(bound, rows, two_step_folder, tmp_path):
    source = bound(rows)
    columns = source.columns()
    cache = TargetCache.open(tmp_path / "set", expected=source.targets["teacher"]["identity"])
    teacher = SpanTeacher.open(two_step_folder, max_length=90, fields=FIELDS)
    live = LiveTargets(teacher, Encoder.open(two_step_folder), rows, **LIMITS)
    wanted = needs(TERMS)["teacher"][1]
    assert "end_logits" not in wanted
    streams = [
        Stream(columns, {"teacher": Targets(said, said.positions(*row_identities(columns)), wanted)})
        for said in (cache, live)
    ]
    objective = build_objective(TERMS)
    options = {"hidden_size": 4, "word_size": 6, "trainable_words": True, "character_size": 4}
    student = build("rmr", two_step_folder, options, seed=3).eval()
    measured, outputs = [], []
    for stream in streams:
        batch = stream.__getitems__((np.arange(20), np.ones(20, np.bool_)))
        with torch.no_grad():
            ranges = batch["question"], batch["passage"]
            said = read(student, batch["inputs"], *ranges, attention_layer=-2, starts=batch["gold"][:, 0])
            measured.append(objective(said, batch)[1])
        outputs.append(said)
    from_cache, from_teacher = measured
    assert from_cache.keys() == {term["loss"] for term in TERMS}
    for name, (total, count) in from_cache.items():
        assert count == from_teacher[name][1] > 0
        torch.testing.assert_close(total, from_teacher[name][0], rtol=1e-5, atol=1e-5)
    # The student reads as its teacher does, so all of it is there to be compared at the gold start.
    with torch.no_grad():
        own = read(student, batch["inputs"], *ranges)
    assert not torch.equal(own.end_logits[:16], outputs[0].end_logits[:16])


def test_labels_that_were_mended_after_the_teacher_read_them(bound, rows):
    mended = [replace(rows[0], answers=()), *rows[1:]]
    with pytest.raises(MismatchError, match=r"the labels that its end_rows.*; got others in 1 of 20 rows"):
        bound(mended)
