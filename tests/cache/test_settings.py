from types import ModuleType

import numpy as np
import pytest

from pipeline.cache.settings import shard_key
from pipeline.errors import ParamsError


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": {"weights": "x" * 32, "config": "c" * 32}},
        {"tokenizer": "x" * 32},
        {"numbers": {"max_length": 65}},
        {"fields": {"span_logits": {"dtype": "float32"}}},
    ],
    ids=["teacher", "tokenizer", "numbers", "options"],
)
def test_what_changes_values_changes_the_fingerprint(filling: ModuleType, change: dict[str, object]) -> None:
    before = filling.make_settings()
    after = filling.make_settings(**change)
    assert before.fingerprint("span_logits") != after.fingerprint("span_logits")


@pytest.mark.parametrize(
    "change",
    [
        {"shard_bytes": 1},
        {"shard_rows": 1},
        {"fields": {"span_logits": {"dtype": "float16"}}},
        {"numbers": {"max_length": 64}},
    ],
    ids=["size", "rows", "default spelt out", "equal"],
)
def test_what_does_not_changes_nothing(filling: ModuleType, change: dict[str, object]) -> None:
    before = filling.make_settings()
    after = filling.make_settings(**change)
    assert before.fingerprint("span_logits") == after.fingerprint("span_logits")


def test_another_field_changes_no_fingerprint(filling: ModuleType) -> None:
    alone = filling.make_settings(fields={"span_logits": {}})
    assert alone.fingerprint("span_logits") == filling.make_settings().fingerprint("span_logits")
    assert alone.fingerprint("tokens") == filling.make_settings().fingerprint("tokens")


def test_a_key_covers_settings_block_and_rows_in_order() -> None:
    hashes = np.arange(32, dtype=np.uint8).reshape(2, 16)
    keys = {
        shard_key("a", 16, hashes),
        shard_key("b", 16, hashes),
        shard_key("a", 8, hashes),
        shard_key("a", 16, hashes[::-1].copy()),
        shard_key("a", 16, hashes[:1]),
    }
    assert len(keys) == 5


def test_unknown_fields_and_options_are_refused(filling: ModuleType) -> None:
    with pytest.raises(ParamsError, match=r"fields.span_logit: .*did you mean 'span_logits'"):
        filling.make_settings(fields={"span_logit": {}})
    with pytest.raises(ParamsError, match="unknown option 'K' of top_spans; known: k"):
        filling.make_settings(fields={"top_spans": {"K": 4}})
