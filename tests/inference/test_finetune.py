import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering

from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.files import read_json
from pipeline.inference.finetune import finetune

SHAPE = {
    "architecture": "bert",
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_length": 96,
    "hidden_dropout_prob": 0.1,
}
LIMITS = {"max_length": 90, "max_question_tokens": 16}
TRAINING = {
    "num_train_epochs": 2,
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 8,
    "logging_steps": 2,
}


@pytest.fixture
def teach(tokenizer_folder, passage_folder, passages, tmp_path):
    def run(out: str = "teacher", rows: int = 40, **changes):
        folder = passage_folder(train=passages(rows, unlabelled=6))
        arguments = {
            "model": SHAPE,
            "tokenizer": tokenizer_folder,
            "passages": folder,
            "training": TRAINING,
            "seed": 1,
            **LIMITS,
        }
        return tmp_path / out, finetune(tmp_path / out, **{**arguments, **changes})

    return run


def test_publishes_a_transformers_folder_and_nothing_of_the_training(teach):
    out, summary = teach()
    assert {file.name for file in out.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    }
    assert not list(out.parent.glob(".*"))
    assert summary["rows"] == 40
    assert summary["labelled"] == 34
    assert summary["skipped"] == 6
    assert summary["steps"] == 10
    assert AutoModelForQuestionAnswering.from_pretrained(out).num_parameters() == summary["parameters"]


def test_the_published_tokenizer_cuts_nothing(teach):
    out, _ = teach()
    described = read_json(out / "tokenizer.json")
    assert described["truncation"] is None
    assert described["padding"] is None


def test_learns_what_it_is_taught(teach):
    _, before = teach("short", rows=60, training={**TRAINING, "max_steps": 2})
    _, after = teach("long", rows=60, training={**TRAINING, "num_train_epochs": 12, "learning_rate": 1e-2})
    assert after["loss"] < 0.5 * before["loss"]


def test_equal_arguments_give_equal_weights_and_another_seed_others(teach):
    weights = [
        load_file(teach(name, seed=seed)[0] / "model.safetensors")
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_a_checkpoint_is_where_it_starts_from(teach, teacher_folder):
    out, _ = teach(
        model={"from": str(teacher_folder)}, tokenizer=None, training={**TRAINING, "learning_rate": 1e-9}
    )
    start, end = load_file(teacher_folder / "model.safetensors"), load_file(out / "model.safetensors")
    assert all(torch.allclose(start[name], end[name], atol=1e-6) for name in start)


def test_accumulated_batches_are_one_batch(teach):
    # No dropout, and all rows of one epoch in one step: the order and the cut into batches cannot matter.
    still = {**SHAPE, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    one = {"max_steps": 1, "learning_rate": 1e-2, "optim": "sgd", "max_grad_norm": 0.0}
    whole, _ = teach("whole", rows=38, model=still, training={**one, "per_device_train_batch_size": 32})
    parts = {**one, "per_device_train_batch_size": 8, "gradient_accumulation_steps": 4}
    cut, _ = teach("cut", rows=38, model=still, training=parts)
    first, second = (load_file(out / "model.safetensors") for out in (whole, cut))
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_a_teacher_can_be_a_qanet(teach):
    shape = {"architecture": "qanet", "word_size": 8, "d_model": 16, "num_heads": 2, "num_blocks": 1}
    shape["trainable_words"] = True
    training = {**TRAINING, "adam_beta1": 0.8, "adam_epsilon": 1e-7, "max_steps": 2}
    out, summary = teach(model=shape, training=training)
    assert summary["steps"] == 2
    assert AutoModelForQuestionAnswering.from_pretrained(out).config.model_type == "qanet"


KILLED = """
import sys
from pathlib import Path
from pipeline.inference.finetune import finetune
out, tokenizer, passages = map(Path, sys.argv[1:])
finetune(out, tokenizer=tokenizer, passages=passages, seed=1, model={shape}, training={training}, **{limits})
"""


def test_a_killed_training_goes_on_and_ends_where_an_unbroken_one_does(
    teach, tokenizer_folder, passage_folder, passages, tmp_path
):
    training = {**TRAINING, "num_train_epochs": 12}
    unbroken, _ = teach("unbroken", training=training)
    out = tmp_path / "broken"
    script = KILLED.format(shape=SHAPE, training=training, limits=LIMITS)
    folder = passage_folder(train=passages(40, unlabelled=6))
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(out), str(tokenizer_folder), str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stderr=subprocess.DEVNULL,
    )
    work = tmp_path / ".broken.work"
    wait_for(lambda: len(list(work.glob("checkpoint-*/trainer_state.json"))) >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert list(work.glob("checkpoint-*"))
    teach("broken", training=training)
    weights = [load_file(folder / "model.safetensors") for folder in (unbroken, out)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def wait_for(condition, process: subprocess.Popen) -> None:
    for _ in range(6000):
        if condition():
            return
        assert process.poll() is None, "the process ended by itself"
        time.sleep(0.01)
    raise AssertionError("waited for a minute")


def test_checkpoints_of_other_settings_and_half_written_ones_are_not_used(teach, tmp_path):
    clean, _ = teach("clean")
    work = tmp_path / ".teacher.work"
    (work / "checkpoint-5").mkdir(parents=True)
    (work / "settings.json").write_text('"others"')
    (work / "checkpoint-5" / "trainer_state.json").write_text("{}")
    out, _ = teach()
    weights = [load_file(folder / "model.safetensors") for folder in (clean, out)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_setting_that_is_none_is_named_with_the_nearest(teach):
    with pytest.raises(
        ParamsError, match=r"unknown training setting 'learning_rte'; did you mean 'learning_rate'"
    ):
        teach(training={"learning_rte": 1.0})


def test_a_value_that_trainer_refuses_is_an_error_of_the_settings(teach):
    with pytest.raises(ParamsError, match="optim"):
        teach(training={"optim": "no_such_optimizer"})


def test_a_training_that_diverges_publishes_nothing(teach, tmp_path):
    with pytest.raises(ParamsError, match=r": expected a finite loss; got .* at step 2; lower"):
        teach(training={**TRAINING, "learning_rate": 1e30})
    # Between two logs too.
    with pytest.raises(ParamsError, match=r": expected a finite loss; got .* at step 3; lower"):
        teach("last", training={**TRAINING, "learning_rate": 1e30, "max_steps": 3, "logging_steps": 50})
    assert not (tmp_path / "teacher").exists()
    assert not (tmp_path / "last").exists()


def test_a_training_of_another_version_is_done_again(teach, monkeypatch):
    teach()
    assert teach()[1]["seconds"] == 0
    monkeypatch.setattr("pipeline.inference.finetune.NUMERICS", -1)
    assert teach()[1]["seconds"] > 0


def test_without_gold_answers_there_is_nothing_to_learn(teach):
    with pytest.raises(DataError, match="none with an answer that the model can see"):
        teach(rows=6)


def test_a_fresh_model_needs_a_tokenizer(teach):
    with pytest.raises(ModelError, match="the folder of a tokenizer"):
        teach(tokenizer=None)


def test_a_model_too_short_for_the_rows_is_refused(teach):
    with pytest.raises(ModelError, match=r"at most 96 tokens a row.*got a limit of 200"):
        teach(max_length=200)


def test_an_unknown_option_of_a_model_is_refused(teach):
    with pytest.raises(ParamsError, match=r"unknown option 'hiden_size' .*did you mean 'hidden_size'"):
        teach(model={**SHAPE, "hiden_size": 3})


def test_an_unknown_task_is_refused(teach):
    with pytest.raises(ParamsError, match=r"a task that can be taught.*span"):
        teach(task="spam")


def test_a_model_without_an_origin_is_refused(teach):
    with pytest.raises(ParamsError, match=r"`from` .a checkpoint. or `architecture`"):
        teach(model={"layers": 2})


def test_a_missing_split_is_named(teach, tmp_path):
    with pytest.raises(DataError, match=r"nosuch\.arrow"):
        teach(split="nosuch")
    assert not Path(tmp_path / "teacher").exists()
