"""Data sets that the `datasets` library reads: by hub name, or from a local folder.

Rows have SQuAD's columns: question, context and, where given, id, answers and is_impossible.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetsError

from pipeline.datasets.rows import Broken, Rows, row, shown
from pipeline.errors import DataError
from pipeline.registry import did_you_mean
from pipeline.schema import Example


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    name: str | None = None,
    config: str | None = None,
    revision: str | None = None,
) -> Rows:
    """The rows of a data set, for each split that `files` names; all splits where it names none.

    Args:
        folder: A data set saved with `save_to_disk`, or a folder of JSON, Parquet or CSV files.
        files: For each split, what the data set calls it.
        name: A name on the hub, read instead of `folder`.
        config: Which of the data set's configurations.
        revision: Which commit or tag on the hub.

    Raises:
        DataError: It cannot be read, has no such split, or lacks a column.
    """
    source = name or str(folder)
    splits = _load(folder, config) if name is None else _fetch(name, config, revision)
    wanted = files or {split: split for split in splits}
    return {
        split: _rows(f"{source} ({theirs})", _split(source, splits, theirs))
        for split, theirs in wanted.items()
    }


def _load(folder: Path, config: str | None) -> Mapping[str, Any]:
    if not folder.is_dir():
        raise DataError(
            folder, expected="a folder with a data set", got="no such folder", remedy="check the path"
        )
    try:
        if (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(str(folder))  # type: ignore[no-any-return]
        if (folder / "state.json").is_file():
            return {"train": datasets.load_from_disk(str(folder))}
        return datasets.load_dataset(str(folder), config)  # type: ignore[no-any-return]
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(
            folder,
            expected="a data set saved with save_to_disk, or JSON, Parquet or CSV files",
            got=_first_line(error),
            remedy="check the folder's files",
        ) from error


def _fetch(name: str, config: str | None, revision: str | None) -> Mapping[str, Any]:
    try:
        return datasets.load_dataset(name, config, revision=revision)  # type: ignore[no-any-return]
    except (OSError, ValueError, DatasetsError) as error:
        is_offline = isinstance(error, ConnectionError)
        raise DataError(
            f"data set {name!r}",
            expected="a data set on the hub" + (", which could not be reached" if is_offline else ""),
            got=_first_line(error),
            remedy="connect, or save the data set with save_to_disk and name its folder"
            if is_offline
            else "check the option `name`, `config` and `revision`",
        ) from error


def _split(source: str, splits: Mapping[str, Any], name: str) -> Any:
    if name not in splits:
        raise DataError(
            source,
            expected="the name of a split",
            got=repr(name),
            remedy=did_you_mean(name, map(str, splits)),
        )
    return splits[name]


def _rows(where: str, split: Any) -> Iterator[Example | Broken]:
    missing = {"question", "context"} - set(split.column_names)
    if missing:
        raise DataError(
            where,
            expected="columns question, context, answers (and id, is_impossible)",
            got=f"no {' and no '.join(sorted(missing))} among {split.column_names}",
            remedy="rename its columns to SQuAD's",
        )
    return (_row(ordinal, values) for ordinal, values in enumerate(split))


def _row(ordinal: int, values: dict[str, Any]) -> Example | Broken:
    id = values.get("id", str(ordinal))
    answers = values.get("answers")
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return Broken(
                str(id), "malformed", f"answers: expected as many texts as starts; got {shown(answers)}"
            )
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    return row(id, values["question"], values["context"], answers, values.get("is_impossible"))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
