"""The gradient check of networks of 10⁶ parameters: evaluations, false alarms, and mistakes that are named.

    python tests/benchmarks/model_check.py [SEEDS [NAME …]]

Each network is checked with SEEDS random seeds (default 3) as it is, and with each of its six mistakes once, in float64
and in float32. ``flaky`` runs small networks with 250 seeds (1,000 runs). A right network passes within 30
evaluations; a mistake is named by array and place, or cause, within 200.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from gradients.networks import MLP_MISTAKES, TRANSFORMER_MISTAKES, mlp, transformer

import lossctl

LARGE: dict[str, tuple[Any, dict[str, Any], dict[str, tuple[str, str]]]] = {
    "mlp": (mlp, {"sizes": (784, 1000, 200, 10), "batch": 32}, MLP_MISTAKES),
    "transformer": (
        transformer,
        {"width": 208, "heads": 4, "hidden": 832, "vocabulary": 1200, "tokens": 64},
        TRANSFORMER_MISTAKES,
    ),
}
FLAKY = 250


def large(name: str, seeds: int) -> bool:
    """Check a network of 10⁶ parameters as it is, and with its mistakes."""
    make, sizes, mistakes = LARGE[name]
    good = True
    for dtype in (np.float64, np.float32):
        for seed in range(seeds):
            loss, params = make(**sizes, dtype=dtype, seed=seed)
            start = time.perf_counter()
            result = lossctl.gradcheck(loss, params, seed=seed)
            count = sum(a.size for a in params.values())
            right = bool(result) and result.evaluations <= 30
            good &= right
            seconds = time.perf_counter() - start
            print(f"{name} {dtype.__name__} {count:,} parameters, right, seed {seed}: ", end="")
            print(f"{'ok' if right else 'FAIL'}, {result.evaluations} evaluations, {seconds:.1f} s", flush=True)
        for mistake, (array, words) in mistakes.items():
            loss, params = make(**sizes, dtype=dtype, mistake=mistake)
            result = lossctl.gradcheck(loss, params)
            named = any(words in hint for hint in result.hints)
            caught = not result and result.verdict_of(array) == "wrong" and named and result.evaluations <= 200
            good &= caught
            print(f"{name} {dtype.__name__} {mistake}: {'named' if caught else 'MISSED'}, ", end="")
            print(f"{result.evaluations} evaluations: {'; '.join(result.hints)}", flush=True)
    return good


def flaky() -> bool:
    """Check small networks, right and wrong, with many seeds."""
    alarms = missed = 0
    for seed in range(FLAKY):
        for make in (mlp, transformer):
            loss, params = make(seed=seed)
            alarms += not lossctl.gradcheck(loss, params, seed=seed)
            loss, params = make(seed=seed, mistake="entry")
            missed += lossctl.gradcheck(loss, params, seed=seed).verdict_of("W1") != "wrong"
    print(f"flaky: {FLAKY} seeds, 2 networks: {alarms} false alarms, {missed} misses of one wrong entry")
    return not alarms and not missed


if __name__ == "__main__":
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = sys.argv[2:] or [*LARGE, "flaky"]
    results = [flaky() if name == "flaky" else large(name, seeds) for name in names]
    sys.exit(not all(results))
