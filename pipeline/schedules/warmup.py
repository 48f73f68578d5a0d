"""How the learning rate rises at the start of training."""

import math


def logarithmic_warmup(step: int, num_steps: int) -> float:
    """The share of the full learning rate at `step`: log(1 + step) / log(1 + num_steps), then 1.

    Source: Yu et al. 2018, arXiv:1804.09541, sec. 4.1 ("inverse exponential increase from 0 to 0.001 in
    the first 1000 steps, and then maintain a constant learning rate").
    Differs: the paper gives no formula; the logarithm is the usual reading.
    """
    if step >= num_steps:
        return 1.0
    return math.log1p(step) / math.log1p(num_steps)
