"""What is wrong between the entries of params.yaml: names that nothing bears, fields that no cache holds."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from pipeline.augmentation import AUGMENTERS
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.row import BOTH, FIRST
from pipeline.cache import BACKENDS
from pipeline.cache.fields import FIELDS, field_problems, is_field
from pipeline.cache.mix import MEAN_LOGITS, MEAN_PROBABILITIES
from pipeline.datasets import READERS
from pipeline.errors import ParamsError
from pipeline.objectives.declarations import END_ROWS, NULL_ANSWER
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import Held
from pipeline.objectives.needs import reads_source
from pipeline.objectives.problems import phase_problems, term_problems
from pipeline.registry import Table, did_you_mean, is_path
from pipeline.selection import SELECTORS
from pipeline.tasks import PASSAGE_READERS, SENTENCE, SPAN, TASKS
from pipeline.training.arguments import training_problems
from stages import matches, two_step
from stages.label_checks import label_problems
from stages.mixes import differing_tokens, merged_field_problems, tokens_problem, weight_problems
from stages.sections import (
    Augmentation,
    Dataset,
    Ensemble,
    Evaluation,
    Merge,
    Mix,
    Phase,
    Selection,
    Student,
    TargetSet,
    Teacher,
    head_tasks,
    sets_of,
)
from stages.task_checks import task_problems


@dataclass(frozen=True)
class Problem:
    """One thing wrong in params.yaml."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"  {self.path}: {self.text}"


def reference_problems(read: dict[str, Any], names: dict[str, set[str]]) -> Iterator[Problem]:
    """What is wrong between entries: names that nothing bears, fields that no cache holds."""
    for key, dataset in read["datasets"].items():
        if key not in names["augmentations"]:
            yield from _options(READERS, dataset.reader, dataset.options, f"datasets.{key}")
        if key not in names["selection"]:
            yield Problem("selection", f"data set {key!r} has no entry; write how its contexts are shortened")
    for key, augmentation in read["augmentations"].items():
        yield from _augmentation(key, augmentation, read, names)
    for key, selection in read["selection"].items():
        yield from _known(key, names["datasets"], f"selection.{key}", "data set")
        yield from _selection(selection, f"selection.{key}")
    for key, teacher in read["teachers"].items():
        yield from _teacher(key, teacher, read, names)
    for key, targets in read["targets"].items():
        yield from _targets(key, targets, read, names)
    for key, merge in read["merges"].items():
        yield from _merge(key, merge, read, names)
    for key, tokenizer in read["tokenizers"].items():
        for dataset in tokenizer.text:
            yield from _known(dataset, names["datasets"], f"tokenizers.{key}.text", "data set")
        if tokenizer.kind == "pretrained" and not tokenizer.from_:
            yield Problem(f"tokenizers.{key}.from", "a pretrained tokenizer needs the folder it comes from")
        if tokenizer.kind == "pretrained" and tokenizer.cls_token:
            yield Problem(f"tokenizers.{key}.cls_token", "a pretrained tokenizer has its own; leave it out")
        if tokenizer.kind != "pretrained" and not tokenizer.text:
            yield Problem(f"tokenizers.{key}.text", "name the data sets whose text it is built from")
    for section in ("teachers", "students"):
        for key, model in read[section].items():
            yield from _cls_token(model, read["tokenizers"], f"{section}.{key}.tokenizer")
    for key, student in read["students"].items():
        yield from _student(key, student, read, names)
    for key, start in read["warm_starts"].items():
        yield from _warm_start(key, start.student, read, names)
    yield from (Problem(path, text) for path, text in task_problems(read))
    for key, ensemble in read["ensembles"].items():
        yield from _ensemble(key, ensemble, read, names)
    yield from (Problem(path, text) for path, text in label_problems(read))
    for key in sorted(names["students"] & names["teachers"]):
        yield Problem(f"students.{key}", "a teacher has this name too; their folders would be the same")


def _ensemble(
    key: str, ensemble: Ensemble, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"ensembles.{key}"
    readers = {**read["teachers"], **read["students"]}
    if key in names["students"] | names["teachers"]:
        yield Problem(path, "a student or teacher has this name too; their folders would be the same")
    for number, member in enumerate(ensemble.mean_probabilities):
        where = f"{path}.mean_probabilities.{number}"
        yield from _known(member, names["students"] | names["teachers"], where, "student or teacher")
        if member in ensemble.mean_probabilities[:number]:
            yield Problem(where, f"{member!r} is named twice; give it a weight instead")
        if member in readers and readers[member].task == SENTENCE:
            yield Problem(where, f"{member!r} is an encoder without a head, and has no probabilities")
        for evaluated in ensemble.evaluate if member in readers else ():
            if evaluated not in readers[member].evaluate:
                yield Problem(
                    f"{path}.evaluate", f"{member!r} is not scored on {evaluated}; add it to its evaluate"
                )
    if ensemble.weights is not None:
        for text in weight_problems(ensemble.weights, len(ensemble.mean_probabilities)):
            yield Problem(f"{path}.weights", text)
    yield from _evaluation_sets(ensemble.evaluate, f"{path}.evaluate", read, names)
    tasks = {
        name: read["datasets"][name.split(".")[0]].task
        for name in ensemble.evaluate
        if name.split(".")[0] in read["datasets"]
    }
    named = [(member, readers[member]) for member in ensemble.mean_probabilities if member in readers]
    for name in ensemble.evaluate:
        dataset = read["datasets"].get(name.split(".")[0])
        if dataset is not None and dataset.keep_impossible:
            yield Problem(f"{path}.evaluate", f"questions of {name} may have no answer, which has no mean")
    if SPAN in tasks.values() and (differing := differing_tokens(named, read["tokenizers"])):
        yield Problem(
            f"{path}.mean_probabilities",
            f"{' and '.join(map(repr, differing))} have different tokenizers, so their spans have no mean",
        )


def free_text_problems(
    evaluation: Evaluation, datasets: Mapping[str, Dataset], names: set[str]
) -> Iterator[Problem]:
    """What is wrong with the data sets that are said to have answers in free text."""
    for name in evaluation.free_text:
        yield from _known(name, names, "evaluation.free_text", "data set")
        if name in datasets and datasets[name].task != SPAN:
            yield Problem(
                "evaluation.free_text", f"data set {name!r} is of task {datasets[name].task!r}, not {SPAN!r}"
            )


def _cls_token(model: Teacher | Student, tokenizers: Mapping[str, Any], path: str) -> Iterator[Problem]:
    architecture, tokenizer = model.model.get("architecture"), tokenizers.get(model.tokenizer or "")
    if architecture in PASSAGE_READERS and tokenizer is not None and tokenizer.cls_token:
        yield Problem(
            path, f"{architecture!r} would read [CLS] as a word of the question; leave cls_token out"
        )


def _known(name: str, known: Any, path: str, kind: str) -> Iterator[Problem]:
    if name not in known:
        yield Problem(path, f"unknown {kind} {name!r}; {did_you_mean(name, known)}")


def _options(table: Table, name: str, options: Mapping[str, Any], path: str) -> Iterator[Problem]:
    problem = table.name_problem(name)
    problems = [problem] if problem else table.option_problems(name, options)
    yield from (Problem(path, text) for text in problems)


def _augmentation(
    key: str, augmentation: Augmentation, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path, dataset = f"augmentations.{key}", augmentation.dataset
    if dataset in names["augmentations"]:
        yield Problem(f"{path}.dataset", f"{dataset!r} is made itself; name what it is made of")
    for split in augmentation.splits:
        yield from _split(dataset, split, path, read, names)
    source = read["datasets"].get(dataset)
    if source is not None and source.task == SPAN and augmentation.sides in (FIRST, BOTH):
        yield Problem(f"{path}.sides", "a question that has answers stays as it is; leave it out")
    problems = list(_options(AUGMENTERS, augmentation.method, augmentation.options, path))
    yield from problems
    if not problems and not is_path(augmentation.method):
        # The options of those built in are checked where they are used: on no words too.
        try:
            AUGMENTERS.load(augmentation.method)([], Random(0), Corpus([], "en"), **augmentation.options)
        except ParamsError as error:
            yield Problem(f"{path}.options.{error.where}", f"expected {error.expected}; got {error.got}")


def _selection(selection: Selection, path: str) -> Iterator[Problem]:
    if not is_path(selection.method):  # the options of those built in stand in `Selection`
        yield from _known(selection.method, SELECTORS.entries, f"{path}.method", "selector")
        if selection.options:
            yield Problem(f"{path}.options", "expected none but for a method of your own")
        if selection.method not in SELECTORS.entries:
            return
    given = selection.model_dump(exclude={"method", "options"}, exclude_unset=True)
    yield from _options(SELECTORS, selection.method, {**given, **selection.options}, path)


def _teacher(
    key: str, teacher: Teacher, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"teachers.{key}"
    yield from _model(teacher.model, f"{path}.model", teacher=True)
    if "from" not in teacher.model:
        if teacher.train is None:
            yield Problem(f"{path}.train", "a fresh model must be trained; name a data set")
        if teacher.tokenizer is None:
            yield Problem(f"{path}.tokenizer", "a fresh model needs an entry of tokenizers")
    if teacher.tokenizer is not None:
        yield from _known(teacher.tokenizer, names["tokenizers"], f"{path}.tokenizer", "tokenizer")
    if teacher.train is not None:
        yield from _split(teacher.train.dataset, teacher.train.split, f"{path}.train", read, names)
        problems = training_problems(teacher.train.arguments)
        yield from (Problem(f"{path}.train", text) for text in problems)
    yield from _evaluation_sets(teacher.evaluate, f"{path}.evaluate", read, names)


def _targets(
    key: str, targets: TargetSet, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"targets.{key}"
    yield from _known(targets.teacher, names["teachers"], f"{path}.teacher", "teacher")
    yield from _known(targets.backend, BACKENDS.names(), f"{path}.backend", "backend")
    if targets.shard_rows is not None and targets.shard_rows.bit_count() != 1:
        yield Problem(f"{path}.shard_rows", f"expected a power of two; got {targets.shard_rows}")
    for split in targets.splits:
        yield from _split(targets.dataset, split, path, read, names)
    yield from _fields(targets.fields, path)
    if targets.teacher in read["teachers"]:
        shape = matches.shape_of(read["teachers"][targets.teacher].model, f"teacher {targets.teacher!r}")
        for field, text in matches.layer_problems(targets.fields, shape):
            yield Problem(f"{path}.fields.{field}", text)
        problems = two_step.field_problems(
            targets.fields, targets.teacher, read["teachers"][targets.teacher].model
        )
        yield from (Problem(f"{path}.fields", text) for text in problems)


def _merge(key: str, merge: Merge, read: dict[str, Any], names: dict[str, set[str]]) -> Iterator[Problem]:
    path = f"merges.{key}"
    yield from _known(merge.backend, BACKENDS.names(), f"{path}.backend", "backend")
    if key in names["targets"]:
        yield Problem(path, "an entry of targets has this name too; their folders would be the same")
    for split in merge.splits:
        yield from _split(merge.dataset, split, path, read, names)
    yield from _fields(merge.fields, path)
    for member in merge.members:
        if member in names["merges"] - names["targets"]:
            yield Problem(f"{path}.{merge.mean}", f"{member!r} is a merge itself; name its members instead")
    known = names["targets"] | names["merges"]
    yield from _mix(merge, path, merge.dataset, merge.splits, read, read["targets"], known)
    held = {name: read["targets"][name].fields for name in merge.members if name in read["targets"]}
    for field, options in merge.fields.items():
        problems = merged_field_problems(field, options, held)
        yield from (Problem(f"{path}.fields.{field}", text) for text in problems)


def _mix(
    mix: Mix,
    path: str,
    dataset: str,
    splits: list[str],
    read: dict[str, Any],
    sets: Mapping[str, Any],
    known: set[str],
) -> Iterator[Problem]:
    """What is wrong with a mix of `sets` that is to hold `splits` of a data set."""
    if (mix.mean_logits is None) == (mix.mean_probabilities is None):
        yield Problem(path, f"expected one of {MEAN_LOGITS} and {MEAN_PROBABILITIES}; got both or neither")
        return
    where = f"{path}.{mix.mean}"
    if len(mix.members) < 2:
        yield Problem(where, f"expected two target sets or more; got {mix.members}; one needs no mean")
    for number, member in enumerate(mix.members):
        yield from _set(member, f"{where}.{number}", dataset, splits, sets, known)
    if mix.weights is not None:
        for text in weight_problems(mix.weights, len(mix.members)):
            yield Problem(f"{path}.weights", text)
    teachers = {
        read["targets"][name].teacher: None
        for member in mix.members
        for name in (read["merges"][member].members if member in read["merges"] else [member])
        if name in read["targets"]
    }
    problem = tokens_problem(
        [(name, read["teachers"][name]) for name in teachers if name in read["teachers"]],
        read["tokenizers"],
        merged=isinstance(mix, Merge),
    )
    if problem is not None and (isinstance(mix, Merge) or mix.mean == MEAN_LOGITS):
        yield Problem(where, problem)


def _set(
    target: str, path: str, dataset: str, splits: list[str], sets: Mapping[str, Any], known: set[str]
) -> Iterator[Problem]:
    """What is wrong with a target set that is to hold `splits` of a data set."""
    yield from _known(target, known, path, "target set")
    held = sets.get(target)
    if held is not None and (held.dataset != dataset or not {*splits} <= {*held.splits}):
        asked = ", ".join(f"{dataset}.{split}" for split in splits)
        yield Problem(path, f"{target!r} holds {held.dataset} {held.splits}, not {asked}")


def _fields(fields: Mapping[str, Mapping[str, Any]], path: str) -> Iterator[Problem]:
    for field, options in fields.items():
        if not is_field(field):
            yield Problem(f"{path}.fields", f"unknown field {field!r}; {did_you_mean(field, FIELDS)}")
        else:
            yield from (Problem(f"{path}.fields.{field}", text) for text in field_problems(field, options))


def _student(
    key: str, student: Student, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"students.{key}"
    yield from _model(student.model, f"{path}.model", teacher=False)
    yield from _known(student.tokenizer, names["tokenizers"], f"{path}.tokenizer", "tokenizer")
    called = Counter(phase.name or str(number) for number, phase in enumerate(student.phases))
    for number, phase in enumerate(student.phases):
        if called[phase.name or str(number)] > 1:
            yield Problem(f"{path}.phases.{number}.name", f"two phases are called {phase.name or number!r}")
    heads = head_tasks(student, read["datasets"])
    for number, phase in enumerate(student.phases):
        yield from _phase(phase, f"{path}.phases.{number}", read, names, heads)
        yield from _ends(phase, student.model, f"{path}.phases.{number}", read)
        yield from _null_answers(phase, student, f"{path}.phases.{number}", read)
        yield from _fit(student, phase, f"{path}.phases.{number}", read)
    yield from _evaluation_sets(student.evaluate, f"{path}.evaluate", read, names)


def _null_answers(phase: Phase, student: Student, path: str, read: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong where a student that cannot say so is to learn that there is no answer."""
    architecture, tokenizer = student.model.get("architecture"), read["tokenizers"].get(student.tokenizer)
    if architecture in PASSAGE_READERS:
        reason = f"a {architecture!r} has logits of the passage alone"
    elif tokenizer is not None and tokenizer.kind != "pretrained" and not tokenizer.cls_token:
        reason = f"tokenizer {student.tokenizer!r} puts no special token before the question"
    else:
        return
    for number, term in enumerate(phase.terms):
        if term.get(NULL_ANSWER):
            yield Problem(
                f"{path}.terms.{number}.{NULL_ANSWER}",
                f"{reason}, where no answer could be said; use a 'bert' and a tokenizer with cls_token",
            )


def _warm_start(key: str, given: str, read: dict[str, Any], names: dict[str, set[str]]) -> Iterator[Problem]:
    """What is wrong with a student that starts from the one called `given`."""
    path = f"warm_starts.{key}"
    yield from _known(key, names["students"], path, "student")
    yield from _known(given, names["students"], f"{path}.student", "student")
    before, seen = given, {key}
    while before not in seen and before in read["warm_starts"]:
        seen.add(before)
        before = read["warm_starts"][before].student
    if before in seen:
        yield Problem(f"{path}.student", f"{key!r} would start from itself")
    students = [read["students"][name] for name in (key, given) if name in read["students"]]
    if len({student.tokenizer for student in students}) > 1:
        yield Problem(path, f"expected the tokenizer of {given!r}: its weights are about these tokens")
    if len({student.model.get("architecture") for student in students}) > 1:
        yield Problem(path, f"expected the architecture of {given!r}, whose weights it starts from")
    if students and key in read["students"] and read["students"][key].model.get("init_from") is not None:
        yield Problem(f"students.{key}.model.init_from", f"it starts from {given!r}; leave one of them out")


def _ends(phase: Phase, model: dict[str, Any], path: str, read: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the ends that a two-step student is to follow."""
    for number, term in enumerate(phase.terms):
        if term_problems(term) or "heads" in model:
            continue
        aliases = {single.get("from") for single in expanded([term])}
        sets = [
            name
            for source in phase.sources
            for alias, targets in source.targets.items()
            if alias in aliases
            for target in sets_of(targets)
            for name in (read["merges"][target].members if target in read["merges"] else [target])
        ]
        teachers = dict.fromkeys(read["targets"][name].teacher for name in sets if name in read["targets"])
        models = [(name, read["teachers"][name].model) for name in teachers if name in read["teachers"]]
        if problem := two_step.term_problem(expanded([term])[0], model, models):
            yield Problem(f"{path}.terms.{number}", problem)
        if term.get(END_ROWS) and any(source.labelled is not None for source in phase.sources):
            yield Problem(
                f"{path}.terms.{number}",
                f"'{END_ROWS}' are given the gold starts, which 'labelled' hides; write 'rows' instead",
            )


def _phase(
    phase: Phase, path: str, read: dict[str, Any], names: dict[str, set[str]], heads: Mapping[str, str]
) -> Iterator[Problem]:
    sets, known = read["targets"] | read["merges"], names["targets"] | names["merges"]
    for number, source in enumerate(phase.sources):
        where = f"{path}.sources.{number}"
        yield from _split(source.dataset, source.split, where, read, names)
        for alias, targets in source.targets.items():
            at = f"{where}.targets.{alias}"
            if "/" in alias:
                yield Problem(at, "an alias holds no '/': members of a mix are named so")
            if isinstance(targets, Mix):
                yield from _mix(targets, at, source.dataset, [source.split], read, sets, known)
            else:
                yield from _set(targets, at, source.dataset, [source.split], sets, known)
    for number, term in enumerate(phase.terms):
        yield from _term(term, phase, f"{path}.terms.{number}", read, heads)
    if not any(term_problems(term, heads) for term in phase.terms):
        yield from (Problem(f"{path}.terms", text) for text in phase_problems(phase.terms, heads))
        if not any(term.get("weight", 1.0) for term in phase.terms):
            yield Problem(f"{path}.terms", "all weights are 0: nothing would be learnt")
        for number, source in enumerate(phase.sources):
            if not any(reads_source(term, source.name) for term in phase.terms):
                yield Problem(f"{path}.sources.{number}", "no term counts its rows; leave it out")
    yield from (Problem(f"{path}.training", text) for text in training_problems(phase.training))
    watched = phase.training.get("eval_set")
    if isinstance(watched, str):
        yield from _evaluation_sets([watched], f"{path}.training.eval_set", read, names)


def _term(
    term: Mapping[str, Any], phase: Phase, path: str, read: dict[str, Any], heads: Mapping[str, str]
) -> Iterator[Problem]:
    problems = term_problems(term, heads)
    yield from (Problem(path, text) for text in problems)
    if problems:
        return
    names = [source.name for source in phase.sources]
    for name in term.get("sources", ()):
        yield from _known(name, names, f"{path}.sources", "source")
    for single in expanded([term], heads):
        if "from" in single:
            yield from _alias(single["from"], single, phase, path, read)


def _alias(
    alias: str, term: Mapping[str, Any], phase: Phase, path: str, read: dict[str, Any]
) -> Iterator[Problem]:
    """What is wrong with the alias that a term reads, of the sources whose rows it counts."""
    yield from _known(
        alias, {name for source in phase.sources for name in source.targets}, f"{path}.from", "target alias"
    )
    counted = [source for source in phase.sources if reads_source(term, source.name)]
    holding = [source for source in counted if alias in source.targets]
    if holding and len(holding) < len(counted):
        lacking = next(source.name for source in counted if source not in holding)
        names = ", ".join(dict.fromkeys(source.name for source in holding))
        yield Problem(
            path, f"source {lacking} has no target {alias!r}; name one there, or write 'sources: [{names}]'"
        )
    if len({_kind_of_mix(source.targets[alias]) for source in holding}) > 1:
        yield Problem(
            f"{path}.from",
            f"{alias!r} must be one target set in each source, or everywhere the same mean of as many with "
            "the same weights; give the others an alias of their own, and a term that names it",
        )
    for target in dict.fromkeys(name for source in holding for name in sets_of(source.targets[alias])):
        section = "targets" if target in read["targets"] else "merges"
        held = read[section].get(target)
        if held is not None and (known := _held(target, read)) is not None:
            problem = matches.field_problem(term, known, f"{section}.{target}.fields")
            yield from [Problem(path, problem)] if problem else []


def _held(target: str, read: dict[str, Any]) -> Held | None:
    """The fields that a target set or a merge holds, one a layer, as far as params say it."""
    if target in read["merges"]:
        return dict(read["merges"][target].fields)
    entry = read["targets"][target]
    teacher = read["teachers"].get(entry.teacher)
    return matches.held_fields(entry.fields, teacher and matches.shape_of(teacher.model, "the teacher"))


def _fit(student: Student, phase: Phase, path: str, read: dict[str, Any]) -> Iterator[Problem]:
    """Where terms do not fit the student, its tokens, or its teachers."""
    heads = head_tasks(student, read["datasets"])
    for number, term in enumerate(phase.terms):
        singles = [] if term_problems(term, heads) else expanded([term], heads)
        for single, source in itertools.product(singles, phase.sources):
            targets = source.targets.get(str(single.get("from")))
            if targets is None or not reads_source(single, source.name):
                continue
            mean = None if isinstance(targets, str) else targets.mean
            for target in sets_of(targets):
                held = _held(target, read) if target in read["targets"] | read["merges"] else None
                for teacher in _teachers_behind(target, read):
                    problems = matches.term_problems(single, student, teacher, read["tokenizers"], held, mean)
                    yield from (Problem(f"{path}.terms.{number}", text) for text in problems)


def _teachers_behind(target: str, read: dict[str, Any]) -> list[Teacher]:
    """The teachers of a target set, or of those that a merge is made of."""
    sets = read["merges"][target].members if target in read["merges"] else [target]
    names = [read["targets"][name].teacher for name in sets if name in read["targets"]]
    return [read["teachers"][name] for name in names if name in read["teachers"]]


def _kind_of_mix(targets: str | Mix) -> tuple[Any, ...] | None:
    if isinstance(targets, str):
        return None
    return targets.mean, len(targets.members), tuple(targets.weights or ())


def model_problems(read: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the options of architectures: only here is torch imported."""
    from pipeline.models import ARCHITECTURES, HEADS, takes_head
    from pipeline.models.output_map import map_problems

    tasks = {f"students.{key}": student.task for key, student in read["students"].items()}
    tasks |= {f"teachers.{key}": teacher.task for key, teacher in read["teachers"].items()}
    models = {f"students.{key}": student.model for key, student in read["students"].items()}
    models |= {f"teachers.{key}": teacher.model for key, teacher in read["teachers"].items()}
    for path, model in models.items():
        if "architecture" in model:
            options = {key: value for key, value in model.items() if key not in _NO_OPTIONS}
            architecture = str(model["architecture"])
            yield from _options(ARCHITECTURES, architecture, options, f"{path}.model")
            needs_head = tasks[path] != SPAN or "heads" in model
            if needs_head and architecture in ARCHITECTURES and not takes_head(architecture):
                yield Problem(f"{path}.model", f"{architecture!r} reads spans only, not task {tasks[path]!r}")
            able = HEADS.get(architecture)
            if able is not None and "heads" in model:
                yield Problem(f"{path}.model.heads", f"{architecture!r} has one head; use bert")
            elif able is not None and tasks[path] in TASKS and TASKS[tasks[path]].head not in able:
                yield Problem(f"{path}.model", f"{architecture!r} does not do task {tasks[path]!r}; use bert")
        if "outputs" in model:
            problems = map_problems(model["outputs"])
            yield from (Problem(f"{path}.model.outputs", text) for text in problems)


_NO_OPTIONS = {"architecture", "heads", "outputs"}


def _model(model: dict[str, Any], path: str, *, teacher: bool) -> Iterator[Problem]:
    if teacher and "from" in model:
        for key in model.keys() - {"from", "outputs"}:
            yield Problem(
                f"{path}.{key}", "a model that comes from a checkpoint takes no shape; leave it out"
            )
    elif "architecture" not in model:
        yield Problem(path, "architecture is missing; write for example 'architecture: bert'")


def _split(
    dataset: str, split: str, path: str, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    yield from _known(dataset, names["datasets"], path, "data set")
    entry = read["datasets"].get(dataset)
    if entry is not None and entry.files and split not in entry.files:
        yield Problem(path, f"unknown split {split!r} of {dataset}; {did_you_mean(split, entry.files)}")


def _evaluation_sets(
    sets: list[str], path: str, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    for name in sets:
        dataset, _, split = name.partition(".")
        yield from _split(dataset, split, path, read, names)
