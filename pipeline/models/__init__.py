"""Architectures, one a file, registered with the Auto classes on import."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
)

from pipeline.errors import ParamsError
from pipeline.models.bigru import (
    BiGRUConfig,
    BiGRUForSequenceClassification,
    BiGRUForTokenClassification,
)
from pipeline.models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification, BiLSTMModel
from pipeline.models.head import Head
from pipeline.models.multi_head import BARE, ROWS, SPANS, TOKENS, MultiHeadBert, MultiHeadBertConfig
from pipeline.models.output_map import give_map
from pipeline.models.qanet import QANetConfig, QANetForQuestionAnswering
from pipeline.models.qanet_tokenizer import QANetTokenizer
from pipeline.models.rmr import RMRConfig, RMRForQuestionAnswering
from pipeline.registry import Table

ARCHITECTURES = Table(
    "architecture",
    {
        "bert": "pipeline.models.bert:build",
        "bigru": "pipeline.models.bigru:build",
        "bilstm": "pipeline.models.bilstm:build",
        "electra": "pipeline.models.electra:build",
        "qanet": "pipeline.models.qanet:build",
        "rmr": "pipeline.models.rmr:build",
    },
    arguments=("tokenizer",),
)

# How the names of the classes of those end that have one head, and not any; see `takes_head` of the others.
HEADS: Mapping[str, frozenset[str]] = {
    "bigru": frozenset({ROWS, TOKENS}),
    "bilstm": frozenset({ROWS, BARE}),
    "electra": frozenset({SPANS, ROWS, TOKENS}),
}

AutoConfig.register("bigru", BiGRUConfig)
AutoConfig.register("bilstm", BiLSTMConfig)
AutoConfig.register("multi_head_bert", MultiHeadBertConfig)
AutoConfig.register("qanet", QANetConfig)
AutoConfig.register("rmr", RMRConfig)
AutoModel.register(BiLSTMConfig, BiLSTMModel)
AutoModel.register(MultiHeadBertConfig, MultiHeadBert)
for _auto in (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
):
    _auto.register(MultiHeadBertConfig, MultiHeadBert)
AutoModelForSequenceClassification.register(BiGRUConfig, BiGRUForSequenceClassification)
AutoModelForTokenClassification.register(BiGRUConfig, BiGRUForTokenClassification)
AutoModelForSequenceClassification.register(BiLSTMConfig, BiLSTMForSequenceClassification)
AutoModelForQuestionAnswering.register(QANetConfig, QANetForQuestionAnswering)
AutoModelForQuestionAnswering.register(RMRConfig, RMRForQuestionAnswering)
AutoTokenizer.register(QANetConfig, QANetTokenizer)  # type: ignore[no-untyped-call]
AutoTokenizer.register(RMRConfig, QANetTokenizer)  # type: ignore[no-untyped-call]


def build(
    architecture: str,
    tokenizer: Path,
    options: Mapping[str, Any],
    seed: int,
    head: Head | Mapping[str, Head] | None = None,
) -> PreTrainedModel:
    """A new model of `architecture` for the tokens of the folder `tokenizer`; equal seeds, equal weights.

    `outputs` among the options is the model's map, see `pipeline.models.output_map`. A seed among them, meant
    for this model alone, goes before `seed`. Without a `head` it reads spans; it may have several, by name.

    Raises:
        ParamsError: No such architecture.
        ModelError: The options, or the weights to start from, do not fit.
    """
    own = {key: value for key, value in options.items() if key != "outputs"}
    if head is not None:
        if not takes_head(architecture):
            raise ParamsError(
                "model",
                expected="an architecture that can do anything but read spans",
                got=repr(architecture),
                remedy="use bert",
            )
        own["head"] = head
    model: PreTrainedModel = ARCHITECTURES.load(architecture)(tokenizer, **{"seed": seed, **own})
    if "outputs" in options:
        give_map(model, options["outputs"])
    return model


def takes_head(architecture: str) -> bool:
    """Whether an architecture can do anything but read spans."""
    return "head" in inspect.signature(ARCHITECTURES.load(architecture)).parameters
