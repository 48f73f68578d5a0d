"""params.yaml: parsed once, every problem reported with its path.

Each entry of a section is checked on its own, so that one mistake hides no other; references between
entries are checked afterwards, over all entries that could be read.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.errors import ParamsError
from pipeline.files import read_yaml
from pipeline.registry import did_you_mean
from stages.model_checks import model_problems
from stages.problem import Problem
from stages.reference_checks import evaluation_problems, reference_problems
from stages.sections import (
    DRAWING,
    MIX,
    NAME,
    WORD,
    Augmentation,
    Dataset,
    Drawing,
    Ensemble,
    Evaluation,
    Head,
    Merge,
    Mix,
    Params,
    Phase,
    Section,
    Selection,
    Source,
    Student,
    TargetSet,
    Teacher,
    Tokenizer,
    Vectors,
    VectorTraining,
    WarmStart,
    made_datasets,
)

_SECTIONS: dict[str, type[Section]] = {
    "datasets": Dataset,
    "augmentations": Augmentation,
    "selection": Selection,
    "teachers": Teacher,
    "targets": TargetSet,
    "merges": Merge,
    "tokenizers": Tokenizer,
    "students": Student,
    "ensembles": Ensemble,
    "warm_starts": WarmStart,
}
# What dvc.yaml reads of every params file; it has an empty section in place of each of the others.
REQUIRED = ("datasets", "selection", "tokenizers", "teachers", "targets", "students", "evaluation")


def load(path: Path, *, models: bool = False) -> Params:
    """Parse and check params.yaml.

    Args:
        path: The file.
        models: Check the options of architectures too; this imports torch.

    Raises:
        ParamsError: Everything that is wrong with it, each with its path.
        DataError: The file is missing or is not YAML.
    """
    return parse(read_yaml(path, what="the params of the pipeline"), path, models=models)


def parse(raw: Any, path: Path, *, models: bool = False) -> Params:
    """Check params that were read from `path`; see `load`."""
    if not isinstance(raw, Mapping):
        raise ParamsError(
            path, expected="sections such as datasets", got=type(raw).__name__, remedy="see params.yaml"
        )
    problems = [
        Problem(name, f"section is missing; write '{name}: {{}}'") for name in REQUIRED if name not in raw
    ]
    read: dict[str, Any] = {name: _section(raw, name, problems) for name in _SECTIONS}
    evaluation = _entry(Evaluation, raw.get("evaluation", {}), "evaluation", problems)
    for key in raw:
        if key not in Params.model_fields:
            problems.append(
                Problem(str(key), f"unknown section; {did_you_mean(str(key), Params.model_fields)}")
            )
    names = {name: _keys(raw.get(name)) for name in _SECTIONS}
    read["datasets"] |= made_datasets(read["datasets"], read["augmentations"])
    for key in names["datasets"] & names["augmentations"]:
        text = "an entry of datasets has this name too; their folders would be the same"
        problems.append(Problem(f"augmentations.{key}", text))
    names["datasets"] |= names["augmentations"]
    problems += reference_problems(read, names)
    if evaluation is not None:
        problems += evaluation_problems(evaluation, read["datasets"], names["datasets"])
    if models:
        problems += model_problems(read)
    if problems:
        listing = "\n".join(str(problem) for problem in sorted(set(problems), key=lambda p: p.path))
        raise ParamsError(
            path,
            expected="settings that can be obeyed",
            got=f"{len(set(problems))} problem(s)",
            remedy=f"mend these:\n{listing}",
        )
    assert evaluation is not None
    return Params(**read, evaluation=evaluation)


def _keys(section: Any) -> set[str]:
    return {str(key) for key in section} if isinstance(section, Mapping) else set()


def _section(raw: Mapping[str, Any], name: str, problems: list[Problem]) -> dict[str, Any]:
    entries = raw.get(name, {})
    if not isinstance(entries, Mapping):
        problems.append(
            Problem(name, f"expected entries by name; got {_short(entries)}; write '{name}: {{}}' for none")
        )
        return {}
    read = {}
    for key, value in entries.items():
        if not NAME.fullmatch(str(key)):
            problems.append(
                Problem(f"{name}.{key}", "expected a name of a-z, 0-9 and _; rename it: DVC needs this")
            )
        entry = _entry(_SECTIONS[name], value, f"{name}.{key}", problems)
        if entry is not None:
            read[str(key)] = entry
    return read


Entry = TypeVar("Entry", bound=Section)


def _entry(model: type[Entry], value: Any, path: str, problems: list[Problem]) -> Entry | None:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        for detail in error.errors():
            where = ".".join([path, *(str(part) for part in detail["loc"] if part not in _TAGS)])
            text = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}; got {_short(detail.get('input'))}"
            if detail["type"] == "extra_forbidden":
                known = _known_keys(model, detail["loc"])
                text = f"unknown key; {did_you_mean(str(detail['loc'][-1]), known)}"
            problems.append(Problem(where, text))
        return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_NESTED: dict[str, type[Section]] = {
    "sources": Source,
    "phases": Phase,
    "vectors": Vectors,
    "train": VectorTraining,
    MIX: Mix,
    DRAWING: Drawing,
    "heads": Head,
}
_TAGS = (WORD, MIX, DRAWING)


def _known_keys(model: type[Section], loc: tuple[int | str, ...]) -> list[str]:
    for part in loc[:-1]:
        if isinstance(part, str):
            model = _NESTED.get(part, model)
    return [field.alias or name for name, field in model.model_fields.items()]
