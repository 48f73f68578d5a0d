"""dvc.yaml says what stages do: every stage has a module, every code dependency exists, none is missing."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import grimp
import pytest
import yaml

ROOT = Path(__file__).parents[2]

# What stages import and do not depend on, and why: modules, or packages with all in them (".*"). What these
# import in turn is no dependency either, unless another module imports it too.
EVERYWHERE = {
    "pipeline": "holds nothing",
    "pipeline.errors": "words of messages",
    "pipeline.extensions": "hashes code of one's own; bind notes them in its outs",
    "pipeline.files": "files are whole and as they were written, or there is an error",
    "pipeline.fingerprint": "its hashes are compared, no number follows from them; golden tests hold them",
    "pipeline.hub": "fetches what params name, and changes nothing of it",
    "pipeline.inference.*": "of a teacher, which has a version; here it finds folders and spreads work",
    "pipeline.progress": "a line on the screen",
    "pipeline.registry": "finds code by name",
    "pipeline.schema": "names of columns",
    "pipeline.tables": "what is read is what was written, or there is an error",
    "stages.clusters": "where work is done, not what",
    "stages.folders": "names of folders, which are dependencies and outs",
    "stages.model_folders": "finds folders",
    "stages.opened": "finds folders",
    "stages.params": "checks of params: whoever passes them gets the same",
    "stages.running": "the command line",
    "stages.sections": "params as they are written, of which each stage lists its own",
}
FILES_OF_CACHES = ("columns", "fields", "layout", "manifest", "rows", "shard", "stamps", "stored_rows")
ARROW = {"pipeline.cache.arrow": "what is read is what was written, or there is an error"}
READING = {
    **ARROW,
    **{f"pipeline.cache.{module}": ARROW["pipeline.cache.arrow"] for module in FILES_OF_CACHES},
    "pipeline.cache": "the table of backends",
    "pipeline.cache.readahead": "when pages are read, not what is in them",
    "pipeline.cache.rounding": "encodes, which is done for teachers; decoding stands in cache.encoding",
}
COUNTED = {"pipeline.datasets.labels": "the name of a kind of labels"}
TERMS = {
    f"pipeline.objectives.{module}": "computes a term, in training"
    for module in ("answer_margin", "gold", "projections", "qa_attention", "soft_score", "soft_targets")
}
READERS = {
    **COUNTED,
    **ARROW,
    "pipeline.losses.precision": "the width in which vectors are compared, float32 or more",
    "pipeline.objectives.matches": "the name of a type",
    "pipeline.report.scores": "what is printed beside what is written",
}
LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "prepare": {"pipeline.tasks.scores": "scores readers", "pipeline.tasks.task": "the type of a task"},
    "augment": {"pipeline.tasks.scores": "scores readers", "pipeline.tasks.task": "the type of a task"},
    "vocabulary": {},
    "select": {},
    "bind": {
        **READING,
        **TERMS,
        "pipeline.datasets.rows": "reads raw rows",
        "pipeline.objectives.fit": "refuses terms that do not fit, and binds nothing",
        "pipeline.schedules.*": "the names of schedules",
    },
    "bind_teacher": {
        "pipeline.cache.*": "a teacher is bound to no cache",
        "pipeline.datasets.rows": "reads raw rows",
        "pipeline.models.*": "where a student starts",
        "pipeline.objectives.*": "a teacher has no terms",
    },
    "warm_start": {},
    "train_student": {
        **READING,
        **COUNTED,
        "pipeline.cache.settle": "sizes of teachers, for checks",
        "pipeline.binding.bind": "the name of a folder",
        "pipeline.evaluation.ensemble": "a student in training is no ensemble",
        "pipeline.evaluation.speed": "a student in training is not timed",
        "pipeline.evaluation.variants": "stands beside the scores that choose weights",
        "pipeline.training_settings": "refuses values: whoever passes gets the same",
        "stages.warm_start": "names of files",
    },
    "evaluate": READERS,
    "evaluate_teacher": READERS,
    "evaluate_ensemble": READERS,
    "report": COUNTED,
}
# Whose own module says no more than which function is called with which params and folders.
THIN = LEFT_OUT.keys() - {"bind", "bind_teacher"}


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


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """What each module imports, names in tables ("module:attribute") included, but not for types alone."""
    graph = grimp.build_graph("pipeline", "stages", cache_dir=None, exclude_type_checking_imports=True)
    found = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    for module, imported in found.items():
        for node in ast.walk(ast.parse((ROOT / _file(module)).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"pipeline[\w.]*:\w+", str(node.value)):
                imported.add(str(node.value).split(":")[0])
    return found


def _file(module: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def _reached(
    module: str, imports: Mapping[str, set[str]], left_out: Mapping[str, str]
) -> tuple[set[str], set[str]]:
    """What a module runs: itself, and what it imports, directly or not; and which of `left_out` it met."""
    reached, used, ahead = set(), set(), [module]
    while ahead:
        module = ahead.pop()
        parts = module.split(".")
        names = {
            module,
            *(".".join([*parts[:end], "*"]) for end in range(1, len(parts) + 1)),
        } & left_out.keys()
        used |= names
        if not names and module not in reached:
            reached.add(module)
            ahead += imports[module]
    return reached, used


@pytest.mark.parametrize("stage", LEFT_OUT)
def test_a_stage_depends_on_the_code_it_runs(stage: str, imports: dict[str, set[str]]) -> None:
    described = _stages()[stage]
    code = [path for path in described["deps"] if path.startswith(("pipeline", "stages"))]  # type: ignore[attr-defined]
    own = str(described["cmd"]).split()[2]
    reached, used = _reached(own, imports, EVERYWHERE | LEFT_OUT[stage])
    files = {_file(module) for module in reached if module != own or stage not in THIN}
    covered = {path: {file for file in files if f"{file}/".startswith(f"{path}/")} for path in code}
    assert sorted(files.difference(*covered.values())) == [], f"{stage} runs these without depending on them"
    assert all(covered.values()), f"{stage} depends on code that it does not run"
    assert sorted(LEFT_OUT[stage].keys() - used) == [], f"{stage} does not import these"


def test_all_stages_that_depend_on_code_are_checked() -> None:
    named = {name for name, stage in _stages().items() if "pipeline/" in str(stage["deps"])}
    assert named <= LEFT_OUT.keys()


def test_no_stage_reads_and_writes_one_folder() -> None:
    for stage in _stages().values():
        outs = {out if isinstance(out, str) else next(iter(out)) for out in stage["outs"]}  # type: ignore[attr-defined]
        assert not outs & set(stage["deps"])  # type: ignore[call-overload]
