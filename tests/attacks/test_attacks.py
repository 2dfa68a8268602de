"""Every attack leaves its promise standing; see ``harness.py``."""

from __future__ import annotations

import pytest
from attacks.harness import PROMISES, Attack, every_attack, outcome

CASES = [
    pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.slow else []) for one in every_attack() if one.tested
]


@pytest.mark.parametrize("one", CASES)
def test_the_promise_is_kept(one: Attack) -> None:
    broken, _ = outcome(one)
    assert not broken, f"{PROMISES[one.promise]}: {broken}"


def test_a_broken_promise_is_seen() -> None:
    def false(_: object) -> None:
        raise AssertionError("planted")

    assert outcome(Attack("rows", "planted", false, slow=False))[0] == "AssertionError: planted"


def test_names_are_distinct() -> None:
    names = [one.name for one in every_attack()]
    assert len(set(names)) == len(names)
