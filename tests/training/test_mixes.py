"""A student of several teachers, from inputs to published weights."""

import json

import pytest

from pipeline.cache.arrow import ArrowBackend
from pipeline.errors import ParamsError
from pipeline.files import read_json, write_json
from pipeline.training.phase import Phase
from pipeline.training.train import train

TRAINING = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 1}
TERMS = ({"loss": "kd_kl"}, {"loss": "qa_attention_mse", "student_layer": -1}, {"loss": "answer_margin"})


@pytest.fixture(scope="module")
def mixed_inputs(world, tmp_path_factory):
    """The inputs of one phase, with the same target set as the alias `teacher` and twice in a mix."""
    folder = tmp_path_factory.mktemp("mixed")
    columns, _ = ArrowBackend().open(world.inputs / "0-0.arrow")
    more = {
        f"mix/{place}/{side}_map": columns[f"teacher/{side}_map"]
        for place in (0, 1)
        for side in ("start", "end")
    }
    more["mix/confusing"] = columns["teacher/confusing"]
    ArrowBackend().write(folder / "0-0.arrow", {**columns, **more}, {})
    described = read_json(world.inputs / "inputs.json")
    (source,) = (source for source in described["sources"] if source["phase"] == 0)
    (bound,) = source["targets"].values()
    source["targets"] |= {f"mix/{place}": bound for place in (0, 1)}
    source["mixes"] = {"mix": {"mean": "mean_probabilities", "weights": [0.25, 0.75], "confusing_rows": 3}}
    write_json(folder / "inputs.json", {**described, "sources": [source]})
    return folder


@pytest.fixture
def losses(world, shape, mixed_inputs, tmp_path):
    """What is logged at each step by a student that follows an alias."""

    def run(alias, targets):
        terms = [{**term, "from": alias} for term in TERMS]
        train(
            tmp_path / alias,
            name="student",
            inputs=mixed_inputs,
            tokenizer=world.tokenizer,
            architecture="bert",
            options=shape,
            phases=[Phase(terms, {**TRAINING, "use_cpu": True})],
            seed=1,
            work=tmp_path / f"{alias}-work",
            targets=targets,
        )
        lines = (tmp_path / alias / "training_log.jsonl").read_text().splitlines()
        return [[json.loads(line)[term["loss"]] for term in TERMS] for line in lines]

    return run


def test_a_mix_of_one_teacher_with_itself_trains_the_same_student(losses, world):
    cache = {"made_up": world.cache}
    alone = losses("teacher", cache)
    mixed = losses("mix", cache)
    assert len(mixed) == 3
    for one, other in zip(alone, mixed, strict=True):
        assert other == pytest.approx(one, rel=1e-4)


def test_a_member_without_a_cache_is_named(losses):
    with pytest.raises(ParamsError, match="expected a target set called 'mix/0'"):
        losses("mix", {})
