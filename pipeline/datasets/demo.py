"""A built-in data set: encyclopedia-like passages made from real facts, the same for the same seed.

Passages tell facts about several subjects of one kind, so that every question meets sentences that
distract: the same relation, another subject. Split `teacher` has many labelled rows, `train` few
labelled and many unlabelled ones, `dev` is for scoring.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from random import Random

from pipeline.datasets.facts import Fact, Kind, World, load_world
from pipeline.datasets.rows import Rows
from pipeline.errors import ParamsError
from pipeline.schema import Answer, Example

_QUESTIONS = 3
_RELATIONS = 2
_SUBJECTS = (2, 3)
_FOLLOWUP_SHARE = 0.25
_ASIDE_SHARE = 0.2
_FEWEST = 24  # two or three of every kind, so that there is something to distract
_MOST_ROWS = 10_000_000
_MOST_WORDS = 10_000


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    seed: int = 1,
    subjects: int = 60,
    teacher_rows: int = 9000,
    train_rows: int = 4000,
    labelled_rows: int = 300,
    dev_rows: int = 600,
    long_share: float = 0.1,
    long_words: int = 150,
) -> Rows:
    """Splits `teacher`, `train` and `dev`, made from the facts that come with the package.

    Args:
        folder: Not read.
        files: Must be empty.
        seed: Another seed gives other passages over the same facts.
        subjects: How many countries, composers, rivers and so on the passages are about.
        teacher_rows: Rows of `teacher`, all labelled.
        train_rows: Rows of `train`.
        labelled_rows: How many rows of `train` have an answer.
        dev_rows: Rows of `dev`, all labelled.
        long_share: Share of passages that are long.
        long_words: Words that a long passage has at least.

    Raises:
        ParamsError: An option is out of range, or `files` is not empty.
    """
    if files:
        raise refusal("files", "none, since the rows are made", dict(files))
    check_range("subjects", subjects, _FEWEST, len(load_world().subjects))
    sizes = {"teacher": teacher_rows, "train": train_rows, "dev": dev_rows}
    for split, rows in sizes.items():
        check_range(f"{split}_rows", rows, 1, _MOST_ROWS)
    check_range("labelled_rows", labelled_rows, 0, train_rows)
    check_range("long_share", long_share, 0, 1)
    check_range("long_words", long_words, 0, _MOST_WORDS)
    world = load_world(subjects)
    splits = {}
    for split, rows in sizes.items():
        # A stream for each split: more rows in one do not change another.
        examples = list(
            islice(_examples(Random(f"{seed}/{split}"), world, split, long_share, long_words), rows)
        )
        if split == "train":
            labelled = set(Random(f"{seed}/labels").sample(range(rows), labelled_rows))
            examples = [
                row if ordinal in labelled else replace(row, answers=())
                for ordinal, row in enumerate(examples)
            ]
        splits[split] = examples
    return splits


def check_range(option: str, value: int | float, least: int, most: int, reader: str = "demo") -> None:
    """Refuse an option of a built-in data set that is out of range.

    Raises:
        ParamsError: So it is.
    """
    if not least <= value <= most:
        raise refusal(option, f"a number from {least:,} to {most:,}", value, reader)


def refusal(option: str, expected: str, got: object, reader: str = "demo") -> ParamsError:
    """The error about an option of a built-in data set."""
    where = f"option {option!r} of reader {reader!r}"
    return ParamsError(where, expected=expected, got=repr(got), remedy="change it")


def _examples(
    random: Random, world: World, split: str, long_share: float, long_words: int
) -> Iterator[Example]:
    for ordinal in count():
        is_long = random.random() < long_share
        text, told = write_passage(random, world, min_words=long_words if is_long else 0)
        for number, (fact, start) in enumerate(random.sample(told, min(_QUESTIONS, len(told)))):
            question = random.choice(world.wording(fact).questions).replace("{subject}", fact.subject)
            yield Example(f"{split}_{ordinal}_{number}", question, text, (Answer(fact.answer, start),))


def write_passage(random: Random, world: World, *, min_words: int) -> tuple[str, list[tuple[Fact, int]]]:
    """A text of at least `min_words` words, and its facts, each with the character where its answer starts.

    A subject is met in one paragraph only, so a question about it has one answer.
    """
    sentences: list[str] = []
    told: list[tuple[Fact, int]] = []
    length = num_words = 0
    fresh = {name: list(kind.facts) for name, kind in world.kinds.items()}
    while not told or num_words < min_words:
        left = [name for name, subjects in fresh.items() if subjects]
        if left:
            name = random.choice(left)
            chosen = random.sample(fresh[name], min(random.randint(*_SUBJECTS), len(fresh[name])))
            fresh[name] = [subject for subject in fresh[name] if subject not in chosen]
            plan = list(_paragraph(random, world, world.kinds[name], chosen))
        else:
            plan = [(random.choice(world.fillers), None)]
        for template, fact in plan:
            sentence, answer_start = _sentence(template, fact)
            if fact is not None:
                told.append((fact, length + answer_start))
            sentences.append(sentence)
            length += len(sentence) + 1
            num_words += len(sentence.split())
    return " ".join(sentences), told


def _paragraph(
    random: Random, world: World, kind: Kind, subjects: list[str]
) -> Iterator[tuple[str, Fact | None]]:
    """Templates, each with the fact it tells: the same relations of every subject."""
    relations = random.sample(list(kind.wordings), _RELATIONS)
    for subject in subjects:
        facts = [fact for fact in kind.facts[subject] if fact.relation in relations]
        random.shuffle(facts)
        for position, fact in enumerate(facts):
            wording = kind.wordings[fact.relation]
            is_followup = position > 0 and random.random() < _FOLLOWUP_SHARE
            yield random.choice(wording.followups if is_followup else wording.statements), fact
        if random.random() < _ASIDE_SHARE:
            aside = random.choice((*kind.mentions, *world.fillers))
            yield aside.replace("{subject}", subject), None


def _sentence(template: str, fact: Fact | None) -> tuple[str, int]:
    """The sentence, and where in it the answer starts."""
    before, _, after = template.partition("{answer}")
    if fact is not None:
        before, after = (part.replace("{subject}", fact.subject) for part in (before, after))
    before = before[:1].upper() + before[1:]
    return f"{before}{fact.answer if fact else ''}{after}", len(before)
