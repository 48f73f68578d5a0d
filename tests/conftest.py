"""What holds for all tests: one thread, since tiny models only lose by more, and no model hub."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Files of many processes, the longest first.
_LONG = ("test_pipeline.py", "test_finetune.py", "test_cache_targets.py", "test_sources.py")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, have the longest begin first: none is waited for alone."""
    if hasattr(config, "workerinput"):
        rank = {name: place for place, name in enumerate(_LONG)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
