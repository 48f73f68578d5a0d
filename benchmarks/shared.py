"""Where real data and models are; docs/benchmarks.md says which, and where they come from."""

import os
from pathlib import Path


def shared(name: str) -> Path:
    """What is called `name` in the folder that COLDBREW_SHARED names, `../shared` by default."""
    return Path(os.environ.get("COLDBREW_SHARED") or "../shared") / name
