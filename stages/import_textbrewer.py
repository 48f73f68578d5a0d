"""A DistillationConfig of TextBrewer, read as it is, as the terms of a phase."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.files import read_json
from pipeline.objectives.textbrewer import textbrewer_terms


def imported_lines(file: Path, *, alias: str, student: str) -> list[str]:
    """The terms of a phase that say what `file` says, as YAML to be pasted into params.

    Raises:
        DataError: The file is missing or holds no JSON.
        ParamsError: It asks for what there is not.
    """
    config = read_json(file, what="a DistillationConfig of TextBrewer")
    terms = textbrewer_terms(config, alias=alias, student=student)
    return [
        f"# {alias} is the alias of a target set among the phase's source's targets",
        "terms:",
        *(line for term in terms for line in _term_lines(term)),
    ]


def _term_lines(term: Mapping[str, Any]) -> list[str]:
    text = yaml.safe_dump(term, sort_keys=False, default_flow_style=True, width=88)
    first, *others = text.splitlines()
    return [f"  - {first}", *(f"  {line}" for line in others)]
