import hashlib
import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.datasets.demo import read, write_passage
from pipeline.datasets.facts import Fact, load_world
from pipeline.errors import ParamsError
from pipeline.schema import Example

NOWHERE = Path("unused")
SMALL: dict[str, Any] = {"teacher_rows": 300, "train_rows": 200, "labelled_rows": 30, "dev_rows": 100}


def splits(**options: Any) -> dict[str, list[Example]]:
    return {split: list(rows) for split, rows in read(NOWHERE, {}, **{**SMALL, **options}).items()}  # type: ignore[arg-type]


def by_passage(rows: list[Example]) -> list[list[Example]]:
    return [list(group) for _, group in groupby(rows, key=lambda row: row.context)]


def test_sizes_and_labels() -> None:
    made = splits()
    assert {split: len(rows) for split, rows in made.items()} == {"teacher": 300, "train": 200, "dev": 100}
    labelled = {split: sum(bool(row.answers) for row in rows) for split, rows in made.items()}
    assert labelled == {"teacher": 300, "train": 30, "dev": 100}


def test_every_answer_is_true_and_stands_at_its_offset() -> None:
    truths = {
        (subject, fact.answer)
        for kind in load_world().kinds.values()
        for subject, facts in kind.facts.items()
        for fact in facts
    }
    for row in splits()["teacher"]:
        (answer,) = row.answers
        assert row.context[answer.start : answer.start + len(answer.text)] == answer.text
        assert any(subject in row.question and text == answer.text for subject, text in truths)


def test_every_question_meets_a_distractor() -> None:
    world = load_world(60)
    alone = 0
    for seed in range(200):
        _, told = write_passage(Random(seed), world, min_words=0)
        for fact, _ in told:
            alone += not any(o.relation == fact.relation and o.subject != fact.subject for o, _ in told)
    assert alone == 0


def test_a_fact_is_told_once_in_a_passage() -> None:
    world = load_world(60)
    for seed in range(50):
        _, told = write_passage(Random(seed), world, min_words=300)
        assert len({fact for fact, _ in told}) == len(told)


def test_several_questions_a_passage() -> None:
    groups = by_passage(splits()["teacher"])
    assert all(len(group) == 3 for group in groups)
    assert all(len({row.question for row in group}) == 3 for group in groups)


def test_long_passages() -> None:
    groups = by_passage(splits(teacher_rows=900, long_share=0.25, long_words=160)["teacher"])
    longs = [len(group[0].context.split()) >= 160 for group in groups]
    assert 0.15 < sum(longs) / len(longs) < 0.35
    assert not any(
        len(group[0].context.split()) >= 160 for group in by_passage(splits(long_share=0.0)["dev"])
    )


def test_a_small_world_fills_up_with_sentences_that_tell_nothing() -> None:
    text, told = write_passage(Random(0), load_world(24), min_words=2000)
    assert len(text.split()) >= 2000
    assert len({fact.subject for fact, _ in told}) == 24


def test_subjects_are_limited_and_drawn_from_all_kinds() -> None:
    world = load_world(60)
    assert len(world.subjects) == 60
    assert all(len(kind.facts) >= 5 for kind in world.kinds.values())
    assert set(world.subjects) < set(load_world().subjects)


def test_each_relation_is_worded_in_several_ways() -> None:
    for kind in load_world().kinds.values():
        for relation, wording in kind.wordings.items():
            assert len(wording.questions) >= 3, relation
            assert len(wording.statements) >= 4, relation
            assert all("{subject}" in text and "{answer}" not in text for text in wording.questions)
            assert all(text.count("{answer}") == text.count("{subject}") == 1 for text in wording.statements)
            assert all("{answer}" in text and "{subject}" not in text for text in wording.followups)
        for facts in kind.facts.values():
            assert {fact.relation for fact in facts} == set(kind.wordings)


def test_some_known_facts() -> None:
    world = load_world()
    assert Fact("country", "Japan", "capital", "Tokyo") in world.kinds["country"].facts["Japan"]
    assert Fact("element", "uranium", "number", "92") in world.kinds["element"].facts["uranium"]
    assert Fact("river", "the Danube", "mouth", "Black Sea") in world.kinds["river"].facts["the Danube"]


def digest_of(made: dict[str, list[Example]]) -> str:
    return hashlib.sha256(repr(made).encode()).hexdigest()


def test_another_process_makes_the_same_rows() -> None:
    code = (
        "import hashlib, json, sys; from pathlib import Path; from pipeline.datasets.demo import read\n"
        "rows = read(Path('unused'), {}, **json.loads(sys.argv[1]))\n"
        "print(hashlib.sha256(repr({k: list(v) for k, v in rows.items()}).encode()).hexdigest())"
    )
    command = [sys.executable, "-c", code, json.dumps(SMALL)]
    # Another hash seed, so that nothing may hang on the order of a set.
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    assert printed.stdout.strip() == digest_of(splits())


def test_another_seed_makes_other_rows_and_a_larger_split_leaves_the_others_alone() -> None:
    first, second, larger = splits(), splits(seed=2), splits(teacher_rows=600)
    assert digest_of(first) != digest_of(second)
    assert larger["teacher"][:300] == first["teacher"]
    assert (larger["train"], larger["dev"]) == (first["train"], first["dev"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subjects": 5}, "option 'subjects' of reader 'demo': expected a number from 24 to"),
        ({"subjects": 10_000}, "option 'subjects'"),
        (
            {"labelled_rows": 201},
            "option 'labelled_rows' of reader 'demo': expected a number from 0 to 200; got 201",
        ),
        ({"dev_rows": 0}, "option 'dev_rows' of reader 'demo': expected a number from 1"),
        ({"long_share": 1.5}, "option 'long_share'"),
        ({"long_words": -1}, "option 'long_words'"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        splits(**options)


def test_files_are_refused() -> None:
    with pytest.raises(ParamsError, match="option 'files' of reader 'demo': expected none"):
        read(NOWHERE, {"train": "x.json"})
