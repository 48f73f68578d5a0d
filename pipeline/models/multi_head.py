"""A BERT with several heads: one student of several tasks, or of several teachers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import BertConfig, BertModel, BertPreTrainedModel, PreTrainedModel
from transformers.utils.generic import ModelOutput

SPANS, TOKENS, ROWS, BARE = "QuestionAnswering", "TokenClassification", "SequenceClassification", "Model"


class MultiHeadBertConfig(BertConfig):  # type: ignore[no-untyped-call]
    """A BERT's sizes, and its heads.

    `heads` says of each head, by its name, its "kind" (how the names of transformers' classes with such a
    head end), "num_labels", whether its one output "is_score", its "problem_type" as transformers has it, and
    its "classes", by name. The model's own prediction is that of the
    heads that `predicting` names; if None, of all where one is a score, else of the first.
    """

    # Configurations accept keys that they do not know, which type checks of dataclasses would refuse.
    __no_type_check__ = True

    model_type = "multi_head_bert"

    heads: dict[str, dict[str, Any]] | None = None
    predicting: list[str] | None = None


@dataclass
class MultiHeadOutput(ModelOutput):
    """The model's prediction, and what every head says, by name: of spans, start and end in the last axis."""

    logits: Float[Tensor, "*rows labels"] | None = None
    start_logits: Float[Tensor, "batch length"] | None = None
    end_logits: Float[Tensor, "batch length"] | None = None
    heads: dict[str, Tensor] | None = None


class MultiHeadBert(BertPreTrainedModel):  # type: ignore[no-untyped-call]
    """One encoder, and on it a linear layer a head: over all tokens, or over the first one.

    Source: Yang et al. 2019, arXiv:1904.09636, sec. 4.1; there is no pooler below a head.
    """

    config_class = MultiHeadBertConfig

    def __init__(self, config: MultiHeadBertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.kinds = {name: head["kind"] for name, head in (config.heads or {}).items()}
        self.heads = nn.ModuleDict(
            {name: nn.Linear(config.hidden_size, head["num_labels"]) for name, head in config.heads.items()}
            if config.heads
            else {}
        )
        self.post_init()  # type: ignore[no-untyped-call]

    @property
    def predicting(self) -> list[str]:
        """The heads that predict together."""
        if self.config.predicting:
            return list(self.config.predicting)
        names = list(self.kinds)
        return names if any(head["is_score"] for head in self.config.heads.values()) else names[:1]

    @property
    def kind(self) -> str:
        """What is predicted, as the names of transformers' classes end."""
        kind: str = self.kinds[self.predicting[0]]
        return kind

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"] | None = None,
        token_type_ids: Int[Tensor, "batch length"] | None = None,
        **unused: Any,
    ) -> MultiHeadOutput:
        """What every head says, and the prediction. Like other BERTs it lets `unused` pass."""
        states = self.bert(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        tokens = self.dropout(states.last_hidden_state)
        said = {
            name: layer(tokens[:, 0] if self.kinds[name] == ROWS else tokens)
            for name, layer in self.heads.items()
        }
        first, *others = [said[name] for name in self.predicting]
        if self.kind == SPANS:
            start, end = first.unbind(dim=-1)
            return MultiHeadOutput(start_logits=start, end_logits=end, heads=said)
        if others or self.config.heads[self.predicting[0]]["is_score"]:
            return MultiHeadOutput(logits=mean_prediction([first, *others]), heads=said)
        return MultiHeadOutput(logits=first, heads=said)


def mean_prediction(logits: Sequence[Float[Tensor, "*rows _"]]) -> Float[Tensor, "*rows classes"]:
    """Logits whose softmax is the mean of several heads' probabilities.

    A head with one output scores the second of two classes, by the output's sigmoid.

    Source: Yang et al. 2019, arXiv:1904.09636, eq. 6: (P(1) + sum of R_i) / (1 + n). Without a head of gold
    labels it is the mean of the R_i.
    """
    log_probs = torch.stack([_log_probs(of_one.float()) for of_one in logits])
    return log_probs.logsumexp(dim=0) - math.log(len(logits))


def _log_probs(logits: Float[Tensor, "*rows _"]) -> Float[Tensor, "*rows classes"]:
    if logits.shape[-1] > 1:
        return logits.log_softmax(dim=-1)
    return nn.functional.logsigmoid(torch.cat([-logits, logits], dim=-1))


def predict_with(model: PreTrainedModel, heads: Sequence[str]) -> None:
    """Have a model with several heads predict with these; others have none to name, and stay as they are."""
    if heads:
        model.config.predicting = list(heads)
