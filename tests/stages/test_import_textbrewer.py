import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.objectives.problems import term_problems
from stages.app import app


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["import-textbrewer", *arguments])
    return result.exit_code, result.output


def test_a_configuration_is_printed_as_terms(tmp_path: Path) -> None:
    match = {"layer_T": 0, "layer_S": 0, "feature": "hidden", "loss": "hidden_mse", "weight": 1}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"temperature": 8, "intermediate_matches": [match]}))
    code, output = run(str(file), "--from", "bert")
    assert code == 0
    soft, hidden = yaml.safe_load(output)["terms"]
    assert (soft["loss"], soft["from"], soft["temperature"]) == ("kd_ce", "bert", 8)
    assert (hidden["loss"], hidden["teacher_layer"]) == ("hidden_mse", 0)
    assert not [problem for term in (soft, hidden) for problem in term_problems(term)]


def test_the_example_of_the_documentation_prints_what_it_says(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/params.md").read_text(encoding="utf-8")
    config, printed = re.search(
        r"in `distill\.json`:\n\n```json\n(.*?)```.*?```yaml\n(.*?)```", text, re.DOTALL
    ).groups()
    file = tmp_path / "distill.json"
    file.write_text(config)
    assert run(str(file), "--from", "bert") == (0, printed)


@pytest.mark.parametrize("text", ["not json", '{"temperature": 0}'])
def test_what_cannot_be_read_is_an_error(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    assert run(str(file))[0] != 0
