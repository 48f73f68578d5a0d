"""Imports point down only, and stages that need no torch do not import it."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_import_contracts() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("stage", ["prepare", "vocabulary", "select", "bind", "report"])
def test_stages_without_models_leave_torch_alone(stage: str) -> None:
    code = f"import stages.{stage}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_line_starts_without_torch() -> None:
    code = "import stages.app, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
