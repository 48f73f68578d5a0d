"""What is wrong with models of params.yaml."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.tasks import PASSAGE_READERS, SPAN, TASKS
from stages.problem import Problem, option_problems
from stages.sections import Student, Teacher


def cls_token_problems(
    model: Teacher | Student, tokenizers: Mapping[str, Any], path: str
) -> Iterator[Problem]:
    """A tokenizer with a [CLS] for an architecture that reads passages alone."""
    architecture, tokenizer = model.model.get("architecture"), tokenizers.get(model.tokenizer or "")
    if architecture in PASSAGE_READERS and tokenizer is not None and tokenizer.cls_token:
        yield Problem(
            path, f"{architecture!r} would read [CLS] as a word of the question; leave cls_token out"
        )


def model_problems(read: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the options of architectures: only here is torch imported."""
    from pipeline.models import ARCHITECTURES, HEADS, takes_head
    from pipeline.models.output_map import map_problems

    tasks = {f"students.{key}": student.task for key, student in read["students"].items()}
    tasks |= {f"teachers.{key}": teacher.task for key, teacher in read["teachers"].items()}
    models = {f"students.{key}": student.model for key, student in read["students"].items()}
    models |= {f"teachers.{key}": teacher.model for key, teacher in read["teachers"].items()}
    for path, model in models.items():
        if "architecture" in model:
            options = {key: value for key, value in model.items() if key not in _NO_OPTIONS}
            architecture = str(model["architecture"])
            yield from option_problems(ARCHITECTURES, architecture, options, f"{path}.model")
            needs_head = tasks[path] != SPAN or "heads" in model
            if needs_head and architecture in ARCHITECTURES and not takes_head(architecture):
                yield Problem(f"{path}.model", f"{architecture!r} reads spans only, not task {tasks[path]!r}")
            able = HEADS.get(architecture)
            if able is not None and "heads" in model:
                yield Problem(f"{path}.model.heads", f"{architecture!r} has one head; use bert")
            elif able is not None and tasks[path] in TASKS and TASKS[tasks[path]].head not in able:
                yield Problem(f"{path}.model", f"{architecture!r} does not do task {tasks[path]!r}; use bert")
        if "outputs" in model:
            problems = map_problems(model["outputs"])
            yield from (Problem(f"{path}.model.outputs", text) for text in problems)


_NO_OPTIONS = {"architecture", "heads", "outputs"}


def model_source_problems(model: dict[str, Any], path: str, *, teacher: bool) -> Iterator[Problem]:
    """A model without its architecture, or with a shape beside a checkpoint."""
    if teacher and "from" in model:
        for key in model.keys() - {"from", "outputs"}:
            yield Problem(
                f"{path}.{key}", "a model that comes from a checkpoint takes no shape; leave it out"
            )
    elif "architecture" not in model:
        yield Problem(path, "architecture is missing; write for example 'architecture: bert'")
