"""Facts of a run for a cache's provenance: where its numbers came from, beside what identifies them."""

import subprocess
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers


def run_facts() -> dict[str, Any]:
    """Device, thread count, versions, and the revision of the code where it is a checkout."""
    cuda = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "transformers": transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "revision": _revision(),
    }


def _revision() -> str | None:
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
