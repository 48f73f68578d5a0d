"""Matches: whatever a cache holds of a teacher's layers gives the loss of the whole layers."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from pipeline.models.capture import Projections
from pipeline.models.observing import Observed
from pipeline.models.reading import ClassOutputs
from pipeline.models.triangle import pack_triangle
from pipeline.objectives.matches import MATCHES, chosen
from pipeline.objectives.needs import columns_of, fields_of, needs
from pipeline.objectives.objective import build_objective
from pipeline.objectives.presets import PRESETS
from pipeline.objectives.problems import term_problems
from pipeline.objectives.term import OBSERVED, Reads

WIDTH, HEADS, LENGTHS = 6, 2, [7, 4, 5, 3]
COUNTED = torch.tensor([True, True, True, False])
PAIRED = [name for name, match in MATCHES.items() if match.layers == 2]


def _mask(lengths=LENGTHS):
    return torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def _draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(len(LENGTHS), *shape)))


@pytest.fixture
def student():
    """What was observed of a student of three layers."""
    length = max(LENGTHS)
    hidden = {layer: _draw(layer, length, WIDTH).requires_grad_() for layer in range(3)}
    attention = {
        block: Projections(
            HEADS, *(_draw(10 * block + part, length, WIDTH).requires_grad_() for part in (5, 6))
        )
        for block in range(2)
    }
    return Observed(hidden, attention)


TEACHER = {layer: _draw(100 + layer, max(LENGTHS), WIDTH) for layer in range(3)}
QUERY, KEY = (_draw(200 + part, max(LENGTHS), WIDTH) for part in range(2))


def cached(field):
    """A field's columns by the formula in the table of fields, and its options."""
    kind, numbers = _split(field)
    states, exists = [TEACHER[number] for number in numbers], _mask().unsqueeze(-1)
    if kind == "sentence_vector":
        return {"sentence_vector": TEACHER[2][:, 0]}, {}
    if kind == "hidden_states":
        return {field: states[0]}, {"width": WIDTH}
    if kind == "unit_vectors":
        return {field: normalize(states[0], dim=-1)}, {"width": WIDTH}
    if kind == "first_token":
        return {field: normalize(states[0][:, 0], dim=-1)}, {"unit": True}
    if kind == "gram":
        gram = states[0] @ states[1].transpose(1, 2) / WIDTH
        return {field: pack_triangle(gram) if numbers[0] == numbers[1] else gram}, {"layers": numbers}
    flow = (states[0] * exists).transpose(1, 2) @ (states[1] * exists) / torch.tensor(LENGTHS)[:, None, None]
    packed = pack_triangle(flow) if numbers[0] == numbers[1] else flow
    return {field: packed}, {"layers": numbers, "store": "gram"}


def _split(field):
    parts = field.split("_")
    numbers = [int(part) for part in parts if part.isdigit()]
    return "_".join(part for part in parts if not part.isdigit()), numbers


def _heads(values):
    return values.unflatten(-1, (HEADS, -1)).transpose(1, 2)


SCORES = _heads(QUERY) @ _heads(KEY).transpose(2, 3) * (WIDTH // HEADS) ** -0.5
ATTENTION = {
    "each": ({"attention_scores_1": SCORES}, {"heads": "each", "num_heads": HEADS}),
    "sum": ({"attention_scores_1": SCORES.sum(1)}, {"heads": "sum", "num_heads": HEADS}),
    "mean": ({"attention_scores_1": SCORES.mean(1)}, {"heads": "mean", "num_heads": HEADS}),
    "qk": ({"attention_query_1": QUERY, "attention_key_1": KEY}, {"num_heads": HEADS}),
}


OUTPUTS = ClassOutputs(_draw(9, 2))


def batch_of(columns, student):
    return {
        OBSERVED: student,
        "inputs": {"attention_mask": _mask().long()},
        "counted": COUNTED,
        "passage_offsets": torch.tensor([[[0, 1]]] * len(LENGTHS)),
        "targets": {"bert": {**columns, "token_length": torch.tensor(LENGTHS)}},
    }


def term_of(loss, pair=False):
    layers = {"student_layer": [1, 2] if pair else 1, "teacher_layer": [0, 2] if pair else 1}
    if loss == "sentence_cos":
        del layers["teacher_layer"]
    return {"loss": loss, "from": "bert", **layers}


def measured(term, columns, held, student):
    objective = build_objective([term], held={"bert": held})
    batch = batch_of(columns, student)
    total, parts = objective(OUTPUTS, batch)
    (part,) = parts.values()
    assert part.rows == objective.counted(batch)[0] > 0
    return total


def ways(loss, pair):
    """Each alternative as columns and fields."""
    term = term_of(loss, pair)
    for fields in MATCHES[loss].alternatives:
        layers = (0, 2) if pair else (1, 1)
        names = list(dict.fromkeys(name.format(*layers) for name in fields))
        made = [cached(name) for name in names]
        yield (
            term,
            {name: values for columns, _ in made for name, values in columns.items()},
            {name: options for name, (_, options) in zip(names, made, strict=True)},
        )


@pytest.mark.parametrize(
    ("loss", "pair"),
    [
        (loss, pair)
        for loss in ("cos", "fsp", "nst", "pkd")
        for pair in ([False, True] if loss in PAIRED else [False])
    ],
)
def test_the_reduction_gives_the_loss_of_the_hidden_states(loss, pair, student):
    values = [measured(*way, student) for way in ways(loss, pair)]
    assert len(values) > 1
    for value in values:
        torch.testing.assert_close(value, values[-1], rtol=0, atol=1e-6)
        assert value.dtype == torch.float64


@pytest.mark.parametrize("loss", [name for name, match in MATCHES.items() if match.of_blocks])
def test_the_reduction_gives_the_loss_of_queries_and_keys(loss, student):
    found = [
        measured(term_of(loss), ATTENTION[kind][0], {f"attention_{stored}_1": ATTENTION[kind][1]}, student)
        for kind, stored in [*((kind, "scores") for kind in MATCHES[loss].heads), ("qk", "qk")]
    ]
    for value in found:
        torch.testing.assert_close(value, found[-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("heads", ["sum", "mean"])
@pytest.mark.parametrize("loss", ["attention_mse", "attention_ce"])
def test_scores_of_all_heads_do_not_stand_for_each(loss, heads):
    held = {"attention_scores_1": {"heads": heads}, "attention_qk_1": {}}
    assert chosen(loss, 1, held) == ("attention_qk_1",)
    assert chosen(loss, 1, None) == ("attention_scores_1",)


def test_hidden_mse_and_nst_share_a_hidden_state():
    held = {"hidden_states_3": {"width": 8}}
    terms = [
        {"loss": "hidden_mse", "from": "bert", "teacher_layer": 3, "student_layer": 1},
        {"loss": "nst", "from": "bert", "teacher_layer": [3, 3], "student_layer": [1, 1]},
    ]
    assert needs(terms, held={"bert": held}) == {"bert": (("hidden_states_3",), ("hidden_states_3",))}
    assert needs(terms)["bert"][0] == ("gram_3_3", "hidden_states_3")
    assert fields_of(terms[1]) == ("gram_3_3",)
    assert columns_of(terms[1], {"gram_3_3": {}}) == ("gram_3_3",)


def test_masked_tokens_and_filler_rows_have_no_effect(student):
    for loss in ("hidden_mse", "cos", "nst", "fsp", "pkd"):
        (*_, (term, columns, held)) = ways(loss, False)
        expected = measured(term, columns, held, student)
        noisy = {name: values.clone() for name, values in columns.items()}
        for name, values in noisy.items():
            values[~_mask()] = 1e3
            values[3] = 1e3
            assert name.startswith("hidden_states")
        torch.testing.assert_close(measured(term, noisy, held, student), expected)


# Student tokens over a teacher's: the teacher has one more, and cut the last of row 2 off.
_SPANS = torch.tensor(
    [
        [[0, 1], [1, 3], [3, 4], [4, 5], [5, 7], [7, 8], [8, 9]],
        [[0, 1], [1, 2], [2, 4], [4, 5], [0, 0], [0, 0], [0, 0]],
        [[0, 1], [1, 2], [2, 3], [0, 0], [3, 4], [0, 0], [0, 0]],
        [[0, 1], [1, 2], [2, 3], [0, 0], [0, 0], [0, 0], [0, 0]],
    ]
)
_THEIRS = [9, 5, 4, 3]


def test_on_other_tokens_a_state_is_the_mean_of_its_pieces(student):
    """hidden_mse and nst with numpy, row by row; the Gram of averaged states follows from the Gram."""
    states = _draw(300, max(_THEIRS), WIDTH)
    squares, products, tokens, couples = 0.0, 0.0, 0, 0
    for row in range(3):
        kept = [(at, span) for at, span in enumerate(_SPANS[row].tolist()) if span[1] > span[0]]
        theirs = np.array([states[row, first:end].mean(0).numpy() for _, (first, end) in kept])
        own = student.hidden[1].detach().numpy()[row, [at for at, _ in kept]]
        squares += ((own - theirs) ** 2).mean(1).sum()
        products += ((own @ own.T / WIDTH - theirs @ theirs.T / WIDTH) ** 2).sum()
        tokens, couples = tokens + len(kept), couples + len(kept) ** 2
    gram = pack_triangle(states @ states.transpose(1, 2) / WIDTH)
    for columns in ({"hidden_states_1": states}, {"hidden_states_1": states, "gram_1_1": gram}):
        held = {name: {} for name in columns}
        columns = {**columns, "token_spans": _SPANS}
        assert measured(term_of("hidden_mse"), columns, held, student).item() == pytest.approx(
            squares / tokens
        )
        assert measured(term_of("nst"), columns, held, student).item() == pytest.approx(products / couples)


def test_a_projection_stands_between(student):
    term = term_of("hidden_mse") | {
        "projection": {"kind": "tanh", "in": WIDTH, "out": 4, "learning_rate": 0.1}
    }
    teacher = _draw(1, max(LENGTHS), 4)
    objective = build_objective([term], held={"bert": {"hidden_states_1": {}}}, seed=3)
    (projection,) = objective.projections.values()
    total, _ = objective(OUTPUTS, batch_of({"hidden_states_1": teacher}, student))
    own = torch.tanh(student.hidden[1] @ projection.weight.double().T)
    kept = _mask() & COUNTED[:, None]
    torch.testing.assert_close(total, (own - teacher)[kept].square().mean())
    total.backward()
    assert projection.weight.grad.any()
    assert projection.learning_rate == 0.1


def test_first_weights_of_a_projection():
    term = term_of("hidden_mse") | {"projection": {"kind": "linear", "in": 300, "out": 500}}

    def projection(seed):
        (made,) = build_objective([term], seed=seed).projections.values()
        return made

    made = projection(0)
    assert made.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert made.weight.mean().abs() < 1e-3
    assert not made.bias.any()
    assert projection(0).weight.equal(made.weight)
    assert not projection(1).weight.equal(made.weight)


@pytest.mark.parametrize("pooling", ["first", "mean", "pooler"])
def test_a_sentence_vector_of_the_student(pooling, student):
    term = term_of("sentence_cos") | {"student_pooling": pooling}
    if pooling == "pooler":
        del term["student_layer"]
        student.pooled = _draw(7, WIDTH)
    columns, options = cached("sentence_vector")
    value = measured(term, columns, {"sentence_vector": options}, student)
    total = 0.0
    for row in range(3):
        states = student.hidden[1][row, : LENGTHS[row]]
        own = {"first": states[0], "mean": states.mean(0), "pooler": student.pooled}[pooling]
        own = own[row] if pooling == "pooler" else own
        total += (1 - torch.cosine_similarity(own, columns["sentence_vector"][row], dim=0)) / 2
    torch.testing.assert_close(value, total / 3)


def test_what_the_student_is_read_for_a_sentence_vector():
    term = {"loss": "sentence_cos", "from": "bert"}
    assert build_objective([term | {"student_pooling": "pooler"}]).reads == Reads(pooled=True)
    assert build_objective([term | {"student_layer": 2}]).reads == Reads(hidden=frozenset({2}))
    assert term_problems(term) == ["student_layer: expected a layer, from 0, to pool by 'first'; got nothing"]
    (problem,) = term_problems(term | {"student_pooling": "pooler", "student_layer": 2})
    assert "the pooler reads the last layer; got 2" in problem
    assert "'first', 'mean' or 'pooler'" in term_problems(term | {"student_pooling": "last"})[0]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_is_its_terms(name):
    preset = {"matches": name, "from": "bert", "weight": 0.5}
    objective = build_objective([{"loss": "gold"}, preset])
    layers = len(PRESETS[name].teacher_layers)
    assert len(objective.terms) == 1 + 2 * layers
    assert len({term.name for term in objective.terms}) == 1 + 2 * layers
    assert objective.reads.hidden == set(PRESETS[name].student_layers)
    assert len(objective.projections) == (0 if name in ("T6", "T3") else layers)
    assert {term.weight for term in objective.terms[1:]} == {0.5}
    fields, _ = needs([preset], held={"bert": {field: {} for field in _hidden(name)}})["bert"]
    assert fields == tuple(sorted(_hidden(name)))


def _hidden(name):
    return [f"hidden_states_{layer}" for layer in PRESETS[name].teacher_layers]


def test_published_layer_lists():
    found = {
        name: list(zip(preset.teacher_layers, preset.student_layers, strict=True))
        for name, preset in PRESETS.items()
    }
    assert found["T4-tiny"] == [(0, 0), (3, 1), (6, 2), (9, 3), (12, 4)]
    assert found["T3"] == found["T3-small"] == [(0, 0), (4, 1), (8, 2), (12, 3)]
    assert found["T6"] == [(2 * layer, layer) for layer in range(7)]
    assert found["T12-nano"] == [(layer, layer) for layer in range(0, 13, 2)]
    assert {name: preset.width for name, preset in PRESETS.items()} == {
        "T6": 768,
        "T3": 768,
        "T3-small": 384,
        "T4-tiny": 312,
        "T12-nano": 256,
    }


def test_a_preset_is_checked_as_its_terms_are():
    preset = {"matches": "T3", "from": "bert"}
    assert not term_problems(preset)
    wrong = {"weight": -1, "weight_schedule": "linear", "from": None, "sources": "towns.train"}
    for name, value in wrong.items():
        problems = term_problems(preset | {name: value})
        assert problems
        assert all(problem.startswith(f"{name}: ") for problem in problems)
    assert len(term_problems(preset | wrong)) >= len(wrong)
    assert "projection: expected nothing" in term_problems(preset | {"projection": None})[0]
