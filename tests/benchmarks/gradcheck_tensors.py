"""Verdicts of the gradient check on losses of PyTorch and JAX, right and wrong, in four precisions.

``PYTHONPATH=.:tests:tests/frameworks python tests/benchmarks/gradcheck_tensors.py [SEEDS [FIRST]] [NAME …]``

A right function that does not pass is a false alarm, a wrong one that passes is missed. With ``again`` as a name each
run is repeated, and a run is flaky if its text differs. SEEDS is 5 by default.
"""

from __future__ import annotations

import sys
import warnings
from collections import Counter

from cases import load

import lossctl

PRECISIONS = ("float64", "float32", "bfloat16", "float16")


def check(name: str, dtype: str, seed: int) -> tuple[bool, str]:
    """Return whether a case passed, and the text of the result."""
    case = load()[name]
    pred, target, *further = (arrays := case.arrays(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = lossctl.gradcheck(
                case.value,
                arrays[pred],
                arrays[target],
                inputs={name: arrays[name] for name in further},
                framework=case.framework,
                dtype=dtype,
            )
        except Exception as error:  # noqa: BLE001 - a case must not end the run of all of them
            return False, f"refused: {error}"
    return bool(result), repr(result)


def main(argv: list[str]) -> None:
    """Print the counts for each precision, and each false alarm and miss."""
    numbers = [int(word) for word in argv if word.isdigit()]
    seeds, first = (*numbers, *(5, 0)[len(numbers) :])[:2]
    cases = {n: c for n, c in load().items() if not {*argv} - {"again", *map(str, numbers)} or n in argv}
    runs: Counter[tuple[str, str]] = Counter()
    for dtype in PRECISIONS:
        for name, case in cases.items():
            for seed in range(first, first + seeds) if dtype in case.only else ():
                passed, text = check(name, dtype, seed)
                runs[dtype, "right" if case.right else "wrong"] += 1
                if passed != case.right:
                    runs[dtype, "false alarm" if case.right else "missed"] += 1
                    print(f"{dtype} seed {seed} {'ALARM' if case.right else 'MISS'} {name}: {text}", flush=True)
                if "again" in argv and check(name, dtype, seed) != (passed, text):
                    runs[dtype, "flaky"] += 1
        words = ("right", "false alarm", "wrong", "missed", "flaky")
        print(dtype, ", ".join(f"{word} {runs[dtype, word]}" for word in words), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
