"""A DistillationConfig of TextBrewer, read as it is, as the terms of a phase."""

from pathlib import Path

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
    text = yaml.safe_dump({"terms": terms}, sort_keys=False, default_flow_style=None, width=110)
    return [f"# {alias} is the alias of a target set among the phase's source's targets", *text.splitlines()]
