"""Stage evaluate: official scores, size and speed of a student or teacher."""

from pathlib import Path

from pipeline.evaluation.evaluate import evaluate
from pipeline.report.scores import parts_of
from stages.folders import INPUTS, SCORES
from stages.model_folders import model_folder
from stages.params import load
from stages.running import start


def run(name: str, params: Path) -> None:
    """Score a student or teacher over its evaluation sets; measure its size and speed."""
    settings = load(params, models=True)
    kind, model = model_folder(settings, name)
    metrics = evaluate(
        SCORES / name,
        name=name,
        kind=kind,
        model=model,
        inputs=INPUTS / name / "evaluate",
        **settings.evaluation.model_dump(exclude={"lost_mass_limit"}),
    )
    for key, scores in metrics["sets"].items():
        listing = ", ".join(
            f"{score} {value:.2f}" for score, value in scores.items() if isinstance(value, float)
        )
        print(f"{name} on {key}: {listing} over {scores['rows']:,} rows")
        for part, own in parts_of(scores).items():
            print(f"  {part}: em {own['em']:.2f}, f1 {own['f1']:.2f} over {own['rows']:,} rows")


if __name__ == "__main__":
    start("evaluate", run)
