"""What a linear projection does to its states once they are projected."""

from torch import Tensor


def unchanged(states: Tensor) -> Tensor:
    """Nothing."""
    return states
