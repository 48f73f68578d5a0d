"""What terms are called in logs: as little as tells them apart, and never two alike."""

import pytest

from pipeline.objectives.expansion import expanded
from pipeline.objectives.names import term_names

HEADS = {"kind": "classification", "relevant": "relevance"}
SOFT = {"loss": "kd_kl", "from": "a"}
NST = {"loss": "nst", "from": "a", "teacher_layer": [2, 4], "student_layer": [0, 1]}


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ([{"loss": "gold"}, SOFT, {"loss": "own.losses:reverse", "from": "a"}], ["gold", "kd_kl", "reverse"]),
        ([{**SOFT, "from": ["a", "b"]}], ["kd_kl_a", "kd_kl_b"]),
        ([{**SOFT, "student": "kind"}, {**SOFT, "student": "relevant"}], ["kd_kl_kind", "kd_kl_relevant"]),
        (
            [{**SOFT, "from": ["a", "b"], "student": "kind"}, {**SOFT, "student": "relevant"}],
            ["kd_kl_kind_a", "kd_kl_kind_b", "kd_kl_relevant"],
        ),
        (
            [{**SOFT, "from": ["a", "b"], "student": ["kind", "relevant"]}],
            ["kd_kl_kind", "kd_kl_relevant"],
        ),
        ([SOFT, {"loss": "gold"}, {**SOFT, "temperature": 8.0}], ["kd_kl_0", "gold", "kd_kl_2"]),
        ([NST, {**NST, "student_layer": [1, 2]}], ["nst_0_1", "nst_1_2"]),
        ([NST, {**NST, "teacher_layer": 3}], ["nst_2_4", "nst_3"]),
        ([NST, {**NST, "student": "kind"}], ["nst", "nst_kind"]),
        (
            [{"matches": "T3", "from": "a"}],
            [*(f"hidden_mse_{layer}" for layer in range(4)), *(f"nst_{layer}_{layer}" for layer in range(4))],
        ),
    ],
)
def test_names(terms, names):
    assert term_names(expanded(terms, HEADS)) == names
