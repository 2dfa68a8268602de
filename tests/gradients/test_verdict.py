"""Verdicts of the gradient check on right and wrong gradients, and the effect of each safeguard.

The kernels and mistakes are those of ``python tests/benchmarks/gradcheck.py bar``, which runs 100,000 points and 20
seeds.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.gradcheck import KERNELS, PLANTS, Case, Kernel, kernel_case, loss_case, score, settings, told, wide

import lossctl
from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.gradients import finite_differences, judge, line_probe, one_sided, refinement
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.judge import check
from lossctl.gradients.sampling import sample_points
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

Array = np.ndarray

# Unresolved beyond 1 %, and why no difference can do better.
DOCUMENTED = {
    "x + 1e-7 sin(1e6·x)": 0.35,  # a wiggle of 1e-7 on a value of up to 100, whose last digit is 1e-14
    "zero_one:threshold=1000000": 0.03,  # a jump some ulps of 10⁶ away: slopes of 1/h, and nothing beside them
    "asymmetric:gamma_pos=0.1": 0.05,  # beside p = 1 the slope goes with (1 − p)^0.1, at rest for no step
    "sparse_categorical_cross_entropy:label_smoothing=1e-06": 0.03,  # beside p = 0 the slope is that of 1e-6·log p
    "tweedie_deviance:power=0.1": 0.05,  # at p ≪ t a step inside the domain moves p/t = 1e-12 of the loss
}
BOUND = [loss.bind(**p) for loss in registered().values() for p in settings(loss)]


@pytest.fixture(autouse=True)
def _quiet() -> object:
    """Kernels at their edges divide by 0: what they give there is what is tested."""
    with np.errstate(all="ignore"):
        yield


def rng_of(name: str, seed: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def one(f: Callable[[Array], Array], x: object, given: object, **others: object) -> CoordinateVerdicts:
    """The verdicts on a loss of one number."""
    x, given = np.atleast_1d(np.asarray(x, float)), np.atleast_1d(np.asarray(given, float))
    options: dict = {"low": -np.inf, "high": np.inf, "rtol": 1e-6, "magnitude": np.maximum(np.abs(x), 1.0), **others}
    return check(DerivativeProblem(lambda _rows, at: f(at[:, 0]), x[:, None], given[:, None], **options))


def names(found: CoordinateVerdicts) -> list[str]:
    return [Verdict(v).name for v in found.verdict.ravel()]


def points_of(loss: Loss, points: int) -> int:
    """So many points, or fewer where one has many coordinates, or all of them move the whole batch.

    A kernel costs the number of coordinates, and is called for each of them.
    """
    if loss.batch_coupled:
        return 12
    coordinates = sample_points(loss, 1, 0)[0].size
    return min(points, 25 * points // coordinates**2)


def assert_no_alarm(case: Case, found: CoordinateVerdicts, unresolved: float = 0.01) -> None:
    wrong = np.argwhere(found.verdict == Verdict.WRONG)
    assert not wrong.size, told(case, case.gradient, found, *wrong[0])
    assert (found.verdict == Verdict.UNRESOLVED).mean() <= unresolved


def assert_caught(case: Case, right: CoordinateVerdicts, mistake: str, rng: np.random.Generator) -> None:
    """What is wrong by 1e-5 of its scale is never ok, and nothing of size goes through the whole check."""
    given = PLANTS[mistake](case, right.scale, rng)
    found = case.check(given)
    result = score(case, given, found)
    assert not result.missed, f"{mistake}: {result.example}"
    away = np.abs(given - case.gradient)
    judged = (right.verdict == Verdict.OK) & (away >= 1e-3 * found.scale) & (away > 0)
    if judged.sum() > 10:  # not of one sample alone, which may be one that cannot be resolved
        assert (found.verdict == Verdict.WRONG).any(), mistake


# --- the bar ---


@pytest.mark.parametrize("loss", BOUND, ids=lambda loss: loss.spec)
@pytest.mark.slow
def test_right_gradients_of_every_loss_raise_no_alarm(loss) -> None:
    for seed in range(2):
        case = loss_case(loss, sample_points(loss, points_of(loss, 1500), seed))
        assert_no_alarm(case, case.check(case.gradient), DOCUMENTED.get(loss.spec, 0.01))


@pytest.mark.parametrize("name", registered())
@pytest.mark.slow
def test_planted_mistakes_in_every_loss_are_caught(name) -> None:
    loss = registered()[name]
    # Three classes: 25 coordinates of a sample are to 9 of them more of the same.
    case = loss_case(loss, sample_points(loss, points_of(loss, 600), 3, classes=3))
    right = case.check(case.gradient)
    for mistake in PLANTS:
        assert_caught(case, right, mistake, rng_of(mistake))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.slow
def test_kernels_by_hand_raise_no_alarm_and_hide_no_mistake(name) -> None:
    for seed in range(2):
        case = kernel_case(KERNELS[name], rng_of(name, seed), 2000)
        right = case.check(case.gradient)
        assert_no_alarm(case, right, DOCUMENTED.get(name, KERNELS[name].unresolved))
        for mistake in PLANTS:
            assert_caught(case, right, mistake, rng_of(mistake, seed))


@pytest.mark.parametrize("mistake", [m for m in PLANTS if m not in {"one sample", "next index"}])
def test_a_mistake_everywhere_is_seen_nearly_everywhere(mistake) -> None:
    """Not only never passed: of a smooth loss over twelve decades it is caught at 999 points of 1000."""
    case = kernel_case(KERNELS["cauchy"], rng_of(mistake), 4000)
    given = PLANTS[mistake](case, case.check(case.gradient).scale, rng_of(mistake))
    result = score(case, given, case.check(given))
    assert result.planted
    assert result.caught >= 0.999 * result.planted


@pytest.mark.parametrize("name", ["brier", "dice"])
def test_half_a_gradient_is_wrong_beside_an_edge_too(name) -> None:
    """A slope of 2 is known to 1e-3 there at best, 1e-9 from the edge: too little to be right, enough to be wrong."""
    loss = registered()[name]
    case = loss_case(loss, sample_points(loss, 1000, 0))
    verdict = case.check(0.5 * case.gradient).verdict[case.gradient != 0]
    assert np.mean(verdict == Verdict.WRONG) > 0.85
    assert not (verdict == Verdict.OK).any()


def test_one_wrong_sample_in_many_is_the_one_that_is_told() -> None:
    case = kernel_case(KERNELS["log cosh"], rng_of("many"), 100_000)
    at = int(np.flatnonzero(np.abs(case.gradient[:, 0]) > 0.5)[17])
    given = case.gradient.copy()
    given[at] *= 1.0 + 2e-5
    assert np.flatnonzero(case.check(given).verdict[:, 0] == Verdict.WRONG).tolist() == [at]


NOISY = {
    "float32 inside": Kernel(lambda x, t: (0.5 * (x - t).astype(np.float32) ** 2).astype(float), lambda x, t: x - t),
    "1 − (1 − u²)³": Kernel(
        lambda x, t: 1 - (1 - np.minimum(np.abs(x - t) / 4.685, 1.0) ** 2) ** 3,
        lambda x, t: 6 / 4.685**2 * (x - t) * np.maximum(1 - ((x - t) / 4.685) ** 2, 0.0) ** 2,
    ),
    "log of cosh": Kernel(lambda x, t: np.log(np.cosh(x - t)), lambda x, t: np.tanh(x - t)),
    "arcsin of √x": Kernel(
        lambda x, _t: np.arcsin(np.sqrt(x)),
        lambda x, _t: 0.5 / np.sqrt(x * (1 - x)),
        draw=KERNELS["x log x"].draw,
        low=0.0,
        high=1.0,
    ),
}


@pytest.mark.parametrize("name", NOISY)
def test_a_noisy_kernel_is_a_finding(name) -> None:
    """A loss that has lost its digits cannot vouch for any gradient: the check fails, whatever was given."""
    case = kernel_case(NOISY[name], rng_of(name), 4000)
    found = case.check(case.gradient).verdict
    bad = (found == Verdict.WRONG) | (found == Verdict.UNRESOLVED)
    assert bad.mean() > 0.01


# --- kinks ---


def test_any_slope_between_the_sides_of_a_kink_passes_and_is_counted_as_a_kink() -> None:
    found = one(np.abs, np.zeros(7), [-1.0, -0.5, 0.0, 0.5, 1.0, 1.001, -1.001])
    assert names(found) == ["KINK"] * 5 + ["WRONG"] * 2
    assert found.numeric[:, 0].tolist() == pytest.approx([-1.0, -0.5, 0.0, 0.5, 1.0, 1.0, -1.0], abs=1e-9)
    # With nothing given (lossctl grad --numeric) it is the slope nearest 0.
    steep = one(lambda x: np.maximum(2 * x, 3 * x), [0.0, 0.0], [np.nan, 9.0])
    assert steep.numeric[:, 0].tolist() == pytest.approx([2.0, 3.0], abs=1e-8)


@pytest.mark.parametrize("x", [0.0, 1.0, -3.0, 1e-6, 1e6])
def test_kinks_are_found_wherever_they_are(x) -> None:
    low, high = -0.3, 0.7

    def quantile(at: Array) -> Array:
        return np.maximum(low * (at - x), high * (at - x))

    given = [low, high, 0.0, low - 1e-3, high + 1e-3]
    found = one(quantile, np.full(5, x), given)
    assert names(found) == ["KINK", "KINK", "KINK", "WRONG", "WRONG"]


@pytest.mark.parametrize("away", [1e-3, 1e-7, 1e-9, 1e-12])
def test_beside_a_kink_only_the_slope_of_that_side_is_right(away) -> None:
    found = one(np.abs, [away, -away, away, -away], [1.0, -1.0, -1.0, 0.0])
    assert names(found)[:2] == ["OK", "OK"]
    assert "OK" not in names(found)[2:]
    assert "WRONG" in names(found)[2:]


@pytest.mark.parametrize("ulps", [0, 1, -1, 3])
def test_a_kink_within_some_ulps_of_the_point_is_a_kink_there(ulps) -> None:
    """0.3 − 0.2 is not 0.1: of |r| − ε at |r| = ε it is chance on which side doubles lie."""
    x = np.full(5, 0.3)
    at = 0.3 + ulps * np.spacing(0.3)
    found = one(lambda v: np.maximum(v - at, 0.0), x, [0.0, 1.0, 0.5, -0.001, 1.001])
    assert names(found) == ["KINK", "KINK", "KINK", "WRONG", "WRONG"]


@pytest.mark.parametrize("away", [3e-10, 5e-10, -3e-10, -1e-9])
def test_beside_a_kink_that_rounding_hides_only_the_slope_of_that_side_passes(away) -> None:
    """Of min(r², 4) at r = 2 − 1e-9 steps of 1e-9 drown in the rounding of 4, and larger ones jump over the kink."""
    x = np.full(4, 2.0 - away)
    near, far = (2 * x[0], 0.0) if away > 0 else (0.0, 4.0)
    found = names(one(lambda v: np.minimum(v * v, 4.0), x, [near, (near + far) / 2, -0.01, 4.01]))
    assert found[0] in {"OK", "KINK"}  # 1e-9 away a single step may settle
    assert found[1:] == ["UNRESOLVED", "WRONG", "WRONG"]


def test_the_bottom_of_a_power_between_1_and_2_is_no_kink() -> None:
    """Its second derivative is infinite, its first is 0."""
    for q in (1.2, 1.5, 1.8):
        assert names(one(lambda v, q=q: np.abs(v) ** q, np.zeros(3), [0.0, 1e-3, -1e-3])) == ["OK", "WRONG", "WRONG"]


def test_a_step_beyond_the_largest_double_says_nothing() -> None:
    x = np.array([-708.0, -709.78, 709.0])
    found = one(lambda v: np.exp(np.abs(v)), x, np.sign(x) * np.exp(np.abs(x)))
    assert names(found) == ["OK"] * 3
    cliff = one(lambda v: np.where(v > 1.0, np.inf, v), [1.0, 0.5], [1.0, 1.0])
    assert names(cliff) == ["UNDEFINED", "OK"]


def test_what_underflows_is_not_wrong() -> None:
    """Slopes of 1e-318 over a step of 1e-7 change no double."""
    assert names(one(lambda v: 0 * v, [1.0, 1.0], [1e-318, 1e-300])) == ["OK", "WRONG"]


def test_a_slope_that_hardly_comes_to_rest_is_not_known_by_a_third_of_its_last_move() -> None:
    """The slope of u + u^1.1 at u = 0 is 1, and 1 + h^0.1 over every step."""
    found = one(lambda u: 26.0 * u + 1e-4 * u**1.1, [0.0], [26.0], low=0.0, high=1.0)
    assert "WRONG" not in names(found)


def test_a_jump_of_the_second_derivative_is_no_kink() -> None:
    found = one(lambda x: np.where(x > 1, 2 * x - 1, x * x), [1.0, 1.0], [2.0, 2.001])
    assert names(found) == ["OK", "WRONG"]


# --- domains ---


class Edges:
    """A loss that remembers how far it was called."""

    def __init__(self, f: Callable[[Array], Array]) -> None:
        self.f, self.low, self.high = f, np.inf, -np.inf

    def __call__(self, x: Array) -> Array:
        self.low, self.high = min(self.low, x.min()), max(self.high, x.max())
        return self.f(x)


@pytest.mark.parametrize(
    ("f", "g"),
    [
        (lambda x: -np.log(x), lambda x: -1 / x),
        (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
        (lambda x: x * np.log(np.where(x == 0, 1, x)), lambda x: np.log(x) + 1),
        (lambda x: 0 * x + 1.0, lambda x: 0 * x),
        (lambda x: (x - 0.3) ** 2, lambda x: 2 * (x - 0.3)),
    ],
    ids=["log", "sqrt", "x log x", "constant", "brier"],
)
@pytest.mark.parametrize("size", [1.0, 1e9])
@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_a_loss_is_never_called_outside_its_domain(f, g, size, wrong) -> None:
    """Not at the edge, not beside it, not with steps made for numbers a billion times as large."""
    near = 10.0 ** np.arange(-320.0, -1.0, 5.0)
    x = np.concatenate([[0.0, 1.0, 0.3, 0.5, 0.75], near, 1.0 - near])
    seen = Edges(f)
    one(seen, x, g(x) + wrong, low=0.0, high=1.0, magnitude=np.full(len(x), size))
    assert (seen.low, seen.high) == (0.0, 1.0)


def test_a_domain_with_one_edge_is_kept_too() -> None:
    seen = Edges(lambda x: -np.log(x))
    x = 10.0 ** np.linspace(-300, 6, 200)
    found = one(seen, x, -1 / x, low=0.0)
    assert seen.low > 0.0
    assert not (found.verdict == Verdict.WRONG).any()


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_at_an_edge_the_differences_are_one_sided(x) -> None:
    found = one(lambda p: (p - 0.3) ** 2, [x, x], [2 * (x - 0.3), 2 * (x - 0.3) + 1e-4], low=0.0, high=1.0)
    assert names(found) == ["OK", "WRONG"]


def test_no_room_to_step_is_unresolved() -> None:
    """A domain of a single number has no differences."""
    assert names(one(lambda x: x, [0.5], [1.0], low=0.5, high=0.5)) == ["UNRESOLVED"]


# --- what is undefined ---


def test_where_the_loss_or_its_slope_is_infinite_nothing_is_judged() -> None:
    assert names(one(lambda p: -np.log(p), [0.0], [-np.inf], low=0.0)) == ["UNDEFINED"]
    assert names(one(np.sqrt, [0.0, 0.0], [np.inf, 0.0], low=0.0)) == ["UNDEFINED"] * 2


def test_a_loss_that_is_nan_is_not_passed_as_undefined() -> None:
    assert names(one(lambda x: x * np.nan, [1.0, 2.0], [1.0, 0.0])) == ["UNRESOLVED"] * 2


@pytest.mark.parametrize("given", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_no_number_is_wrong(given) -> None:
    assert names(one(lambda x: x * x, [1.0, 0.0, 1e6], [given] * 3)) == ["WRONG"] * 3
    assert names(one(np.abs, [0.0], [given])) == ["WRONG"]


def test_a_class_that_is_ruled_out_is_undefined_and_the_others_are_judged() -> None:
    """Logits of −inf: the loss is finite, and moves with the other logits alone."""
    loss = registered()["sparse_softmax_cross_entropy"]
    z = np.array([[1.0, -np.inf, 0.5], [-np.inf, -np.inf, 2.0]])
    y = np.array([0.0, 2.0])
    case = loss_case(loss, [z, y])
    found = case.check(case.gradient)
    assert (found.verdict == Verdict.UNDEFINED).tolist() == np.isinf(z).tolist()
    assert (found.verdict[np.isfinite(z)] == Verdict.OK).all()
    assert (case.check(case.gradient + 1e-3).verdict[0, [0, 2]] == Verdict.WRONG).all()


# --- scales ---


def test_a_coordinate_is_judged_by_the_largest_of_its_row() -> None:
    """1e-7 of the row's largest slope is nothing that doubles could tell, 1e-4 is."""
    x = np.ones((3, 2))
    given = np.array([[1e6, 0.0], [1e6, 1.0], [1e6, 1e2]])
    problem = DerivativeProblem(lambda _r, p: 1e6 * p[:, 0] + 0 * p[:, 1], x, given, np.ones(3), -np.inf, np.inf, 1e-6)
    assert names(check(problem)) == ["OK", "OK", "OK", "OK", "OK", "WRONG"]


def test_slopes_that_a_long_first_step_saw_are_not_the_scale() -> None:
    """A step of S·2⁻²² leaves a dip of width 1e-6 altogether: its slopes of 1e3 would hide a slope of 5e-4."""

    def dip(x: Array) -> Array:
        return 5e-4 * x + np.where(np.abs(x - 1e-5) < 1e-6, 0.0, 1e3 * (np.abs(x - 1e-5) - 1e-6))

    size = np.full(2, 1e3)
    assert names(one(dip, [1e-5, 1e-5], [5e-4, 0.0], magnitude=size)) == ["OK", "WRONG"]


def test_a_gradient_of_0_in_the_far_tail_of_a_well_does_not_pass() -> None:
    """Seven units from the bottom of a well of width 1, at x = 3e5."""
    x = np.array([3e5 + 7.0, 3e5 - 7.0])
    found = one(lambda at: -np.expm1(-((at - 3e5) ** 2) / 2), x, [0.0, 0.0])
    assert "OK" not in names(found)


def test_in_a_flat_tail_nothing_is_wrong_that_could_not_change_the_loss() -> None:
    found = one(lambda x: -np.expm1(-(x**2) / 2), [40.0, 40.0, 40.0], [0.0, 1e-12, 1e-3])
    assert names(found) == ["OK", "OK", "WRONG"]


@pytest.mark.parametrize("factor", [1e-300, 1e-12, 1.0, 1e12, 1e250])
def test_the_unit_of_the_loss_does_not_matter(factor) -> None:
    x = np.array([-3.0, 0.1, 2.0])
    right = 2 * x * factor
    assert names(one(lambda at: factor * at * at, x, right)) == ["OK"] * 3
    assert names(one(lambda at: factor * at * at, x, right * (1 + 2e-5))) == ["WRONG"] * 3


# --- precision ---


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_what_a_narrow_dtype_explains_is_not_wrong(dtype) -> None:
    """Slack of a few of its ulps, and not more: a thousandth is wrong in float32, a tenth in float16."""
    x = np.linspace(-3, 3, 41)
    given = (2 * x).astype(dtype)
    slack = 8 * float(np.finfo(dtype).eps) * 6.0
    assert set(names(one(lambda at: at * at, x, given, atol=slack))) == {"OK"}
    off = 1e-3 if dtype == np.float32 else 0.1
    assert names(one(lambda at: at * at, x, given + off * 6, atol=slack)) == ["WRONG"] * 41


def test_rtol_is_what_may_differ() -> None:
    given = [2.0 * (1 + 1e-4), 2.0 * (1 + 1e-2)]
    assert names(one(lambda x: x * x, [1.0, 1.0], given, rtol=1e-3)) == ["OK", "WRONG"]


# --- what once went wrong ---


def test_a_step_that_jumps_over_a_singularity_shows_nothing_right() -> None:
    """−p·log q at q = 2e-8: a large step sees a slope near 0, and a gradient of 0 passed."""
    q = [0.07800084224990574, 2.0861854795402383e-08, 0.9219988345262868, 1.4116792137833938e-10, 3.022207847198462e-07]
    p = [0.98, 1.05e-8, 0.01999998, 1e-9, 8e-9]
    case = loss_case(registered()["categorical_cross_entropy"], [np.array([q]), np.array([p])])
    given = case.gradient.copy()
    given[0, 1] = 0.0
    assert abs(case.gradient[0, 1]) > 0.03 * np.abs(case.gradient).max()
    assert case.check(case.gradient).verdict[0, 1] != Verdict.WRONG
    assert case.check(given).verdict[0, 1] != Verdict.OK


def test_a_step_that_knows_less_does_not_overrule_one_that_knows_more() -> None:
    """Of sin 10⁶x the argument is rounded, small steps scatter, and one agreed with a gradient off by 1e-5."""
    x = np.array([-4.165743915756972])
    right = 1e6 * np.cos(1e6 * x)
    given = right + 5.2  # 1e-5 of a scale of 515,971, which the first steps see
    found = one(lambda at: np.sin(1e6 * at), x, given)
    assert abs(given - right) >= 1e-5 * found.scale[0]
    assert "OK" not in names(found)


def test_a_step_of_whole_periods_does_not_hide_a_kink() -> None:
    """Of a sawtooth a step of a thousand periods sees a horizontal line."""
    for high in (np.inf, 1e6):
        found = one(lambda x: np.abs((x * 1024) % 2 - 1) / 1024, [100.0] * 3, [0.0, -1.0, -1.001], low=0.0, high=high)
        assert names(found) == ["KINK", "KINK", "WRONG"]


@pytest.mark.parametrize("given", [0.0, 0.5, -1.0])
def test_a_staircase_of_rounding_is_not_followed_to_a_slope_of_0(given) -> None:
    """A running sum of probabilities up to 1 does not move with steps of 1e-16: there a gradient of 0 passed."""
    p = [
        0.9999999988279908,
        3.4828270568022756e-11,
        5.238843210185537e-10,
        5.803113335155649e-10,
        3.298510457161253e-11,
    ]
    case = loss_case(registered()["ranked_probability_score"], [np.array([p]), np.array([0.0])])
    found = case.check(case.gradient * [1.0, given, 1.0, 1.0, 1.0])
    assert names(found)[1] == "WRONG"
    assert found.numeric[0, 1] == pytest.approx(case.gradient[0, 1], rel=1e-4)


def test_where_a_long_step_was_contradicted_by_a_short_one_that_is_rounding_neither_is_believed() -> None:
    """Of |a − p| − |a − n| + 1, of vectors of length 20, rounding is more than the value of 0.6 shows."""
    anchor = [7.807870875576324, 5.2332581524658135, 16.770818001629397, 5.225432249291013, -3.0734996123935177]
    positive = [
        0.1809918507873442,
        -0.17411593849928853,
        0.04583973880528919,
        -0.10099653101309751,
        0.04735978651337529,
    ]
    negative = [
        -0.9733954167499577,
        -0.6432441214662872,
        -0.5190608391074655,
        0.09953693913627082,
        -0.31851406064650645,
    ]
    case = loss_case(registered()["triplet"], [np.array([a]) for a in (anchor, positive, negative)])
    given = case.gradient.copy()
    given[0, 1] = -0.010131787004762761  # 1e-5 of its scale too much
    assert names(case.check(case.gradient)) == ["OK"] * 5
    assert names(case.check(given))[1] != "OK"


def test_at_a_jump_the_derivative_is_infinite_and_no_slope_beside_it_is_one_of_a_kink() -> None:
    assert names(one(lambda x: np.where(x > 0, 1.0, 0.0), [0.0, 0.0], [0.0, 1e-3])) == ["UNDEFINED"] * 2


# --- each guard, taken away ---


def oscillation() -> int:
    """False alarms where the argument of a sine, up to 10¹², keeps four digits of a period."""
    kernel = replace(KERNELS["sin of 1e6·x"], draw=wide)
    case = kernel_case(kernel, rng_of("oscillation"), 20_000)
    return max(int((case.check(case.gradient).verdict == Verdict.WRONG).sum()) - 100, 0)


def hidden_by_the_first_step() -> int:
    x = np.array([1e-5])

    def dip(at: Array) -> Array:
        return 5e-4 * at + np.where(np.abs(at - 1e-5) < 1e-6, 0.0, 1e3 * (np.abs(at - 1e-5) - 1e-6))

    return int((one(dip, x, [0.0], magnitude=np.array([1e3])).verdict == Verdict.OK).sum())


def beside_edges(name: str, share: float) -> Callable[[], int]:
    """Right gradients of a loss of probabilities beyond this share are unresolved."""

    def count() -> int:
        case = loss_case(registered()[name], sample_points(registered()[name], 2000, 0))
        found = case.check(case.gradient).verdict
        return max(int((found == Verdict.UNRESOLVED).sum() - share * found.size), 0)

    return count


def never_at_rest() -> int:
    """False alarms beside p = 1, where the slope goes with (1 − p)^0.1."""
    loss = registered()["asymmetric"].bind(gamma_pos=0.1)
    case = loss_case(loss, sample_points(loss, 3000, 0))
    return int((case.check(case.gradient).verdict == Verdict.WRONG).sum())


def missed(name: str) -> Callable[[], int]:
    """Gradients off by 1e-5 of their scale that pass."""

    def count() -> int:
        case = kernel_case(KERNELS[name], rng_of(name), 20_000)
        given = PLANTS["1e-5 of the scale"](case, case.check(case.gradient).scale, rng_of("off"))
        return score(case, given, case.check(given)).missed

    return count


def hidden_wells() -> int:
    """Gradients of 0 within a well of width 1e-6 at 1e3, over which the first step jumps."""
    loss = lossctl.get_loss("tukey_biweight:c=1e-6")
    away = 10.0 ** np.linspace(-13, -8, 400)
    pred = 1e3 + 1e-6 - away
    case = loss_case(loss, [pred, np.full(400, 1e3)])
    return score(case, 0 * case.gradient, case.check(0 * case.gradient)).missed


def tails_of_a_jump() -> int:
    """Gradients off by 1e-5 of their scale in the tail of tanh(10⁹·r), taken for slopes of a kink."""
    r = np.linspace(1.5e-8, 3e-8, 2000)
    x, t = 1e4 + r, np.full(2000, 1e4)
    case = Case(
        lambda rows, at: np.tanh(1e9 * (at[:, 0] - (t if rows is None else t[rows]))),
        x[:, None],
        (1e9 / np.cosh(1e9 * (x - t)) ** 2)[:, None],
        x,
        -np.inf,
        np.inf,
    )
    found = case.check(0 * case.gradient)
    off = np.abs(case.gradient) > 1e-5 * found.scale
    return int((off & (found.verdict == Verdict.KINK)).sum())


def alarms(spec: str) -> Callable[[], int]:
    """False alarms at drawn points."""

    def count() -> int:
        loss = lossctl.get_loss(spec)
        case = loss_case(loss, sample_points(loss, 2000, 0))
        return int((case.check(case.gradient).verdict == Verdict.WRONG).sum())

    return count


def not_caught(name: str) -> Callable[[], int]:
    """Gradients off by 1e-5 of their scale that are not called wrong, beyond one in a hundred."""

    def count() -> int:
        case = kernel_case(KERNELS[name], rng_of(name), 4000)
        given = PLANTS["1e-5 of the scale"](case, case.check(case.gradient).scale, rng_of("off"))
        result = score(case, given, case.check(given))
        return max(result.planted - result.caught - result.planted // 100, 0)

    return count


@pytest.mark.parametrize(
    ("module", "constant", "value", "failures"),
    [
        (finite_differences, "FIRST", 2.0**-30, not_caught("cauchy")),
        (finite_differences, "ULPS", 0.0, missed("geman")),
        (finite_differences, "_FIRST_AT_BOUND", 0.5, beside_edges("kl_divergence", 0.008)),
        (refinement, "STREAK", 1, oscillation),
        (refinement, "_SLOWEST", 0.0, never_at_rest),
        (judge, "_SCALES", 0, hidden_by_the_first_step),
        (refinement, "_CONVERGED_ERROR", 40.0, missed("sin of 1000·x")),
        (refinement, "_DOWN", 2, not_caught("cauchy")),
        (refinement, "_UP", 1, beside_edges("sparse_categorical_cross_entropy", 0.01)),
        (refinement, "_TRUSTED_DISTANCE", 0.0, beside_edges("kl_divergence", 0.008)),
        (line_probe, "ROUNDOFF_FACTOR", 1e300, hidden_wells),
        (line_probe, "_SHORTEST", 1e300, alarms("ramsay:a=1e6")),
        (line_probe, "_OFF_POWER", 1.0, alarms("renyi:alpha=1e-6")),
        (one_sided, "_GROWS", 1e300, tails_of_a_jump),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
@pytest.mark.slow
def test_without_its_guard_the_check_fails_as_it_once_did(module, constant, value, failures, monkeypatch) -> None:
    assert failures() == 0
    for user in (module, refinement, line_probe):
        if user is module or (constant.isupper() and not constant.startswith("_") and hasattr(user, constant)):
            monkeypatch.setattr(user, constant, value)
    assert failures() > 0
