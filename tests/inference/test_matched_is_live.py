"""A student that follows a teacher's layers from a cache goes where it goes beside it, step by step."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback, TrainingArguments

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.cache.manifest import load_manifest
from pipeline.cache.reader import TargetCache
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models import build
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import Encoder
from pipeline.training.stream import Stream, Targets, row_identities
from pipeline.training.trainer import DistillationTrainer

LIMITS = {"max_length": 90, "max_question_tokens": 16}
FIELDS = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 4},
    "qa_attention": {"layer": -2, "dtype": "float32"},
    "hidden_states": {"layers": [1], "dtype": "float32"},
    "unit_vectors": {"layers": [0], "dtype": "float32"},
    "first_token": {"layers": [2], "unit": True, "dtype": "float32"},
    "gram": {"layers": [2, [0, 2]], "dtype": "float32"},
    "fsp": {"layers": [[0, 2]], "dtype": "float32"},
    "attention_scores": {"layers": [1], "heads": "mean", "dtype": "float32"},
    "attention_qk": {"layers": [0], "dtype": "float32"},
    "sentence_vector": {"pooling": "mean", "dtype": "float32"},
}
LOGITS = [
    {"loss": "gold", "weight_schedule": "linear_growth"},
    {"loss": "kd_kl", "temperature": 2.0, "weight_schedule": "linear_decay", "probability_shift": True},
    {"loss": "kd_ce", "temperature": 8.0, "weight": 0.5},
    {"loss": "kd_ce", "temperature": 2.0, "temperature_schedule": {"kind": "cwsm", "beta": 0.5}},
    {"loss": "answer_margin", "weight": 0.3},
    {"loss": "qa_attention_mse", "weight": 0.1},
]
# Those that are exact where the student has other tokens.
ANY_TOKENS = [
    {"loss": "hidden_mse", "teacher_layer": 1, "student_layer": 1, "projection": "linear"},
    {"loss": "pkd", "teacher_layer": 2, "student_layer": 2, "projection": "tanh"},
    {"loss": "nst", "teacher_layer": [2, 2], "student_layer": [2, 2]},
    {"loss": "nst", "teacher_layer": [0, 2], "student_layer": [0, 1]},
    {"loss": "nst", "teacher_layer": 1, "student_layer": 1},
    {"loss": "fsp", "teacher_layer": [0, 2], "student_layer": [0, 2], "projection": "relu"},
    {"loss": "sentence_cos", "student_layer": 2, "student_pooling": "mean", "projection": "linear"},
]
EQUAL_TOKENS = [
    {"loss": "kd_mse", "weight": 0.01},
    {"loss": "kd_bce"},
    {"loss": "kd_kl", "temperature": 2.0, "temperature_schedule": {"kind": "flsw", "gamma": 2.0}},
    {"loss": "cos", "teacher_layer": 0, "student_layer": 0, "projection": "linear"},
    {"loss": "attention_mse", "teacher_layer": 0, "student_layer": 1},
    {"loss": "attention_ce", "teacher_layer": 0, "student_layer": 0},
    {"loss": "attention_mse_sum", "teacher_layer": 1, "student_layer": 1},
    {"loss": "attention_ce_mean", "teacher_layer": 1, "student_layer": 0},
]
SHAPE = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}


def written(terms, width):
    """Terms of one teacher, projections to its width where they are named."""
    for term in terms:
        projection = {"kind": term.get("projection"), "in": 16, "out": width, "learning_rate": 0.003}
        yield (
            term
            | ({"from": "teacher"} if term["loss"] != "gold" else {})
            | ({"projection": projection} if "projection" in term else {})
        )


@pytest.fixture
def world(request, tmp_path, teacher_folder, passages, passage_folder):
    """Makes, of terms and a student's tokenizer, what trains on a source of targets, stored as `dtype`."""
    rows = passages(40, unlabelled=5)
    folder = passage_folder(train=rows)
    dtype = getattr(request, "param", "float32")
    cache_targets(
        tmp_path / "set",
        manifest_out=tmp_path / "set.json",
        teacher=teacher_folder,
        passages=folder,
        splits=["train"],
        fields={
            name: options | ({"dtype": dtype} if "dtype" in options else {})
            for name, options in FIELDS.items()
        },
        **LIMITS,
    )
    held = {name: dict(field.options) for name, field in load_manifest(tmp_path / "set").fields.items()}
    teacher = SpanTeacher.open(teacher_folder, max_length=90, fields=FIELDS, batch_tokens=2000)
    live = LiveTargets(teacher, Encoder.open(teacher_folder), rows, **LIMITS)
    width = held["hidden_states_1"]["width"]

    def make(terms, tokenizer):
        terms = list(written(terms, width))
        fields, columns = needs(terms, held={"teacher": held})["teacher"]
        inputs = bind(
            tmp_path / "inputs",
            name="student",
            language="en",
            tokenizer=tokenizer,
            max_length=90 if tokenizer == teacher_folder else 400,
            max_question_tokens=16 if tokenizer == teacher_folder else 60,
            sources=[
                Source(0, 0, folder, "train", {"teacher": TargetSet(tmp_path / "set", fields, columns)})
            ],
            evaluate=[],
            lost_mass_limit=0.01,
        )
        (source,) = inputs.sources
        entry = source.targets["teacher"]
        assert entry["equal_tokens"] == (tokenizer == teacher_folder)
        cache = TargetCache.open(tmp_path / "set", expected=entry["identity"])
        read = source.columns()
        if entry["equal_tokens"]:
            read = {name: column for name, column in read.items() if not name.endswith(("spans", "/gold"))}

        def trainer(targets, name, **changes):
            positions = targets.positions(*row_identities(read))
            options = {
                "per_device_train_batch_size": 8,
                "learning_rate": 1e-3,
                "save_strategy": "no",
                "use_cpu": True,
                "report_to": "none",
                "seed": 3,
                **changes,
            }
            model = build("bert", tokenizer, {**SHAPE, "max_length": 400}, seed=3)
            model.eval().train = lambda mode=True: (
                model
            )  # no dropout: batches of other sizes draw other numbers
            return DistillationTrainer(
                model,
                TrainingArguments(output_dir=str(tmp_path / name), disable_tqdm=True, **options),
                stream=Stream(read, {"teacher": Targets(targets, positions, columns)}),
                objective=build_objective(terms, held={"teacher": held}, seed=3),
            )

        return trainer, cache, live

    return make


def weights(trainer):
    return {name: value.detach().clone() for name, value in trainer.student.named_parameters()}


@pytest.mark.parametrize(
    ("tokens", "steps", "world", "precision"),
    [
        ("equal", 10, "float32", 2e-3),
        ("other", 10, "float32", 2e-3),
        ("equal", 10, "float16", 1e-2),
        pytest.param("equal", 50, "float32", 2e-3, marks=pytest.mark.slow),
        pytest.param("other", 50, "float32", 2e-3, marks=pytest.mark.slow),
        pytest.param("equal", 50, "float16", 1e-2, marks=pytest.mark.slow),
    ],
    indirect=["world"],
)
def test_a_student_of_all_terms_goes_the_same_way(tokens, steps, world, precision, teacher_folder, tmp_path):
    tokenizer, terms = teacher_folder, [*LOGITS, *ANY_TOKENS, *EQUAL_TOKENS]
    if tokens == "other":
        tokenizer, terms = tmp_path / "tokenizer", [*LOGITS, *ANY_TOKENS]
        build_tokenizer(["where does a person live in a town"] * 3, tokenizer, kind="characters")
    make, cache, live = world(terms, tokenizer)
    logs = []
    for name, source in (("cached", cache), ("live", live)):
        trainer = make(source, name, max_steps=steps, logging_steps=steps // 10)
        trainer.train()
        logs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    assert len(logs[0]) == 10
    for cached, beside in zip(*logs, strict=True):
        names = [key for key in cached if key not in ("epoch", "step")]
        assert len(names) > 2 * len(terms)
        np.testing.assert_allclose(
            [cached[key] for key in names],
            [beside[key] for key in names],
            rtol=precision,
            atol=precision / 20,
        )
    assert logs[0][-1]["hidden_mse"] < logs[0][0]["hidden_mse"]


def test_four_micro_batches_are_one_batch(world, teacher_folder):
    # A temperature schedule is about the mean of a batch.
    terms = [t for t in (*LOGITS, *ANY_TOKENS, *EQUAL_TOKENS) if "temperature_schedule" not in t]
    make, cache, _ = world(terms, teacher_folder)
    found = []
    for name, changes in (
        ("whole", {"per_device_train_batch_size": 40}),
        ("parts", {"per_device_train_batch_size": 10, "gradient_accumulation_steps": 4}),
    ):
        trainer = make(cache, name, max_steps=1, optim="sgd", learning_rate=0.1, **changes)
        trainer.train()
        found.append(weights(trainer))
    assert any(name.startswith("projections.") for name in found[0])
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


class Kill(TrainerCallback):
    """Ends a run at its third step."""

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_projections_are_saved_trained_on_and_not_published(world, teacher_folder, tmp_path):
    make, cache, _ = world(ANY_TOKENS, teacher_folder)
    saving = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    through = make(cache, "through", **saving)
    first = weights(through)
    through.train()
    assert {group["initial_lr"] for group in through.optimizer.param_groups} == {1e-3, 3e-3}
    projected = [name for name in first if name.startswith("projections.")]
    assert len(projected) == 8
    assert all(not first[name].equal(weights(through)[name]) for name in projected if "weight" in name)

    broken = make(cache, "broken", **saving)
    broken.add_callback(Kill())
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    assert {*load_file(tmp_path / "broken" / "checkpoint-2" / "model.safetensors")} > {*projected}
    with broken.published_weights():
        broken.student.save_pretrained(tmp_path / "published")
    assert not [
        name for name in load_file(tmp_path / "published" / "model.safetensors") if "projection" in name
    ]

    again = make(cache, "broken", **saving)
    again.train()
    for name, value in weights(through).items():
        assert value.equal(weights(again)[name]), name
