"""Stage report: every student beside its teacher and its gold-only twin."""

from pathlib import Path
from typing import Any

from pipeline.report.arms import Arm, pair_twins
from pipeline.report.summarise import summarise
from stages.folders import REPORTS, SCORES
from stages.params import Params, load
from stages.running import start_without_name


def run(params: Path) -> None:
    """Write the report and print its table."""
    settings = load(params)
    summarise(SCORES, REPORTS, teachers=list(settings.teachers), students=_arms(settings))
    print((REPORTS / "summary.md").read_text(encoding="utf-8"))


def _arms(settings: Params) -> dict[str, Arm]:
    sections: dict[str, Any] = {name: student.model_dump() for name, student in settings.students.items()}
    twins = pair_twins(sections)
    return {
        name: Arm(
            teachers=tuple(
                dict.fromkeys(
                    settings.targets[target].teacher
                    for phase in student.phases
                    for source in phase.sources
                    for target in source.targets.values()
                )
            ),
            gold_only=twins[name],
        )
        for name, student in settings.students.items()
    }


if __name__ == "__main__":
    start_without_name("report", run)
