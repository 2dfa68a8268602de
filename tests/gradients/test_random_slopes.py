"""Slopes along random directions: residuals, error bounds, and the noise and the kinks that are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lossctl.gradients.finite_differences import EPS, ULPS
from lossctl.gradients.random_slopes import (
    RATIO,
    STEPS,
    SURE,
    RandomSlopes,
    Slope,
    _kink,
    error_bounds,
    precision_eps,
    rms,
    scales,
)

RNG = np.random.default_rng(0)
N = 12
A = RNG.normal(size=(N, N))
A = A @ A.T
B, X = RNG.normal(size=(2, N))
STEP = float(STEPS[2])


def quadratic(x: np.ndarray) -> float:
    return float(0.5 * x @ A @ x + B @ x)


def curved(x: np.ndarray) -> float:
    return float(np.exp(0.3 * x).sum() + np.sin(x).sum())


def slope_of_curved(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.3 * np.exp(0.3 * x) + np.cos(x))


def in_float32(x: np.ndarray) -> float:
    z = x.astype(np.float32)
    return float((np.exp(np.float32(0.3) * z) + np.sin(z)).sum())


def slopes_of(f: Callable[[np.ndarray], float], gradient: np.ndarray, x: np.ndarray = X, **more: Any) -> RandomSlopes:
    n, base = len(x), f(x)
    options = {"scale": np.ones(n), "magnitude": abs(base), "rounding": np.zeros(n), "seed": 0, **more}
    return RandomSlopes(f, x, gradient, base=base, **options)


@pytest.mark.parametrize("part", [slice(0, N), slice(3, 7), np.array([1, 4, 9])])
def test_the_residual_and_the_gap_of_a_quadratic_are_exact(part) -> None:
    error, before = RNG.normal(size=N), X.copy()
    slopes = slopes_of(quadratic, A @ X + B - error)
    v = np.zeros(N)
    v[part] = slopes.directions[slopes.add_direction()][part]
    residual, gap, values = slopes.pair(0, part, STEP)
    assert residual == pytest.approx(error @ v, abs=1e-9)
    assert gap == pytest.approx(STEP * (v @ A @ v) / 2, rel=1e-6)
    assert values == [quadratic(X + STEP * v), quadratic(X - STEP * v)]
    np.testing.assert_array_equal(X, before)


def test_a_step_that_is_rounded_is_no_error_of_the_gradient() -> None:
    slopes = slopes_of(lambda x: float(x[0] - 1e9), np.ones(1), np.array([1e9]))
    slopes.add_direction()
    assert slopes.pair(0, slopes.all(), float(STEPS[5]))[0] == 0.0


def test_directions_have_random_signs_and_magnitudes() -> None:
    scale = np.repeat([1.0, 100.0], 500)
    slopes = slopes_of(lambda x: 0.0, np.zeros(1000), np.zeros(1000), scale=scale)
    u, v = (slopes.directions[slopes.add_direction()] / scale for _ in range(2))
    for w in (u, v, u * v):
        assert abs(np.sign(w).mean()) < 0.15
    assert 0.5 <= np.abs(u).min() < 0.51
    assert 1.49 < np.abs(u).max() <= 1.5


def test_the_other_part_of_a_direction_is_what_a_part_leaves() -> None:
    whole, part = Slope(5.0, 0.5, 3.0, 0.25), Slope(2.0, 0.25, 1.0, 0.5)
    assert whole.minus(part) == Slope(3.0, 0.75, 2.0, 0.5)


@pytest.mark.parametrize("f", [curved, in_float32])
@pytest.mark.parametrize("how", ["slope", "sharp_slope"])
@pytest.mark.parametrize("seed", range(10))
def test_a_right_gradient_is_never_wrong_and_a_small_error_is_seen(f, how, seed) -> None:
    for factor in (1.0, 1.05):
        slopes = slopes_of(f, factor * slope_of_curved(X), seed=seed)
        measured = [slopes.calibrate()]
        measured += [getattr(slopes, how)(slopes.add_direction(), slopes.all()) for _ in range(5)]
        wrong = [slopes.is_wrong(m, k, slopes.all()) for k, m in enumerate(measured)]
        assert any(wrong) == (factor != 1.0)
        for k, m in enumerate(measured):
            exact = (1.0 - factor) * slope_of_curved(X) @ slopes.directions[k]
            assert abs(m.residual - exact) <= m.error + 1e-7  # the gradient of the float32 function has 7 digits


def test_the_noise_is_that_of_the_precision_and_sets_the_steps() -> None:
    exact, rounded = slopes_of(curved, slope_of_curved(X)), slopes_of(in_float32, slope_of_curved(X))
    first, coarse = exact.calibrate(), rounded.calibrate()
    assert ULPS * EPS * abs(exact.base) <= exact.noise < 1e-12
    assert 2.0**-23 * abs(rounded.base) <= rounded.noise < 1e-4
    assert rounded.noise <= rounded.sharp_noise
    assert exact.step < rounded.step <= rounded.sharp_step
    # Four evaluations know more digits of a function with few than two do.
    assert coarse.error == pytest.approx(rounded.sharp_slope(0, rounded.all()).error, rel=0.5)
    assert first.error < coarse.error < rounded.slope(0, rounded.all()).error / 4
    assert first.step == exact.sharp_step
    assert coarse.step == rounded.sharp_step
    assert coarse.residual == rounded.pair(0, rounded.all(), coarse.step)[0]
    by_step = [rounded.slope(0, rounded.all(), float(h)).error for h in STEPS[:-2]]
    assert rounded.slope(0, rounded.all()).error == min(by_step)


def test_the_noise_at_the_short_step_is_not_that_at_the_long_one() -> None:
    """Longer steps also show how the slope changes."""
    noises = []
    for seed in range(10):
        slopes = slopes_of(in_float32, slope_of_curved(X), seed=seed)
        slopes.calibrate()
        assert slopes.noise <= slopes.sharp_noise
        noises.append(slopes.noise < slopes.sharp_noise)
    assert any(noises)


def test_without_a_finite_value_the_steps_stay() -> None:
    slopes = slopes_of(lambda x: float("nan") if x is not X else 0.0, np.zeros(N), magnitude=1.0)
    assert slopes.calibrate().error == np.inf
    assert (slopes.step, slopes.sharp_step) == (STEPS[5], STEPS[3])


def test_few_numbers_of_float32_do_not_show_a_precision() -> None:
    """A function that is constant here returns one number, and this may be a float32 number by chance."""
    slopes = slopes_of(lambda x: 0.5, np.zeros(N))
    slopes.calibrate()
    assert slopes.noise == ULPS * EPS * 0.5


def test_a_plateau_shows_no_slope() -> None:
    """Values that are equal at short steps alone say nothing; a function that is constant has the slope 0."""
    steps = slopes_of(lambda x: round(float(x.sum()), 3), np.zeros(1), np.ones(1))
    m = steps.calibrate()
    assert abs(m.residual) <= SURE * m.error or steps.is_wrong(m, 0, steps.all())
    assert abs(abs(m.residual) - abs(steps.directions[0][0])) <= m.error
    flat = slopes_of(lambda x: 7.0, np.zeros(1), np.ones(1))
    assert flat.calibrate().residual == 0.0
    assert flat.calibrate().error < 1e-12


def test_one_equal_value_is_no_plateau() -> None:
    """The loss of a margin that is just met: it moves to one side only."""
    slopes = slopes_of(lambda x: max(0.0, float(x[0])), np.zeros(1), np.zeros(1), magnitude=1.0)
    m = slopes.calibrate()
    assert slopes.kinked
    assert m.error >= abs(slopes.directions[0][0]) / 2 * 0.99
    nearby = slopes_of(lambda x: max(0.0, float(-x[0])) + max(0.0, float(x[0]) - 2.0**-9), np.zeros(1), np.zeros(1))
    nearby.directions.append(np.ones(1))
    nearby.add_direction = lambda: 0  # type: ignore[method-assign]
    assert nearby.calibrate().step < 2.0**-9


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_a_kink_at_the_point_is_found_and_is_part_of_the_error(size) -> None:
    slopes = slopes_of(lambda x: size * float(np.abs(x).sum() + (x**2).sum()), np.zeros(N), np.zeros(N))
    m = slopes.calibrate()
    jump = size * np.abs(slopes.directions[0]).sum()
    assert slopes.kinked
    assert jump * 0.99 <= m.error <= 1.2 * jump
    smooth = slopes_of(lambda x: size * float((x**2).sum()), np.zeros(N), np.zeros(N))
    smooth.calibrate()
    assert not smooth.kinked


def test_a_gap_is_a_kink_if_it_stays_at_the_shortest_steps_that_show_it() -> None:
    noises, ones = np.full(len(STEPS), 1e-12), np.ones(len(STEPS))
    assert _kink(0.3 * ones, noises) == 0.3
    assert _kink(-0.3 * ones, noises) == -0.3
    assert _kink(0.3 * STEPS, noises) == 0.0  # curvature
    assert _kink(0.0 * ones, noises) == 0.0
    root = 0.3 * np.sqrt(STEPS)  # the gap of |x|^1.5 falls by 4 where the steps fall by 16
    assert _kink(root * 0.99 ** np.arange(9), noises) == 0.0
    mixed = 0.3 + 5.0 * STEPS  # curvature hides the kink at the longest step
    assert _kink(mixed, noises) == pytest.approx(0.3, rel=1e-3)
    only_first = np.where(np.arange(len(STEPS)) == 0, 0.3, 0.0)
    assert _kink(only_first, noises) == 0.0
    assert _kink(np.where(STEPS > 1e-5, 0.3, np.where(STEPS > 1e-6, 0.15, 0.0)), 1e-6 * STEPS) == 0.15
    # Gaps that noise explains are no kink; twelve times the noise is the limit.
    assert _kink(11.0 * noises / STEPS, noises) == 0.0
    assert _kink(np.where(STEPS < 1e-8, 11.0 * noises / STEPS, 0.0), noises) == 0.0


def test_the_bounds_of_errors_hold_at_every_step() -> None:
    """f'(h) = h²·c and a gap h·d, with noise η/h: what a smooth function of few digits shows."""
    c, d, noise = 0.7, 0.9, 1e-9
    signs = np.random.default_rng(3).choice([-1.0, 1.0], (2, len(STEPS)))
    residual, gap = c * STEPS**2 + signs[0] * noise / STEPS, d * STEPS + signs[1] * noise / STEPS
    usable = np.ones((len(STEPS), 1), bool)
    errors, quick, noises = error_bounds(residual[:, None], gap[:, None], usable, np.array([1e-16]))
    counted = slice(0, len(STEPS) - 2)
    assert (np.abs(residual[counted]) <= errors[counted, 0]).all()
    assert (np.abs(residual[counted]) <= quick[counted, 0]).all()
    assert (errors <= quick).all()
    assert errors.min() < quick.min() / 2
    assert not np.isfinite(errors[-2:]).any()
    np.testing.assert_allclose(quick[counted, 0], np.abs(gap[counted]) + 4.0 * noises[counted, 0] / STEPS[counted])
    assert (noises[counted] >= noise / 2).all()
    assert noises[2, 0] < 40 * noise
    # Noise is the deviation times its own, shorter step, and at least the floor.
    assert error_bounds(0 * residual[:, None], 0 * gap[:, None], usable, np.array([1e-3]))[2][0, 0] == 1e-3
    only = np.zeros_like(STEPS)
    only[4] = 1.0
    for pair in ((only, 0 * only), (0 * only, only)):
        noises = error_bounds(pair[0][:, None], pair[1][:, None], usable, np.array([0.0]))[2]
        np.testing.assert_allclose(noises[:4, 0], STEPS[4])
        np.testing.assert_allclose(noises[4, 0], STEPS[5])
        assert noises[5, 0] == 0.0


def test_the_bound_of_two_steps_is_that_of_a_smooth_function_and_a_kink() -> None:
    residual, gap = 0.7 * STEPS**2, 0.2 + 0.9 * STEPS
    usable = np.ones((len(STEPS), 1), bool)
    errors, _, noises = error_bounds(residual[:, None], gap[:, None], usable, np.array([1e-16]))
    for i in range(1, len(STEPS) - 2):
        smooth = abs(gap[i] - gap[i - 1] / 16.0) + 2.0 * abs(residual[i] - residual[i - 1]) / 256.0
        assert errors[i, 0] == pytest.approx(smooth + 4.0 * noises[i, 0] / STEPS[i], rel=1e-12)


def test_a_step_that_is_not_usable_has_no_bound_and_helps_no_other() -> None:
    residual, gap = STEPS[:, None] ** 2, STEPS[:, None]
    usable = np.ones((len(STEPS), 1), bool)
    usable[2] = False
    all_usable = error_bounds(residual, gap, np.ones_like(usable), np.array([1e-16]))
    errors, quick, _ = error_bounds(residual, gap, usable, np.array([1e-16]))
    assert np.isinf(errors[2])
    assert np.isinf(quick[2])
    assert errors[3] == quick[3] > all_usable[0][3]
    assert errors[1] == all_usable[0][1]


def test_a_wrong_slope_is_measured_again(monkeypatch) -> None:
    slopes = slopes_of(curved, slope_of_curved(X))
    first = Slope(1.0, 0.1, 0.1, 2.0**-7)
    for second, expected in (
        (Slope(1.05, 0.01, 0.01, 2.0**-11), Slope(1.05, 0.01, 0.01, 2.0**-11)),
        (Slope(1.05, 0.3, 0.01, 2.0**-11), first),
        (Slope(5.0, 0.01, 0.02, 2.0**-11), Slope(5.0, 4.0, 0.02, 2.0**-11)),
        (Slope(1.0, np.inf, 0.01, 2.0**-11), first),
    ):
        steps: list[float] = []
        monkeypatch.setattr(slopes, "slope", lambda k, part, step, s=second, at=steps: (at.append(step), s)[1])
        assert slopes.confirmed(0, slopes.all(), first) == expected
        assert steps == [first.step / RATIO]


def test_rounding_of_the_gradient_is_allowed() -> None:
    slopes = slopes_of(curved, slope_of_curved(X), rounding=np.arange(N) * 1e-3, scale=np.arange(1.0, N + 1))
    slopes.add_direction()
    part = np.array([2, 5])
    allowed = 4.0 * np.sqrt(((np.arange(N) * 1e-3 * slopes.directions[0])[part] ** 2).sum())
    assert slopes.allowed(0, part) == pytest.approx(allowed)
    for residual, wrong in ((SURE * 0.1 + allowed - 1e-9, False), (SURE * 0.1 + allowed + 1e-9, True)):
        assert slopes.is_wrong(Slope(residual, 0.1, 0.0, 1.0), 0, part) == wrong
        assert slopes.is_wrong(Slope(-residual, 0.1, 0.0, 1.0), 0, part) == wrong


def test_the_error_of_a_slope_is_the_gap_and_the_noise() -> None:
    slopes = slopes_of(quadratic, A @ X + B)
    slopes.add_direction()
    slopes.noise, slopes.sharp_noise = 1e-3, 1e-2
    m = slopes.slope(0, slopes.all(), STEP)
    assert m.error == pytest.approx(m.gap + 4.0 * 1e-3 / STEP)
    assert m.gap == pytest.approx(STEP * slopes.directions[0] @ A @ slopes.directions[0] / 2)
    slopes.sharp_step = STEP
    assert slopes.sharp_slope(0, slopes.all()).error == pytest.approx(4.0 * 1e-2 / STEP, rel=1e-6)
    undefined = slopes_of(lambda x: float("nan") if x is not X else 0.0, A @ X + B, magnitude=1.0)
    undefined.add_direction()
    assert undefined.slope(0, undefined.all()).error == np.inf
    assert undefined.sharp_slope(0, undefined.all()).error == np.inf


def test_a_sharp_slope_uses_a_step_of_which_the_longer_one_is_defined() -> None:
    """A function with an edge at a distance that the longer step passes has the bound of one step."""

    def bounded(x: np.ndarray) -> float:
        return float(np.log(2.0**-5 - x[0])) if x[0] < 2.0**-5 else float("nan")

    slopes = slopes_of(bounded, np.array([-(2.0**5)]), np.zeros(1), magnitude=1.0)
    slopes.directions.append(np.ones(1))
    slopes.sharp_step, slopes.sharp_noise = 2.0**-7, 0.0
    m = slopes.sharp_slope(0, slopes.all())
    assert np.isfinite(m.error)
    assert m.error == m.gap
    # A kink that only the longer step crosses is no error of the shorter one.
    kinked = slopes_of(lambda x: abs(float(x[0]) - 2.0**-5), np.array([-1.0]), np.zeros(1))
    kinked.directions.append(np.ones(1))
    kinked.sharp_step, kinked.sharp_noise = 2.0**-7, 0.0
    assert kinked.sharp_slope(0, kinked.all()).error == 0.0
    # The longer step is at most 1/2.
    at: list[float] = []
    far = slopes_of(lambda x: at.append(float(x[0])) or 0.0, np.zeros(1), np.zeros(1), magnitude=1.0)
    far.directions.append(np.ones(1))
    far.sharp_step = 2.0**-3
    far.sharp_slope(0, far.all())
    assert at[1:] == [0.5, -0.5, 0.125, -0.125]


def test_scales_of_directions() -> None:
    x = [np.full(4, 2.0), np.full(9, 8.0), np.zeros(3), np.full(2, 4.0)]
    g = [np.full(4, 1.0), np.full(9, 100.0), np.full(3, 0.1), np.zeros(2)]
    slopes = [2.0 * 1.0 * 2.0, 8.0 * 100.0 * 3.0, 4.0 * 0.1 * np.sqrt(3)]
    median = np.median(slopes)
    np.testing.assert_allclose(scales(x, g), [2.0, 8.0 * median / slopes[1], 4.0, 4.0])
    assert scales([np.zeros(2)], [np.zeros(2)]) == [1.0]


def test_the_root_mean_square_neither_overflows_nor_underflows() -> None:
    for size in (1e-200, 1.0, 1e200):
        assert rms(size * np.array([3.0, -4.0])) == pytest.approx(size * np.sqrt(12.5))
    assert rms(np.zeros(3)) == 0.0


def test_the_precision_of_values_is_at_least_that_of_float32() -> None:
    values = RNG.normal(size=100)
    assert precision_eps(np.float64(np.float32(values))) == 2.0**-23
    assert precision_eps(np.float64(np.float16(values))) == 2.0**-10
    assert precision_eps(values) == 2.0**-23
