"""What a teacher is by its configuration: its sizes, its head, and so the target fields that it can give."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

import pipeline.models  # noqa: F401  registers our architectures with the Auto classes
from pipeline.cache.fields import FIELDS, spec_of
from pipeline.cache.settle import TeacherShape
from pipeline.errors import ModelError
from pipeline.inference.checkpoint import load_checkpoint, load_span_model
from pipeline.models.capture import has_projections, layer_index
from pipeline.tasks import PASSAGE_READERS
from pipeline.tasks.outputs import are_numbers, output_names

SPAN, CLASSES, TOKENS = "QuestionAnswering", "SequenceClassification", "TokenClassification"
_LOADERS: Mapping[str, Any] = {
    CLASSES: AutoModelForSequenceClassification,
    TOKENS: AutoModelForTokenClassification,
}

NULL_LOGITS = "null_logits"

# The fields that need a head; all others are of any encoder.
HEADS: Mapping[str, str] = {
    "span_logits": SPAN,
    NULL_LOGITS: SPAN,
    "top_spans": SPAN,
    "qa_attention": SPAN,
    "end_rows": SPAN,
    "top_end_rows": SPAN,
    "class_logits": CLASSES,
    "token_logits": TOKENS,
}


def config_of(folder: Path) -> PreTrainedConfig:
    """The configuration of the model in `folder`.

    Raises:
        ModelError: There is none that can be loaded.
    """
    try:
        config: PreTrainedConfig = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            folder,
            expected="a configuration that AutoConfig can load",
            got=str(error).splitlines()[0],
            remedy="check config.json's model_type",
        ) from error
    return config


def shape_of(config: PreTrainedConfig, architecture: str | None = None) -> TeacherShape:
    """The sizes of a model that fields depend on.

    Args:
        config: The model's configuration.
        architecture: The name of its class; None takes the one in the configuration.
    """
    head = _head(config, architecture)
    layers = getattr(config, "num_hidden_layers", None)
    readable = has_projections(config)
    shape = TeacherShape(
        where=f"{architecture or 'a model'} of type {config.model_type!r}",
        layers=layers,
        width=getattr(config, "hidden_size", None) if layers is not None else None,
        num_heads=config.num_attention_heads if readable else None,
        num_classes=config.num_labels if head in (CLASSES, TOKENS) else None,
        offers=tuple(
            kind
            for kind, spec in FIELDS.items()
            if HEADS.get(kind, head) == head
            and (kind in HEADS or layers is not None)
            and (readable or "num_heads" not in spec.options)
            and (is_two_step(config) or not spec.two_step)
            and (kind != NULL_LOGITS or has_null(config))
        ),
    )
    return shape


def classes_of(config: PreTrainedConfig) -> tuple[str, ...]:
    """What a model calls its classes, in the order of its logits; nothing where it only numbers them."""
    names = output_names(config.id2label) if _head(config, None) in (CLASSES, TOKENS) else ()
    return () if are_numbers(names) else names


def is_two_step(config: PreTrainedConfig) -> bool:
    """Whether a model points at a start, and then at the end given it."""
    return bool(getattr(config, "two_step", False))


def has_null(config: PreTrainedConfig) -> bool:
    """Whether a model of spans has logits of other tokens than the passage's, where no answer can be said."""
    return config.model_type not in PASSAGE_READERS


def check_heads(
    fields: Mapping[str, Mapping[str, Any]], config: PreTrainedConfig, architecture: str | None = None
) -> None:
    """Stop where a model has not the head, or the block, that a field is read from.

    Raises:
        ModelError: So it is.
    """
    head, name = _head(config, architecture), architecture or (config.architectures or ["no architecture"])[0]
    for field in fields:
        wanted = HEADS.get(field)
        if wanted not in (None, head) and (head or architecture) is not None:
            raise ModelError(
                f"fields.{field}",
                expected=f"a teacher of the kind ...For{wanted}",
                got=name,
                remedy=f"of it can be cached: {', '.join(shape_of(config, architecture).offers)}",
            )
        if field == NULL_LOGITS and not has_null(config):
            raise ModelError(
                f"fields.{field}",
                expected="a teacher with logits of the token before the question, as BERT has",
                got=f"a {config.model_type}, which has those of the passage alone",
                remedy=f"of it can be cached: {', '.join(shape_of(config, architecture).offers)}",
            )
        if spec_of(field).two_step and not is_two_step(config):
            raise ModelError(
                f"fields.{field}",
                expected="a two-step reader, whose end depends on its start, such as rmr",
                got=f"{name} of type {config.model_type!r}, whose end is the same for every start",
                remedy="leave the field out: its end logits are in span_logits",
            )
    if "qa_attention" in fields and has_projections(config):
        layer_index(config, FIELDS["qa_attention"].resolve(fields["qa_attention"])["layer"])


def load_teacher(folder: Path, fields: Mapping[str, Mapping[str, Any]]) -> PreTrainedModel:
    """The model in `folder` with the head that `fields` need, in float32 and evaluation mode.

    Raises:
        ModelError: It cannot be loaded, or weights are missing.
    """
    config = config_of(folder)
    check_heads(fields, config)
    needed = sorted({HEADS[field] for field in fields if field in HEADS})
    if len(needed) > 1:
        raise ModelError(
            folder,
            expected="fields of one head",
            got=f"fields of {' and '.join(needed)}",
            remedy="cache them as target sets of two teachers",
        )
    head = needed[0] if needed else _head(config, None)
    if head == SPAN:
        return load_span_model(folder)
    model, absent = load_checkpoint(folder, _LOADERS.get(head or "", AutoModel))
    missing = _needed(absent, fields)
    if missing:
        raise ModelError(
            folder,
            expected="a finished model",
            got=f"no weights for {', '.join(missing)}",
            remedy="name a checkpoint that was trained with this head",
        )
    model.requires_grad_(False)
    return model


def load_any(folder: Path) -> PreTrainedModel:
    """The model in `folder` with the head that its configuration names, whether that is trained or not."""
    head = _head(config_of(folder), None)
    loaders = {SPAN: AutoModelForQuestionAnswering, **_LOADERS}
    return load_checkpoint(folder, loaders.get(head or "", AutoModel))[0]


def _needed(missing: Collection[str], fields: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The missing weights that count: a headless encoder is often published without its pooler."""
    pooled = fields.get("sentence_vector", {}).get("pooling") == "pooler"
    return sorted(name for name in missing if pooled or not name.startswith("pooler."))


def _head(config: PreTrainedConfig, architecture: str | None) -> str | None:
    """The head of a model's class; None where it has another one, or is not known."""
    name = architecture or (config.architectures or [""])[0]
    return next((head for head in (SPAN, CLASSES, TOKENS) if name.endswith(head)), None)
