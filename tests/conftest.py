"""What holds for all tests: one thread, since tiny models only lose by more, and no model hub."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


# The files that take the longest, the longest first.
_LONG = ("test_pipeline.py", "test_smoke.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, have the longest begin first: it is not waited for alone."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


@pytest.fixture(scope="session")
def shared_file() -> Callable[[str], Path]:
    """Finds a file of real data, where this machine has it; CONTRIBUTING.md lists them."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("COLDBREW_SHARED") or beside)

    def find(name: str) -> Path:
        if not (folder / name).is_file():
            pytest.skip(f"no real data: set COLDBREW_SHARED to a folder that holds {name}")
        return folder / name

    return find


def pytest_collection_finish() -> None:
    """Spare garbage collection what is imported: transformers' trainer asks for one at each of its ends."""
    gc.freeze()
