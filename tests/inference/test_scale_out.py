"""Filling on a dask cluster of two local processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from pipeline.cache.verify import verify
from pipeline.errors import MismatchError, ParamsError, PipelineError
from pipeline.inference.cache_targets import cache_targets, repair_targets
from pipeline.inference.scale_out import cluster
from pipeline.inference.spread import Spread
from pipeline.inference.workers import Workers

FIELDS = {"span_logits": {"dtype": "float32"}, "qa_attention": {"layer": -2, "dtype": "float16"}}


@pytest.fixture
def made_with(teacher_folder, passage_folder, passages) -> dict[str, Any]:
    return {
        "teacher": teacher_folder,
        "passages": passage_folder(train=passages(300)),
        "splits": ["train"],
        "fields": FIELDS,
        "batch_tokens": 500,
        "max_length": 90,
        "max_question_tokens": 16,
        "shard_rows": 16,
    }


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("shards/*/*.arrow")}


def filled(out: Path, made_with: dict[str, Any], workers: Workers | None = None) -> dict[str, Any]:
    return cache_targets(out, manifest_out=out.with_suffix(".json"), workers=workers, **made_with)


@pytest.mark.usefixtures("one_thread")
def test_two_workers_write_the_bytes_of_one_process(workers, made_with, tmp_path, capfd):
    alone = filled(tmp_path / "alone", made_with)
    spread = filled(tmp_path / "spread", made_with, workers)
    timed = {"seconds", "rows_per_s", "tokens_per_s"}
    assert {**spread, **dict.fromkeys(timed)} == {**alone, **dict.fromkeys(timed)}
    assert len(shards(tmp_path / "spread")) > 19 * 3 - 1
    for name in ("manifest.json", "rows.arrow"):
        assert (tmp_path / "spread" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    assert shards(tmp_path / "spread") == shards(tmp_path / "alone")
    assert (tmp_path / "spread.json").read_text().replace("spread", "alone") == (
        tmp_path / "alone.json"
    ).read_text()
    assert '"workers":2' in (tmp_path / "spread" / "provenance.jsonl").read_text().replace(" ", "")
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.usefixtures("one_thread")
def test_a_repair_on_workers_gives_back_the_bytes(workers, made_with, tmp_path):
    folder, identity = tmp_path / "set", tmp_path / "set.json"
    filled(folder, made_with)
    before = shards(folder)
    lost, damaged, *_ = sorted(folder.glob("shards/span_logits/*.arrow"))
    lost.unlink()
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    summary = repair_targets(folder, manifest_out=identity, workers=workers, **made_with)
    assert summary["inputs_read"] == 32
    assert shards(folder) == before
    assert verify(folder) == []
    other = {**made_with, "max_length": 80}
    with pytest.raises(MismatchError, match="run cache_targets, which computes what has changed"):
        repair_targets(folder, manifest_out=identity, workers=workers, **other)


def test_a_second_fill_computes_nothing(workers, made_with, tmp_path):
    filled(tmp_path / "set", made_with, workers)
    before = shards(tmp_path / "set")
    assert filled(tmp_path / "set", made_with, workers)["inputs_read"] == 0
    assert shards(tmp_path / "set") == before


def test_a_worker_that_sees_other_rows_stops_the_fill(workers, made_with, tmp_path, passages, passage_folder):
    reads: Callable[..., Any] = Spread.__call__
    other = passages(300, seed=1)

    def with_other_rows(self, planned, advance):
        passage_folder(train=other)
        reads(self, planned, advance)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spread, "__call__", with_other_rows)
        with pytest.raises(MismatchError, match="others under this path on a worker; give all machines"):
            filled(tmp_path / "set", made_with, workers)
    passage_folder(train=passages(300))
    filled(tmp_path / "set", made_with, workers)
    assert verify(tmp_path / "set") == []


@pytest.mark.usefixtures("one_thread")
def test_a_killed_worker_costs_a_retry_and_nothing_else(workers, made_with, tmp_path):
    filled(tmp_path / "alone", made_with)
    out = tmp_path / "spread"
    there_when_killed = []

    def kill_one() -> None:
        while len(there := shards_named(out)) < 2:
            time.sleep(0.001)
        os.kill(victim, signal.SIGKILL)
        there_when_killed.append(len(there))

    victim = workers.everywhere(os.getpid)[0]
    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    summary = filled(out, made_with, workers)
    killer.join()
    assert there_when_killed[0] < len(shards(out))
    assert summary["inputs_read"] == 300
    assert shards(out) == shards(tmp_path / "alone")
    assert verify(out) == []


def shards_named(folder: Path) -> list[Path]:
    return list(folder.glob("shards/*/*.arrow"))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("local:none", "expected local:N with N processes; got 'none'"),
        ("local:0", "expected local:N with N processes; got '0'"),
        ("somewhere", "expected local:N or the address of a scheduler; got 'somewhere'"),
    ],
)
def test_an_address_that_is_none(address, message):
    with pytest.raises(ParamsError, match=message), cluster(address):
        pass


def test_nobody_answers(monkeypatch):
    monkeypatch.setattr("pipeline.inference.scale_out._CONNECT_S", 1)
    with (
        pytest.raises(ParamsError, match="expected a scheduler that answers"),
        cluster("tcp://127.0.0.1:9"),
    ):
        pass


@pytest.mark.slow
def test_a_task_that_kills_every_worker_ends_the_run(workers):
    def die(shared, task, place):
        os.abort()

    with pytest.raises(PipelineError, match="a task whose workers died 4 times; look for memory"):
        workers.run(die, None, [0], lambda count: None)


def test_results_come_in_the_order_of_the_tasks(workers):
    def wait(shared, task, place):
        place.report(2)
        time.sleep(0.02 * task)
        place.report(1)
        return shared, task

    rows = []
    assert workers.run(wait, "all", [3, 0, 2], rows.append) == [("all", 3), ("all", 0), ("all", 2)]
    assert sum(rows) == 9


STARTED = """
import sys
from pipeline.inference.scale_out import cluster

def endless(shared, task, place):
    import time
    time.sleep(600)

with cluster("local:1") as workers:
    print(workers.everywhere(__import__("os").getpid)[0], flush=True)
    workers.run(endless, None, [0], print)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(sent):
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    worker = int(process.stdout.readline())
    time.sleep(1)
    # As a terminal does: an interrupt is for all, a kill for one.
    os.killpg(process.pid, sent) if sent == signal.SIGINT else process.kill()
    _, errors = process.communicate(timeout=60)
    # Python's own report of the interrupt, and none of a worker.
    assert errors.count("Traceback") == (1 if sent == signal.SIGINT else 0), errors
    limit = time.monotonic() + 30
    while psutil.pid_exists(worker) and psutil.Process(worker).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < limit
        time.sleep(0.1)
