"""Several teachers teach the same from their caches as beside the student, and from a merged cache."""

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, pre_tokenizers

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.binding.targets import MixedSets
from pipeline.cache.fill import fill
from pipeline.cache.merge import Members
from pipeline.cache.mix import Mix
from pipeline.cache.plan import plan
from pipeline.cache.reader import TargetCache
from pipeline.inference.cache_targets import cache_targets
from pipeline.inference.live import LiveTargets
from pipeline.inference.teacher import SpanTeacher
from pipeline.models import build
from pipeline.models.reading import read
from pipeline.objectives.needs import needs
from pipeline.objectives.objective import build_objective
from pipeline.text.build import build_tokenizer
from pipeline.text.tokenizers import Encoder
from pipeline.training.stream import Stream, Targets, row_identities

LIMITS = {"max_length": 90, "max_question_tokens": 30}
FIELDS = {
    "span_logits": {"dtype": "float32"},
    "top_spans": {"k": 4},
    "qa_attention": {"layer": -2, "dtype": "float32"},
}
SHAPE = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}


def terms_at(temperature, alias="mix"):
    return [
        {"loss": "kd_kl", "from": alias, "temperature": temperature},
        {"loss": "kd_ce", "from": alias, "temperature": temperature},
        {"loss": "answer_margin", "from": alias},
        {"loss": "qa_attention_mse", "from": alias},
    ]


TERMS = terms_at(2.0)


@pytest.fixture
def world(tmp_path, make_teacher, teacher_folder, passages, passage_folder):
    """Passages, three teachers over them (the third of other tokens) with their caches, a student."""
    rows = passages(24, unlabelled=3)
    folder = passage_folder(train=[*rows, rows[3]])
    teachers = [teacher_folder, make_teacher(scale=3.0), make_teacher(scale=2.0)]
    tokenizer = Tokenizer.from_file(str(teachers[2] / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(r".{1,4}"), "isolated")]
    )
    tokenizer.save(str(teachers[2] / "tokenizer.json"))
    for place, teacher in enumerate(teachers):
        cache_targets(
            tmp_path / f"set_{place}",
            manifest_out=tmp_path / f"set_{place}.json",
            teacher=teacher,
            passages=folder,
            splits=["train"],
            fields=FIELDS,
            **LIMITS,
        )
    texts = [text for row in rows for text in (row.question, row.text)]
    build_tokenizer(texts, tmp_path / "tokenizer", kind="words")
    return World(tmp_path, folder, [*rows, rows[3]], teachers)


class World:
    def __init__(self, root, folder, rows, teachers):
        self.root, self.folder, self.rows, self.teachers = root, folder, rows, teachers

    def bind(self, targets, terms):
        """The one source of a student that reads `targets` (set names, or mixes of them) by alias."""
        wanted = needs(terms)

        def found(alias, entry):
            if isinstance(entry, str):
                return TargetSet(self.root / entry, *wanted[alias])
            names, mix = entry
            return MixedSets(tuple(TargetSet(self.root / name, *wanted[alias]) for name in names), mix)

        bound = bind(
            self.root / "inputs",
            name="student",
            language="en",
            tokenizer=self.root / "tokenizer",
            max_length=400,
            max_question_tokens=60,
            sources=[
                Source(
                    0,
                    0,
                    self.folder,
                    "train",
                    {alias: found(alias, entry) for alias, entry in targets.items()},
                )
            ],
            evaluate=[],
            lost_mass_limit=0.01,
        )
        return bound.sources[0]

    def cache(self, source, member):
        entry = source.targets[member]
        return TargetCache.open(self.root / entry["set"], expected=entry["identity"])

    def live(self, source, member):
        folder = self.teachers[int(source.targets[member]["set"].split("_")[1])]
        teacher = SpanTeacher.open(folder, max_length=90, fields=FIELDS, batch_tokens=300)
        return LiveTargets(teacher, Encoder.open(folder), self.rows, **LIMITS)

    def measured(self, source, terms, open_source):
        """What every term says of all rows."""
        mixes = {alias: source.mix(alias) for alias in needs(terms) if source.mix(alias)}
        columns = source.columns()
        joined = {}
        for alias, (_, wanted) in needs(terms).items():
            for member in mixes[alias].aliases(alias) if alias in mixes else (alias,):
                opened = open_source(source, member)
                joined[member] = Targets(opened, opened.positions(*row_identities(columns)), wanted)
        batch = Stream(columns, joined, tuple(mixes)).__getitems__(
            (np.arange(source.rows), np.ones(source.rows, np.bool_))
        )
        objective = build_objective(terms, mixes)
        options = {**SHAPE, "max_length": 400}
        model = build("bert", self.root / "tokenizer", options, seed=3).eval()
        with torch.no_grad():
            layer = objective.reads.attention_layer
            outputs = read(model, batch["inputs"], batch["question"], batch["passage"], attention_layer=layer)
            return objective(outputs, batch)[1]


def assert_equal(one, other, tolerance=1e-5):
    assert one.keys() == other.keys()
    for name, (total, count) in one.items():
        assert count == other[name].rows > 0
        torch.testing.assert_close(total, other[name].total, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("mean", "sets"), [("mean_logits", ["set_0", "set_1"]), ("mean_probabilities", ["set_1", "set_2"])]
)
def test_every_term_of_a_mix_agrees(world, mean, sets):
    mix = Mix.of(mean, 2, [3, 1])
    source = world.bind({"mix": (sets, mix)}, TERMS)
    mixed = world.measured(source, TERMS, world.cache)
    assert_equal(mixed, world.measured(source, TERMS, world.live))
    # And it is neither teacher alone.
    for name in sets:
        alone = world.measured(world.bind({"mix": name}, TERMS), TERMS, world.cache)
        assert alone["kd_ce"].total != mixed["kd_ce"].total


@pytest.mark.parametrize("mean", ["mean_logits", "mean_probabilities"])
def test_a_merged_cache_teaches_what_its_members_do(world, mean):
    mix = Mix.of(mean, 2, [3, 1])
    of = Members(
        [world.root / "set_0", world.root / "set_1"],
        mix,
        splits=["train"],
        fields={**{name: {} for name in FIELDS}, "top_spans": {"k": 8}},
    )
    fill(plan(world.root / "merged", of.rows, of.settings), of, run=of.facts)

    def both(temperature):
        terms = terms_at(temperature)
        return [
            world.measured(world.bind({"mix": entry}, terms), terms, world.cache)
            for entry in ("merged", (["set_0", "set_1"], mix))
        ]

    assert_equal(*both(1.0))
    merged, mixed = both(4.0)
    # Logits have one mean at every temperature; softening and averaging probabilities do not commute.
    same = torch.isclose(merged["kd_ce"].total, mixed["kd_ce"].total, rtol=1e-5)
    assert bool(same) == (mean == "mean_logits")
