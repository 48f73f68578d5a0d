import pytest
import torch
from transformers import TrainingArguments

from pipeline.errors import ParamsError
from pipeline.models.bert import build
from pipeline.objectives.objective import build_objective
from pipeline.training.trainer import DistillationTrainer

GOLD = {"loss": "gold", "weight": 0.5}
SOFT = {"loss": "kd_kl", "from": "teacher", "temperature": 2.0}
EVERY_TERM = [
    GOLD,
    SOFT,
    {"loss": "answer_margin", "from": "teacher", "weight": 0.3},
    {"loss": "qa_attention_mse", "from": "teacher", "weight": 0.1, "student_layer": -1},
]


SETTINGS = {
    "use_cpu": True,
    "disable_tqdm": True,
    "save_strategy": "no",
    "learning_rate": 1e-2,
    "max_grad_norm": 0.0,
}
# Adam's first steps blow up gradients that are zero but for rounding.
PLAIN = {"optim": "sgd", "learning_rate": 0.1}


@pytest.fixture
def trained(world, tmp_path, columns, shape):
    """Train a fresh student and return its trainer."""

    def run(terms=(GOLD, SOFT), *, dropout=0.0, **training):
        ours = {key: training.pop(key) for key in ("ema_decay", "warmup") if key in training}
        model = build(
            world.tokenizer,
            **shape,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            seed=1,
        )
        arguments = TrainingArguments(
            output_dir=str(tmp_path / f"run-{len(list(tmp_path.iterdir()))}"),
            **{**SETTINGS, **training},
        )
        trainer = DistillationTrainer(
            model, arguments, stream=columns(terms), objective=build_objective(terms), **ours
        )
        trainer.train()
        return trainer

    return run


def weights(trainer):
    return torch.cat([value.detach().ravel() for value in trainer.model.parameters()])


def test_a_student_learns_its_targets(trained):
    trainer = trained(EVERY_TERM, num_train_epochs=30, per_device_train_batch_size=8, logging_steps=3)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < 0.7 * losses[0]


def test_accumulation_of_two_is_one_batch_of_double_size(trained):
    # One optimizer step over all 22 rows, of which 18 have gold and the fillers count nothing.
    double = trained(max_steps=1, per_device_train_batch_size=22, **PLAIN)
    halves = trained(max_steps=1, per_device_train_batch_size=11, gradient_accumulation_steps=2, **PLAIN)
    filled = trained(max_steps=1, per_device_train_batch_size=16, gradient_accumulation_steps=2, **PLAIN)
    torch.testing.assert_close(weights(halves), weights(double), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(weights(filled), weights(double), atol=1e-5, rtol=1e-4)


def test_filler_rows_change_nothing(trained):
    exact = trained(max_steps=1, per_device_train_batch_size=22, **PLAIN)
    padded = trained(max_steps=1, per_device_train_batch_size=40, **PLAIN)
    torch.testing.assert_close(weights(padded), weights(exact), atol=1e-5, rtol=1e-4)
    assert padded.state.log_history[0]["loss"] == pytest.approx(exact.state.log_history[0]["loss"], rel=1e-5)


def test_logs_hold_every_term_with_and_without_weight(trained):
    trainer = trained(EVERY_TERM, max_steps=4, per_device_train_batch_size=8, logging_steps=2)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert [entry["step"] for entry in logged] == [2, 4]
    for entry in logged:
        assert entry["gold_weighted"] == pytest.approx(0.5 * entry["gold"])
        assert entry["kd_kl_weighted"] == pytest.approx(4 * entry["kd_kl"])
        assert set(entry) >= {"answer_margin", "qa_attention_mse", "learning_rate"}


def test_the_last_step_is_logged_and_nothing_else_need_be(trained):
    trainer = trained(max_steps=3, per_device_train_batch_size=8, logging_steps=50)
    assert [entry["step"] for entry in trainer.state.log_history if "loss" in entry] == [3]
    loss = trainer.state.log_history[0]
    assert loss["loss"] == pytest.approx(loss["gold_weighted"] + loss["kd_kl_weighted"], rel=0.05)


def test_logarithmic_warmup(trained):
    trainer = trained(
        max_steps=6,
        per_device_train_batch_size=8,
        logging_steps=1,
        warmup="logarithmic",
        warmup_steps=3,
        lr_scheduler_type="constant_with_warmup",
    )
    rates = [entry["learning_rate"] for entry in trainer.state.log_history if "loss" in entry]
    # log(1 + t) / log(4) at t = 0, 1, 2
    assert rates == pytest.approx([0.0, 0.5e-2, 0.79248e-2, 1e-2, 1e-2, 1e-2], rel=1e-4)


def test_published_weights_are_the_averages_and_the_model_keeps_its_own(trained):
    trainer = trained(max_steps=2, per_device_train_batch_size=8, ema_decay=0.9)
    own = weights(trainer)
    with trainer.published_weights():
        averaged = weights(trainer)
    assert torch.equal(weights(trainer), own)
    assert not torch.equal(averaged, own)


def test_a_loss_that_is_no_number_stops_the_run(trained):
    with pytest.raises(ParamsError, match="expected a finite loss; got inf at step 1; lower learning_rate"):
        trained(
            [{"loss": "gold", "weight": 1e39}], max_steps=20, per_device_train_batch_size=8, logging_steps=1
        )
