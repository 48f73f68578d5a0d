"""Pure functions of training progress, and of how sure a student and its teacher are.

A weight schedule says by how much a term's weight is multiplied once a share of training is done, from 0 to
1. A temperature schedule says at which temperature each row is softened; it reads raw logits.
"""

from pipeline.registry import Table

CONSTANT = "constant"

WEIGHT_SCHEDULES = Table(
    "weight schedule",
    {
        CONSTANT: "pipeline.schedules.weight:constant",
        "linear_decay": "pipeline.schedules.weight:linear_decay",
        "linear_growth": "pipeline.schedules.weight:linear_growth",
    },
    arguments=("progress",),
)

TEMPERATURE_SCHEDULES = Table(
    "temperature schedule",
    {
        CONSTANT: "pipeline.schedules.temperature:constant",
        "cwsm": "pipeline.schedules.cwsm:cwsm",
        "flsw": "pipeline.schedules.flsw:flsw",
    },
    arguments=("student_logits", "teacher_logits"),
)
