import copy

import pytest

from pipeline.report.arms import pair_twins

GOLD = {"loss": "gold", "student": "span", "weight": 1.0}
SOFT = {"loss": "kd_kl", "from": "bert", "student": "span", "weight": 1.0, "temperature": 2.0}


def student(*terms, targets=None, **changes):
    source = {"dataset": "cmrc", "split": "train", "targets": targets or {}}
    phase = {"sources": [source], "mixing": "concatenate", "terms": list(terms), "training": {"seed": 1}}
    section = {"model": {"architecture": "qanet", "d_model": 32}, "tokenizer": "zh", "phases": [phase]}
    return copy.deepcopy(section | {"evaluate": ["cmrc.dev"]} | changes)


def test_a_twin_differs_in_terms_and_targets_alone():
    students = {
        "gold": student(GOLD),
        "soft": student(SOFT, targets={"bert": "bert_cmrc"}),
        "both": student(GOLD, SOFT, targets={"bert": "bert_cmrc"}, evaluate=["cmrc.dev", "drcd.dev"]),
    }
    assert pair_twins(students) == {"gold": None, "soft": "gold", "both": "gold"}


def other_seed(section):
    section["phases"][0]["training"]["seed"] = 2


def other_width(section):
    section["model"]["d_model"] = 64


def other_split(section):
    section["phases"][0]["sources"][0]["split"] = "trial"


def other_start(section):
    section["warm_start"] = ["encoder"]


def other_tokenizer(section):
    section["tokenizer"] = "words"


def another_phase(section):
    section["phases"] *= 2


@pytest.mark.parametrize(
    "change", [other_seed, other_width, other_split, other_start, other_tokenizer, another_phase]
)
def test_any_other_difference_parts_them(change):
    changed = student(GOLD)
    change(changed)
    assert pair_twins({"gold": changed, "soft": student(SOFT)})["soft"] is None


def test_the_order_of_keys_means_nothing():
    turned = student(GOLD)
    turned["model"] = dict(reversed(turned["model"].items()))
    assert pair_twins({"gold": turned, "soft": student(SOFT)})["soft"] == "gold"


def test_a_phase_with_a_soft_term_is_not_gold_only():
    both = student(SOFT)
    both["phases"] += student(GOLD)["phases"]
    assert pair_twins({"a": both, "b": both}) == {"a": None, "b": None}


def test_a_preset_of_matches_is_no_gold_label():
    matched = student({"matches": "T6", "from": "teacher"})
    both = student(GOLD)
    both["phases"][0]["terms"] = [*both["phases"][0]["terms"], {"matches": "T6", "from": "teacher"}]
    students = {"gold": student(GOLD), "matched": matched, "both": both}
    assert pair_twins(students) == {"gold": None, "matched": "gold", "both": "gold"}


def test_of_several_the_first_by_name():
    students = {"z": student(GOLD), "a": student(GOLD), "soft": student(SOFT)}
    assert pair_twins(students)["soft"] == "a"
