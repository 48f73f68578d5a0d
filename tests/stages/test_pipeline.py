"""The whole chain with the real DVC on 20 rows: what runs, and above all what does not run again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stages.conftest import Workspace
