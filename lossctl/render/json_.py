"""JSON: one document, numbers that read back as the same doubles."""

from __future__ import annotations

import json as _json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from lossctl.render import Style
from lossctl.report import Report


def json(report: Report, style: Style) -> Iterator[str]:
    """The facts and the rows under a ``schema``; NaN and infinities are strings, since JSON has none."""
    document: dict[str, Any] = {"schema": report.schema, **report.facts}
    for table in report.tables:
        names = [column.name for column in table.columns]
        document[table.name] = [dict(zip(names, row, strict=True)) for row in table.rows]
    yield _json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """The same value with non-finite numbers as protobuf's JSON mapping spells them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
