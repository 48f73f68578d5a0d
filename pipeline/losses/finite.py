"""A training that has diverged is stopped."""

import math

from pipeline.errors import ParamsError


def check_finite(loss: float, label: str, step: int) -> None:
    """Refuse a loss that is no finite number: the weights that gave it are lost.

    Args:
        loss: The mean over the steps since the last look.
        label: Whose it is.
        step: The optimizer step.

    Raises:
        ParamsError: It is infinite, or no number.
    """
    if not math.isfinite(loss):
        raise ParamsError(
            label,
            expected="a finite loss",
            got=f"{loss} at step {step}",
            remedy="lower learning_rate or max_grad_norm, or raise warmup_steps",
        )
