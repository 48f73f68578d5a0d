"""Where the model of a student or teacher lies."""

from pathlib import Path

from pipeline.errors import ParamsError
from pipeline.inference.folders import resolve
from pipeline.registry import did_you_mean
from stages.folders import STUDENTS, TEACHERS
from stages.sections import Params


def model_folder(settings: Params, name: str) -> tuple[str, Path]:
    """Whether `name` is a student or a teacher, and its model folder.

    Raises:
        ParamsError: It is neither.
        ModelError: A teacher's checkpoint is gone or has changed.
    """
    if name in settings.students:
        return "student", STUDENTS / name
    if name in settings.teachers:
        return "teacher", resolve(TEACHERS / name)
    known = [*settings.students, *settings.teachers]
    raise ParamsError(
        "params.yaml",
        expected="the name of a student or teacher",
        got=repr(name),
        remedy=did_you_mean(name, known),
    )
