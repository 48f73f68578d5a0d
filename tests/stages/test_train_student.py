"""What the stage checks before it trains."""

import json
from pathlib import Path

import pytest

from pipeline.errors import MismatchError
from stages.train_student import _check_code


def test_inputs_bound_to_other_code_are_refused(tmp_path: Path) -> None:
    described = {"name": "small", "language": "en", "tokenizer": "0", "max_length": 8, "sources": []}
    (tmp_path / "inputs.json").write_text(json.dumps(described))
    _check_code(tmp_path, {})
    with pytest.raises(MismatchError, match=r"got other contents of own\.losses; bind the student again"):
        _check_code(tmp_path, {"own.losses": "1"})
    (tmp_path / "inputs.json").write_text(json.dumps({**described, "code": {"own.losses": "1", "gone": "2"}}))
    with pytest.raises(MismatchError, match=r"got other contents of gone, own\.losses;"):
        _check_code(tmp_path, {"own.losses": "2"})
