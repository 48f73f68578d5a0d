"""Architectures, one a file, registered with the Auto classes on import."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from pipeline.registry import Table

ARCHITECTURES = Table("architecture", {"bert": "pipeline.models.bert:build"})


def build(architecture: str, tokenizer: Path, options: Mapping[str, Any], seed: int) -> PreTrainedModel:
    """A new model of `architecture` for the tokens of the folder `tokenizer`; equal seeds, equal weights.

    Raises:
        ParamsError: No such architecture.
        ModelError: The options, or the weights to start from, do not fit.
    """
    model: PreTrainedModel = ARCHITECTURES.load(architecture)(tokenizer, **options, seed=seed)
    return model
