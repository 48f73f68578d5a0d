"""Stage warm_start: the finished weights of a student are put where another one starts."""

import shutil
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.files import new_folder
from stages.folders import INPUTS, STUDENTS
from stages.params import load
from stages.running import entry, start

START = Path("train/start")
WEIGHTS = "model.safetensors"


def run(name: str, params: Path) -> None:
    """Put the weights of a finished student where another one starts."""
    given = entry(load(params).warm_starts, name, "warm_starts").student
    weights = STUDENTS / given / WEIGHTS
    if not weights.is_file():
        raise ModelError(
            weights,
            expected="the weights of a finished student",
            got="no such file",
            remedy=f"run: coldbrew train_student {given}",
        )
    with new_folder(INPUTS / name / START) as folder:
        shutil.copyfile(weights, folder / WEIGHTS)
    print(f"{name}: starts from {given}")


if __name__ == "__main__":
    start("warm_start", run)
