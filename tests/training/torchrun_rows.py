"""One rank of a job that torchrun starts: read epochs of a cache, note the rows, take part in an all-reduce.

Arguments: the cache, where to note, the epoch and step to stop before, and how many rows all ranks read
together.
"""

import json
import sys
from pathlib import Path

import torch.distributed as dist
from torch.utils.data import DataLoader

from pipeline.training.cache_dataset import CacheBatches, CacheDataset, whole


def main(cache: str, notes: str, end_epoch: int, end_step: int, together: int) -> None:
    dist.init_process_group("gloo")
    world, rank = dist.get_world_size(), dist.get_rank()
    dataset = CacheDataset(Path(cache), ["start_logits"])
    batches = CacheBatches(dataset, batch_size=together // world, seed=5, world=world, rank=rank)
    loader = DataLoader(dataset, batch_sampler=batches, collate_fn=whole)
    epoch, step = 0, 0
    while (epoch, step) < (end_epoch, end_step):
        batches.start_at(epoch, step)
        for batch in loader:
            counted = batch["counted"].sum()
            dist.all_reduce(counted)
            rows = batch["row"][batch["counted"]].tolist()
            entry = {"epoch": epoch, "step": step, "rank": rank, "rows": rows, "counted": int(counted)}
            with Path(f"{notes}{rank}").open("a") as file:
                file.write(json.dumps(entry) + "\n")
            step += 1
            if (epoch, step) == (end_epoch, end_step):
                break
        else:
            epoch, step = epoch + 1, 0
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
