"""What holds for all tests: one thread, since tiny models only lose by more, and no model hub."""

import gc
import os

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


def pytest_collection_finish() -> None:
    """Spare garbage collection what is imported: transformers' trainer asks for one at each of its ends."""
    gc.freeze()
