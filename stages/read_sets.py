"""Which data sets a student or teacher reads, and how long their questions may be."""

from stages.sections import Params, Student, Teacher


def trained_on(student: Student) -> set[str]:
    """The data sets that a student trains on: one that it is scored on alone must not change its inputs."""
    return {source.dataset for phase in student.phases for source in phase.sources}


def read_by(settings: Params, name: str, teacher: Teacher) -> set[str]:
    """The data sets that a teacher is scored on.

    One that is scored on nothing, such as an encoder of sentences, has those that it is trained on or reads.
    """
    return (
        scored_on(teacher.evaluate)
        or {teacher.train.dataset if teacher.train else ""} - {""}
        or {targets.dataset for targets in settings.targets.values() if targets.teacher == name}
    )


def scored_on(evaluate: list[str]) -> set[str]:
    """The data sets of evaluation sets."""
    return {name.split(".")[0] for name in evaluate}


def question_limit(settings: Params, datasets: set[str]) -> int:
    """The most tokens that a question of any of these data sets may have."""
    return max(settings.selection[dataset].max_question_tokens for dataset in datasets)
