import json
import os
import pickle
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pipeline.cache.reader import TargetCache
from pipeline.errors import DamagedError, MismatchError, ParamsError
from pipeline.training.cache_dataset import CacheBatches, CacheDataset, whole

SCRIPT = Path(__file__).parent / "torchrun_rows.py"


@pytest.fixture(scope="module")
def dataset(world):
    return CacheDataset(world.cache)


def test_a_batch_is_what_the_cache_says(dataset, world):
    rows = np.array([7, 0, 21])
    batch = dataset.__getitems__(rows.tolist())
    expected = TargetCache.open(world.cache).batch(rows, dataset.columns)
    assert set(batch) == {*expected, "row", "counted"}
    for name, values in expected.items():
        np.testing.assert_array_equal(batch[name].numpy(), values)
        assert batch[name].dtype in (torch.float32, torch.int64)
    assert batch["row"].tolist() == rows.tolist()
    assert batch["counted"].all()


def test_one_row_is_not_padded(dataset, world):
    row = dataset[3]
    said = world.rows[3].teacher
    np.testing.assert_array_equal(row["start_logits"].numpy(), said["start_logits"])
    np.testing.assert_array_equal(row["qa_attention"].numpy(), said["qa_attention"])
    assert len(dataset) == 22
    with pytest.raises(IndexError):
        dataset[22]


def test_scales_are_no_columns_of_their_own(world, tmp_path, fill_cache):
    fill_cache(tmp_path / "cache", world.rows, dtype="int8")
    dataset = CacheDataset(tmp_path / "cache")
    assert "start_logits" in dataset.columns
    assert not [name for name in dataset.columns if name.endswith("_scale")]
    np.testing.assert_allclose(
        dataset[3]["start_logits"].numpy(), world.rows[3].teacher["start_logits"], atol=0.1
    )


def test_columns_splits_and_identities_are_checked(world, dataset):
    with pytest.raises(ParamsError, match="got start_logit; there are end_logits"):
        CacheDataset(world.cache, ["start_logit"])
    with pytest.raises(MismatchError, match="identity"):
        CacheDataset(world.cache, expected={"span_logits": "0" * 32})
    with pytest.raises(ParamsError, match="one of the splits train; got dev"):
        dataset.rows_of("dev")
    assert dataset.rows_of("train").tolist() == list(range(22))


def test_pickling_carries_a_path_and_no_values(dataset, world, tmp_path, fill_cache):
    data = pickle.dumps(dataset)
    assert len(data) < 1500
    again = pickle.loads(data)
    torch.testing.assert_close(again.__getitems__([5, 2]), dataset.__getitems__([5, 2]))
    cache = tmp_path / "cache"
    fill_cache(cache, world.rows)
    data = pickle.dumps(CacheDataset(cache))
    fill_cache(cache, world.rows, dtype="float16")
    with pytest.raises((DamagedError, MismatchError)):
        pickle.loads(data)


@pytest.mark.parametrize(("workers", "start"), [(0, None), (2, "fork"), (1, "spawn")])
def test_a_loader_reads_every_row_once(dataset, workers, start):
    batches = CacheBatches(dataset, batch_size=4, seed=3)
    loader = DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=whole,
        num_workers=workers,
        multiprocessing_context=start,
    )
    read = list(loader)
    assert len(read) == len(loader) == 6
    assert sorted(torch.cat([batch["row"][batch["counted"]] for batch in read]).tolist()) == list(range(22))
    for batch in read:
        expected = dataset.__getitems__(batch["row"].tolist())
        torch.testing.assert_close({**batch, "counted": None}, {**expected, "counted": None})


def test_torchs_own_sampler_works_too(dataset):
    read = list(DataLoader(dataset, batch_size=5, shuffle=True, collate_fn=whole))
    assert sorted(torch.cat([batch["row"] for batch in read]).tolist()) == list(range(22))


def test_an_epoch_goes_on_where_it_stopped(dataset):
    batches = CacheBatches(dataset, dataset.rows_of("train")[::2], batch_size=2, seed=1)
    batches.start_at(4)
    whole_epoch = [rows.tolist() for rows, _ in batches]
    assert len(whole_epoch) == len(batches) == 6
    assert all(row % 2 == 0 for rows in whole_epoch for row in rows)
    batches.start_at(4, 2)
    assert [rows.tolist() for rows, _ in batches] == whole_epoch[2:]
    assert len(batches) == 4
    batches.start_at(5)
    assert [rows.tolist() for rows, _ in batches] != whole_epoch


def torchrun(ranks, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    done = subprocess.run(
        [*command, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr


def test_ranks_of_torchrun_read_every_row_once_resume_included(dataset, tmp_path):
    # 22 rows, 6 at a time: 4 steps an epoch. Two ranks stop inside the second epoch, and go on as one.
    torchrun(2, dataset.cache.path, tmp_path / "rank", 1, 2, 6)
    steps = defaultdict(list)
    for rank in range(2):
        for line in (tmp_path / f"rank{rank}").read_text().splitlines():
            entry = json.loads(line)
            steps[entry["epoch"], entry["step"]].append(entry)
    assert sorted(steps) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]
    for entries in steps.values():
        assert [entry["rank"] for entry in entries] == [0, 1]
        assert {entry["counted"] for entry in entries} == {sum(len(entry["rows"]) for entry in entries)}
    batches = CacheBatches(dataset, batch_size=6, seed=5)
    batches.start_at(1, 2)
    rest = [row for rows, counted in batches for row in rows[counted].tolist()]
    read = [
        [row for step in steps if step[0] == epoch for entry in steps[step] for row in entry["rows"]]
        for epoch in (0, 1)
    ]
    assert Counter(read[0]) == Counter(range(22))
    assert Counter(read[1] + rest) == Counter(range(22))
