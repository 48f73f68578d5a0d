"""Terms of a student with several heads, each on the outputs of its own."""

import pytest
import torch

from pipeline.models.reading import ClassOutputs, HeadOutputs
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.objectives.problems import phase_problems, term_problems

HEADS = {"gold": "classification", "like_a": "classification", "like_b": "classification", "spans": "span"}
SOFT = {"loss": "kd_kl", "from": ["a", "b"], "student": ["like_a", "like_b"], "weight": 0.9}
TERMS = [{"loss": "gold", "student": "gold", "weight": 0.1}, SOFT]


@pytest.fixture
def reading():
    """Three heads of two classes over four rows, and a batch with two teachers."""
    generator = torch.Generator().manual_seed(0)

    def logits():
        return torch.randn(4, 2, generator=generator, dtype=torch.float64)

    said = {name: ClassOutputs(logits().requires_grad_()) for name in ("gold", "like_a", "like_b")}
    batch = {
        "gold": torch.tensor([[0], [1], [-1], [1]]),
        "counted": torch.tensor([True, True, True, False]),
        "passage_offsets": torch.tensor([[[0, 1]]] * 4),
        "targets": {alias: {"class_logits": logits()} for alias in ("a", "b")},
    }
    return HeadOutputs(said, ClassOutputs(logits()[:, :0].requires_grad_())), batch


def test_each_term_reads_its_own_head(reading):
    outputs, batch = reading
    objective = build_objective(TERMS, heads=HEADS)
    loss, parts = objective(outputs, batch)
    alone = [
        build_objective([{"loss": "gold", "student": "classification"}])(outputs.of("gold"), batch)[0],
        *(
            build_objective([{"loss": "kd_kl", "from": alias, "student": "classification"}])(
                outputs.of(f"like_{alias}"), batch
            )[0]
            for alias in ("a", "b")
        ),
    ]
    # Yang et al. 2019, eq. 5: (1 - alpha) gold + alpha / n times the sum over teachers.
    torch.testing.assert_close(loss, 0.1 * alone[0] + 0.9 * (alone[1] + alone[2]) / 2)
    assert list(parts) == ["gold", "kd_kl_like_a", "kd_kl_like_b"]


def test_a_head_is_taught_by_its_own_teacher_alone(reading):
    outputs, batch = reading
    build_objective([SOFT | {"from": "b", "student": "like_b"}], heads=HEADS)(outputs, batch)[0].backward()
    assert outputs.of("like_b").class_logits.grad is not None
    assert outputs.of("like_a").class_logits.grad is None


def test_heads_that_a_batch_needs_are_those_of_the_terms_that_count_its_rows():
    terms = [{**TERMS[0], "sources": ["x.train"]}, {**SOFT, "sources": ["x.train", "y.train"]}]
    objective = build_objective(terms, sources=["x.train", "y.train", "z.train"], heads=HEADS)
    assert objective.heads({"sources": (0,)}) == ["gold", "like_a", "like_b"]
    assert objective.heads({"sources": (1,)}) == ["like_a", "like_b"]
    assert objective.heads({"sources": (2,)}) == []


def test_fields_are_those_of_the_heads_tasks():
    span = {"loss": "kd_kl", "from": "c", "student": "spans"}
    found = needs([*TERMS, span], heads=HEADS)
    assert {alias: fields for alias, (fields, _) in found.items()} == {
        "a": ("class_logits",),
        "b": ("class_logits",),
        "c": ("span_logits",),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"student": "like_c", "from": "a"},
            "student: expected the name of a student's output; got 'like_c'",
        ),
        ({"student": "classification", "from": "a"}, "got 'classification'"),
        ({"student": ["like_a"]}, "student: expected one output, or one for each alias"),
        (
            {"loss": "answer_margin", "from": "a", "student": "like_a"},
            "that loss 'answer_margin' is defined for",
        ),
    ],
)
def test_one_problem_one_sentence(change, message):
    (problem,) = term_problems({**SOFT, **change}, HEADS)
    assert message in problem


def test_a_match_names_a_head_or_none():
    match = {"loss": "hidden_mse", "from": "a", "teacher_layer": 1, "student_layer": 1}
    preset = {"matches": "T3", "from": "a"}
    for term in (match, preset):
        assert term_problems(term, HEADS) == []
        assert term_problems({**term, "student": "like_a"}, HEADS) == []
        (problem,) = term_problems({**term, "student": "like_c"}, HEADS)
        assert "got 'like_c'; did you mean" in problem
        # Of a student with one output, whatever its task.
        assert phase_problems([{"loss": "gold", "student": "classification"}, term]) == []
    objective = build_objective([*TERMS, match], heads=HEADS, sources=["x.train"])
    assert objective.heads({"sources": (0,)}) == ["gold", "like_a", "like_b"]
    assert build_objective([match], heads=HEADS).heads({}) == []


def test_terms_of_one_phase_need_share_no_head():
    assert phase_problems(TERMS, HEADS) == []
    assert phase_problems([{"loss": "gold"}, {"loss": "gold", "student": "classification"}])
