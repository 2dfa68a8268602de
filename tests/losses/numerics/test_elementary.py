"""Logarithms near 1 against mpmath, and of hard targets."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from lossctl import get_loss
from lossctl.losses.numerics.elementary import log1p

SIZES = 10.0 ** np.random.default_rng(1).uniform(-300, 0, 300)
NEAR = 10.0 ** np.random.default_rng(2).uniform(-17, 0, 700)  # where the roundoff of 1 + x matters


NEAR_MINUS_1 = np.nextafter(NEAR - 1.0, 0.0)


@pytest.mark.parametrize("x", [SIZES, -SIZES, NEAR, -NEAR, NEAR_MINUS_1], ids=["+", "-", "+near", "-near", "near -1"])
def test_log1p_is_right_to_less_than_an_ulp_and_a_half(x: np.ndarray) -> None:
    with mpmath.workprec(200):
        exact = [mpmath.log1p(mpmath.mpf(v)) for v in x.tolist()]
        errors = [abs(mpmath.mpf(y) / e - 1) for y, e in zip(log1p(x).tolist(), exact, strict=True) if e]
    assert max(errors) < 1.5 * 2.0**-52


@pytest.mark.parametrize("name", ["bce", "poly1"])
def test_a_soft_target_in_the_block_changes_no_bit_of_hard_ones(name: str) -> None:
    p = np.concatenate([[0.0, 0.5, 1.0], SIZES, 1.0 - NEAR])
    for target in (0.0, 1.0):
        t = np.full_like(p, target)
        with np.errstate(all="ignore"):
            alone = get_loss(name).value(p, t)
            among = get_loss(name).value(np.append(p, 0.3), np.append(t, 0.4))
        assert alone.tobytes() == among[:-1].tobytes()
