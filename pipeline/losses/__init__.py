"""Losses, one pure function a file, each returning a sum and a count.

A loss computes in float32 (float64 where it is given that), counts no padding, and leaves weights, the
temperature's square and the division to `pipeline.objectives`. Nothing to count gives a zero that keeps
the graph. Of a teacher's layers a loss takes what a cache holds: the quantity that it depends on alone.
"""

from pipeline.registry import Table

LOSSES = Table(
    "loss",
    {
        "answer_margin": "pipeline.losses.answer_margin:answer_margin",
        "attention_ce": "pipeline.losses.attention_ce:attention_ce",
        "attention_ce_mean": "pipeline.losses.attention_ce_mean:attention_ce_mean",
        "attention_mse": "pipeline.losses.attention_mse:attention_mse",
        "attention_mse_sum": "pipeline.losses.attention_mse_sum:attention_mse_sum",
        "binary_cross_entropy": "pipeline.losses.binary_cross_entropy:binary_cross_entropy",
        "cos": "pipeline.losses.cos:cos",
        "cross_entropy": "pipeline.losses.cross_entropy:cross_entropy",
        "fsp": "pipeline.losses.fsp:fsp",
        "hidden_mse": "pipeline.losses.hidden_mse:hidden_mse",
        "kd_bce": "pipeline.losses.kd_bce:kd_bce",
        "kd_ce": "pipeline.losses.kd_ce:kd_ce",
        "kd_kl": "pipeline.losses.kd_kl:kd_kl",
        "kd_mse": "pipeline.losses.kd_mse:kd_mse",
        "nst": "pipeline.losses.nst:nst",
        "pkd": "pipeline.losses.pkd:pkd",
        "qa_attention_mse": "pipeline.losses.qa_attention_mse:qa_attention_mse",
        "sentence_cos": "pipeline.losses.sentence_cos:sentence_cos",
        "soft_score_mse": "pipeline.losses.soft_score_mse:soft_score_mse",
        "squared_error": "pipeline.losses.squared_error:squared_error",
    },
)
