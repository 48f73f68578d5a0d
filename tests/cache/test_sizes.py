from pathlib import Path
from types import ModuleType

import pytest

from pipeline.cache.sizes import bytes_per_row, rows_per_block, rows_per_shard


@pytest.mark.parametrize("field", ["tokens", "span_logits", "top_spans", "qa_attention"])
def test_close_to_what_is_written(filling: ModuleType, sealed: Path, field: str) -> None:
    rows = filling.make_rows([f"row {at % 95}" for at in range(100)])
    expected = bytes_per_row(filling.make_settings(), rows, field)
    folder = sealed / "shards" / field
    # A small shard is mostly its header, which is not of any row.
    header = 2500
    written = sum(file.stat().st_size - header for file in folder.iterdir()) / 95
    assert written == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(
    ("bytes_a_row", "rows"), [(9e3, 4_096), (786e3, 64), (2.0**26 + 1, 1), (2.0**26, 1), (1.0, 16_384)]
)
def test_shards_of_about_64_mb(filling: ModuleType, bytes_a_row: float, rows: int) -> None:
    settings = filling.make_settings(shard_rows=16_384)
    assert rows_per_shard(settings, bytes_a_row) == rows


def test_blocks_divide_every_shard(filling: ModuleType) -> None:
    settings = filling.make_settings(block_rows=1024)
    assert rows_per_block(settings, [16_384, 4_096]) == 1024
    assert rows_per_block(settings, [16_384, 64]) == 64
