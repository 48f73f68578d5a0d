"""A workspace of 20 rows: the real dvc.yaml and code, a tiny data set, tiny models."""

import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

NAMES = ["Ada", "Boris", "Clara", "David", "Elena", "Frank", "Greta", "Henry", "Irene", "Jonas"]
TOWNS = ["Lisbon", "Madrid", "Oslo", "Paris", "Quito", "Rome", "Sofia", "Tunis", "Vienna", "Warsaw"]

BERT = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
QANET = {"d_model": 16, "num_heads": 2, "num_blocks": 1, "num_passes": 1}


def squad(rows: int, first: int = 0) -> dict[str, Any]:
    """A SQuAD file: where somebody lives, told among two other sentences."""
    paragraphs = []
    for row in range(first, first + rows):
        name, town = NAMES[row % 10], TOWNS[(row * 3 + row // 10) % 10]
        context = f"It rained in spring {row}. {name} has lived in {town} since then. The harvest was late."
        answer = {"text": town, "answer_start": context.index(town)}
        question = {"id": f"q{row}", "question": f"Where has {name} lived?", "answers": [answer]}
        paragraphs.append({"context": context, "qas": [question]})
    return {"version": "1.1", "data": [{"title": "towns", "paragraphs": paragraphs}]}


def tiny_params() -> dict[str, Any]:
    """One teacher, one target set, one student with a gold and a soft term."""
    phase = {
        "sources": [{"dataset": "towns", "split": "train", "targets": {"teacher": "teacher_towns"}}],
        "mixing": "concatenate",
        "terms": [
            {"loss": "gold", "student": "span", "weight": 1.0},
            {"loss": "kd_kl", "from": "teacher", "student": "span", "weight": 1.0, "temperature": 2.0},
        ],
        "training": {
            "num_train_epochs": 1,
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-3,
            "seed": 1,
        },
    }
    train = {"dataset": "towns", "split": "train", "seed": 1, "num_train_epochs": 1}
    return {
        "datasets": {
            "towns": {
                "reader": "squad",
                "language": "en",
                "folder": "data/raw/towns",
                "files": {"train": "train.json", "dev": "dev.json"},
            }
        },
        "selection": {
            "towns": {
                "method": "tfidf",
                "tokenizer": "data/tokenizers/words",
                "max_tokens": 64,
                "max_question_tokens": 16,
            }
        },
        "tokenizers": {
            "words": {"kind": "words", "text": ["towns"], "vectors": {"train": {"dimensions": 8}}}
        },
        "teachers": {
            "teacher": {
                "task": "span",
                "model": {"architecture": "bert", "max_length": 64, **BERT},
                "tokenizer": "words",
                "train": {**train, "per_device_train_batch_size": 8, "learning_rate": 1e-3},
                "evaluate": ["towns.dev"],
            }
        },
        "targets": {
            "teacher_towns": {
                "teacher": "teacher",
                "dataset": "towns",
                "splits": ["train"],
                "backend": "arrow",
                "fields": {"span_logits": {"dtype": "float16"}},
            }
        },
        "students": {
            "small": {
                "model": {"architecture": "bert", "max_length": 64, **BERT},
                "tokenizer": "words",
                "phases": [phase],
                "evaluate": ["towns.dev"],
            }
        },
        "evaluation": {"max_answer_tokens": 8, "latency_rows": 2, "speed_rows": 8},
    }


@dataclass
class Workspace:
    """A folder that DVC runs in."""

    root: Path
    params: dict[str, Any]

    def write(self) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(self.params, sort_keys=False))

    def edited(self, change: Callable[[dict[str, Any]], None]) -> None:
        self.params = copy.deepcopy(self.params)
        change(self.params)
        self.write()

    def run(self, *command: str, expect: int = 0, stdin: str | None = None) -> str:
        """Run a module in the workspace and give back what it printed."""
        return self._run(["-m", *command], expect, stdin)

    def run_code(self, code: str) -> str:
        """Run Python code in the workspace and give back what it printed."""
        return self._run(["-c", code], 0, None)

    def _run(self, arguments: list[str], expect: int, stdin: str | None) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "COLDBREW_CACHE": str(self.root / ".stamps"),
                "OMP_NUM_THREADS": "1",
            },
        )
        output = done.stdout + done.stderr
        assert done.returncode == expect, output
        return output

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`; the stages that ran, in order."""
        output = self.run("dvc", "repro", *arguments)
        prefix = "Running stage '"
        return [line.split("'")[1] for line in output.splitlines() if line.startswith(prefix)]


@pytest.fixture(scope="session")
def make_workspace() -> Callable[[Path], Workspace]:
    """Lay out a workspace in an empty folder."""

    def make(root: Path) -> Workspace:
        for package in ("pipeline", "stages"):
            (root / package).symlink_to(ROOT / package)
        shutil.copytree(
            ROOT / "extensions", root / "extensions", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in ("dvc.yaml", ".dvcignore"):
            (root / name).write_text((ROOT / name).read_text())
        raw = root / "data/raw/towns"
        raw.mkdir(parents=True)
        (raw / "train.json").write_text(json.dumps(squad(20)))
        (raw / "dev.json").write_text(json.dumps(squad(6, first=100)))
        (root / "data/manifests").mkdir()
        (root / "data/merges").mkdir()
        workspace = Workspace(root, tiny_params())
        workspace.write()
        workspace.run("dvc", "init", "--no-scm", "--quiet")
        return workspace

    return make


@pytest.fixture
def tiny() -> dict[str, Any]:
    """The params of the workspace, to be changed at will."""
    return tiny_params()
