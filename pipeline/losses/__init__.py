"""Losses, one pure function a file, each returning a sum and a count.

A loss computes in float32 (float64 where it is given that), counts no padding, and leaves weights, the
temperature's square and the division to `pipeline.objectives`. Nothing to count gives a zero that keeps
the graph.
"""

from pipeline.registry import Table

LOSSES = Table(
    "loss",
    {
        "answer_margin": "pipeline.losses.answer_margin:answer_margin",
        "cross_entropy": "pipeline.losses.cross_entropy:cross_entropy",
        "kd_ce": "pipeline.losses.kd_ce:kd_ce",
        "kd_kl": "pipeline.losses.kd_kl:kd_kl",
        "qa_attention_mse": "pipeline.losses.qa_attention_mse:qa_attention_mse",
    },
)
