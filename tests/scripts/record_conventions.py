r"""Record the numbers of other libraries for the cases of tests/conventions.

    python -m venv peers
    peers/bin/pip install -e '.[peers]' kornia torchmetrics scoringrules 'trl==0.12.2' 'transformers<4.47'
    PYTHONPATH=.:tests/conventions peers/bin/python tests/scripts/record_conventions.py

Numbers of packages that are not installed stay. Those of TensorFlow 2.20 and of scikit-learn 1.1 come from environments
with these: they cannot be installed beside the others.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

from convention_cases import cases
from libraries import evaluate, installed

RECORDED = Path(__file__).resolve().parents[1] / "conventions" / "recorded.json"


def main() -> None:
    """Write the numbers of all libraries that are installed; those of others stay."""
    warnings.simplefilter("ignore")
    numbers = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    names = []
    for case in cases():
        names.append(case.name)
        if installed(case.row):
            numbers[case.name] = repr(evaluate(case.row.library.name, case.call or case.row.call, case.inputs))
    kept = {name: numbers[name] for name in names if name in numbers}
    RECORDED.write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
