"""The manifest: what is in a cache, small enough to read by eye, and the seal that covers it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline import fingerprint
from pipeline.cache import BACKENDS
from pipeline.cache.checksum import bytes_checksum
from pipeline.cache.columns import CLASS, FIXED_EXTENTS, TOKEN, Column, scale_name
from pipeline.cache.fields import TOKENS
from pipeline.cache.layout import MANIFEST, PROVENANCE, ROWS, SEAL, SHARD_PATTERN, is_plain, shard_name
from pipeline.cache.settings import FORMAT, FORMAT_VERSION, covered
from pipeline.errors import CacheError, DamagedError, MismatchError
from pipeline.files import disk_errors

_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
_Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
_Count = Annotated[int, Field(ge=0, lt=2**62)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]

# No manifest, seal or provenance comes near this; one that does is not read into memory.
_LARGEST = 2**28
_Shard = Annotated[str, Field(pattern=f"^{SHARD_PATTERN}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Entry):
    """A file of the folder and what its bytes must be."""

    file: str
    bytes: _Count
    xxh3: _Checksum


class RowsEntry(FileEntry):
    """The row table."""

    file: Literal["rows.arrow"] = ROWS
    count: _Count
    unique: _Count
    order: _Hash
    splits: dict[str, _Count]


class LooseEntry(FileEntry):
    """A valid shard that no row lies in any more."""

    file: _Shard


class ShardEntry(FileEntry):
    """A shard."""

    file: _Shard
    rows: _Count
    key: _Hash
    block: _Count

    @model_validator(mode="after")
    def _named_so(self) -> "ShardEntry":
        name = shard_name(self.file)
        if name is None or (name.key, name.xxh3) != (self.key, self.xxh3):
            raise ValueError(f"the file name {self.file} does not carry the shard's key and checksum")
        return self


class ColumnEntry(_Entry):
    """A column of a field."""

    name: _Name
    dtype: Literal["uint8", "uint16", "int8", "int32", "int64", "float16", "float32"]
    axes: Annotated[list[_Name], Field(min_length=1, max_length=3)]
    unit: str
    encoding: Literal["bfloat16", "int8", "int8_root"] | None = None
    extents: dict[_Name, Annotated[int, Field(ge=1, lt=2**31)]] = {}

    @model_validator(mode="after")
    def _its_own(self) -> "ColumnEntry":
        if not self.extents.keys() <= {*self.axes} - FIXED_EXTENTS.keys():
            raise ValueError(f"extents of axes that {self.name} has not, or that are the same in all caches")
        if len(self.axes) == 3 and self.axes[0] not in self.fixed:
            raise ValueError(f"three axes of {self.name}, of which the first is not fixed")
        return self

    @property
    def fixed(self) -> dict[str, int]:
        """Of every axis that is the same in all rows, how long it is."""
        return Column(self.name, self.dtype, tuple(self.axes), self.unit, fixed=self.extents).extents


_STORED_AS = {"bfloat16": "uint16", "int8": "int8", "int8_root": "int8"}


class ErrorEntry(_Entry):
    """How far a column's stored values are from float32."""

    maximum: _Finite
    mean: _Finite
    kl: _Finite | None


class FieldEntry(_Entry):
    """A field."""

    covers: _Hash
    identity: _Hash
    numerics: int
    options: dict[str, Any]
    columns: list[ColumnEntry]
    merged_from: list[_Hash] = []
    error: dict[str, ErrorEntry]
    shards: Annotated[list[ShardEntry], Field(min_length=1)]


class Manifest(_Entry):
    """What is in a cache."""

    format: Literal["coldbrew-target-cache"] = FORMAT
    version: Literal[1] = FORMAT_VERSION
    backend: _Name
    teacher: dict[str, str]
    tokenizer: str
    settings: dict[str, Any]
    classes: list[str] = []
    rows: RowsEntry
    fields: dict[_Name, FieldEntry]
    unreferenced: list[LooseEntry]

    @model_validator(mode="after")
    def _readable(self) -> "Manifest":
        if self.backend not in BACKENDS or TOKENS not in self.fields:
            raise ValueError(f"no backend {self.backend}, or no field {TOKENS}")
        for name, field in self.fields.items():
            if field.covers != self._covers(name):
                raise ValueError(f"a field {name} that is not what its shards were made with")
            if astray := [shard.file for shard in field.shards if not _is_of(shard.file, name)]:
                raise ValueError(f"a shard of another field among those of {name}: {astray[0]}")
        listed = [shard.file for field in self.fields.values() for shard in field.shards]
        listed += [loose.file for loose in self.unreferenced]
        if len(set(listed)) != len(listed):
            raise ValueError("a file that is listed twice")
        columns = [column for field in self.fields.values() for column in field.columns]
        if len({column.name for column in columns}) != len(columns):
            raise ValueError("two columns of one name")
        by_name = {column.name: column for column in columns}
        for column in columns:
            if column.encoding and column.dtype != _STORED_AS[column.encoding]:
                raise ValueError(f"{column.encoding} stored as {column.dtype}")
            scale = by_name.get(scale_name(column.name))
            if column.dtype == "int8" and column.encoding and (scale is None or scale.dtype != "float32"):
                raise ValueError(f"no scales of {column.name}")
        sized = {TOKEN} | {
            column.axes[0]
            for column in self.fields[TOKENS].columns
            if column.name == f"{column.axes[0]}_offsets"
        }
        logits = {column.fixed.get(CLASS) for column in columns if CLASS in column.axes}
        if self.classes and logits - {len(self.classes)}:
            raise ValueError("other names of classes than there are logits")
        unsized = {axis for column in columns for axis in column.axes[1:] if axis not in column.fixed} - sized
        if unsized:
            raise ValueError(f"no tokens that say how long a row's {', '.join(unsized)} is")
        for name, field in self.fields.items():
            alone = {entry.axes[0] for entry in field.columns if len(entry.axes) == 1}
            several = [entry for entry in field.columns if len(entry.axes) > 1]
            first = {entry.axes[0] for entry in several if entry.axes[0] not in entry.fixed}
            if unsized := first - sized - alone:
                raise ValueError(f"no column of {name} says how long a row's {', '.join(unsized)} is")
        return self

    def _covers(self, name: str) -> str:
        """The hash of what a field's shards were made with, by what the manifest says of it."""
        field = self.fields[name]
        made_with = covered(
            teacher=self.teacher,
            tokenizer=self.tokenizer,
            numbers=self.settings,
            field=name,
            numerics=field.numerics,
            options=field.options,
            columns=[(column.name, column.dtype, column.encoding, *column.axes) for column in field.columns],
            merged_from=field.merged_from,
        )
        return fingerprint.settings(made_with)

    @property
    def identity(self) -> dict[str, str]:
        """What a student is bound to: of each field, the keys of its shards and the order of the rows."""
        return {name: field.identity for name, field in self.fields.items()}

    def files(self) -> dict[str, FileEntry]:
        """Every file but manifest, seal and provenance, by its path in the folder."""
        entries: list[FileEntry] = [self.rows, *self.unreferenced]
        entries += [shard for field in self.fields.values() for shard in field.shards]
        return {entry.file: entry for entry in entries}

    def to_bytes(self) -> bytes:
        """As stored: equal manifests are equal bytes."""
        return canonical(self.model_dump(mode="json"))


def _is_of(file: str, field: str) -> bool:
    name = shard_name(file)
    return name is not None and name.field == field


def canonical(value: Any) -> bytes:
    """JSON that has one spelling only."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def seal_bytes(manifest: bytes, provenance: bytes) -> bytes:
    """The seal of a folder: checksums of the two files that nothing else covers."""
    contents = {MANIFEST: manifest, PROVENANCE: provenance}
    return canonical(
        {name: {"bytes": len(data), "xxh3": bytes_checksum(data)} for name, data in contents.items()}
    )


def load_manifest(folder: Path) -> Manifest:
    """The manifest of a cache whose seal holds.

    Raises:
        CacheError: There is no cache.
        DamagedError: Manifest, provenance or seal are not as they were written, or not a manifest.
        MismatchError: The cache is of another format version.
        DiskError: A file cannot be read.
    """
    with disk_errors(folder):
        absent = not (folder / MANIFEST).is_file() and not (folder / SEAL).is_file()
    if absent:
        raise CacheError(
            folder,
            expected="a target cache",
            got="a folder without manifest" if folder.is_dir() else "no such folder",
            remedy="run cache_targets, or check the path",
        )
    contents = {name: read_top(folder, name) for name in (MANIFEST, PROVENANCE, SEAL)}
    check_seal(folder, contents, remedy=f"run cache_targets again, or {repair_hint(folder)}")
    return parse_manifest(folder, contents[MANIFEST], remedy=repair_hint(folder))


def read_top(folder: Path, name: str) -> bytes:
    """A top file's bytes.

    Raises:
        DamagedError: There is no such plain file, or it is far larger than any of its kind.
        DiskError: It cannot be read.
    """
    path = folder / name
    got = None
    with disk_errors(path):
        if not is_plain(path):
            got = "a link" if path.is_symlink() else "no such file"
        elif (size := path.stat().st_size) > _LARGEST:
            got = f"{size} bytes"
        if got is None:
            return path.read_bytes()
    raise DamagedError(path, expected="the file that sealing wrote", got=got, remedy=repair_hint(folder))


def repair_hint(folder: Path) -> str:
    """What to do about damage."""
    return f"run `coldbrew cache repair {folder}`"


def check_seal(where: Path | str, contents: Mapping[str, bytes], *, remedy: str) -> None:
    """Stop unless the seal covers manifest and provenance as they are.

    Args:
        where: The cache's folder or URL.
        contents: The three files' bytes by name.
        remedy: What to do otherwise.

    Raises:
        DamagedError: It does not.
    """
    try:
        sealed = json.loads(contents[SEAL])
        whole = canonical(sealed) == contents[SEAL]
        expected = {name: (sealed[name]["bytes"], sealed[name]["xxh3"]) for name in (MANIFEST, PROVENANCE)}
        whole = whole and len(sealed) == len(expected)
    except (ValueError, TypeError, KeyError, RecursionError):
        whole, expected = False, {}
    if not whole:
        raise DamagedError(
            f"{where}/{SEAL}",
            expected="the seal that was written",
            got="something else",
            remedy=remedy,
        )
    for name, (size, checksum) in expected.items():
        got = bytes_checksum(contents[name])
        if (size, checksum) != (len(contents[name]), got):
            raise DamagedError(
                f"{where}/{name}",
                expected=f"checksum {checksum}, as sealed",
                got=f"{got}: the file was edited or damaged, or a run was cut off while sealing",
                remedy=remedy,
            )


def parse_manifest(where: Path | str, data: bytes, *, remedy: str) -> Manifest:
    """The manifest in `data`, its every value checked.

    Args:
        where: The cache's folder or URL.
        data: The manifest's bytes.
        remedy: What to do where they are none.

    Raises:
        DamagedError: It is no manifest.
        MismatchError: It is of another format version.
    """
    path = f"{where}/{MANIFEST}"
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DamagedError(path, expected="a manifest", got=f"no JSON ({error})", remedy=remedy) from error
    version = (value.get("format"), value.get("version")) if isinstance(value, dict) else None
    if version != (FORMAT, FORMAT_VERSION):
        raise MismatchError(
            path,
            expected=f"{FORMAT} version {FORMAT_VERSION}",
            got=repr(version),
            remedy="read it with the coldbrew that wrote it, or run cache_targets into a new folder",
        )
    # One spelling only: of a name that is given twice, JSON keeps the last and says nothing.
    try:
        whole = canonical(value) == data
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise DamagedError(path, expected="the spelling of a manifest", got="another", remedy=remedy)
    try:
        return Manifest.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise DamagedError(
            path,
            expected="a manifest",
            got=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            remedy=remedy,
        ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
