"""First weights of a model out of another one's file: all but its head, which may be of another task."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from pipeline.errors import ModelError

# What stands on top of an encoder: these weights start afresh where the other model has none of their shape.
HEADS = ("classifier.", "heads.", "pooler.", "qa_outputs.")


def start_from(model: PreTrainedModel, weights: Path) -> list[str]:
    """Give `model` the weights in the file `weights`, its head too where that fits.

    Returns:
        The names of the weights that keep their first values.

    Raises:
        ModelError: The file cannot be read, or the encoders are not of one shape.
    """
    prefix = f"{model.base_model_prefix}."
    try:
        given = {name.removeprefix(prefix): values for name, values in load_file(weights).items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(
            weights,
            expected="the weights of a finished student",
            got=str(error),
            remedy="train that student, then run: coldbrew warm_start NAME",
        ) from error
    own = model.state_dict()
    shapes = {name: given.get(name.removeprefix(prefix)) for name in own}
    afresh = [name for name, found in shapes.items() if found is None or found.shape != own[name].shape]
    foreign = [name for name in afresh if not name.removeprefix(prefix).startswith(HEADS)]
    if foreign:
        raise ModelError(
            weights,
            expected=f"an encoder like that of this {type(model).__name__}",
            got=f"none, or others, of {', '.join(foreign)}",
            remedy="give both students the same model options and tokenizer",
        )
    model.load_state_dict({name: found for name, found in shapes.items() if name not in afresh}, strict=False)
    return afresh
