"""Several target sets bound as one: maps and lost mass of each, one confusing answer of all."""

import numpy as np
import pytest

from pipeline.binding.bind import Source, bind
from pipeline.binding.target_rows import TargetSet
from pipeline.binding.targets import MixedSets
from pipeline.cache.manifest import load_manifest
from pipeline.cache.mix import Mix
from pipeline.errors import DataError, MismatchError
from pipeline.schema import Passage
from pipeline.tables import read_rows
from pipeline.tasks.answers import span_text

FIELDS = ("span_logits", "top_spans")
COLUMNS = ("end_logits", "start_logits")


@pytest.fixture
def bound(tmp_path, words, dataset, teacher, fill_teacher):
    """Binds a student of word tokens to a mix: the first teacher reads pieces, the second what is asked."""

    def run(mean="mean_probabilities", *, other=words, weights=None, **changes):
        filled = {"log_probs": (-0.5, -2.5, -9.0), **changes.pop("filled", {})}
        fill_teacher(tmp_path / "other_foxes", other, seed=1, **filled)
        members = tuple(
            TargetSet(tmp_path / name, changes.pop("fields", FIELDS), COLUMNS)
            for name in ("bert_foxes", "other_foxes")
        )
        settings = {
            "name": "student",
            "language": "en",
            "tokenizer": words,
            "max_length": 64,
            "max_question_tokens": 20,
            "sources": [
                Source(0, 0, dataset, "train", {"mix": MixedSets(members, Mix.of(mean, 2, weights))})
            ],
            "evaluate": [],
            "lost_mass_limit": 0.05,
        }
        return bind(tmp_path / "inputs", **settings | changes).sources[0]

    return run


def test_every_member_has_a_map_of_its_own(bound, teacher):
    columns = bound().columns()
    for row, encoded in enumerate(teacher.rows):
        tokens = len(columns["passage_offsets"].row(row)) // 2
        for side in ("start", "end"):
            assert len(columns[f"mix/0/{side}_map"].row(row)) == len(encoded.passage_offsets) > tokens
            np.testing.assert_array_equal(columns[f"mix/1/{side}_map"].row(row), np.arange(tokens))
    assert "mix/confusing" in columns
    assert "mix/0/confusing" not in columns


def test_the_description_pins_every_member(bound, tmp_path):
    source = bound(weights=[3, 1])
    assert source.mixes == {
        "mix": {"mean": "mean_probabilities", "weights": [0.75, 0.25], "confusing_rows": 3}
    }
    assert source.mix("mix") == Mix("mean_probabilities", (0.75, 0.25))
    assert source.mix("mix/0") is None
    for place, name in enumerate(("bert_foxes", "other_foxes")):
        member = source.targets[f"mix/{place}"]
        identity = load_manifest(tmp_path / name).identity
        assert member["set"] == name
        assert member["identity"] == {field: identity[field] for field in FIELDS}
        assert member["lost"] == {"start": 0.0, "end": 0.0}


def test_the_confusing_answer_is_the_surest_of_all(bound, dataset):
    """Both name "foxes", "one brown" and "Oslo": the first with -1, -2, -3, the second -0.5, -2.5, -9."""
    source = bound()
    columns, passages = source.columns(), read_rows(dataset / "train.arrow", Passage)
    texts = []
    for row, passage in enumerate(passages):
        first, last = columns["mix/confusing"].row(row).tolist()
        offsets = columns["passage_offsets"].row(row).reshape(-1, 2)
        texts.append(span_text(first, last, offsets, passage.text) if first >= 0 else None)
    # Gold is "Red foxes", "Oslo", nothing, "Red foxes".
    assert texts == ["one brown", "foxes", None, "one brown"]
    # "one brown" is the first teacher's (-2 against -2.5), "foxes" the second's.
    assert [source.targets[f"mix/{place}"]["confusing_rows"] for place in (0, 1)] == [2, 1]


def test_confidence_decides_and_not_the_order_of_members(bound, dataset):
    source = bound(filled={"log_probs": (-7.0, -8.0, -1.5)})
    columns, passages = source.columns(), read_rows(dataset / "train.arrow", Passage)
    first, last = columns["mix/confusing"].row(0).tolist()
    offsets = columns["passage_offsets"].row(0).reshape(-1, 2)
    assert span_text(first, last, offsets, passages[0].text) == "Oslo"
    assert source.targets["mix/1"]["confusing_rows"] == 2


def test_lost_mass_is_reported_and_refused_by_member(bound):
    cut = {"max_length": 14, "max_question_tokens": 6}
    source = bound(lost_mass_limit=1.0, **cut)
    lost = [max(source.targets[f"mix/{place}"]["lost"].values()) for place in (0, 1)]
    assert all(share > 0.1 for share in lost)
    assert lost[0] != lost[1]
    between = sum(lost) / 2
    worst = ("bert_foxes", "other_foxes")[int(np.argmax(lost))]
    with pytest.raises(DataError, match=rf"{worst}: expected .* of the teacher's"):
        bound(lost_mass_limit=between, **cut)


def test_logits_of_other_tokens_are_not_averaged(bound):
    with pytest.raises(MismatchError, match=r"other_foxes: .*got another tokenizer; use mean_probabilities"):
        bound("mean_logits")


def test_logits_of_equal_tokens_are(bound, pieces):
    source = bound("mean_logits", other=pieces)
    assert source.mix("mix").mean == "mean_logits"


def test_tokens_cut_by_another_limit_are_other_tokens(bound, pieces):
    with pytest.raises(MismatchError, match=r"other_foxes: .*got other tokens; use mean_probabilities"):
        bound("mean_logits", other=pieces, filled={"max_length": 24})


def test_a_field_that_one_member_lacks_is_named(bound):
    with pytest.raises(MismatchError, match=r"bert_foxes: .*without hidden_states"):
        bound(fields=("hidden_states",))
