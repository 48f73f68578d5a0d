"""Trains the made-up student in processes of its own: to be killed, to be watched, or to be two ranks.

Importing takes seconds, so one process does it and forks. It reads lines from standard input, each a list of
orders that run at once, and answers each line with the exit statuses.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
OPENED: list[str] = []
sys.addaudithook(lambda event, args: OPENED.append(str(args[0])) if event == "open" else None)

import conftest  # noqa: E402

from pipeline.training import checkpoints, trainer  # noqa: E402
from pipeline.training.phase import Phase  # noqa: E402
from pipeline.training.train import train  # noqa: E402


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_step(step, phase="phase 0"):
    """Die in the forward pass that follows optimizer step number `step` of a phase."""
    compute_loss = trainer.DistillationTrainer.compute_loss

    def killing(self, *args, **kwargs):
        if self.state.global_step == step and self.label.endswith(phase):
            kill()
        return compute_loss(self, *args, **kwargs)

    trainer.DistillationTrainer.compute_loss = killing


def kill_inside_checkpoint(step):
    """Die when the files of the checkpoint of `step` are written and it has no mark yet."""
    mark = checkpoints.mark_complete

    def killing(checkpoint):
        if checkpoint.name == f"checkpoint-{step}":
            kill()
        mark(checkpoint)

    checkpoints.mark_complete = killing


def note_rows(path):
    """Write down the rows that every optimizer step has read, and of which sources, by phase and epoch."""
    get_batch_samples = trainer.DistillationTrainer.get_batch_samples

    def noting(self, *args, **kwargs):
        batches, counts = get_batch_samples(self, *args, **kwargs)
        epoch = self.state.global_step // self.updates_per_epoch
        with path.open("a") as file:
            for batch in batches:
                rows = [str(ids) for ids in batch["inputs"]["input_ids"][batch["counted"]].tolist()]
                entry = {
                    "phase": self.label.split()[-1],
                    "epoch": epoch,
                    "step": self.state.global_step,
                    "sources": batch.get("sources"),
                    "rows": [row.replace(", 0", "") for row in rows],
                }
                file.write(json.dumps(entry) + "\n")
        return batches, counts

    trainer.DistillationTrainer.get_batch_samples = noting


class Told:
    """Gives the scores that its rank is told, one after the other."""

    metrics = ("score",)

    def __init__(self, scores):
        self._scores = iter(scores[int(os.environ.get("RANK", 0))])

    def __call__(self, model):
        return {"score": float(next(self._scores))}


def run(order):
    os.environ.update(order.get("environment", {}))
    if "kill_at_step" in order:
        kill_at_step(order["kill_at_step"], order.get("kill_in", "phase 0"))
    if "kill_inside_checkpoint" in order:
        kill_inside_checkpoint(order["kill_inside_checkpoint"])
    if "note_rows" in order:
        note_rows(Path(order["note_rows"]))
    if "cache" in order:
        source = Path(order["cache"])
    else:
        source = conftest.FakeTeacher(conftest.make_rows(order["rows"]))
    scorer = {"scorer": Told(order["scores"])} if "scores" in order else {}
    train(
        Path(order["out"]),
        name="student",
        inputs=Path(order["inputs"]),
        tokenizer=Path(order["tokenizer"]),
        architecture="bert",
        options={**conftest.SHAPE, **order.get("options", {})},
        phases=[Phase(**{**phase, **scorer}) for phase in order["phases"]],
        seed=1,
        work=Path(order["work"]),
        targets={"made_up": source},
    )
    if "note_seen" in order:
        Path(order["note_seen"]).write_text(json.dumps({"modules": sorted(sys.modules), "opened": OPENED}))


def forked(order):
    """Start `order` in a child and return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.dup2(2, 1)
        run(order)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


if __name__ == "__main__":
    for line in sys.stdin:
        children = [forked(order) for order in json.loads(line)]
        print(
            json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]), flush=True
        )
