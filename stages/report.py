"""Stage report: every student beside its teacher and its gold-only twin."""

from pathlib import Path
from typing import Any

from pipeline.report.arms import Arm, pair_twins
from pipeline.report.summarise import summarise
from stages.folders import REPORTS, SCORES
from stages.params import load
from stages.running import start_without_name
from stages.sections import Params


def run(params: Path) -> None:
    """Write the report and print its table."""
    settings = load(params)
    summarise(
        SCORES,
        REPORTS,
        teachers=list(settings.teachers),
        students=_arms(settings),
        ensembles=list(settings.ensembles),
    )
    print((REPORTS / "summary.md").read_text(encoding="utf-8"))


def _arms(settings: Params) -> dict[str, Arm]:
    sections: dict[str, Any] = {
        name: {**student.model_dump(), "warm_start": settings.starts_of(name)}
        for name, student in settings.students.items()
    }
    twins = pair_twins(sections)
    return {
        name: Arm(teachers=tuple(_teachers(settings, name)), gold_only=twins[name])
        for name in settings.students
    }


def _teachers(settings: Params, student: str) -> list[str]:
    """A student's teachers, and the ensembles that are of just these."""
    own = settings.teachers_of(student)
    return own + [
        name for name, ensemble in settings.ensembles.items() if {*ensemble.mean_probabilities} == {*own}
    ]


if __name__ == "__main__":
    start_without_name("report", run)
