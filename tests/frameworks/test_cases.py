"""Losses of tensors as people write them: no false alarm, no miss, in float64 and in a lower precision."""

from __future__ import annotations

import pytest
from cases import Case, load
from needs import needs

import lossctl

CASES = load().values()
RIGHT = [pytest.param(case, id=case.name, marks=needs(case.framework)) for case in CASES if case.right]
WRONG = [pytest.param(case, id=case.name, marks=needs(case.framework)) for case in CASES if not case.right]
# pytest says what is left out where a framework is missing.
MISSING = [pytest.param(None, id=name, marks=needs(name)) for name in ("torch", "jax", "optax")]
LOWER = ("float32", "bfloat16", "float16")


def check(case: Case, dtype: str = "float64") -> lossctl.GradCheck:
    pred, target, *further = (arrays := case.arrays(0))
    inputs = {name: arrays[name] for name in further}
    return lossctl.gradcheck(
        case.value, arrays[pred], arrays[target], inputs=inputs, framework=case.framework, dtype=dtype
    )


@pytest.mark.parametrize("case", RIGHT or MISSING)
def test_a_right_one_passes(case) -> None:
    if case is None:
        return
    assert check(case)
    lower = [dtype for dtype in LOWER if dtype in case.only]
    assert check(case, lower[len(case.name) % len(lower)])


@pytest.mark.parametrize("case", WRONG or MISSING)
def test_a_wrong_one_fails(case) -> None:
    if case is None:
        return
    assert not check(case)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        pytest.param("torch_BadUpstreamIgnored", "ignores the upstream gradient", marks=needs("torch")),
        pytest.param("torch_BadFirstUpstream", "only the first element of the upstream", marks=needs("torch")),
        pytest.param("jax_bad_upstream", "ignores the upstream gradient", marks=needs("optax")),
    ],
)
def test_the_upstream_gradient_is_in_the_notes(name, cause) -> None:
    assert any(cause in note for note in check(load()[name]).notes)
