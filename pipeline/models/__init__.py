"""Architectures, one a file, registered with the Auto classes on import."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForQuestionAnswering, AutoTokenizer, PreTrainedModel

from pipeline.models.output_map import give_map
from pipeline.models.qanet import QANetConfig, QANetForQuestionAnswering
from pipeline.models.qanet_tokenizer import QANetTokenizer
from pipeline.models.rmr import RMRConfig, RMRForQuestionAnswering
from pipeline.registry import Table

ARCHITECTURES = Table(
    "architecture",
    {
        "bert": "pipeline.models.bert:build",
        "qanet": "pipeline.models.qanet:build",
        "rmr": "pipeline.models.rmr:build",
    },
    arguments=("tokenizer",),
)

AutoConfig.register("qanet", QANetConfig)
AutoConfig.register("rmr", RMRConfig)
AutoModelForQuestionAnswering.register(QANetConfig, QANetForQuestionAnswering)
AutoModelForQuestionAnswering.register(RMRConfig, RMRForQuestionAnswering)
AutoTokenizer.register(QANetConfig, QANetTokenizer)  # type: ignore[no-untyped-call]
AutoTokenizer.register(RMRConfig, QANetTokenizer)  # type: ignore[no-untyped-call]


def build(architecture: str, tokenizer: Path, options: Mapping[str, Any], seed: int) -> PreTrainedModel:
    """A new model of `architecture` for the tokens of the folder `tokenizer`; equal seeds, equal weights.

    `outputs` among the options is the model's map, see `pipeline.models.output_map`. A seed among them, meant
    for this model alone, goes before `seed`.

    Raises:
        ParamsError: No such architecture.
        ModelError: The options, or the weights to start from, do not fit.
    """
    own = {key: value for key, value in options.items() if key != "outputs"}
    model: PreTrainedModel = ARCHITECTURES.load(architecture)(tokenizer, **{"seed": seed, **own})
    if "outputs" in options:
        give_map(model, options["outputs"])
    return model
