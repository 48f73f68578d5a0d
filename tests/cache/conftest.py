import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _load() -> ModuleType:
    path = Path(__file__).with_name("filling.py")
    spec = importlib.util.spec_from_file_location("cache_filling", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _own_stamps(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLDBREW_CACHE", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session", autouse=True)
def _no_power_cuts() -> Iterator[None]:
    """Waiting for the disk takes most of a test's time; what is tested here does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def filling() -> ModuleType:
    """The module `filling`: a teacher without a model, rows and settings for it."""
    return _load()


@pytest.fixture(scope="session")
def sealed_once(filling: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sealed") / "cache"
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    filling.fill(filling.plan(folder, rows, filling.make_settings()), filling.FakeTeacher(rows))
    return folder


@pytest.fixture
def sealed(sealed_once: Path, tmp_path: Path) -> Path:
    """A cache of 100 rows, 95 different ones, in two shards a field; free to be damaged."""
    return Path(shutil.copytree(sealed_once, tmp_path / "cache"))
