import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.cache.checksum import file_checksum
from pipeline.cache.manifest import canonical, load_manifest, seal_bytes
from pipeline.cache.reader import TargetCache
from pipeline.cache.stored_rows import Places, load_rows, write_rows
from pipeline.errors import CacheError, DamagedError, MismatchError

COLUMNS = [
    "start_logits",
    "end_logits",
    "passage_offsets",
    "question_offsets",
    "top_starts",
    "top_ends",
    "top_log_probs",
    "qa_attention",
]


def digest(name: str) -> bytes:
    return hashlib.md5(name.encode()).digest()


def test_batches_are_what_the_teacher_said(filling: ModuleType, sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    positions = np.array([97, 0, 64, 2, 63, 2, 99])
    batch = cache.batch(positions, COLUMNS)
    teacher = filling.FakeTeacher(rows)
    for at, position in enumerate(positions):
        alone = teacher(np.array([position]), frozenset(cache.fields))
        question, passage = int(rows.question_length[position]), len(alone["start_logits"].values)
        assert batch["passage_length"][at] == passage
        assert batch["question_length"][at] == question
        assert batch["span_length"][at] == len(alone["top_starts"].values)
        for name in COLUMNS:
            shape = {"qa_attention": (passage, question), "passage_offsets": (passage, 2)}
            shape |= {"question_offsets": (question, 2)}
            values = alone[name].values
            expected = values.astype(batch[name].dtype).reshape(shape.get(name, (-1,)))
            assert np.array_equal(batch[name][at][tuple(slice(size) for size in expected.shape)], expected)
            assert np.count_nonzero(batch[name][at]) == np.count_nonzero(expected)


def test_types_and_shapes(sealed: Path) -> None:
    batch = TargetCache.open(sealed).batch(np.arange(32), COLUMNS)
    passage, question = batch["passage_length"].max(), batch["question_length"].max()
    assert batch["start_logits"].dtype == np.float16
    assert batch["start_logits"].shape == (32, passage)
    assert batch["passage_offsets"].shape == (32, passage, 2)
    assert batch["qa_attention"].shape == (32, passage, question)
    assert batch["passage_length"].dtype == batch["question_length"].dtype == np.int64


def test_only_lengths_of_axes_that_occur(sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    assert set(cache.batch(np.array([0]), ["start_logits"])) == {"start_logits", "passage_length"}
    names = {"qa_attention", "passage_length", "question_length"}
    assert set(cache.batch(np.array([0]), ["qa_attention"])) == names


def test_what_is_open(sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    assert len(cache) == 100
    assert set(cache.fields) == {"tokens", "span_logits", "top_spans", "qa_attention"}
    assert set(cache.columns) == set(COLUMNS)
    assert cache.manifest.rows.unique == 95


def test_positions_resolve_duplicates(sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    names = [digest("row 4"), digest("row 94"), digest("row 4")]
    assert cache.positions(names, [0, 0, 1]).tolist() == [4, 94, 99]
    assert cache.positions(cache.rows.input_hash, cache.rows.occurrence).tolist() == list(range(100))
    assert cache.positions([], []).tolist() == []


def test_a_row_that_is_not_there_is_named(sealed: Path) -> None:
    cache = TargetCache.open(sealed)
    missing = digest("unheard of")
    with pytest.raises(MismatchError, match=rf"row {missing.hex()}, occurrence 0; got no such row; 1 of 2"):
        cache.positions([digest("row 4"), missing], [0, 0])
    with pytest.raises(MismatchError, match="occurrence 2"):
        cache.positions([digest("row 4")], [2])


def test_a_column_that_is_not_there_is_named(sealed: Path) -> None:
    with pytest.raises(MismatchError, match=r"a column hidden; got columns end_logits, .*; add its field"):
        TargetCache.open(sealed).batch(np.array([0]), ["hidden"])


@pytest.mark.parametrize("position", [-1, 100])
def test_a_position_that_is_not_there(sealed: Path, position: int) -> None:
    with pytest.raises(IndexError):
        TargetCache.open(sealed).batch(np.array([position]), ["start_logits"])


def test_only_what_is_expected_is_opened(sealed: Path) -> None:
    identity = load_manifest(sealed).identity
    flip(next((sealed / "shards" / "qa_attention").iterdir()))
    cache = TargetCache.open(sealed, expected={"span_logits": identity["span_logits"]})
    assert cache.fields == ("span_logits", "tokens")
    with pytest.raises(DamagedError):
        TargetCache.open(sealed)


# Mismatches


def refilled(filling: ModuleType, folder: Path, names: int = 100, **changes: object) -> Path:
    rows = filling.make_rows([f"row {at % 95}" for at in range(names)])
    filling.fill(filling.plan(folder, rows, filling.make_settings(**changes)), filling.FakeTeacher(rows))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": {"weights": "x" * 32, "config": "c" * 32}},
        {"tokenizer": "x" * 32},
        {"numbers": {"max_length": 65}},
        {"names": 99},
    ],
    ids=["teacher", "tokenizer", "settings", "data"],
)
def test_another_cache_at_the_same_path_is_refused(
    filling: ModuleType, sealed: Path, change: dict[str, object]
) -> None:
    expected = load_manifest(sealed).identity
    TargetCache.open(sealed, expected=expected)
    refilled(filling, sealed, **change)
    with pytest.raises(MismatchError, match=r"field \w+ with identity .* bound to; got .*run bind again"):
        TargetCache.open(sealed, expected=expected)


def test_another_field_is_no_mismatch(filling: ModuleType, sealed: Path) -> None:
    expected = load_manifest(sealed).identity
    refilled(filling, sealed, fields={**filling.ALL_FIELDS, "top_spans": {"k": 2}})
    del expected["top_spans"]
    TargetCache.open(sealed, expected=expected)


def test_a_field_that_is_not_there_is_named(sealed: Path) -> None:
    with pytest.raises(MismatchError, match=r"field hidden_states; got fields .*; add the field"):
        TargetCache.open(sealed, expected={"hidden_states": "0" * 32})


# Damage


def flip(file: Path, bit: int | None = None) -> None:
    data = bytearray(file.read_bytes())
    bit = len(data) * 4 if bit is None else bit
    data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)


def files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.is_file())


def test_no_cache(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="a target cache; got no such folder; run cache_targets"):
        TargetCache.open(tmp_path / "absent")
    with pytest.raises(CacheError, match="got a folder without manifest"):
        TargetCache.open(tmp_path)


def test_any_flipped_bit_is_refused_by_the_files_name(sealed: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for file in files(sealed):
        whole = file.read_bytes()
        for bit in generator.integers(0, 8 * len(whole), 3):
            flip(file, int(bit))
            # A flip in the seal is a flip in what it says of another file.
            with pytest.raises(CacheError, match=r"(checksum|seal|bytes).*(repair|cache_targets)") as caught:
                TargetCache.open(sealed)
            named = Path(caught.value.where)
            assert named == file or file.name == "seal.json"
            file.write_bytes(whole)
    TargetCache.open(sealed)


@pytest.mark.slow
def test_a_thousand_flipped_bits(sealed: Path) -> None:
    generator = np.random.default_rng(1)
    all_files = files(sealed)
    for _ in range(1000):
        file = all_files[generator.integers(len(all_files))]
        whole = file.read_bytes()
        flip(file, int(generator.integers(0, 8 * len(whole))))
        with pytest.raises(CacheError):
            TargetCache.open(sealed)
        file.write_bytes(whole)


def test_a_missing_or_short_file_is_refused_by_its_name(sealed: Path) -> None:
    for file in files(sealed):
        whole = file.read_bytes()
        for left in (None, b"", whole[:-1], whole + b"\0"):
            file.unlink(missing_ok=True)
            if left is not None:
                file.write_bytes(left)
            with pytest.raises(CacheError) as caught:
                TargetCache.open(sealed)
            assert Path(caught.value.where) == file
        file.write_bytes(whole)


@pytest.mark.parametrize("name", ["notes.txt", "shards/span_logits/copy.arrow", "shards/more/a", ".hidden"])
def test_an_unknown_file_is_refused(sealed: Path, name: str) -> None:
    (sealed / name).parent.mkdir(exist_ok=True)
    (sealed / name).write_text("?")
    with pytest.raises(DamagedError, match=rf"{Path(name).name}: .*an unknown file; .*move the file out"):
        TargetCache.open(sealed)


def test_a_manifest_edited_by_hand_is_refused(sealed: Path) -> None:
    manifest = sealed / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"max_length": 64', '"max_length": 65'))
    with pytest.raises(DamagedError, match=r"manifest\.json: expected checksum .*edited or damaged.*repair"):
        TargetCache.open(sealed)


# Manifests that mean harm: sealed well, and lying.


def reseal(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change the manifest and seal it as the writer would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    data = canonical(manifest)
    (folder / "manifest.json").write_bytes(data)
    (folder / "seal.json").write_bytes(seal_bytes(data, (folder / "provenance.jsonl").read_bytes()))


def set_in(*path: object, value: object) -> Callable[[dict[str, object]], None]:
    def change(manifest: dict[str, object]) -> None:
        place: object = manifest
        for step in path[:-1]:
            place = place[step]  # type: ignore[index]
        place[path[-1]] = value  # type: ignore[index]

    return change


SHARD = ("fields", "span_logits", "shards", 0)
LIES = {
    "a path that leaves the folder": set_in(*SHARD, "file", value="../../secret.arrow"),
    "an absolute path": set_in(*SHARD, "file", value="/etc/passwd"),
    "a path that leaves in the middle": set_in(
        *SHARD, "file", value=f"shards/../{'0' * 32}-{'0' * 16}.arrow"
    ),
    "rows elsewhere": set_in("rows", "file", value="../rows.arrow"),
    "unreferenced elsewhere": set_in("unreferenced", value=[{"file": "../x", "bytes": 1, "xxh3": "0" * 16}]),
    "another shard's key": set_in(*SHARD, "key", value="0" * 32),
    "huge counts": set_in("rows", "count", value=2**61),
    "counts beyond reason": set_in("rows", "count", value=10**400),
    "negative counts": set_in("rows", "count", value=-1),
    "huge shards": set_in(*SHARD, "rows", value=2**40),
    "huge files": set_in(*SHARD, "bytes", value=2**50),
    "fewer rows a shard": set_in(*SHARD, "rows", value=3),
    "no shards": set_in("fields", "span_logits", "shards", value=[]),
    "other columns": set_in("fields", "span_logits", "columns", 0, "name", value="middle_logits"),
    "other types": set_in("fields", "span_logits", "columns", 0, "dtype", value="float32"),
    "unknown types": set_in("fields", "span_logits", "columns", 0, "dtype", value="object"),
    "unknown axes": set_in("fields", "qa_attention", "columns", 0, "axes", value=["passage", "depth"]),
    "no axes": set_in("fields", "qa_attention", "columns", 0, "axes", value=[]),
    "text for a number": set_in(*SHARD, "rows", value="64"),
    "a list for a field": set_in("fields", "span_logits", value=[]),
    "no tokens": lambda manifest: manifest["fields"].pop("tokens"),
    "no rows": lambda manifest: manifest.pop("rows"),
    "something more": set_in("extra", value=1),
    "another version": set_in("version", value=2),
    "another format": set_in("format", value="zip"),
    "another backend": set_in("backend", value="pickle"),
    "other splits": set_in("rows", "splits", value={"train": 99}),
    "the shards of another field": lambda manifest: manifest["fields"]["span_logits"].update(
        shards=manifest["fields"]["top_spans"]["shards"]
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_manifest_is_refused(sealed: Path, lie: str) -> None:
    reseal(sealed, LIES[lie])
    with pytest.raises(CacheError):
        TargetCache.open(sealed)


def test_another_version_is_a_mismatch(sealed: Path) -> None:
    reseal(sealed, LIES["another version"])
    with pytest.raises(MismatchError, match=r"coldbrew-target-cache version 1; got .* 2\); read it with"):
        TargetCache.open(sealed)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"version": NaN}'])
def test_something_else_for_a_manifest_is_refused(sealed: Path, data: bytes) -> None:
    (sealed / "manifest.json").write_bytes(data)
    (sealed / "seal.json").write_bytes(seal_bytes(data, (sealed / "provenance.jsonl").read_bytes()))
    with pytest.raises(CacheError):
        TargetCache.open(sealed)


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000, b"{}\n"])
def test_something_else_for_a_seal_is_refused(sealed: Path, data: bytes) -> None:
    (sealed / "seal.json").write_bytes(data)
    with pytest.raises(DamagedError, match=r"seal\.json: expected the seal"):
        TargetCache.open(sealed)


def test_links_are_not_followed(sealed: Path, tmp_path: Path) -> None:
    shard = sealed / load_manifest(sealed).fields["tokens"].shards[0].file
    outside = tmp_path / "outside"
    shutil.move(shard, outside)
    shard.symlink_to(outside)
    with pytest.raises(DamagedError, match="got a link"):
        TargetCache.open(sealed)


def test_a_linked_folder_is_unknown(sealed: Path, tmp_path: Path) -> None:
    (sealed / "shards" / "more").symlink_to(tmp_path)
    with pytest.raises(DamagedError, match="an unknown file"):
        TargetCache.open(sealed)


def test_rows_that_lie_about_their_places_are_refused(filling: ModuleType, sealed: Path) -> None:
    manifest = load_manifest(sealed)
    stored = load_rows(sealed, manifest)
    true = stored.places["span_logits"]
    for shard, index in (
        (true.shard, true.index + 1),
        (true.shard + 1, true.index),
        (true.shard, true.index - 1),
        (true.shard - 2, true.index),
        (true.shard, np.full_like(true.index, 2**31 - 1)),
    ):
        path = sealed / "rows.arrow"
        path.unlink()
        places = {**stored.places, "span_logits": Places(shard.astype(np.int32), index.astype(np.int32))}
        write_rows(path, stored.rows, places)
        reseal(sealed, set_in("rows", "xxh3", value=file_checksum(path)))
        with pytest.raises(DamagedError, match=r"rows\.arrow: .*a row of span_logits"):
            TargetCache.open(sealed)


def test_reading_needs_no_framework(sealed: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np\n"
        "from pipeline.cache.reader import TargetCache\n"
        "TargetCache.open(Path(sys.argv[1])).batch(np.arange(4), ['qa_attention'])\n"
        "print(sorted({'torch', 'transformers', 'dvc', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(sealed)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
