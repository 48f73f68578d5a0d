"""Fields of a teacher's layers: fixed extents, three axes, packed triangles."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.cache.manifest import canonical, load_manifest, seal_bytes
from pipeline.cache.parquet import export
from pipeline.cache.reader import TargetCache
from pipeline.cache.settle import TeacherShape, settle
from pipeline.cache.sizes import bytes_per_row
from pipeline.cache.triangle import unpack_triangle
from pipeline.cache.verify import verify
from pipeline.errors import CacheError, DamagedError

TEACHER = TeacherShape("a bert", layers=4, width=6, num_heads=3, num_classes=1)
FIELDS = {
    "hidden_states": {"layers": [0, 3]},
    "unit_vectors": {"layers": [1]},
    "first_token": {"layers": [2]},
    "sentence_vector": {},
    "gram": {"layers": [[3, 3], [0, 3]]},
    "fsp": {"layers": [[3, 3], [0, 3]], "store": "gram"},
    "attention_scores": {"layers": [1]},
    "attention_qk": {"layers": [2]},
    "class_logits": {},
    "token_logits": {},
}
OTHERS = {
    "attention_scores": {"layers": [1], "heads": "sum"},
    "fsp": {"layers": [[0, 1]], "store": "hidden_states"},
}

# Their first axis is a row's own, and a column of it alone says how long it is.
TWO_STEP = {"end_rows": {}, "top_end_rows": {"k": 2}}


def filled(filling: ModuleType, folder: Path, fields: dict[str, dict[str, object]] = FIELDS, **options: str):
    backend = options.pop("backend", "arrow")
    encoded = {name: {**own, **options} for name, own in fields.items()}
    settings = filling.make_settings(fields=settle(encoded, TEACHER), backend=backend)
    rows = filling.make_rows([f"row {at % 45}" for at in range(50)])
    teacher = filling.ShapedTeacher(rows, settings)
    filling.fill(filling.plan(folder, rows, settings), teacher)
    return teacher


PLAIN = {"dtype": "float32"}


@pytest.mark.parametrize(
    ("backend", "encoding", "fields"),
    [
        ("arrow", PLAIN, FIELDS),
        ("hdf5", PLAIN, FIELDS),
        ("zarr", PLAIN, FIELDS),
        ("arrow", PLAIN, OTHERS),
        ("arrow", {"dtype": "bfloat16"}, FIELDS),
        ("arrow", {"dtype": "int8"}, FIELDS),
        ("arrow", {"dtype": "int8", "scale": "token"}, FIELDS),
        ("hdf5", {"dtype": "int8", "scale": "token"}, OTHERS),
        ("arrow", {"dtype": "int8", "scale": "token"}, TWO_STEP),
        ("hdf5", {"dtype": "bfloat16"}, TWO_STEP),
        ("zarr", PLAIN, TWO_STEP),
    ],
)
def test_what_is_read_is_what_was_said(filling, tmp_path, backend, encoding, fields) -> None:
    teacher = filled(filling, tmp_path / "set", fields, backend=backend, **encoding)
    assert verify(tmp_path / "set") == []
    cache = TargetCache.open(tmp_path / "set")
    picked = np.array([7, 3, 49, 3, 11])
    for field in teacher.settings.fields:
        for column in teacher.settings.given(field):
            batch = cache.batch(picked, [column.name])
            blocks = [teacher.block(column, row) for row in picked.tolist()]
            shape = np.max([block.shape for block in blocks], axis=0)
            assert batch[column.name].shape == (5, *shape)
            for got, block in zip(batch[column.name], blocks, strict=True):
                inside = got[tuple(map(slice, block.shape))]
                atol = 0 if encoding == PLAIN else 0.005
                np.testing.assert_allclose(inside, block, atol=atol, rtol=0)
                assert np.count_nonzero(got) <= block.size
            lengths = {name: values.tolist() for name, values in batch.items() if name != column.name}
            token = teacher.rows.length[picked]
            passage = token - teacher.rows.question_length[picked] - 2
            expected = {
                "token": token,
                "token_pairs": token * (token + 1) // 2,
                "passage": passage,
                "start": np.minimum(passage, 2),
                "gold": (passage > 0) & (teacher.rows.gold_hash[picked, 0] % 2),
            }
            wanted = expected.keys() & {*column.axes}
            wanted |= {"token"} if "token_pairs" in wanted else set()
            assert lengths == {f"{axis}_length": expected[axis].tolist() for axis in wanted}


def test_a_triangle_unpacks_to_the_batch(filling, tmp_path) -> None:
    teacher = filled(filling, tmp_path / "set", dtype="float32")
    batch = TargetCache.open(tmp_path / "set").batch(np.arange(6), ["gram_3_3"])
    matrices = unpack_triangle(batch["gram_3_3"])
    longest = int(teacher.rows.length[:6].max())
    assert matrices.shape == (6, longest, longest)
    for row, length in enumerate(batch["token_length"].tolist()):
        (column,) = teacher.settings.given("gram_3_3")
        assert matrices[row, length - 1, 0] == teacher.block(column, row)[length * (length - 1) // 2]


def test_the_plan_is_close_to_what_is_written(filling, tmp_path) -> None:
    teacher = filled(filling, tmp_path / "set")
    manifest = load_manifest(tmp_path / "set")
    for name in teacher.settings.fields:
        (shard,) = manifest.fields[name].shards
        # What is not of any row: the file's frame and what the shard says of itself.
        described = 2_000 + len(json.dumps(teacher.settings.covers(name)))
        written = (shard.bytes - described) / shard.rows
        assert written == pytest.approx(bytes_per_row(teacher.settings, teacher.rows, name), rel=0.15)


def test_another_layer_touches_no_finished_shard(filling, tmp_path) -> None:
    filled(filling, tmp_path / "set", {"hidden_states": {"layers": [0]}})
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("shards/*/*")}
    filled(filling, tmp_path / "set", {"hidden_states": {"layers": [0, 2]}})
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("shards/*/*")}
    assert before.items() < after.items()
    assert {path.parent.name for path in after.keys() - before.keys()} == {"hidden_states_2"}


def test_a_manifest_says_what_the_code_does_not(filling, tmp_path) -> None:
    filled(filling, tmp_path / "set")
    fields = load_manifest(tmp_path / "set").fields
    assert fields["attention_scores_1"].columns[0].extents == {"head": 3}
    assert fields["fsp_3_3"].columns[0].extents == {"width_pairs": 21}
    assert fields["hidden_states_3"].options["layer"] == 3


def test_rows_of_the_wrong_length_are_refused(filling, tmp_path) -> None:
    settings = filling.make_settings(fields=settle({"gram": {"layers": [3]}}, TEACHER))
    rows = filling.make_rows([f"row {at}" for at in range(20)])
    others = filling.make_rows([f"row {at}" for at in range(20)], longest=3)
    with pytest.raises(CacheError, match=r"values of gram_3_3 \(token_pairs\)"):
        filling.fill(filling.plan(tmp_path / "set", rows, settings), filling.ShapedTeacher(others, settings))


def reseal(folder: Path, change) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    data = canonical(manifest)
    (folder / "manifest.json").write_bytes(data)
    (folder / "seal.json").write_bytes(seal_bytes(data, (folder / "provenance.jsonl").read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        {"extents": {}},
        {"extents": {"head": 0}},
        {"extents": {"head": 3, "width": 6}},
        {"axes": ["token", "head", "token"]},
        {"axes": ["head", "token", "unheard_of"]},
        {"axes": ["head", "head", "token", "token"]},
    ],
)
def test_a_manifest_that_says_nonsense_of_axes(filling, tmp_path, change) -> None:
    filled(filling, tmp_path / "set")

    def broken(manifest: dict) -> None:
        manifest["fields"]["attention_scores_1"]["columns"][0] |= change

    reseal(tmp_path / "set", broken)
    with pytest.raises(DamagedError):
        TargetCache.open(tmp_path / "set")


def test_extents_that_do_not_fit_the_values(filling, tmp_path) -> None:
    filled(filling, tmp_path / "set")

    def broken(manifest: dict) -> None:
        manifest["fields"]["attention_scores_1"]["columns"][0]["extents"]["head"] = 2**31 - 1

    reseal(tmp_path / "set", broken)
    cache = TargetCache.open(tmp_path / "set")
    with pytest.raises(DamagedError, match="do not divide"):
        cache.batch(np.arange(5), ["attention_scores_1"])


def test_parquet_nests_as_deep_as_axes(filling, tmp_path) -> None:
    teacher = filled(filling, tmp_path / "set", dtype="float32")
    export(tmp_path / "set", tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "train.parquet")
    for field in teacher.settings.fields:
        for column in teacher.settings.given(field):
            assert table[column.name][11].as_py() == teacher.block(column, 11).tolist()
