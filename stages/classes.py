"""The classes of a task, as data sets name them, in the order of a model's outputs."""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.binding.inputs import BoundHead
from pipeline.cache.manifest import load_manifest
from pipeline.errors import ParamsError
from pipeline.files import read_json
from pipeline.inference.folders import resolve
from pipeline.objectives.expansion import HEAD, expanded
from pipeline.objectives.needs import reads_source
from pipeline.tasks import TASKS
from pipeline.tasks.outputs import are_numbers, output_names
from stages.folders import PASSAGES, TARGETS, TEACHERS
from stages.sections import Params, Teacher, sets_of


def dataset_classes(dataset: str) -> tuple[str, ...]:
    """The classes that stand in a data set's labels; none where it has no such labels."""
    described = read_json(PASSAGES / dataset / "dataset.json", what="the description of a data set")
    return tuple(described.get("classes") or ())


def teacher_classes(settings: Params, name: str) -> tuple[str, ...]:
    """The classes that a teacher was trained on; of a finished checkpoint those that it names.

    Of one that names none they are those of what it is evaluated on, in the same order.

    Raises:
        ParamsError: What it is evaluated on has classes that it does not name.
    """
    teacher = settings.teachers[name]
    if not TASKS[teacher.task].has_classes:
        return ()
    of_data = _of_datasets(teacher)
    if teacher.train is None:
        named = output_names(read_json(resolve(TEACHERS / name) / "config.json").get("id2label"))
        if not are_numbers(named):
            return agreed(of_data, {f"teacher {name}": named}, f"teachers.{name}")
    return next(filter(None, of_data.values()), ())


def target_classes(settings: Params, target: str) -> tuple[str, ...]:
    """The classes of a teacher as its target set holds them; the teacher itself need not be at hand.

    Where it names none they are those of what it is trained or evaluated on.
    """
    teacher = settings.teachers[settings.targets[target].teacher]
    if not TASKS[teacher.task].has_classes:
        return ()
    named = tuple(load_manifest(TARGETS / target).classes)
    return named or next(filter(None, _of_datasets(teacher).values()), ())


def _of_datasets(teacher: Teacher) -> dict[str, tuple[str, ...]]:
    """The classes of what a teacher is trained on, or else evaluated on."""
    names = [teacher.train.dataset] if teacher.train else [of.split(".")[0] for of in teacher.evaluate]
    return {f"data set {dataset}": dataset_classes(dataset) for dataset in names}


def student_classes(settings: Params, name: str) -> tuple[str, ...]:
    """The classes of a student: those of its data sets and of its target sets, which must be the same.

    A data set may lack some of them; one without labels has none.

    Raises:
        ParamsError: Teachers have other classes than the data or each other, or none are known.
    """
    student = settings.students[name]
    if not TASKS[student.task].has_classes:
        return ()
    sources = [source.dataset for phase in student.phases for source in phase.sources]
    of_data = {f"data set {dataset}": dataset_classes(dataset) for dataset in dict.fromkeys(sources)}
    return agreed(of_data, _of_targets(settings, student.sets), f"students.{name}")


def bound_heads(settings: Params, name: str) -> dict[str, BoundHead]:
    """A student's heads, with the classes that their data sets and teachers agree on.

    Raises:
        ParamsError: As of `student_classes`.
    """
    return {
        head: BoundHead(
            task=task,
            datasets=entry.datasets,
            classes=list(head_classes(settings, name, head)),
            outputs=entry.outputs,
        )
        for (head, entry), task in zip(
            settings.students[name].heads.items(), settings.head_tasks(name).values(), strict=True
        )
    }


def head_classes(settings: Params, name: str, head: str) -> tuple[str, ...]:
    """The classes of one of a student's heads: those of its data sets and of the target sets that it follows.

    Raises:
        ParamsError: As of `student_classes`.
    """
    student = settings.students[name]
    if not TASKS[settings.head_tasks(name)[head]].has_classes:
        return ()
    of_data = {f"data set {dataset}": dataset_classes(dataset) for dataset in student.heads[head].datasets}
    followed = {
        target
        for phase in student.phases
        for term in expanded(phase.terms, settings.head_tasks(name))
        if term.get(HEAD) == head and "from" in term
        for source in phase.sources
        if term["from"] in source.targets and reads_source(term, source.name)
        for target in sets_of(source.targets[term["from"]])
    }
    classes = agreed(of_data, _of_targets(settings, followed), f"students.{name}.model.heads.{head}")
    if student.heads[head].outputs is not None and len(classes) != 2:
        raise ParamsError(
            f"students.{name}.model.heads.{head}",
            expected="two classes, of which a head with one output scores the second",
            got=", ".join(classes),
            remedy="leave 'outputs' out",
        )
    return classes


def _of_targets(settings: Params, targets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    held = {name for target in targets for name in settings.read_sets(target)}
    return {f"target set {name}": target_classes(settings, name) for name in sorted(held)}


def agreed(
    of_data: Mapping[str, Sequence[str]], of_teachers: Mapping[str, Sequence[str]], where: str
) -> tuple[str, ...]:
    """The classes that all agree on: the most that are named, which each teacher must have, in this order.

    Raises:
        ParamsError: They do not agree, or name none.
    """
    known = {who: tuple(classes) for who, classes in {**of_teachers, **of_data}.items() if classes}
    largest = max(known.values(), key=len, default=())
    others = {
        who: classes
        for who, classes in known.items()
        if classes != largest and (who in of_teachers or not set(classes) <= set(largest))
    }
    if others or not largest:
        listing = "; ".join(f"{who}: {', '.join(classes)}" for who, classes in known.items())
        raise ParamsError(
            where,
            expected="data sets and teachers of the same classes",
            got=listing or "no labels at all",
            remedy="give labels the same names everywhere; a finished checkpoint has its own in config.json,"
            " as id2label",
        )
    return largest
