"""By how much a term's weight is multiplied as training goes on.

Differs from TextBrewer, whose schedules take the place of the configured weight: a weight of 0.3 that decays
starts at 0.3 here.
"""


def constant(progress: float) -> float:
    """1, however much of training is done."""
    return 1.0


def linear_decay(progress: float) -> float:
    """From 1 at the start to 0 at the end; `progress` is the share of training that is done."""
    return 1.0 - progress


def linear_growth(progress: float) -> float:
    """From 0 at the start to 1 at the end; `progress` is the share of training that is done."""
    return progress
