"""Single flipped bits anywhere in a cache of any kind: each is found, and none is decoded."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline.cache import BACKENDS
from pipeline.cache.convert import convert
from pipeline.cache.fill import repair
from pipeline.cache.layout import files_in
from pipeline.cache.plan import plan
from pipeline.cache.reader import TargetCache
from pipeline.cache.verify import verify
from pipeline.errors import CacheError


@pytest.fixture(scope="module")
def every_kind(sealed_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("kinds")
    for backend in BACKENDS.names():
        convert(sealed_once, home / backend, backend)
    return {backend: home / backend for backend in BACKENDS.names()}


@pytest.fixture
def never_decoded(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Files that no storage library may be given."""
    forbidden: set[Path] = set()
    for name in BACKENDS.names():
        kind = type(BACKENDS.load(name)())
        real = kind.open

        def guarded(self: Any, path: Path, real: Callable[..., Any] = real) -> Any:
            assert path not in forbidden, f"{path} was decoded before its checksum was known to hold"
            return real(self, path)

        if real.__name__ != "guarded":
            monkeypatch.setattr(kind, "open", guarded)
    return forbidden


def flip_and_look(folder: Path, flips: int, seed: int, forbidden: set[Path]) -> None:
    """Flip one bit at a time, every file in turn, and ask reader, verifier and planner."""
    generator = np.random.default_rng(seed)
    files = [folder / file for file in files_in(folder)]
    for at in range(flips):
        file = files[at % len(files)]
        whole = file.read_bytes()
        broken = bytearray(whole)
        bit = int(generator.integers(0, 8 * len(whole)))
        broken[bit // 8] ^= 1 << bit % 8
        file.write_bytes(broken)
        forbidden.add(file)
        with pytest.raises(CacheError):
            TargetCache.open(folder)
        problems = verify(folder)
        # A flip in the seal is one in what it says of another file.
        assert {Path(problem.file) for problem in problems} & {file} or (
            problems and file.name == "seal.json"
        ), (file, bit)
        forbidden.remove(file)
        file.write_bytes(whole)
    assert verify(folder) == []


@pytest.mark.parametrize("backend", BACKENDS.names())
def test_any_flipped_bit_is_found_undecoded(
    every_kind: dict[str, Path], tmp_path: Path, never_decoded: set[Path], backend: str
) -> None:
    flip_and_look(Path(shutil.copytree(every_kind[backend], tmp_path / "cache")), 17, 0, never_decoded)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS.names())
def test_a_thousand_flipped_bits(
    every_kind: dict[str, Path], tmp_path: Path, never_decoded: set[Path], backend: str
) -> None:
    folder = Path(shutil.copytree(every_kind[backend], tmp_path / "cache"))
    flip_and_look(folder, 1000 // len(every_kind) + 1, 1, never_decoded)


@pytest.mark.parametrize("backend", BACKENDS.names())
def test_a_fill_replaces_what_is_damaged_and_decodes_none_of_it(
    filling: ModuleType, every_kind: dict[str, Path], tmp_path: Path, never_decoded: set[Path], backend: str
) -> None:
    folder = Path(shutil.copytree(every_kind[backend], tmp_path / "cache"))
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    settings = filling.make_settings(backend=backend)
    shards = [folder / file for file in files_in(folder) if file.startswith("shards/")]
    broken = [folder / "rows.arrow", shards[0], shards[-1]]
    whole = {file: file.read_bytes() for file in broken}
    for file in broken:
        data = bytearray(whole[file])
        data[len(data) // 3] ^= 4
        file.write_bytes(data)
        never_decoded.add(file)
    damaged = plan(folder, rows, settings).damaged
    assert [folder / file for file in damaged] == [shards[0], shards[-1]]
    never_decoded.clear()
    repair(folder, rows, settings, filling.FakeTeacher(rows))
    assert {file: file.read_bytes() for file in broken} == whole
    assert verify(folder) == []
