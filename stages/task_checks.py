"""What is wrong between the tasks of data sets, teachers, target sets and students."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.objectives.declarations import DECLARATIONS, GOLD
from pipeline.objectives.needs import is_headless, reads_source
from pipeline.registry import did_you_mean
from pipeline.tasks import SENTENCE, SPAN, TASKS

# Sentences are chosen for a question, and not in texts that are labelled as a whole.
_SELECTED = (SPAN, "relevance")
# Heads of these can be averaged, and score the second of two classes.
_SCORED = {"classification", "relevance"}
# The loss of such a score.
_SCORE = "soft_score_mse"
# What two texts are said to be: how much alike, or whether. Text without labels is read and not scored.
_COMPARED = {"classification", "regression", "relevance", SENTENCE}
_LOGITS = {task.field for task in TASKS.values() if task.gold_loss is not None}

Found = Iterator[tuple[str, str]]


def task_problems(read: Mapping[str, Mapping[str, Any]]) -> Found:
    """Paths and sentences, over all entries that could be read; names of nothing are told elsewhere."""
    datasets, teachers = read["datasets"], read["teachers"]
    for key, dataset in datasets.items():
        yield from _unknown(f"datasets.{key}.task", dataset.task)
    for key, selection in read["selection"].items():
        task = datasets[key].task if key in datasets else SPAN
        if selection.method == "windows" and task != SPAN:
            yield (
                f"selection.{key}.method",
                f"'windows' are read for an answer in one of them, and task {task!r} has none; write 'none'",
            )
        if selection.method == "tfidf" and task not in _SELECTED:
            yield (
                f"selection.{key}.method",
                f"'tfidf' selects for a question, and task {task!r} has none; write 'method: none'",
            )
    for key, teacher in teachers.items():
        yield from _unknown(f"teachers.{key}.task", teacher.task)
        if teacher.train is not None and teacher.task in TASKS and TASKS[teacher.task].gold_loss is None:
            yield f"teachers.{key}.train", f"task {teacher.task!r} has no labels to learn; leave it out"
        named = [f"{teacher.train.dataset}."] if teacher.train is not None else []
        yield from _differing(datasets, named, teacher.task, f"teachers.{key}")
        yield from _unscored(datasets, teacher.evaluate, teacher.task, f"teachers.{key}")
        if teacher.pooling != "first" and teacher.task != SENTENCE:
            yield f"teachers.{key}.pooling", f"task {teacher.task!r} has no vectors; leave it out"
    for key, targets in read["targets"].items():
        held = teachers.get(targets.teacher)
        own = TASKS[held.task].field if held is not None and held.task in TASKS else None
        for field in _LOGITS & targets.fields.keys():
            if held is not None and own is not None and field != own:
                yield (
                    f"targets.{key}.fields",
                    f"teacher {targets.teacher!r} of task {held.task!r} gives {own!r}, not {field!r}",
                )
    for key, student in read["students"].items():
        yield from _student(key, student, datasets)


def _student(key: str, student: Any, datasets: Mapping[str, Any]) -> Found:
    path = f"students.{key}"
    if student.heads:
        yield from _heads(student, datasets, path)
        return
    terms = [term for phase in student.phases for term in phase.terms]
    tasks = {str(term.get("student", SPAN)) for term in terms if not is_headless(term)}
    if not tasks <= TASKS.keys():
        return  # said of the terms
    if len(tasks) > 1:
        found = ", ".join(sorted(tasks))
        yield f"{path}.phases", f"expected terms about one task; got {found}; several need model.heads"
        return
    labelled = [
        f"{source.dataset}."
        for phase in student.phases
        if any(term.get("loss") == GOLD for term in phase.terms)
        for source in phase.sources
    ]
    yield from _differing(datasets, labelled, student.task, path)
    yield from _unscored(datasets, [*student.evaluate, *student.development], student.task, path)


def _heads(student: Any, datasets: Mapping[str, Any], path: str) -> Found:
    """What is wrong with a student of several heads, and with the terms and sets that they are for."""
    for name, head in student.heads.items():
        where = f"{path}.model.heads.{name}"
        for dataset in head.datasets:
            if dataset not in datasets:
                yield f"{where}.datasets", f"unknown data set {dataset!r}; {did_you_mean(dataset, datasets)}"
        tasks = sorted({datasets[dataset].task for dataset in head.datasets if dataset in datasets})
        if len(tasks) > 1:
            yield f"{where}.datasets", f"expected data sets of one task; got {', '.join(tasks)}"
        if head.outputs is not None and not set(tasks) <= _SCORED:
            yield f"{where}.outputs", f"a score is of two classes; leave it out for task {tasks[0]!r}"
    taught = set()
    for number, phase in enumerate(student.phases):
        for place, term in enumerate(phase.terms):
            named = term.get("student")
            for name in named if isinstance(named, list) else [named]:
                where = f"{path}.phases.{number}.terms.{place}"
                taught.add(name)
                yield from _foreign_rows(name, term, phase, student, where)
                yield from _not_of_scores(name, term, student, where)
        tasks = sorted({datasets[s.dataset].task for s in phase.sources if s.dataset in datasets})
        if len(tasks) > 1 and phase.tau is None:
            yield (
                f"{path}.phases.{number}.mixing",
                f"tasks {', '.join(tasks)} share no batch: draw them, 'mixing: {{tau: 1.0}}'",
            )
    for name in student.heads.keys() - taught:
        yield f"{path}.model.heads.{name}", "no term teaches it; leave it out"
    evaluated = [*student.evaluate, *student.development]
    for dataset in dict.fromkeys(name.split(".")[0] for name in evaluated):
        answering = [name for name, head in student.heads.items() if dataset in head.datasets]
        if not answering:
            yield (
                f"{path}.evaluate",
                f"no head is about data set {dataset!r}; name it among a head's datasets",
            )
        elif len(answering) > 1 and dataset in datasets and datasets[dataset].task not in _SCORED:
            several = " and ".join(answering)
            yield f"{path}.model.heads", f"{several} answer for {dataset!r}, whose task has no mean"


def _not_of_scores(name: Any, term: Mapping[str, Any], student: Any, path: str) -> Found:
    """A term of all classes for a head that has one output for two of them."""
    head, loss = student.heads.get(name), str(term.get("loss"))
    if head is not None and head.outputs is not None and loss in DECLARATIONS and loss != _SCORE:
        yield path, f"head {name!r} has one output, a score, which {_SCORE!r} teaches; got {loss!r}"


def _foreign_rows(name: Any, term: Mapping[str, Any], phase: Any, student: Any, path: str) -> Found:
    """The source whose rows a term counts for a head that is about other data sets."""
    head = student.heads.get(name)
    counted = [source for source in phase.sources if reads_source(term, source.name)]
    own = [source.name for source in counted if head is not None and source.dataset in head.datasets]
    if head is not None and len(own) < len(counted):
        foreign = next(source.name for source in counted if source.name not in own)
        remedy = f"write 'sources: [{', '.join(own)}]'" if own else "name its data set there"
        yield path, f"head {name!r} is about {', '.join(head.datasets)}, not {foreign}; {remedy}"


def _differing(datasets: Mapping[str, Any], sets: list[str], task: str, path: str) -> Found:
    """The data sets that a model of `task` learns from, or is scored on, and that are of another one."""
    for dataset in dict.fromkeys(name.split(".")[0] for name in sets):
        found = datasets[dataset].task if dataset in datasets else task
        if found != task and {found, task} <= TASKS.keys():
            yield path, f"task {task!r}, but data set {dataset!r} is of task {found!r}"


def _unscored(datasets: Mapping[str, Any], sets: list[str], task: str, path: str) -> Found:
    """The data sets that a model of `task` cannot be scored on; vectors are scored on pairs of texts."""
    if task != SENTENCE:
        yield from _differing(datasets, sets, task, path)
        return
    for dataset in dict.fromkeys(name.split(".")[0] for name in sets):
        found = datasets[dataset].task if dataset in datasets else task
        if found in TASKS and found not in _COMPARED:
            yield (
                path,
                f"vectors are scored on {', '.join(sorted(_COMPARED))}, not on {dataset!r}, of {found!r}",
            )


def _unknown(path: str, task: str) -> Found:
    if task not in TASKS:
        yield path, f"unknown task {task!r}; {did_you_mean(task, TASKS)}"
