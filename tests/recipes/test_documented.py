import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_recipe_stands_in_the_list_and_no_other_does():
    listed = set(re.findall(r"^\| `([\w-]+)`", (ROOT / "docs/recipes.md").read_text(), re.MULTILINE))
    files = {path.stem for path in (ROOT / "recipes").glob("*.yaml")}
    assert {re.sub(r"(-t3)?(-small|-medium)$", "", name) for name in files} == listed
