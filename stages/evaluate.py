"""Stage evaluate: official scores, size and speed of a student, a teacher or an ensemble of them."""

from pathlib import Path
from typing import Any

from pipeline.evaluation.evaluate import evaluate, evaluate_ensemble
from pipeline.report.scores import parts_of
from stages.folders import SCORES
from stages.opened import folders_of, members_of
from stages.params import load
from stages.running import start
from stages.sections import Params


def run(name: str, params: Path) -> None:
    """Score a student, teacher or ensemble over its evaluation sets; measure its size and speed."""
    metrics = _metrics(load(params, models=True), name)
    for key, scores in metrics["sets"].items():
        listing = ", ".join(
            f"{score} {value:.2f}" for score, value in scores.items() if isinstance(value, float)
        )
        print(f"{name} on {key}: {listing} over {scores['rows']:,} rows")
        for part, own in parts_of(scores).items():
            print(f"  {part}: em {own['em']:.2f}, f1 {own['f1']:.2f} over {own['rows']:,} rows")


def _metrics(settings: Params, name: str) -> dict[str, Any]:
    options = settings.evaluation.model_dump(exclude={"lost_mass_limit"})
    ensemble = settings.ensembles.get(name)
    if ensemble is not None:
        return evaluate_ensemble(
            SCORES / name,
            name=name,
            members=members_of(settings, name),
            sets=ensemble.evaluate,
            weights=ensemble.weights,
            **options,
        )
    folders = folders_of(settings, name)
    return evaluate(
        SCORES / name,
        name=name,
        kind="student" if name in settings.students else "teacher",
        model=folders.model,
        inputs=folders.inputs,
        **options,
    )


if __name__ == "__main__":
    start("evaluate", run)
