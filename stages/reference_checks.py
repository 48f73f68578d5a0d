"""What is wrong between the entries of params.yaml: names that nothing bears, fields that no cache holds."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from pipeline.augmentation import AUGMENTERS
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.row import BOTH, FIRST
from pipeline.cache import BACKENDS
from pipeline.datasets import READERS
from pipeline.errors import ParamsError
from pipeline.registry import is_path
from pipeline.selection import SELECTORS
from pipeline.tasks import SENTENCE, SPAN
from pipeline.training_settings import teacher_problems
from stages import matches, two_step
from stages.label_checks import label_problems
from stages.mixes import differing_tokens, merged_field_problems, weight_problems
from stages.model_checks import cls_token_problems, model_source_problems
from stages.problem import (
    Problem,
    evaluation_set_problems,
    field_name_problems,
    known_problems,
    mix_problems,
    option_problems,
    split_problems,
)
from stages.sections import Augmentation, Dataset, Ensemble, Evaluation, Merge, Selection, TargetSet, Teacher
from stages.student_checks import student_problems, warm_start_problems
from stages.task_checks import task_problems


def reference_problems(read: dict[str, Any], names: dict[str, set[str]]) -> Iterator[Problem]:
    """What is wrong between entries: names that nothing bears, fields that no cache holds."""
    for key, dataset in read["datasets"].items():
        if key not in names["augmentations"]:
            yield from option_problems(READERS, dataset.reader, dataset.options, f"datasets.{key}")
        if key not in names["selection"]:
            yield Problem("selection", f"data set {key!r} has no entry; write how its contexts are shortened")
    for key, augmentation in read["augmentations"].items():
        yield from _augmentation(key, augmentation, read, names)
    for key, selection in read["selection"].items():
        yield from known_problems(key, names["datasets"], f"selection.{key}", "data set")
        yield from _selection(selection, f"selection.{key}")
    for key, teacher in read["teachers"].items():
        yield from _teacher(key, teacher, read, names)
    for key, targets in read["targets"].items():
        yield from _targets(key, targets, read, names)
    for key, merge in read["merges"].items():
        yield from _merge(key, merge, read, names)
    for key, tokenizer in read["tokenizers"].items():
        for dataset in tokenizer.text:
            yield from known_problems(dataset, names["datasets"], f"tokenizers.{key}.text", "data set")
        if tokenizer.kind == "pretrained" and not tokenizer.from_:
            yield Problem(f"tokenizers.{key}.from", "a pretrained tokenizer needs the folder it comes from")
        if tokenizer.kind == "pretrained" and tokenizer.cls_token:
            yield Problem(f"tokenizers.{key}.cls_token", "a pretrained tokenizer has its own; leave it out")
        if tokenizer.kind != "pretrained" and not tokenizer.text:
            yield Problem(f"tokenizers.{key}.text", "name the data sets whose text it is built from")
    for section in ("teachers", "students"):
        for key, model in read[section].items():
            yield from cls_token_problems(model, read["tokenizers"], f"{section}.{key}.tokenizer")
    for key, student in read["students"].items():
        yield from student_problems(key, student, read, names)
    for key, start in read["warm_starts"].items():
        yield from warm_start_problems(key, start.student, read, names)
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
        yield from known_problems(member, names["students"] | names["teachers"], where, "student or teacher")
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
    yield from evaluation_set_problems(ensemble.evaluate, f"{path}.evaluate", read, names)
    tasks = {
        name: read["datasets"][name.split(".")[0]].task
        for name in ensemble.evaluate
        if name.split(".")[0] in read["datasets"]
    }
    named = [(member, readers[member]) for member in ensemble.mean_probabilities if member in readers]
    if SPAN in tasks.values() and (differing := differing_tokens(named, read["tokenizers"])):
        yield Problem(
            f"{path}.mean_probabilities",
            f"{' and '.join(map(repr, differing))} have different tokenizers, so their spans have no mean",
        )


def evaluation_problems(
    evaluation: Evaluation, datasets: Mapping[str, Dataset], names: set[str]
) -> Iterator[Problem]:
    """What is wrong with the data sets whose answers are said to be scored in some further way."""
    for key in ("free_text", "variants"):
        path = f"evaluation.{key}"
        for name in getattr(evaluation, key):
            yield from known_problems(name, names, path, "data set")
            if name in datasets and datasets[name].task != SPAN:
                yield Problem(path, f"data set {name!r} is of task {datasets[name].task!r}, not {SPAN!r}")


def _augmentation(
    key: str, augmentation: Augmentation, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path, dataset = f"augmentations.{key}", augmentation.dataset
    if dataset in names["augmentations"]:
        yield Problem(f"{path}.dataset", f"{dataset!r} is made itself; name what it is made of")
    for split in augmentation.splits:
        yield from split_problems(dataset, split, path, read, names)
    source = read["datasets"].get(dataset)
    if source is not None and source.task == SPAN and augmentation.sides in (FIRST, BOTH):
        yield Problem(f"{path}.sides", "a question that has answers stays as it is; leave it out")
    problems = list(option_problems(AUGMENTERS, augmentation.method, augmentation.options, path))
    yield from problems
    if not problems and not is_path(augmentation.method):
        # The options of those built in are checked where they are used: on no words too.
        try:
            AUGMENTERS.load(augmentation.method)([], Random(0), Corpus([], "en"), **augmentation.options)
        except ParamsError as error:
            yield Problem(f"{path}.options.{error.where}", f"expected {error.expected}; got {error.got}")


def _selection(selection: Selection, path: str) -> Iterator[Problem]:
    if not is_path(selection.method):  # the options of those built in stand in `Selection`
        yield from known_problems(selection.method, SELECTORS.entries, f"{path}.method", "selector")
        if selection.options:
            yield Problem(f"{path}.options", "expected none but for a method of your own")
        if selection.method not in SELECTORS.entries:
            return
    given = selection.model_dump(exclude={"method", "options"}, exclude_unset=True)
    yield from option_problems(SELECTORS, selection.method, {**given, **selection.options}, path)


def _teacher(
    key: str, teacher: Teacher, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"teachers.{key}"
    yield from model_source_problems(teacher.model, f"{path}.model", teacher=True)
    if "from" not in teacher.model:
        if teacher.train is None:
            yield Problem(f"{path}.train", "a fresh model must be trained; name a data set")
        if teacher.tokenizer is None:
            yield Problem(f"{path}.tokenizer", "a fresh model needs an entry of tokenizers")
    if teacher.tokenizer is not None:
        yield from known_problems(teacher.tokenizer, names["tokenizers"], f"{path}.tokenizer", "tokenizer")
    if teacher.train is not None:
        yield from split_problems(teacher.train.dataset, teacher.train.split, f"{path}.train", read, names)
        problems = teacher_problems(teacher.train.arguments)
        yield from (Problem(f"{path}.train", text) for text in problems)
    yield from evaluation_set_problems(teacher.evaluate, f"{path}.evaluate", read, names)


def _targets(
    key: str, targets: TargetSet, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    path = f"targets.{key}"
    yield from known_problems(targets.teacher, names["teachers"], f"{path}.teacher", "teacher")
    yield from known_problems(targets.backend, BACKENDS.names(), f"{path}.backend", "backend")
    if targets.shard_rows is not None and targets.shard_rows.bit_count() != 1:
        yield Problem(f"{path}.shard_rows", f"expected a power of two; got {targets.shard_rows}")
    for split in targets.splits:
        yield from split_problems(targets.dataset, split, path, read, names)
    yield from field_name_problems(targets.fields, path)
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
    yield from known_problems(merge.backend, BACKENDS.names(), f"{path}.backend", "backend")
    if key in names["targets"]:
        yield Problem(path, "an entry of targets has this name too; their folders would be the same")
    for split in merge.splits:
        yield from split_problems(merge.dataset, split, path, read, names)
    yield from field_name_problems(merge.fields, path)
    for member in merge.members:
        if member in names["merges"] - names["targets"]:
            yield Problem(f"{path}.{merge.mean}", f"{member!r} is a merge itself; name its members instead")
    known = names["targets"] | names["merges"]
    yield from mix_problems(merge, path, merge.dataset, merge.splits, read, read["targets"], known)
    held = {name: read["targets"][name].fields for name in merge.members if name in read["targets"]}
    for field, options in merge.fields.items():
        problems = merged_field_problems(field, options, held)
        yield from (Problem(f"{path}.fields.{field}", text) for text in problems)
