"""Data sets that the `datasets` library reads: by hub name, or from a local folder.

Rows have SQuAD's columns: question, context and, where given, id, answers and is_impossible. Options name
the columns of other tasks: of a text or two and a label, or of words and their tags. Classes that are kept as
numbers become their names.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets.exceptions import DatasetsError

from pipeline.datasets.pairs import examples
from pipeline.datasets.records import check_columns
from pipeline.datasets.rows import Broken, Rows, row, shown
from pipeline.datasets.schemes import ToIob2, is_tag, to_iob2
from pipeline.errors import DataError, ParamsError
from pipeline.registry import did_you_mean
from pipeline.schema import Example


def read(
    folder: Path,
    files: Mapping[str, str],
    *,
    name: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    text: str | None = None,
    question: str | None = None,
    label: str | None = "label",
    words: str | None = None,
    tags: str | None = "tags",
    scheme: str = "iob2",
    id: str | None = None,
    unlabelled: str | None = None,
    empty_is_impossible: bool = False,
) -> Rows:
    """The rows of a data set, for each split that `files` names; all splits where it names none.

    Args:
        folder: A data set saved with `save_to_disk`, or a folder of JSON, Parquet or CSV files.
        files: For each split, what the data set calls it.
        name: A name on the hub, read instead of `folder`.
        config: Which of the data set's configurations.
        revision: Which commit or tag on the hub.
        text: The column of the text of a row with a label, the second one of a pair.
        question: The column of a pair's first text; None where a row has one text.
        label: The column of the label, or labels; None where rows have none, and so has a split without it.
        words: The column of the words of a row with tags.
        tags: The column of a tag for each word; None where rows have none, and so has a split without it.
        scheme: How tags mark entities: iob1, iob2 or bioes.
        id: The column of a row's name; None counts rows. SQuAD's is `id`.
        unlabelled: The label that means that a row has none; of classes kept as numbers, -1 does.
        empty_is_impossible: Whether a question with an empty list of answers has none in its context,
            as in the hub's edition of SQuAD 2.0; else it is unlabelled.

    Raises:
        DataError: It cannot be read, has no such split, or lacks a column.
        ParamsError: Both a text and words are named, or there is no such scheme.
    """
    if text is not None and words is not None:
        raise ParamsError(
            "options of reader 'hub'",
            expected="a column of texts or one of words",
            got="both 'text' and 'words'",
            remedy="leave one out",
        )

    def rows(where: str, split: Any) -> Iterator[Example | Broken]:
        if words is not None:
            return _tagged(where, split, words, tags, id, to_iob2(scheme, "hub"))
        if text is not None:
            named = _with_names(split, label)
            return examples(
                where, named, text=text, question=question, label=label, id=id, unlabelled=unlabelled
            )
        return _answered(where, split, empty_is_impossible)

    source = name or str(folder)
    splits = _load(folder, config) if name is None else _fetch(name, config, revision)
    wanted = files or {split: split for split in splits}
    return {
        split: rows(f"{source} ({theirs})", _split(source, splits, theirs))
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


def _with_names(split: Any, column: str | None) -> Iterator[dict[str, Any]]:
    """The rows of a split, numbers of classes in `column` replaced by their names, -1 by None."""
    feature = split.features.get(column)
    names = getattr(getattr(feature, "feature", feature), "names", None)
    if column is None or names is None:
        return iter(split)

    def named(value: Any) -> Any:
        if isinstance(value, list):
            return [named(part) for part in value]
        return names[value] if value is not None and value >= 0 else None

    return ({**values, column: named(values[column])} for values in split)


def _tagged(
    where: str, split: Any, words: str, tags: str | None, id: str | None, convert: ToIob2
) -> Iterator[Example | Broken]:
    for ordinal, values in enumerate(_with_names(split, tags)):
        if not ordinal:
            check_columns(where, values, [name for name in (words, id) if name is not None])
        name = str(ordinal if id is None else values[id])
        yield _tagged_row(name, values[words], values.get(tags) if tags is not None else None, convert)


def _tagged_row(name: str, words: Any, tags: Any, convert: ToIob2) -> Example | Broken:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return Broken(name, "malformed", f"expected a list of words; got {shown(words)}")
    wrong = next((word for word in words if not word or " " in word), None)
    if wrong is not None:
        return Broken(name, "malformed", f"expected words without spaces; got {shown(wrong)}")
    text = " ".join(words)
    if tags is None:
        return Example(name, "", text)
    if not isinstance(tags, list):
        return Broken(name, "wrong_label", f"expected a list of tags; got {shown(tags)}")
    wrong = next((tag for tag in tags if not isinstance(tag, str) or not is_tag(tag)), None)
    if wrong is not None or None in tags:
        return Broken(name, "wrong_label", f"expected O or a tag with a type; got {shown(wrong)}")
    return Example(name, "", text, labels=tuple(convert(tags)))


def _answered(where: str, split: Any, empty_is_impossible: bool) -> Iterator[Example | Broken]:
    missing = {"question", "context"} - set(split.column_names)
    if missing:
        raise DataError(
            where,
            expected="columns question, context, answers (and id, is_impossible)",
            got=f"no {' and no '.join(sorted(missing))} among {split.column_names}",
            remedy="rename its columns to SQuAD's, or name those of another task: `text`, or `words`",
        )
    return (_row(ordinal, values, empty_is_impossible) for ordinal, values in enumerate(split))


def _row(ordinal: int, values: dict[str, Any], empty_is_impossible: bool) -> Example | Broken:
    id = values.get("id", str(ordinal))
    answers = values.get("answers")
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
            return Broken(
                str(id), "malformed", f"answers: expected as many texts as starts; got {shown(answers)}"
            )
        answers = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    impossible = values.get("is_impossible")
    if impossible is None and empty_is_impossible and answers == []:
        impossible = True
    return row(id, values["question"], values["context"], answers, impossible)


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
