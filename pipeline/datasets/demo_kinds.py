"""Built-in data sets of sentences, made of the demo's facts: what one is about, which question it answers."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from random import Random

from pipeline.datasets.demo import check_range, refusal
from pipeline.datasets.facts import Fact, World, load_world
from pipeline.datasets.rows import Rows
from pipeline.schema import Example

_NAME = "demo_kinds"
_MOST_ROWS = 1_000_000


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    seed: int = 1,
    pairs: bool = False,
    teacher_rows: int = 2000,
    train_rows: int = 1000,
    labelled_rows: int = 200,
    dev_rows: int = 300,
) -> Rows:
    """Splits `teacher`, `train` and `dev` of sentences labelled with the kind of thing that they are about.

    Args:
        folder: Not read.
        files: Must be empty.
        seed: Another seed gives other sentences over the same facts.
        pairs: Rows are a question and a sentence, labelled 1 where the sentence answers it, else 0.
        teacher_rows: Rows of `teacher`, all labelled.
        train_rows: Rows of `train`.
        labelled_rows: How many rows of `train` have a label, the first ones.
        dev_rows: Rows of `dev`, all labelled.

    Raises:
        ParamsError: An option is out of range, or `files` is not empty.
    """
    if files:
        raise refusal("files", "none, since the rows are made", dict(files), _NAME)
    sizes = {"teacher": teacher_rows, "train": train_rows, "dev": dev_rows}
    for split, rows in sizes.items():
        check_range(f"{split}_rows", rows, 1, _MOST_ROWS, _NAME)
    check_range("labelled_rows", labelled_rows, 0, train_rows, _NAME)
    world = load_world()
    make = _pairs if pairs else _sentences
    splits = {
        split: list(islice(make(Random(f"{seed}/{split}"), world, split), rows))
        for split, rows in sizes.items()
    }
    splits["train"][labelled_rows:] = [
        Example(row.id, row.question, row.context) for row in splits["train"][labelled_rows:]
    ]
    return splits


def _sentences(random: Random, world: World, split: str) -> Iterator[Example]:
    number = 0
    while True:
        fact = _any_fact(random, world)
        yield Example(f"{split}_{number}", "", _told(random, world, fact), labels=(fact.kind,))
        number += 1


def _pairs(random: Random, world: World, split: str) -> Iterator[Example]:
    """Half of the sentences answer their question; the others are about another subject of its kind."""
    number = 0
    while True:
        asked = _any_fact(random, world)
        answers = random.random() < 0.5
        told = asked if answers else _another(random, world, asked)
        question = random.choice(world.wording(asked).questions).replace("{subject}", asked.subject)
        label = "1" if answers else "0"
        yield Example(f"{split}_{number}", question, _told(random, world, told), labels=(label,))
        number += 1


def _any_fact(random: Random, world: World) -> Fact:
    kind = world.kinds[random.choice(list(world.kinds))]
    return random.choice(kind.facts[random.choice(list(kind.facts))])


def _another(random: Random, world: World, asked: Fact) -> Fact:
    kind = world.kinds[asked.kind]
    others = [fact for facts in kind.facts.values() for fact in facts if fact.subject != asked.subject]
    return random.choice(others)


def _told(random: Random, world: World, fact: Fact) -> str:
    template = random.choice(world.wording(fact).statements)
    text = template.replace("{subject}", fact.subject).replace("{answer}", fact.answer)
    return text[:1].upper() + text[1:]
