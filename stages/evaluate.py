"""Stage evaluate: official scores, size and speed of a student, a teacher or an ensemble of them."""

from pathlib import Path
from typing import Any

from pipeline.binding.bind import EVALUATE
from pipeline.evaluation.evaluate import Folders, evaluate, evaluate_ensemble
from stages.folders import INPUTS, SCORES
from stages.model_folders import model_folder
from stages.params import load
from stages.running import start
from stages.sections import Params


def run(name: str, params: Path) -> None:
    """Score a student, teacher or ensemble over its evaluation sets; measure its size and speed."""
    settings = load(params, models=True)
    options = settings.evaluation.model_dump(exclude={"lost_mass_limit"})
    metrics = (
        _ensemble(settings, name, options) if name in settings.ensembles else _one(settings, name, options)
    )
    for key, scores in metrics["sets"].items():
        listing = ", ".join(
            f"{score} {value:.2f}" for score, value in scores.items() if isinstance(value, float)
        )
        print(f"{name} on {key}: {listing} over {scores['rows']:,} rows")
        for word, own in scores.get("by_question_word", {}).items():
            print(f"  {word}: em {own['em']:.2f}, f1 {own['f1']:.2f} over {own['rows']:,} rows")


def _one(settings: Params, name: str, options: dict[str, Any]) -> dict[str, Any]:
    kind, model = model_folder(settings, name)
    inputs = INPUTS / name / EVALUATE
    return evaluate(SCORES / name, name=name, kind=kind, model=model, inputs=inputs, **options)


def _ensemble(settings: Params, name: str, options: dict[str, Any]) -> dict[str, Any]:
    ensemble = settings.ensembles[name]
    return evaluate_ensemble(
        SCORES / name,
        name=name,
        members={
            member: Folders(model_folder(settings, member)[1], INPUTS / member / EVALUATE)
            for member in ensemble.mean_probabilities
        },
        sets=ensemble.evaluate,
        weights=ensemble.weights,
        **options,
    )


if __name__ == "__main__":
    start("evaluate", run)
