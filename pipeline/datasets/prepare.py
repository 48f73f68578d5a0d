"""Raw files to tables of examples: every row is kept, repaired or rejected with a reason, and counted."""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.datasets import READERS
from pipeline.datasets.check import check
from pipeline.datasets.labels import ANSWERS, classes
from pipeline.datasets.rows import Broken, Rows
from pipeline.errors import DataError, ParamsError
from pipeline.files import new_folder, write_json, write_text
from pipeline.fingerprint import input_hash
from pipeline.schema import Example, Reject
from pipeline.tables import write_rows

_SPLIT = re.compile(r"[A-Za-z0-9_\-]+")


@dataclass(frozen=True)
class Split:
    """What became of one split's rows."""

    examples: list[Example]
    rejects: list[Reject]
    repaired: int
    dropped_answers: int

    @property
    def counts(self) -> dict[str, int]:
        """The figures of the summary. `repaired` counts answers, the others but the last count rows."""
        inputs = [input_hash(example.question, example.context) for example in self.examples]
        return {
            "rows_in": len(self.examples) + len(self.rejects),
            "rows_out": len(self.examples),
            "rejects": len(self.rejects),
            "repaired": self.repaired,
            "duplicates": len(inputs) - len(set(inputs)),
            "labelled": sum(map(_is_labelled, self.examples)),
            "dropped_answers": self.dropped_answers,
        }


def prepare(
    out: Path,
    *,
    reader: str,
    language: str,
    folder: Path,
    files: Mapping[str, str | Sequence[str]] | None = None,
    options: Mapping[str, Any] | None = None,
    keep_impossible: bool = False,
    labels: str = ANSWERS,
) -> dict[str, Any]:
    """Write `<split>.arrow` for every split, rejects.jsonl and summary.json to `out`.

    Args:
        out: The folder to write, whole or not at all.
        reader: A name in `READERS`.
        language: Noted in the summary, for later stages.
        folder: Where the raw files are.
        files: For each split, its file in `folder`, or several, whose rows follow each other.
        options: The reader's own options.
        keep_impossible: Keep questions that are labelled as having no answer; else they are rejected.
        labels: What the labels of the task are: answers, or one of `pipeline.datasets.labels`.

    Returns: the summary: language, counts of each split, reasons of each split's rejects, the task's classes.

    Raises:
        DataError: A file cannot be read, or a split has no usable row.
        ParamsError: The reader, an option or the name of a split is not one.
    """
    read = READERS.load(reader)
    problems = READERS.option_problems(reader, options or {})
    if problems:
        raise ParamsError(
            out.name, expected=f"options of reader {reader!r}", got="; ".join(problems), remedy="mend them"
        )
    splits = {}
    for name, rows in _all_rows(partial(read, **(options or {})), folder, files or {}).items():
        if not _SPLIT.fullmatch(name):
            raise ParamsError(
                f"{out.name}.{name}",
                expected="a split named with letters, digits, _ and -",
                got=repr(name),
                remedy="rename it under `files`",
            )
        splits[name] = sort_out(name, rows, keep_impossible=keep_impossible, labels=labels)
        _refuse_empty(f"{folder} ({name})", splits[name])
    if not splits:
        raise DataError(folder, expected="at least one split", got="none", remedy="name the files to read")
    summary: dict[str, Any] = {
        "language": language,
        "splits": {name: split.counts for name, split in splits.items()},
        "reasons": {name: dict(_reasons(split)) for name, split in splits.items()},
    }
    found = classes([example for split in splits.values() for example in split.examples], labels)
    if found is not None:
        summary["classes"] = found
    with new_folder(out) as temporary:
        for name, split in splits.items():
            write_rows(temporary / f"{name}.arrow", Example, split.examples)
        write_text(temporary / "rejects.jsonl", "".join(_line(r) for s in splits.values() for r in s.rejects))
        write_json(temporary / "summary.json", summary)
    return summary


def _all_rows(
    read: Callable[[Path, Mapping[str, str]], Rows], folder: Path, files: Mapping[str, str | Sequence[str]]
) -> dict[str, Iterable[Example | Broken]]:
    """The rows of every split: the first files of all splits are read together, then the second ones."""
    listed = {split: [names] if isinstance(names, str) else list(names) for split, names in files.items()}
    rounds = max(map(len, listed.values()), default=1)
    rows: dict[str, Iterable[Example | Broken]] = {}
    for turn in range(rounds):
        named = {split: names[turn] for split, names in listed.items() if turn < len(names)}
        for split, more in read(folder, named).items():
            rows[split] = chain(rows.get(split, ()), more)
    return rows


def sort_out(
    name: str, rows: Iterable[Example | Broken], *, keep_impossible: bool = False, labels: str = ANSWERS
) -> Split:
    """Check every row of the split `name`."""
    examples: list[Example] = []
    rejects: list[Reject] = []
    repaired = dropped = rows_in = 0
    for ordinal, raw in enumerate(rows):
        rows_in += 1
        verdict = (
            raw if isinstance(raw, Broken) else check(raw, keep_impossible=keep_impossible, labels=labels)
        )
        if isinstance(verdict, Broken):
            rejects.append(Reject(name, ordinal, verdict.id, verdict.reason, verdict.detail))
        else:
            examples.append(verdict.example)
            repaired += verdict.repaired
            dropped += verdict.dropped
    if rows_in != len(examples) + len(rejects):
        raise DataError(
            name,
            expected=f"{rows_in} rows kept or rejected",
            got=f"{len(examples)} and {len(rejects)}",
            remedy="report this as a bug",
        )
    return Split(examples, rejects, repaired, dropped)


def _is_labelled(example: Example) -> bool:
    return bool(example.golds) or example.is_impossible or example.labels is not None


def _refuse_empty(where: str, split: Split) -> None:
    if not split.examples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in _reasons(split).most_common())
        first = f"; the first: {split.rejects[0].detail}" if split.rejects else ""
        raise DataError(
            where,
            expected="at least one usable row",
            got=f"{len(split.rejects)} rows, all rejected ({reasons}{first})" if split.rejects else "no rows",
            remedy="check the file and the reader",
        )


def _reasons(split: Split) -> Counter[str]:
    return Counter(reject.reason for reject in split.rejects)


def _line(reject: Reject) -> str:
    # ASCII, because a rejected row may hold what UTF-8 cannot.
    return json.dumps(dataclasses.asdict(reject)) + "\n"
