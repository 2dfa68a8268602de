"""JSON: one document, with numbers that read back as the same doubles."""

from __future__ import annotations

import json as _json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from lossctl.render import Style
from lossctl.report import Report, Table


def json(report: Report, style: Style) -> Iterator[str]:
    """Yield a JSON object of ``schema``, facts and tables; NaN and infinities are strings because JSON has neither.

    Rows of ``long`` tables are written one by one, in bounded memory.
    """
    document: dict[str, Any] = {"schema": report.schema, **report.facts}
    for table in report.tables:
        if not table.long:
            document[table.name] = list(_rows(table))
    text = _dumped(document)
    for table in report.tables:
        if table.long:
            yield text.removesuffix("\n}") + f",\n  {_dumped(table.name)}: ["
            for i, row in enumerate(_rows(table)):
                yield ("," if i else "") + f"\n{_dumped(row)}".replace("\n", "\n    ")
            text = "\n  ]\n}"
    yield text + "\n"


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return (dict(zip(names, row, strict=True)) for row in table.rows)


def _dumped(value: Any) -> str:
    return dumped(value, indent=2)


def dumped(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON in which all characters are printable: json.dumps escapes C0 alone, not C1 and bidi."""
    text = _json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else _json.dumps(c)[1:-1] for c in text)


def plain(value: Any) -> Any:
    """Replace non-finite numbers by the strings of protobuf's JSON mapping: NaN, Infinity, -Infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
