"""One HTML page of a report, without the network: tables that sort, pictures, what was run.

The page has a light and a dark scheme and can be printed. Text from files and options is escaped.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
from collections.abc import Iterator, Sequence
from html import escape
from importlib.metadata import version
from importlib.util import find_spec

from lossctl.errors import printable
from lossctl.render import BAD, GOOD, Style
from lossctl.render.json_document import plain
from lossctl.render.layout import cell_text, heading_of
from lossctl.report import Cell, Column, Report, Table

_STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #fff; --line: #ccc; --bar: #5b8db8; --bad: #b00020;
  --good: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e6e6; --back: #161616; --line: #444; --bar: #4a7ba6;
  --bad: #ff6b6b; --good: #56d364; } }
body { color: var(--text); background: var(--back); font: 15px/1.5 system-ui, sans-serif; max-width: 70em;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.2em; } h2 { font-size: 1em; margin: 1.6em 0 .3em; }
div.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15em .8em; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--bar); }
th[aria-sort=ascending] button::after { content: " ▲"; } th[aria-sort=descending] button::after { content: " ▼"; }
td.bar { min-width: 8em; } td.bar i { display: block; height: .8em; background: var(--bar); }
.bad { color: var(--bad); font-weight: bold; } .good { color: var(--good); }
svg { max-width: 100%; height: auto; } pre { line-height: 1.15; overflow-x: auto; }
footer { margin-top: 2em; font-size: .85em; } footer td { text-align: left; white-space: normal;
  overflow-wrap: anywhere; }
@media print { :root { color-scheme: light; --text: #000; --back: #fff; --line: #999; } body { margin: 0;
  max-width: none; } tr, svg { break-inside: avoid; } }
"""
# A click on a heading sorts the rows by the numbers or the text of the column; another click turns the order round.
_SCRIPT = """
for (const button of document.querySelectorAll("th button")) button.onclick = () => {
  const head = button.parentElement, body = head.closest("table").tBodies[0], up = head.ariaSort !== "ascending";
  const key = row => row.cells[head.cellIndex].dataset.value;
  const number = [...body.rows].every(row => key(row) === "" || !isNaN(key(row)) || key(row) === "NaN");
  const order = (a, b) => number ? rank(key(a)) - rank(key(b)) : key(a).localeCompare(key(b));
  const rank = text => text === "" || text === "NaN" ? Number.MAX_VALUE : Number(text);
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.ariaSort = up ? "ascending" : "descending";
  body.append(...[...body.rows].sort((a, b) => (up ? 1 : -1) * order(a, b)));
};
"""
# matplotlib writes this colour for all that is text or axis; the page replaces it by the colour of its scheme.
_INK = "#010203"
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")


def html(report: Report, style: Style) -> Iterator[str]:
    """Yield an HTML page of all tables, sections and pictures of the report."""
    title = report.title or report.schema.partition("/")[0].removeprefix("lossctl.")
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    yield f"<title>{_text(title)} · lossctl</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    yield from fragment(report, style)
    yield from _footer(report)
    yield f"<script>{_SCRIPT}</script>\n</body>\n</html>\n"


def fragment(report: Report, style: Style) -> Iterator[str]:
    """Yield the title, the sections, pictures, tables and lines of a report, without the page around them."""
    if report.title:
        yield f"<h1>{_text(report.title)}</h1>\n"
    for failure in report.failures:
        yield f'<p class="bad">{_text(failure)}</p>\n'
    for heading, lines in report.sections.items():
        yield f"<h2>{_text(heading)}</h2>\n" + "".join(f"<p>{_text(line)}</p>\n" for line in lines)
    if report.panels:
        yield from _pictures(report, style)
    for table in report.tables:
        if not table.detail:
            yield from _table(table, style)
    for line in report.closing:
        yield f"<p>{_text(line)}</p>\n"
    for note in (*report.notes, *report.advice):
        yield f"<p>note: {_text(note)}</p>\n"


def _text(text: str) -> str:
    return escape(printable(text))


def _pictures(report: Report, style: Style) -> Iterator[str]:
    """Yield the panels as an SVG in the colours of the page; as text if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        from lossctl.render.charts import draw

        yield "<pre>" + "".join(f"{escape(line.plain)}\n" for line in draw(report.panels, style)) + "</pre>\n"
        yield "<p>note: pip install matplotlib draws this as a picture</p>\n"
        return
    from lossctl.render.figure import figure

    buffer = io.BytesIO()
    look = {**dict.fromkeys(_INKED, _INK), "savefig.transparent": True, "axes.facecolor": "none"}
    figure(report.panels, buffer, "svg", {**look, "legend.facecolor": "none"})
    text = buffer.getvalue().decode()
    drawing = text[text.index("<svg") :]
    start, end = drawing.index("<metadata>"), drawing.index("</metadata>")  # it refers to sites of the network
    drawing = drawing[:start] + drawing[end + len("</metadata>") :]
    yield drawing.replace(_INK, "currentColor") + "\n"


def _table(table: Table, style: Style) -> Iterator[str]:
    shown = [(i, column) for i, column in enumerate(table.columns) if not column.detail]
    if table.title:
        yield f"<h2>{_text(table.title)}</h2>\n"
    yield '<div class="wide"><table>\n<thead><tr>'
    for _, column in shown:
        kind = ' class="text"' if column.kind in ("text", "verdict") else ""
        name = escape(heading_of(column))
        yield f'<th{kind} scope="col"><button>{name}</button></th>' if name else "<th></th>"
    yield "</tr></thead>\n<tbody>\n"
    for row in table.rows:
        yield "<tr>" + "".join(_cell(row[i], column, style) for i, column in shown) + "</tr>\n"
    yield "</tbody>\n</table></div>\n"


def _cell(cell: Cell, column: Column, style: Style) -> str:
    number = plain(float(cell)) if isinstance(cell, (int, float)) else cell  # Infinity and NaN, as JavaScript has them
    value = "" if number is None else escape(printable(str(number)))
    if column.kind == "bar" and isinstance(cell, (int, float)):
        return f'<td class="bar" data-value="{value}"><i style="width:{100 * cell:.4g}%"></i></td>'
    words = []
    if column.kind in ("text", "verdict"):
        words.append("text")
    if column.kind == "verdict":
        words += ["bad"] if cell in BAD else ["good"] if str(cell).startswith(GOOD) else []
    kind = f' class="{" ".join(words)}"' if words else ""
    return f'<td{kind} data-value="{value}">{escape(cell_text(cell, column, style.precision))}</td>'


def _footer(report: Report) -> Iterator[str]:
    """Yield the command, the versions and the SHA-256 of each input that is a file."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("lossctl", "numpy"))
    rows = [("command", report.command), ("versions", f"{packages}, Python {platform.python_version()}")]
    sources = report.facts.get("sources")
    rows += [(str(name), _digest(str(name))) for name in sources] if isinstance(sources, Sequence) else []
    yield "<footer><table><tbody>\n"
    yield from (f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>\n" for name, value in rows if value)
    yield "</tbody></table></footer>\n"


def _digest(name: str) -> str:
    """Return the SHA-256 of a file, or of the archive in ``archive.npz:key``; '' for stdin and folders."""
    for path in (name, name.rpartition(":")[0]):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return f"sha256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return "no digest: not a file"
