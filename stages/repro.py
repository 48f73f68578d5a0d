"""Running the pipeline through DVC: all of it, or one student and only what it needs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.files import read_json
from stages.folders import INPUTS, PARAMS, REPORTS, TEACHERS
from stages.params import load
from stages.read_sets import scored_on, trained_on
from stages.running import entry
from stages.sections import Params, Student
from stages.warm_start import START

_TABLE = REPORTS / "summary.md"
_SUMMARY = REPORTS / "summary.json"


def repro(students: list[str]) -> None:
    """Run `dvc repro`, for everything or for `students` alone, then print the report.

    DVC reads params.yaml and no other file. A full `dvc repro` of one student would compute the target sets
    of all: DVC sees one folder of manifests. Naming the stages keeps it to the sets that the student names.

    DVC does not look after stages that params have no more. So a start that a student no longer has is
    removed, and a report that shows an ensemble which is gone is made again.

    Raises:
        PipelineError: The params are wrong, or a stage failed.
    """
    settings = load(PARAMS, models=True)
    targets = [stage for name in students for stage in stages_of(settings, name)]
    before = _written(_TABLE)
    _remove_starts(settings)
    _dvc(["repro", *(["--single-item", *dict.fromkeys([*targets, "report"])] if targets else [])])
    if not read_json(_SUMMARY)["ensembles"].keys() <= settings.ensembles.keys():
        _dvc(["repro", "--force", "--single-item", "report"])
    if _written(_TABLE) == before:  # else the report stage has printed it
        print(_TABLE.read_text(encoding="utf-8"))


def _remove_starts(settings: Params) -> None:
    for start in INPUTS.glob(f"*/{START}"):
        if start.relative_to(INPUTS).parts[0] not in settings.warm_starts:
            shutil.rmtree(start)


def _written(path: Path) -> int | None:
    return path.stat().st_mtime_ns if path.is_file() else None


def stages_of(params: Params, name: str) -> Iterator[str]:
    """The DVC stages that a student or an ensemble needs, in an order that respects what each reads.

    Raises:
        ParamsError: No such student.
    """
    ensemble = params.ensembles.get(name)
    members = [name] if ensemble is None else ensemble.mean_probabilities
    teachers = {member for member in members if member in params.teachers}
    students = {
        member: entry(params.students, member, "students") for member in members if member not in teachers
    }
    for member in students:
        for before in params.starts_of(member)[-1:]:
            yield from stages_of(params, before)
    named = {target for student in students.values() for target in student.sets}
    sets = {target for merged in named for target in params.read_sets(merged)}
    datasets: set[str] = set()
    for member, student in students.items():
        teachers |= {*params.teachers_of(member)} | _begun_from(params, student)
        datasets |= trained_on(student) | scored_on([*student.evaluate, *student.development])
        datasets |= {dataset for head in student.heads.values() for dataset in head.datasets}
    tokenizers = {student.tokenizer for student in students.values()}
    for teacher in (params.teachers[teacher] for teacher in teachers):
        datasets |= scored_on(teacher.evaluate)
        datasets |= {teacher.train.dataset} if teacher.train else set()
        tokenizers |= {teacher.tokenizer} if teacher.tokenizer else set()
    folders = {params.selection[dataset].tokenizer for dataset in datasets}
    tokenizers |= {name for name in params.tokenizers if any(Path(folder).name == name for folder in folders)}
    datasets |= {text for tokenizer in tokenizers for text in params.tokenizers[tokenizer].text}
    made = datasets & params.augmentations.keys()
    for stage, names in (
        ("prepare", datasets - made | {params.augmentations[name].dataset for name in made}),
        ("augment", made),
        ("vocabulary", tokenizers),
        ("select", datasets),
        ("finetune_teacher", teachers),
        ("cache_targets", sets),
        ("merge", params.merges.keys() & named),
        ("bind_teacher", teachers),
        ("evaluate_teacher", teachers),
        ("bind", {*students}),
        ("warm_start", {*students} & params.warm_starts.keys()),
        ("train_student", {*students}),
        ("evaluate", {*students}),
        ("evaluate_ensemble", {name} & params.ensembles.keys()),
    ):
        yield from (f"{stage}@{entry_name}" for entry_name in sorted(names))


def _begun_from(params: Params, student: Student) -> set[str]:
    """The teacher of these params whose layers or words a student starts from, if it does."""
    start = student.model.get("init_from")
    return {name for name in params.teachers if start is not None and Path(start) == TEACHERS / name}


def _dvc(arguments: list[str]) -> None:
    # dvc.yaml says `python`: let that be the one that runs this, whether its environment is active or not.
    here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-m", "dvc", *arguments]
    code = subprocess.run(command, check=False, env={**os.environ, "PATH": here}).returncode
    if code:
        raise PipelineError(
            f"dvc {' '.join(arguments)}",
            expected="every stage to end well",
            got=f"exit code {code}",
            remedy="the message above says which stage failed and why; run the same command again to go on",
        )
