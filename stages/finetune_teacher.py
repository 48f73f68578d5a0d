"""Stage finetune_teacher: a teacher is trained, or a finished checkpoint is checked and referenced."""

from pathlib import Path

from pipeline.inference.checkpoint import copy_mapped, reference
from pipeline.inference.finetune import finetune
from stages.classes import teacher_classes
from stages.folders import PASSAGES, TEACHERS, TOKENIZERS
from stages.params import load
from stages.running import entry, start


def run(name: str, params: Path) -> None:
    """Train a teacher, or check and reference a finished checkpoint; nothing is done twice."""
    settings = load(params, models=True)
    teacher = entry(settings.teachers, name, "teachers")
    source = str(teacher.model.get("from"))
    if teacher.train is None and "outputs" in teacher.model:
        summary = copy_mapped(TEACHERS / name, source, teacher.model["outputs"])
    elif teacher.train is None:
        summary = reference(TEACHERS / name, source, teacher.task)
    else:
        selection = settings.selection[teacher.train.dataset]
        summary = finetune(
            TEACHERS / name,
            model=teacher.model,
            tokenizer=TOKENIZERS / teacher.tokenizer if teacher.tokenizer else None,
            passages=PASSAGES / teacher.train.dataset,
            split=teacher.train.split,
            task=teacher.task,
            classes=teacher_classes(settings, name),
            max_length=selection.max_tokens,
            max_question_tokens=selection.max_question_tokens,
            training=teacher.train.arguments,
            seed=teacher.train.seed,
        )
    print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in summary.items()))


if __name__ == "__main__":
    start("finetune_teacher", run)
