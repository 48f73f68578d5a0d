"""Stage bind: what a student trains on, and what a student or teacher is evaluated on."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.binding.bind import EvaluationSet, Source, bind
from pipeline.binding.inputs import BoundSource
from pipeline.binding.share import Share
from pipeline.binding.target_rows import TargetSet
from pipeline.binding.targets import MixedSets
from pipeline.cache.manifest import load_manifest
from pipeline.cache.mix import Mix
from pipeline.errors import ParamsError
from pipeline.extensions import code_of
from pipeline.hub import local_folder
from pipeline.inference.folders import resolve
from pipeline.objectives.fit import check_fit
from pipeline.objectives.matches import Held
from pipeline.objectives.needs import needs
from pipeline.tasks import SENTENCE
from stages.classes import bound_heads, dataset_classes, student_classes, teacher_classes
from stages.folders import INPUTS, PASSAGES, TARGETS, TEACHERS, TOKENIZERS
from stages.params import load
from stages.read_sets import question_limit, read_by, scored_on, trained_on
from stages.running import entry, start
from stages.sections import Mix as MixEntry
from stages.sections import Params, Student, Teacher
from stages.sections import Source as SourceEntry

# What `max_length` is where a student's model does not say.
_MAX_LENGTH = 512


def run(name: str, params: Path) -> None:
    """Make the inputs of a student or teacher: tokens, maps, labels, identities of its caches."""
    settings = load(params)
    if name in settings.teachers:
        _bind_teacher(settings, name, settings.teachers[name])
    else:
        _bind_student(settings, name, entry(settings.students, name, "students"))


def _bind_student(settings: Params, name: str, student: Student) -> None:
    heads = settings.head_tasks(name)
    sources = [
        Source(
            phase_number,
            number,
            PASSAGES / source.dataset,
            source.split,
            _targets(source, phase.terms, heads),
            Share(source.rows, source.labelled, source.seed),
        )
        for phase_number, phase in enumerate(student.phases)
        for number, source in enumerate(phase.sources)
    ]
    trained = trained_on(student)
    bound = bind(
        INPUTS / name,
        name=name,
        language=_language(
            settings, trained | scored_on([*student.evaluate, *student.development]), f"students.{name}"
        ),
        tokenizer=TOKENIZERS / student.tokenizer,
        max_length=int(student.model.get("max_length", _MAX_LENGTH)),
        max_question_tokens=question_limit(settings, trained),
        sources=sources,
        evaluate=_evaluation_sets(student.evaluate, student.task),
        lost_mass_limit=settings.evaluation.lost_mass_limit,
        initial=_initial(student.model),
        task=student.task,
        classes=() if heads else student_classes(settings, name),
        heads=bound_heads(settings, name),
        code=code_of(student.trained_by),
        development=_evaluation_sets(student.development, student.task),
        max_answer_tokens=settings.evaluation.max_answer_tokens,
        null_score_diff_threshold=settings.evaluation.null_score_diff_threshold,
        free_text=settings.evaluation.free_text,
        vector=student.vector if student.task == SENTENCE else {},
        # Which rows the length limit cuts is known only now.
        check=lambda bound: check_fit(name, [phase.terms for phase in student.phases], bound, heads),
    )
    for source in bound.sources if bound else ():
        if source.left_out_rows or source.hidden_labels:
            print(f"{name}: {_share(source)}")
        for alias, targets in source.targets.items():
            lost = ", ".join(f"{side} {share:.2%}" for side, share in targets["lost"].items())
            print(f"{name}: {alias} ({targets['set']}): {source.rows:,} rows; mass lost: {lost or 'none'}")


def _share(source: BoundSource) -> str:
    labels = source.gold_rows + source.hidden_labels
    return (
        f"{source.name}: {source.rows:,} of {source.rows + source.left_out_rows:,} rows, "
        f"{source.gold_rows:,} of {labels:,} gold labels among these"
    )


def _bind_teacher(settings: Params, name: str, teacher: Teacher) -> None:
    datasets = read_by(settings, name, teacher)
    bind(
        INPUTS / name,
        name=name,
        language=_language(settings, datasets, f"teachers.{name}"),
        tokenizer=resolve(TEACHERS / name),
        max_length=max((settings.selection[dataset].max_tokens for dataset in datasets), default=_MAX_LENGTH),
        max_question_tokens=question_limit(settings, datasets),
        sources=[],
        evaluate=_evaluation_sets(teacher.evaluate, teacher.task),
        lost_mass_limit=settings.evaluation.lost_mass_limit,
        task=teacher.task,
        classes=teacher_classes(settings, name),
        vector=teacher.vector,
    )


def _targets(
    source: SourceEntry, terms: list[dict[str, Any]], heads: Mapping[str, str]
) -> dict[str, TargetSet | MixedSets]:
    """The target sets that terms read of a source; an alias that none of them names is not bound."""
    held = {alias: _held(targets) for alias, targets in source.targets.items() if isinstance(targets, str)}
    return {
        alias: _target(source.targets[alias], *wanted)
        for alias, wanted in needs(terms, source.name, heads, held=held).items()
    }


def _held(target: str) -> Held:
    """The fields that a target set holds, with their options."""
    return {name: field.options for name, field in load_manifest(TARGETS / target).fields.items()}


def _target(
    targets: str | MixEntry, fields: tuple[str, ...], columns: tuple[str, ...]
) -> TargetSet | MixedSets:
    if isinstance(targets, str):
        return TargetSet(TARGETS / targets, fields, columns)
    members = tuple(TargetSet(TARGETS / member, fields, columns) for member in targets.members)
    return MixedSets(members, Mix.of(targets.mean, len(members), targets.weights))


def _initial(model: dict[str, Any]) -> Callable[[Path], None] | None:
    """What writes the first weights of a student that starts from a teacher's layers, or its words."""
    if model.get("init_from") is None:
        return None
    from pipeline.models.layers import extract_layers

    layers = model.get("layers") or list(range(model.get("num_hidden_layers", 0)))
    start = Path(model["init_from"])
    # A name on the hub is no folder here, and a teacher that is not there yet has a stage to run.
    is_here = start.is_dir() or start.parent == TEACHERS
    teacher = resolve(start) if is_here else local_folder(str(start))
    return partial(extract_layers, teacher, layers)


def _evaluation_sets(evaluate: list[str], task: str) -> list[EvaluationSet]:
    parts = (name.split(".") for name in evaluate)
    return [
        EvaluationSet(PASSAGES / dataset, split, _told_apart(dataset) if task == SENTENCE else ())
        for dataset, split in parts
    ]


def _told_apart(dataset: str) -> tuple[str, ...]:
    """The two classes of a data set of pairs, the second of which is that of texts that are alike."""
    classes = dataset_classes(dataset)
    if len(classes) not in (0, 2):
        raise ParamsError(
            f"data set {dataset}",
            expected="two classes, which a cosine tells apart, or numbers",
            got=", ".join(classes),
            remedy="evaluate an encoder on another data set, or train it for this task",
        )
    return classes


def _language(settings: Params, datasets: set[str], path: str) -> str:
    languages = {settings.datasets[dataset].language for dataset in datasets}
    if len(languages) != 1:
        raise ParamsError(
            path,
            expected="data sets of one language",
            got=", ".join(sorted(languages)) or "no data set",
            remedy="train and evaluate on data sets of one language",
        )
    return languages.pop()


if __name__ == "__main__":
    start("bind", run)
