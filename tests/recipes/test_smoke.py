"""Every small recipe runs end to end at a smoke size: its own params, of a few rows, steps and units."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages import (
    augment,
    bind,
    cache_targets,
    evaluate,
    finetune_teacher,
    prepare,
    report,
    select,
    train_student,
    vocabulary,
    warm_start,
)

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = sorted(path.stem for path in RECIPES.glob("*-small.yaml"))

NARROWER = 12
SMALLEST = {
    "character_filters": 4,
    "character_size": 4,
    "d_model": 8,
    "dimensions": 8,
    "epochs": 1,
    "gru_size": 8,
    "intermediate_size": 32,
    "latency_rows": 1,
    "lstm_size": 8,
    "num_attention_heads": 1,
    "num_blocks": 1,
    "num_heads": 1,
    "num_passes": 1,
    "rows": 5,
    "speed_rows": 2,
}
BRIEF = {"max_steps": 1, "per_device_train_batch_size": 8, "warmup_steps": 2, "use_cpu": True}


def smoke(params: Any) -> Any:
    """Params as they are, but for widths, which keep their proportions, and for how long models train."""
    if isinstance(params, list):
        return [smoke(value) for value in params]
    if not isinstance(params, Mapping):
        return params
    shrunk = {key: SMALLEST.get(key, smoke(value)) for key, value in params.items()}
    for key in ("hidden_size", "sentence_size", "in", "out"):
        if key in shrunk:
            shrunk[key] //= NARROWER
    if "per_device_train_batch_size" in shrunk:
        del shrunk["num_train_epochs" if "num_train_epochs" in shrunk else "max_steps"]
        shrunk |= BRIEF
    return shrunk


@contextmanager
def hidden(folder: Path) -> Iterator[None]:
    """Students need no teacher, but for one whose layers they start from."""
    folder.rename(folder.with_name("hidden"))
    try:
        yield
    finally:
        folder.with_name("hidden").rename(folder)


def test_small_recipes_are_seen() -> None:
    assert len(SMALL) > 4


@pytest.mark.parametrize("recipe", SMALL)
def test_a_small_recipe_runs_end_to_end(
    recipe: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_raw: Callable[[Mapping[str, Any], int], None],
) -> None:
    params = smoke(yaml.safe_load((RECIPES / f"{recipe}.yaml").read_text(encoding="utf-8")))
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(params), encoding="utf-8")
    for folder in ("manifests", "merges"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path / "stamps"))
    write_raw(params, 384 // NARROWER)
    for stage, section in (
        (prepare, "datasets"),
        (augment, "augmentations"),
        (vocabulary, "tokenizers"),
        (select, "selection"),
        (finetune_teacher, "teachers"),
        (cache_targets, "targets"),
        (bind, "teachers"),
        (bind, "students"),
        (train_student, "students"),
        (evaluate, "teachers"),
        (evaluate, "students"),
        (evaluate, "ensembles"),
    ):
        for name in params.get(section, ()):
            if stage is train_student and name in params.get("warm_starts", ()):
                warm_start.run(name, file)
            model = params[section][name].get("model", {})
            starts_there = str(model.get("init_from")).startswith("data/teachers/")
            if section == "students" and (stage is train_student or (stage is bind and not starts_there)):
                with hidden(Path("data/teachers")):
                    stage.run(name, file)
            else:
                stage.run(name, file)
    report.run(file)
    summary = Path("reports/summary.md").read_text(encoding="utf-8")
    for name, model in {
        **params["teachers"],
        **params["students"],
        **params.get("ensembles", {}),
    }.items():
        scores = json.loads(Path("data/scores", name, "metrics.json").read_text(encoding="utf-8"))
        assert scores["sets"].keys() == set(model["evaluate"])
        assert all(found["rows"] for found in scores["sets"].values())
        assert (f"| {name} " in summary) == bool(model["evaluate"])
