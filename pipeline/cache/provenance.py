"""Facts of every run that changed a cache, a line each: sealed, but no part of what the cache is."""

import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import pipeline
from pipeline.cache.layout import PROVENANCE, SEAL
from pipeline.cache.manifest import load_manifest
from pipeline.errors import CacheError


def next_provenance(folder: Path, facts: Mapping[str, Any]) -> str:
    """The provenance with one more line.

    Lines that a broken seal no longer vouches for are kept where they can be read, and marked.
    """
    lines = _lines(folder)
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "coldbrew": pipeline.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **facts,
    }
    if lines and not _is_vouched_for(folder):
        line["earlier_lines"] = "not sealed when this run began"
    return "".join(f"{text}\n" for text in [*lines, json.dumps(line, sort_keys=True, ensure_ascii=False)])


def _lines(folder: Path) -> list[str]:
    path = folder / PROVENANCE
    if not path.is_file():
        return []
    return [text for text in path.read_text("utf-8", errors="replace").split("\n") if _is_json(text)]


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _is_vouched_for(folder: Path) -> bool:
    if not (folder / SEAL).is_file():
        return False
    try:
        load_manifest(folder)
    except CacheError:
        return False
    return True
