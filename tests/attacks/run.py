"""Run all attacks and print kept and broken per promise: ``python tests/attacks/run.py [--fast] [WORD …]``.

With words, only attacks whose name or promise contains one of them are run.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])  # not this folder, whose modules may be named like others
from attacks.harness import PROMISES, every_attack, outcome  # noqa: E402
from attacks.processes import killed_at_a_random_moment  # noqa: E402


def main(argv: list[str]) -> int:
    """Run the attacks; return 1 if a promise is broken."""
    words = [word for word in argv if word != "--fast"]
    kept: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    kills: list[bool] = []
    seconds = dict.fromkeys(PROMISES, 0.0)
    for one in every_attack():
        if (one.slow and "--fast" in argv) or (words and not any(w in f"{one.promise} {one.name}" for w in words)):
            continue
        cause, took = outcome(one)
        seconds[one.promise] += took
        if killed_at_a_random_moment.__name__ in one.name:
            kills.append(not cause)
        if cause:
            broken[one.promise] += 1
            print(f"BROKEN  {one.promise}: {one.name}: {cause}", flush=True)
        else:
            kept[one.promise] += 1
    print(f"{'promise':12} {'kept':>6} {'broken':>6} {'seconds':>8}")
    for promise, text in PROMISES.items():
        if kept[promise] or broken[promise]:
            print(f"{promise:12} {kept[promise]:6} {broken[promise]:6} {seconds[promise]:8.1f}  {text}")
    print(f"{'all':12} {kept.total():6} {broken.total():6}")
    if kills:
        print(f"kill -9 at random moments: survived {sum(kills)} of {len(kills)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
