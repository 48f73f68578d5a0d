from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.plain import read_lines, read_wikiextractor
from pipeline.datasets.rows import Broken
from pipeline.errors import DataError
from pipeline.schema import Example


def test_lines_as_they_are_or_their_sentences(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("One. Two.\n\n Three \n")
    assert list(read_lines(tmp_path, {"x": "x.txt"})["x"]) == [
        Example("0", "", "One. Two."),
        Example("1", "", "Three"),
    ]
    split = read_lines(tmp_path, {"x": "x.txt"}, language="en")["x"]
    assert [row.context for row in split] == ["One.", "Two.", "Three"]


def test_articles_lose_their_titles(tmp_path: Path) -> None:
    (tmp_path / "wiki_00").write_text(
        '<doc id="12" url="?curid=12" title="A &lt; B">\nA < B\n\nFirst one. Second one.\nThird.\n\n</doc>\n'
        '<doc id="13" url="" title="Empty">\nEmpty\n\n\n</doc>\n'
    )
    rows = list(read_wikiextractor(tmp_path, {"x": "wiki_00"})["x"])
    assert rows == [
        Example("12-0", "", "First one."),
        Example("12-1", "", "Second one."),
        Example("12-2", "", "Third."),
    ]
    (tmp_path / "plain").write_text("no articles")
    with pytest.raises(DataError, match="use reader 'text'"):
        list(read_wikiextractor(tmp_path, {"x": "plain"})["x"])


def test_articles_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wiki_00").write_text(
        '<doc id="1">\nA\n\nNo end.\n'
        '<doc id="2">\nB\n\nWhole.\n\n</doc>\n'
        '<doc url="">\nC\n\nNo name.\n</doc>\n'
        '<doc id="4">\nD\n\nCut he'
    )
    expected = "expected <doc id=...>, a title and </doc>; got str"
    assert list(read_wikiextractor(tmp_path, {"x": "wiki_00"})["x"]) == [
        Broken("", "malformed", f"""{expected} '<doc id="1">'"""),
        Example("2-0", "", "Whole."),
        Broken("", "malformed", f"""{expected} '<doc url="">'"""),
        Broken("", "malformed", f"""{expected} '<doc id="4">'"""),
    ]


@pytest.mark.parametrize(
    ("name", "language", "least"),
    [("wikipedia_en/wiki_00", "en", 8_000), ("wikipedia_zh/wiki_00", "zh", 9_000)],
)
def test_real_files(shared_file: Callable[[str], Path], name: str, language: str, least: int) -> None:
    file = shared_file(f"data/{name}")
    rows = list(read_wikiextractor(file.parent, {"x": file.name}, language=language)["x"])
    assert len(rows) >= least
    assert not any("<doc" in row.context or "</doc" in row.context for row in rows)
