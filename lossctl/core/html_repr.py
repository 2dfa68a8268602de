"""The HTML of a result in a notebook, ``_repr_html_``."""

from __future__ import annotations

from collections.abc import Mapping

from lossctl.errors import printable


def html_of(title: str, cells: Mapping[str, object], text: str = "") -> str:
    """Return a title, a table of one row, and lines of text; numbers have six significant digits, None is a dash.

    Args:
        title: the line above the table.
        cells: the cells by heading.
        text: lines below the table; none by default.

    >>> html_of("mse", {"value": 2.0, "samples": 3}).count("<td")
    2
    """
    heads = "".join(f"<th>{_escaped(name)}</th>" for name in cells)
    values = "".join(f"<td>{_escaped(_shown(cell))}</td>" for cell in cells.values())
    lines = "\n".join(map(_escaped, text.splitlines()))
    below = f"<pre>{lines}</pre>" if text else ""
    return f"<p>{_escaped(title)}</p><table><tr>{heads}</tr><tr>{values}</tr></table>{below}"


def _shown(cell: object) -> str:
    return "–" if cell is None else f"{cell:.6g}" if isinstance(cell, float) else str(cell)


def _escaped(text: str) -> str:
    from html import escape  # here because only notebooks need it, and a start is short

    return escape(printable(text))
