"""Values of other libraries for the same inputs: cases and results, one file for each family of losses.

tests/scripts/make_golden.py writes ``family.json`` from the cases in ``family.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def figures() -> list[dict[str, Any]]:
    """Return the records of all families."""
    return [record for path in sorted(HERE.glob("*.json")) for record in json.loads(path.read_text(encoding="utf-8"))]
