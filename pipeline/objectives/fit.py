"""Whether terms fit what their teacher has said, and their student and teacher each other. Needs no torch."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pipeline.binding.inputs import BoundSource
from pipeline.cache.settle import TeacherShape
from pipeline.errors import ParamsError
from pipeline.objectives.declarations import MATCH, declaration_of
from pipeline.objectives.expansion import expanded
from pipeline.objectives.matches import MATCHES, Held, layers_of, needs_equal_tokens
from pipeline.objectives.needs import fields_of, reads_source
from pipeline.tasks import SPAN

# Losses of raw logits, class by class, which a span has a token each.
_RAW = ("kd_bce", "kd_mse")


def check_fit(
    name: str,
    phases: Sequence[Sequence[Mapping[str, Any]]],
    sources: Sequence[BoundSource],
    heads: Mapping[str, str] = MappingProxyType({}),
    student: TeacherShape | None = None,
) -> None:
    """Stop where terms do not fit what was bound for them, or the student.

    Args:
        name: The student's name.
        phases: The valid terms of each phase.
        sources: The sources of all phases.
        heads: The task of each of the student's heads, by its name.
        student: The student's sizes; None does not judge them.

    Raises:
        ParamsError: Some do not; all that is wrong at once.
    """
    problems = [
        f"phases.{source.phase}.terms: {term['loss']}: {problem}"
        for source in sources
        for term in expanded(phases[source.phase], heads)
        for alias in (str(term.get("from")),)
        for mix in (source.mix(alias),)
        for member in (mix.aliases(alias) if mix else [alias])
        for bound in (source.targets.get(member),)
        if bound is not None and reads_source(term, source.name)
        for problem in fit_problems(
            term,
            student=student,
            teacher=_cached_shape(bound["options"]),
            held=bound["options"],
            equal_tokens=bound["equal_tokens"],
            mean=mix.mean if mix else None,
        )
    ]
    if problems:
        raise ParamsError(
            f"students.{name}",
            expected="terms that fit the student and its teachers",
            got="; ".join(dict.fromkeys(problems)),
            remedy="mend them in params",
        )


def fit_problems(
    term: Mapping[str, Any],
    *,
    student: TeacherShape | None = None,
    teacher: TeacherShape | None = None,
    held: Held | None = None,
    equal_tokens: bool | None = None,
    mean: str | None = None,
) -> list[str]:
    """What is wrong with a valid term, of one alias, for a student and its teacher; None is not judged.

    Args:
        term: The term.
        student: The student's sizes.
        teacher: The teacher's.
        held: What the target set holds.
        equal_tokens: Whether both cut all rows into the same tokens.
        mean: How the teachers of a mix are averaged; None where there is one.
    """
    problems = list(_logit_problems(term, equal_tokens, mean))
    if MATCH in declaration_of(term["loss"]).fields:
        problems += _match_problems(term, student, teacher, mean)
        reason = needs_equal_tokens(term["loss"], fields_of(term, held))
        if reason and equal_tokens is False:
            problems.append(_unequal(term["loss"], reason))
    return problems


def _cached_shape(fields: Held) -> TeacherShape:
    """The teacher's sizes, as far as the fields that were cached say them."""
    width, num_heads = (
        next((options[size] for options in fields.values() if options.get(size)), None)
        for size in ("width", "num_heads")
    )
    return TeacherShape("the teacher", width=width, num_heads=num_heads)


def _logit_problems(term: Mapping[str, Any], equal_tokens: bool | None, mean: str | None) -> Iterator[str]:
    schedule = term.get("temperature_schedule") or {}
    wanting = [name for name in (term["loss"], schedule.get("kind")) if name in (*_RAW, "flsw")]
    if wanting and mean == "mean_probabilities":
        yield (
            f"{wanting[0]} reads raw logits, of which a mean of probabilities has none; "
            "use mean_logits, or one teacher"
        )
    if wanting and equal_tokens is False and term.get("student", SPAN) == SPAN:
        yield _unequal(wanting[0], "a raw logit has no share in a student's token")


def _unequal(name: str, reason: str) -> str:
    return (
        f"{name} needs a student with its teacher's tokens, for {reason}; "
        "give the student the teacher's tokenizer and its length, or use another loss"
    )


def _match_problems(
    term: Mapping[str, Any], student: TeacherShape | None, teacher: TeacherShape | None, mean: str | None
) -> Iterator[str]:
    match = MATCHES[term["loss"]]
    if mean is not None:
        yield f"from: {term['loss']} follows the layers of one teacher, not of a mix; name a target set"
    if student is not None and student.layers is None and term.get("student_pooling") != "pooler":
        yield f"student_layer: {student.where} has no layers that can be read"
    for side, shape in (("student_layer", student), ("teacher_layer", teacher)):
        if shape is not None and shape.layers is not None and side in term:
            last = shape.layers - match.of_blocks
            beyond = [layer for layer in layers_of(term[side]) if layer > last]
            if beyond:
                blocks = f"{shape.where} has {shape.layers} blocks"
                yield f"{side}: expected layers from 0 to {last}, for {blocks}; got {beyond[0]}"
    projection = term.get("projection")
    own, theirs = (None if shape is None else shape.width for shape in (student, teacher))
    if projection is not None:
        for key, width, whose in (("in", own, "student"), ("out", theirs, "teacher")):
            if width is not None and projection[key] != width:
                yield f"projection.{key}: expected {width}, the {whose}'s width; got {projection[key]}"
    elif match.same_width and own and theirs and own != theirs:
        yield (
            f"projection: the student is {own} wide and the teacher {theirs}; "
            f"add 'projection: {{kind: linear, in: {own}, out: {theirs}}}'"
        )
    own, theirs = (None if shape is None else shape.num_heads for shape in (student, teacher))
    if match.same_heads and own and theirs and own != theirs:
        yield (
            f"the student has {own} attention heads and the teacher {theirs}; "
            "use attention_mse_sum or attention_ce_mean, which compare all heads together"
        )
