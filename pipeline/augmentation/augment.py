"""A data set out of another: rows are made of its rows, checked and counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.augmentation import AUGMENTERS
from pipeline.augmentation.corpus import Corpus
from pipeline.augmentation.row import CYCLE, augmented, chance, context_words, question_words, refusal, texts
from pipeline.datasets.labels import ANSWERS
from pipeline.errors import DataError, ParamsError
from pipeline.files import new_folder, read_json, write_json
from pipeline.progress import track
from pipeline.schema import Example
from pipeline.tables import read_rows, write_rows

_ADVANCE_EVERY = 1_000


def augment(
    examples: Path,
    out: Path,
    *,
    splits: Sequence[str],
    method: str,
    language: str,
    labels: str = ANSWERS,
    times: int = 10,
    max_rows: int | None = None,
    seed: int = 0,
    sides: str = CYCLE,
    keep_labels: bool = False,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `<split>.arrow` of new rows for every split, and summary.json, to `out`.

    What a row becomes follows from the seed, its own texts and the words of all rows. A new row is dropped
    where it is there already, has no words left, or has labels that are wrong or gone.

    Args:
        examples: The folder of a data set's examples.
        out: The folder to write, whole or not at all.
        splits: Those that are augmented.
        method: A name in `AUGMENTERS`.
        language: "en" or "zh".
        labels: What the labels of the task are: answers, or one of `pipeline.datasets.labels`.
        times: How many rows are made of each; first one of each row, then a second one. Their order is drawn.
        max_rows: Where each split stops.
        seed: Another seed gives other rows.
        sides: Which text of a pair is augmented: "first", "second", "both", or these in turn ("cycle"), as
            Tang et al. 2019 have it. Of a question and its context it is always the context.
        keep_labels: Rows keep the labels of those they are made of. Else only a teacher says what they are.
        options: The method's own.

    Returns: the summary: language, counts of each split, why rows were dropped, the task's classes.

    Raises:
        DataError: A split is missing, or no row came out of it.
        ParamsError: The method or an option is not one.
    """
    change = AUGMENTERS.load(method)
    if problems := AUGMENTERS.option_problems(method, options or {}):
        raise ParamsError(
            out.name, expected=f"options of augmenter {method!r}", got="; ".join(problems), remedy="mend them"
        )
    tables = {split: read_rows(examples / f"{split}.arrow", Example) for split in splits}
    described = read_json(examples / "summary.json", what="the summary of a data set")
    corpus = Corpus(
        (
            read(row, language, labels)
            for row in chain.from_iterable(tables.values())
            for read in (question_words, context_words)
        ),
        language,
    )
    make = partial(
        augmented,
        change=lambda words, random: change(words, random, corpus, **(options or {})),
        language=language,
        labels=labels,
        sides=sides,
        seed=seed,
    )
    summary: dict[str, Any] = {"language": language, "splits": {}, "reasons": {}}
    if "classes" in described:
        summary["classes"] = described["classes"]
    with new_folder(out) as folder:
        for split, rows in tables.items():
            with track(len(rows) * times, f"augment {out.name} {split}") as advance:
                order = _order(rows, times, seed)
                made, dropped = _rows(order, rows, make, labels, max_rows, advance)
            if not made:
                raise DataError(
                    f"{out.name}.{split}",
                    expected="at least one new row",
                    got=", ".join(f"{count:,} {reason}" for reason, count in dropped.items()) or "no rows",
                    remedy="choose another method, or other options of it",
                )
            summary["splits"][split] = {"rows_in": len(rows) * times, "rows_out": len(made)}
            if left := len(rows) * times - len(made) - dropped.total():
                dropped["beyond_max_rows"] = left
            summary["reasons"][split] = dict(dropped)
            kept = made if keep_labels else [Example(row.id, row.question, row.context) for row in made]
            write_rows(folder / f"{split}.arrow", Example, kept)
        write_json(folder / "summary.json", summary)
    return summary


def _order(rows: Sequence[Example], times: int, seed: int) -> Iterator[tuple[Example, int]]:
    """All rows with number 0, then all with number 1, and so on; each time in another order.

    So a split that stops early is made of rows from all of its source.
    """
    for number in range(times):
        for row in sorted(rows, key=lambda row: chance(row, number, seed)):
            yield row, number


def _rows(
    order: Iterable[tuple[Example, int]],
    rows: Sequence[Example],
    make: Callable[[Example, int], Example],
    labels: str,
    max_rows: int | None,
    advance: Callable[[int], None],
) -> tuple[list[Example], Counter[str]]:
    """New rows, and how many were dropped for each reason."""
    there = set(map(texts, rows))
    made: list[Example] = []
    dropped: Counter[str] = Counter()
    for done, (row, number) in enumerate(order, 1):
        new = make(row, number)
        reason = refusal(new, row, labels) or ("duplicate" if texts(new) in there else None)
        if reason is not None:
            dropped[reason] += 1
        else:
            there.add(texts(new))
            made.append(new)
        if done % _ADVANCE_EVERY == 0:
            advance(_ADVANCE_EVERY)
        if len(made) == max_rows:
            break
    advance((len(made) + dropped.total()) % _ADVANCE_EVERY)
    return made, dropped
