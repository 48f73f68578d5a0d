import json

import pytest


@pytest.fixture
def write_scores(tmp_path):
    """Write what evaluation leaves of one reader."""

    def write(name, sets, parameters=1_200_000, rows_per_second=100.0, log=None):
        folder = tmp_path / "scores" / name
        folder.mkdir(parents=True)
        metrics = {
            "name": name,
            "sets": {
                key: {"em": em, "f1": f1, "rows": 9, "unlabelled": 0, "unanswered": 0}
                for key, (em, f1) in sets.items()
            },
            "size": {"parameters": parameters, "mb": 4.8},
            "speed": {"latency_ms": 2.5, "rows_per_second": rows_per_second},
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
        if log:
            (folder / "training_log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
        return tmp_path / "scores"

    return write
