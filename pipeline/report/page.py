"""The report as one HTML page that needs nothing beside it."""

from collections.abc import Sequence
from html import escape

from pipeline.report.table import Table

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; margin-bottom: 2rem; }
th, td { border-bottom: 1px solid #ccc; padding: .25rem .75rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
svg { height: auto; max-width: 100%; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def page(tables: Sequence[Table], drawings: Sequence[tuple[str, str]]) -> str:
    """The page of `tables`, then `drawings`: titles and SVG."""
    parts = [*map(_table, tables), *(f"<h2>{escape(title)}</h2>\n{svg}" for title, svg in drawings)]
    return _PAGE.format(title="Students and teachers", style=_STYLE, body="\n".join(parts))


def _table(table: Table) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2>\n<table>\n<tr>{header}</tr>\n{rows}\n</table>"
