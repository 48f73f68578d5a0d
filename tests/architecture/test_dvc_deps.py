"""dvc.yaml says what stages do: every stage has a module, every code dependency exists."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def _stages() -> dict[str, dict[str, object]]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


def test_every_command_is_a_stage_module() -> None:
    for stage in _stages().values():
        module = str(stage["cmd"]).split()[2]
        assert (ROOT / module.replace(".", "/")).with_suffix(".py").is_file()


def test_every_code_dependency_exists() -> None:
    for stage in _stages().values():
        for dependency in stage["deps"]:  # type: ignore[attr-defined]
            if dependency.startswith(("pipeline", "stages")):
                assert (ROOT / dependency).exists()


def test_teacher_stages_depend_on_no_code() -> None:
    stages = _stages()
    for name in ("finetune_teacher", "cache_targets", "merge"):
        assert not [d for d in stages[name]["deps"] if d.startswith(("pipeline", "stages"))]  # type: ignore[attr-defined]


def test_no_stage_reads_and_writes_one_folder() -> None:
    for stage in _stages().values():
        outs = {out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]}  # type: ignore[attr-defined]
        assert not outs & set(stage["deps"])  # type: ignore[call-overload]
