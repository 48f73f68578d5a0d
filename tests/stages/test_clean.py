"""`make clean`: all that the pipeline writes goes, and nothing else."""

import subprocess
from pathlib import Path

from stages import folders

ROOT = Path(__file__).parents[2]
KEPT = ("params.yaml", "data/README.md", "data/raw/mine/train.json", "data/mine/model.safetensors")
READMES = ("data/manifests/README.md", "data/merges/README.md")


def test_clean_removes_what_the_pipeline_writes_alone(tmp_path: Path) -> None:
    named = [folder for folder in vars(folders).values() if isinstance(folder, Path)]
    written = [folder / "entry.json" for folder in named if folder != folders.PARAMS]
    written += [folders.STUDENTS / "small/README.md", Path("dvc.lock"), Path(".dvc/cache/files/md5")]
    for file in (*written, *KEPT, *READMES):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    command = ["make", "--silent", "--file", str(ROOT / "Makefile"), "clean"]
    subprocess.run(command, cwd=tmp_path, check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*KEPT, *READMES}
