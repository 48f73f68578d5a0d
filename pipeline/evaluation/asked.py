"""What a finished model can be asked, as its configuration says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

import pipeline.models  # noqa: F401  registers our architectures with the Auto classes
from pipeline.errors import ModelError, ParamsError
from pipeline.registry import did_you_mean
from pipeline.tasks import CLASSIFICATION, REGRESSION, TASKS
from pipeline.tasks.outputs import output_names

_AVERAGED = (CLASSIFICATION,)


@dataclass(frozen=True)
class Asked:
    """A task, what the outputs stand for, and the heads that answer, of a model with several.

    `pairs` says whether the model reads two texts, where its making has decided that.
    """

    task: str
    classes: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    pairs: bool | None = None


def asked_of(folder: Path, *, task: str | None = None, heads: Sequence[str] = ()) -> Asked:
    """What the model in `folder` can be asked.

    Args:
        folder: A model folder.
        task: What it is asked, where that is known; of a model with several heads, they say it.
        heads: Of such a model those that answer. Left out, a lone head does, or all where one is a score.

    Raises:
        ModelError: There is no model, or it has another kind of head.
        ParamsError: It is not clear which heads are to answer.
    """
    config = _config(folder)
    held: Mapping[str, Mapping[str, Any]] = getattr(config, "heads", None) or {}
    if held:
        return _of_heads(folder, held, heads)
    if heads:
        raise ParamsError(
            "heads",
            expected="a model with several",
            got=f"{folder.name}, which has one",
            remedy="leave them out",
        )
    (architecture, *_) = config.architectures or [type(config).__name__]
    task = task or _task(architecture, config.problem_type, config.num_labels)
    if task is None:
        endings = ", ".join(dict.fromkeys(known.head for known in TASKS.values()))
        raise ModelError(
            folder,
            expected=f"a model whose class ends in {endings}",
            got=architecture,
            remedy="train it for one of these tasks",
        )
    return Asked(task, output_names(config.id2label), pairs=getattr(config, "pairs", None))


def _config(folder: Path) -> PreTrainedConfig:
    try:
        if not (folder / "config.json").is_file():
            raise OSError("no config.json")
        return AutoConfig.from_pretrained(folder)  # type: ignore[no-any-return]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            folder,
            expected="a model folder with config.json",
            got=str(error).splitlines()[0],
            remedy="train the model first, or check the path",
        ) from error


def _of_heads(folder: Path, held: Mapping[str, Mapping[str, Any]], heads: Sequence[str]) -> Asked:
    unknown = next((name for name in heads if name not in held), None)
    if unknown is not None:
        raise ParamsError(
            "heads", expected=f"heads of {folder.name}", got=repr(unknown), remedy=did_you_mean(unknown, held)
        )
    names = tuple(heads)
    if not names and (len(held) == 1 or any(head["is_score"] for head in held.values())):
        names = tuple(held)
    told = list(dict.fromkeys(_of_head(held[name]) for name in names))
    if len(told) != 1 or (len(names) > 1 and told[0][0] not in _AVERAGED):
        raise ParamsError(
            "heads",
            expected=f"a head of {folder.name}, or several about one thing",
            got=" and ".join(names) or "none",
            remedy=f"name it with --head: {', '.join(held)}",
        )
    ((task, classes),) = told
    return Asked(task, classes, names)


def _of_head(head: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The task of one head of several, and its classes: numbers where the model was saved without names."""
    if head["is_score"]:
        return CLASSIFICATION, tuple(head.get("classes") or "01")
    task = _task(head["kind"], head.get("problem_type"), head["num_labels"])
    return str(task), tuple(head.get("classes") or map(str, range(head["num_labels"])))


def _task(architecture: str, problem_type: str | None, num_labels: int | None) -> str | None:
    """The first task whose head ends the name of an architecture; transformers' default with one output."""
    if problem_type is None:
        problem_type = TASKS[REGRESSION if num_labels == 1 else CLASSIFICATION].problem_type
    fitting = (
        name
        for name, task in TASKS.items()
        if architecture.endswith(task.head) and task.problem_type in (None, problem_type)
    )
    return next(fitting, None)
