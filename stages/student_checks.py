"""What is wrong with students of params.yaml: their phases, sources and terms, and what these read."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.objectives.declarations import END_ROWS, NULL_ANSWER
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import Held
from pipeline.objectives.needs import reads_source
from pipeline.objectives.problems import phase_problems, term_problems
from pipeline.tasks import PASSAGE_READERS
from pipeline.training.arguments import training_problems
from stages import matches, two_step
from stages.model_checks import model_source_problems
from stages.problem import (
    Problem,
    evaluation_set_problems,
    known_problems,
    mix_problems,
    set_problems,
    split_problems,
    teachers_behind,
)
from stages.sections import Mix, Phase, Student, head_tasks, sets_of


def student_problems(
    key: str, student: Student, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    """What is wrong with one student."""
    path = f"students.{key}"
    yield from model_source_problems(student.model, f"{path}.model", teacher=False)
    yield from known_problems(student.tokenizer, names["tokenizers"], f"{path}.tokenizer", "tokenizer")
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
    yield from evaluation_set_problems(student.evaluate, f"{path}.evaluate", read, names)


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


def warm_start_problems(
    key: str, given: str, read: dict[str, Any], names: dict[str, set[str]]
) -> Iterator[Problem]:
    """What is wrong with a student that starts from the one called `given`."""
    path = f"warm_starts.{key}"
    yield from known_problems(key, names["students"], path, "student")
    yield from known_problems(given, names["students"], f"{path}.student", "student")
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
            target
            for source in phase.sources
            for alias, targets in source.targets.items()
            if alias in aliases
            for target in sets_of(targets)
        ]
        models = [(name, teacher.model) for name, teacher in teachers_behind(sets, read).items()]
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
        yield from split_problems(source.dataset, source.split, where, read, names)
        for alias, targets in source.targets.items():
            at = f"{where}.targets.{alias}"
            if "/" in alias:
                yield Problem(at, "an alias holds no '/': members of a mix are named so")
            if isinstance(targets, Mix):
                yield from mix_problems(targets, at, source.dataset, [source.split], read, sets, known)
            else:
                yield from set_problems(targets, at, source.dataset, [source.split], sets, known)
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
        yield from evaluation_set_problems([watched], f"{path}.training.eval_set", read, names)


def _term(
    term: Mapping[str, Any], phase: Phase, path: str, read: dict[str, Any], heads: Mapping[str, str]
) -> Iterator[Problem]:
    problems = term_problems(term, heads)
    yield from (Problem(path, text) for text in problems)
    if problems:
        return
    names = [source.name for source in phase.sources]
    for name in term.get("sources", ()):
        yield from known_problems(name, names, f"{path}.sources", "source")
    for single in expanded([term], heads):
        if "from" in single:
            yield from _alias(single["from"], single, phase, path, read)


def _alias(
    alias: str, term: Mapping[str, Any], phase: Phase, path: str, read: dict[str, Any]
) -> Iterator[Problem]:
    """What is wrong with the alias that a term reads, of the sources whose rows it counts."""
    yield from known_problems(
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
                for teacher in teachers_behind([target], read).values():
                    problems = matches.term_problems(single, student, teacher, read["tokenizers"], held, mean)
                    yield from (Problem(f"{path}.terms.{number}", text) for text in problems)


def _kind_of_mix(targets: str | Mix) -> tuple[Any, ...] | None:
    if isinstance(targets, str):
        return None
    return targets.mean, len(targets.members), tuple(targets.weights or ())
