"""The activations that a projection may end in, by name. Needs no torch."""

from pipeline.registry import Table

PROJECTIONS = Table(
    "projection",
    {
        "linear": "pipeline.objectives.projection:unchanged",
        "relu": "torch.nn.functional:relu",
        "tanh": "torch:tanh",
    },
    arguments=("states",),
)
