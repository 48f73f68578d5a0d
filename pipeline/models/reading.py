"""Reading a batch: one function for teachers and students of every architecture.

What comes out is packed to the passage (and question), so that nothing after it knows where an
architecture puts them among its tokens.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.errors import ModelError
from pipeline.models.capture import capture_projections
from pipeline.models.masking import OFF_PASSAGE, masked_softmax
from pipeline.models.multi_head import BARE, ROWS, TOKENS, MultiHeadBert
from pipeline.models.output_map import run_mapped
from pipeline.models.positions import Positions
from pipeline.models.similarity import SimilarityReader
from pipeline.models.two_step import TwoStepReader


class Part(NamedTuple):
    """Logits of one softmax, and which of its classes exist; a task's loss is that of its parts."""

    name: str
    logits: Float[Tensor, "*rows classes"]
    mask: Bool[Tensor, "*rows classes"]


@dataclass(frozen=True)
class SpanOutputs:
    """Logits over passage tokens, float32; `OFF_PASSAGE` where `passage_mask` is False.

    The end logits of a two-step reader are those given one start: the one asked for, or its best. Where they
    were asked for, its own best starts, the best first and -1 where a row has fewer, stand beside them with
    the end logits given each.
    `qa_attention` holds, for every passage token, a distribution over the question tokens. `null_logits` are
    the start and the end logit of the first token, where that is a special one: there an encoder says that
    there is no answer (Devlin et al. 2018, arXiv:1810.04805, sec. 4.3).
    """

    start_logits: Float[Tensor, "batch passage"]
    end_logits: Float[Tensor, "batch passage"]
    passage_mask: Bool[Tensor, "batch passage"]
    question_mask: Bool[Tensor, "batch question"]
    qa_attention: Float[Tensor, "batch passage question"] | None = None
    best_starts: Int[Tensor, "batch starts"] | None = None
    best_end_logits: Float[Tensor, "batch starts passage"] | None = None
    null_logits: Float[Tensor, "batch 2"] | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """Start and end."""
        return (
            Part("start", self.start_logits, self.passage_mask),
            Part("end", self.end_logits, self.passage_mask),
        )

    @property
    def parts_with_null(self) -> tuple[Part, ...]:
        """Start and end, each with the place that says that there is no answer before the passage's.

        Raises:
            ModelError: The reader has no such place.
        """
        if self.null_logits is None:
            raise ModelError(
                "null_answer",
                expected="an encoder that reads a special token before the question, as BERT does",
                got="a reader with logits of the passage alone",
                remedy="use a bert with a pretrained tokenizer, or leave null_answer out",
            )
        return tuple(
            Part(
                part.name,
                torch.cat([null[:, None], part.logits], dim=1),
                torch.nn.functional.pad(part.mask, (1, 0), value=True),
            )
            for part, null in zip(self.parts, self.null_logits.unbind(dim=1), strict=True)
        )

    @property
    def own_end_logits(self) -> Float[Tensor, "batch passage"]:
        """The end logits that owe nothing to a start from outside."""
        return self.end_logits if self.best_end_logits is None else self.best_end_logits[:, 0]


@dataclass(frozen=True)
class ClassOutputs:
    """Logits of a row's classes, float32."""

    class_logits: Float[Tensor, "batch classes"]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The classes, all of which exist."""
        return (Part("class", self.class_logits, torch.ones_like(self.class_logits, dtype=torch.bool)),)


@dataclass(frozen=True)
class WordOutputs:
    """Logits of a tag for each word, float32, read at its first piece; a word that was cut off has none."""

    token_logits: Float[Tensor, "batch words tags"]
    word_mask: Bool[Tensor, "batch words"]

    @property
    def parts(self) -> tuple[Part, ...]:
        """The words' tags."""
        mask = self.word_mask[:, :, None].expand_as(self.token_logits)
        return (Part("token", self.token_logits, mask),)


Outputs = SpanOutputs | ClassOutputs | WordOutputs


def read_classes(model: nn.Module, inputs: Mapping[str, Any]) -> ClassOutputs:
    """Run a sequence classifier once over a padded batch."""
    return ClassOutputs(run(model, inputs).logits.float())


def read_words(model: nn.Module, inputs: Mapping[str, Any], words: Int[Tensor, "batch words"]) -> WordOutputs:
    """Run a token classifier once over a padded batch; `words` are first pieces, -1 where there is none."""
    return _at_words(run(model, inputs).logits, words)


def read_batch(model: nn.Module, batch: Mapping[str, Any], **options: Any) -> Outputs:
    """Run a model of any task once over a padded batch.

    Args:
        model: The model, wrapped or not. How the name of its class ends says what it gives, an encoder
            without a head no classes; of one with several heads, what it predicts.
        batch: `inputs`, and what says where outputs are read: `question` and `passage`, or `words`.
        options: Those of `read`, for a model that gives spans.
    """
    reader = unwrapped(model)
    name = reader.kind if isinstance(reader, MultiHeadBert) else type(reader).__name__
    if name.endswith(ROWS):
        return read_classes(model, batch["inputs"])
    if name.endswith(BARE):
        states = run(model, batch["inputs"]).last_hidden_state
        return ClassOutputs(states.flatten(1)[:, :0].float())
    if name.endswith(TOKENS):
        return read_words(model, batch["inputs"], batch["words"])
    return read(model, batch["inputs"], batch["question"], batch["passage"], **options)


@dataclass(frozen=True)
class HeadOutputs:
    """What a student's heads say, by their names; `headless` has no classes, for terms about no head."""

    heads: Mapping[str, Outputs]
    headless: ClassOutputs

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those of no head, which are empty."""
        return self.headless.parts

    def of(self, head: str | None) -> Outputs:
        """What a head says."""
        return self.headless if head is None else self.heads[head]


def read_heads(
    model: nn.Module, batch: Mapping[str, Any], heads: Sequence[str], *, attention_layer: int | None = None
) -> HeadOutputs:
    """Run a model with several heads once over a padded batch.

    Args:
        model: The model, wrapped or not.
        batch: As of `read_batch`: what any of these heads needs.
        heads: The heads that are wanted; there may be none.
        attention_layer: As of `read`, for heads that give spans.
    """
    reader = unwrapped(model)
    capturing = (
        nullcontext()
        if attention_layer is None
        else capture_projections(reader, reader.config, attention_layer)
    )
    with capturing as captured:
        said = run(model, batch["inputs"]).heads
    outputs: dict[str, Outputs] = {}
    for name in heads:
        kind = reader.config.heads[name]["kind"]
        if kind == ROWS:
            outputs[name] = ClassOutputs(said[name].float())
        elif kind == TOKENS:
            outputs[name] = _at_words(said[name], batch["words"])
        else:
            device = said[name].device
            question, passage = (Positions.of(batch[part], device) for part in ("question", "passage"))
            start, end = said[name].unbind(dim=-1)
            outputs[name] = SpanOutputs(
                start_logits=_on_passage(start, passage),
                end_logits=_on_passage(end, passage),
                passage_mask=passage.mask,
                question_mask=question.mask,
                qa_attention=None if captured is None else captured.attention(question, passage),
                null_logits=_at_first(start, end, batch["question"]),
            )
    any_head = next(iter(said.values()))
    return HeadOutputs(outputs, ClassOutputs(any_head.flatten(1)[:, :0].float()))


def read(
    model: nn.Module,
    inputs: Mapping[str, Any],
    question: Int[Tensor, "batch 2"],
    passage: Int[Tensor, "batch 2"],
    *,
    attention_layer: int | None = None,
    starts: Int[Tensor, " batch"] | None = None,
    num_starts: int = 0,
) -> SpanOutputs:
    """Run `model` once over a padded batch.

    Args:
        model: A question-answering model of transformers or of this package, wrapped for several devices
            or not.
        inputs: What the model reads. Token types are held back from a model that has none.
        question: Token range of each row's question, half-open. May stay in host memory.
        passage: The same of its passage.
        attention_layer: The layer whose passage x question attention is wanted, None for none. A reader
            with a similarity matrix gives that, whatever the layer.
        starts: Of a two-step reader, the passage token at which each row's end is forced, in training the
            gold one; negative, or None, for the reader's best start. Others know nothing of it.
        num_starts: Of a two-step reader, how many of its own best starts are wanted with their ends.

    Raises:
        ModelError: The model's attention cannot be captured, it has no such layer, or that of a reader with a
            similarity matrix is of special tokens too.
    """
    device = inputs["input_ids"].device
    question_at, passage_at = Positions.of(question, device), Positions.of(passage, device)
    reader = unwrapped(model)
    is_two_step = isinstance(reader, TwoStepReader)
    if is_two_step:
        inputs = {**inputs, **_two_step_inputs(passage, starts, num_starts, device)}
    attention = None
    if attention_layer is None:
        outputs = run(model, inputs)
    elif isinstance(reader, SimilarityReader):
        outputs = run(model, inputs)
        _check_similarity(outputs.similarity, question_at, passage_at)
        attention = masked_softmax(outputs.similarity.float(), question_at.mask[:, None])
        attention = attention * passage_at.mask[:, :, None]
    else:
        with capture_projections(reader, reader.config, attention_layer) as captured:
            outputs = run(model, inputs)
        attention = captured.attention(question_at, passage_at)
    if getattr(outputs, "mask", None) is not None:  # a map's
        passage_at = passage_at.only(outputs.mask.bool())
    own: dict[str, Any] = {}
    if not isinstance(reader, SimilarityReader):
        own["null_logits"] = _at_first(outputs.start_logits, outputs.end_logits, question)
    if is_two_step and num_starts:
        first = passage[:, :1].to(device, torch.int64)
        own["best_starts"] = torch.where(outputs.best_starts >= 0, outputs.best_starts - first, -1)
        own["best_end_logits"] = torch.stack(
            [_on_passage(row, passage_at) for row in outputs.best_end_logits.unbind(1)], 1
        )
    return SpanOutputs(
        start_logits=_on_passage(outputs.start_logits, passage_at),
        end_logits=_on_passage(outputs.end_logits, passage_at),
        passage_mask=passage_at.mask,
        question_mask=question_at.mask,
        qa_attention=attention,
        **own,
    )


def _check_similarity(
    similarity: Float[Tensor, "batch passage question"], question: Positions, passage: Positions
) -> None:
    wanted, found = (passage.mask.shape[1], question.mask.shape[1]), tuple(similarity.shape[1:])
    if found != wanted:
        raise ModelError(
            "attention of passage over question",
            expected=f"tokens of passage and question alone, {wanted[0]} x {wanted[1]}",
            got=f"{found[0]} x {found[1]}: special tokens are read among them",
            remedy="give this model a tokenizer of kind words or characters, without cls_token",
        )


def _two_step_inputs(
    passage: Int[Tensor, "batch 2"],
    starts: Int[Tensor, " batch"] | None,
    num_starts: int,
    device: torch.device,
) -> dict[str, Any]:
    """What a two-step reader is told beside the text, in its input's tokens."""
    inputs: dict[str, Any] = {"num_starts": num_starts}
    if starts is not None:
        starts = starts.to(device)
        inputs["start_positions"] = torch.where(starts >= 0, starts + passage[:, 0].to(device), -1)
    return inputs


def run(model: nn.Module, inputs: Mapping[str, Any]) -> Any:
    """What `model` returns for a padded batch; token types are held back from a model that has none."""
    if not getattr(unwrapped(model).config, "type_vocab_size", 0) > 1:
        inputs = {name: values for name, values in inputs.items() if name != "token_type_ids"}
    return run_mapped(model, unwrapped(model), inputs)


def _at_words(logits: Float[Tensor, "batch length tags"], words: Int[Tensor, "batch words"]) -> WordOutputs:
    at = words.clamp(min=0)[:, :, None].expand(-1, -1, logits.shape[-1])
    return WordOutputs(logits.float().gather(1, at), words >= 0)


def _at_first(
    start: Float[Tensor, "batch length"], end: Float[Tensor, "batch length"], question: Int[Tensor, "batch 2"]
) -> Float[Tensor, "batch 2"] | None:
    """The logits of the first token; None where it is the question's own."""
    is_special = bool((question[:, 0] > 0).all())
    return torch.stack([start[:, 0], end[:, 0]], dim=1).float() if is_special else None


def _on_passage(logits: Float[Tensor, "batch length"], passage: Positions) -> Float[Tensor, "batch passage"]:
    return passage.take(logits).float().masked_fill(~passage.mask, OFF_PASSAGE)


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """The model that is wrapped for several devices, or not."""
    while not isinstance(model, PreTrainedModel):
        inner = getattr(model, "module", None)
        if not isinstance(inner, torch.nn.Module):
            raise TypeError(f"{type(model).__name__} is no transformers model, nor a wrapper of one")
        model = inner
    return model
