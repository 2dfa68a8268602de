"""Every registered loss: accuracy against the oracle, the same digits in any block, inputs left unchanged."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import oracle
import pytest
from draws import AXES, CLASSES, DRAWS, admitted, hurtful, settings

import lossctl
from lossctl.core import input_kinds
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss, registered
from lossctl.errors import DataError

BOUND = 1e-14  # of the sum of the magnitudes of the formula's terms
# Of each loss, and of each further setting of its parameters: mpmath takes ten minutes over 60 of all of them, which
# tests/benchmarks/worst.py does.
SAMPLES, FEWER = 24, 12
COORDINATES = 4  # of each sample, other ones of each: lists and images have dozens
LOSSES = list(registered().values())
CASES = [(loss, params) for loss in LOSSES for params in settings(loss)]
# Of these a formula at 50 digits takes two seconds.
LONG = {"query_cross_entropy", "listnet"}
UNCOUPLED = [(loss, params) for loss, params in CASES if not loss.batch_coupled]


def names(loss: Loss, params: dict[str, object] | None = None) -> str:
    return loss.bind(**(params or {})).spec


every_loss = pytest.mark.parametrize("loss", LOSSES, ids=names)
# Batch-coupled losses are tested in tests/engine/test_batch_coupled.py.
every_uncoupled_case = pytest.mark.parametrize(("loss", "params"), UNCOUPLED, ids=[names(*case) for case in UNCOUPLED])


def errors(loss: Loss, rng: np.random.Generator) -> Iterator[tuple[str, float, str]]:
    """Yield (quantity, error relative to its magnitude, point) for values and derivatives at extreme points."""
    count = FEWER if loss.bound_values else SAMPLES
    arrays = hurtful(loss, rng, count)
    values, gradient = loss.value(*arrays), loss.gradient(*arrays).reshape(count, -1)
    for i in range(count):
        sample = [a[i] for a in arrays]
        where = f"{loss.spec} at {[s.tolist() for s in sample]}"
        want, magnitude = oracle.value(loss.name, sample, loss.params)
        yield "value", oracle.error(float(values[i]), want, magnitude), where
        try:
            at = sorted(rng.permutation(gradient.shape[1])[:COORDINATES].tolist())
            slopes = oracle.slopes(loss.name, sample, loss.params, at)
        except oracle.EdgeError:  # the loss is infinite: it has no derivative
            continue
        for j, slope in zip(at, slopes, strict=True):
            if slope.left == slope.right:
                yield "gradient", oracle.error(float(gradient[i, j]), slope.left, slope.magnitude), where
            else:  # a kink: any value between the slopes is a subgradient
                low, high = sorted((slope.left, slope.right))
                slack = BOUND * slope.magnitude
                yield "kink", 0.0 if low - slack <= gradient[i, j] <= high + slack else 1.0, where


@pytest.mark.parametrize(
    ("loss", "params"),
    [pytest.param(*case, marks=[pytest.mark.slow] if case[1] or case[0].name in LONG else []) for case in UNCOUPLED],
    ids=[names(*case) for case in UNCOUPLED],
)
def test_value_and_gradient_agree_with_fifty_digits(loss: Loss, params: dict[str, object]) -> None:
    worst = max(errors(loss.bind(**params), np.random.default_rng(7)), key=lambda e: e[1])
    assert worst[1] <= BOUND, worst


@pytest.mark.parametrize("factor", [1 + 1e-13, -1.0, 0.5, 0.0])
def test_a_wrong_value_or_gradient_is_seen(factor: float) -> None:
    """Checks that the test above can fail: an error of 1e-13 in the value or the gradient is detected."""

    def off(which: int) -> Loss:
        def kernel(pred, target):
            value, thunk = get_loss("mse").kernel(pred, target)
            return (value * factor, thunk) if which == 0 else (value, lambda: thunk() * factor)

        return replace(get_loss("mse"), kernel=kernel)

    for which, what in enumerate(("value", "gradient")):
        bad = [e for e in errors(off(which), np.random.default_rng(7)) if e[1] > BOUND]
        assert bad
        assert {e[0] for e in bad} == {what}


@every_loss
def test_every_loss_has_an_independent_formula(loss: Loss) -> None:
    assert loss.name in oracle.ORACLE, f"write the formula of {loss.name} into losses/oracle/, from its definition"


@every_uncoupled_case
def test_a_sample_has_the_same_digits_in_any_block(loss: Loss, params: dict[str, object]) -> None:
    """Value and gradient of a sample have the same bits alone, in any part and in any order of the block."""
    rng = np.random.default_rng(3)
    bound = loss.bind(**params)
    arrays = hurtful(bound, rng, 97)
    values, gradient = bound.value(*arrays), bound.gradient(*arrays)
    order = rng.permutation(97)
    np.testing.assert_array_equal(bound.value(*(a[order] for a in arrays)), values[order])
    np.testing.assert_array_equal(bound.gradient(*(a[order] for a in arrays)), gradient[order])
    for start, stop in ((0, 1), (5, 7), (11, 96), (96, 97)):
        part = [a[start:stop] for a in arrays]
        np.testing.assert_array_equal(bound.value(*part), values[start:stop])
        np.testing.assert_array_equal(bound.gradient(*part), gradient[start:stop])


@pytest.mark.parametrize("classes", [2, 3, 9, 100, 128, 129, pytest.param(700, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", [entry for entry in LOSSES if entry.row_wise and not entry.batch_coupled], ids=names)
def test_any_number_of_classes(loss: Loss, classes: int) -> None:
    """Rows have the same digits alone and together, in both memory orders, for any number of classes."""
    rng = np.random.default_rng(5)
    dims = AXES | {"classes": classes}
    arrays = admitted(loss, [i.kind.sample(rng, 9, dims) for i in loss.inputs])
    values = loss.value(*arrays)
    for i in range(9):
        np.testing.assert_array_equal(loss.value(*(a[i : i + 1] for a in arrays)), values[i : i + 1])
    np.testing.assert_array_equal(loss.value(*(np.asarray(a, order="F") for a in arrays)), values)


@pytest.mark.parametrize("loss", [entry for entry in LOSSES if entry.row_wise and not entry.batch_coupled], ids=names)
def test_a_row_has_the_same_digits_in_a_large_block(loss: Loss) -> None:
    """From 256 KiB on NumPy reuses temporaries in place, which can change their memory order."""
    dims = {axis: max(length, 9) for axis, length in AXES.items()}  # up to 8 numbers are added in turn in both
    rng = np.random.default_rng(6)
    arrays = admitted(loss, [i.kind.sample(rng, 4000, dims) for i in loss.inputs])
    assert max(a.nbytes for a in arrays) > 2**18
    values = loss.value(*arrays)
    np.testing.assert_array_equal(loss.value(*(a[90:100] for a in arrays)), values[90:100])


RESIDUALS = [case for case in UNCOUPLED if [i.kind.name for i in case[0].inputs] == ["Real", "Real"]]


@pytest.mark.parametrize(("loss", "params"), RESIDUALS, ids=lambda v: v.name if isinstance(v, Loss) else "")
def test_a_residual_beyond_every_double_costs_what_it_must(loss: Loss, params: dict[str, object]) -> None:
    """Value and gradient are the right limits, not the NaN of ∞ − ∞ or ∞·0."""
    far = np.array([1.7e308, -1.7e308, 1.7e308])
    value, slope = loss.bind(**params).evaluate(far, np.array([-1e308, 1e308, 1.6e308]))
    assert slope is not None
    assert not np.isnan(value).any()
    assert not np.isnan(slope()).any()


def test_a_residual_over_a_tiny_scale_costs_what_it_must() -> None:
    far, at = np.array([1e300, -1e300, 1.7e308]), np.array([0.0, 0.0, -1e308])
    value, slope = get_loss("fair:c=1e-10").evaluate(far, at)
    assert value.tolist() == [1e290, 1e290, math.inf]
    assert slope is not None
    assert slope().tolist() == [1e-10, -1e-10, 1e-10]
    value, slope = get_loss("pseudo_huber:delta=2").evaluate(far, at)
    assert value.tolist() == [2e300, 2e300, math.inf]
    assert slope is not None
    assert slope().tolist() == [2.0, -2.0, 2.0]
    value, slope = get_loss("barron").evaluate(far, at)
    assert value.tolist() == [1e300, 1e300, math.inf]
    assert slope is not None
    assert slope().tolist() == [1.0, -1.0, 1.0]


@pytest.mark.parametrize(("pred", "target"), [(1.7e308, 1.6e308), (-1.7e308, 1e308)])
def test_smape_of_what_sums_beyond_every_double(pred: float, target: float) -> None:
    small = get_loss("smape").value([pred / 1e300], [target / 1e300])[0]
    assert get_loss("smape").value([pred], [target])[0] == pytest.approx(small, rel=1e-14)


def concealed(loss: Loss) -> list[str]:
    """Return the non-finite values that an input can contain while the loss stays finite."""
    found = []
    for i, spec in enumerate(loss.inputs):
        if spec.kind.implied_by_finite_loss:
            for bad in (math.nan, math.inf, -math.inf):
                arrays = hurtful(loss, np.random.default_rng(3), 2000)
                # Set the whole row, or one element if it is not -inf, which is a valid logit.
                places = [..., (slice(None), 1)] if spec.kind.core and bad != -math.inf else [...]
                for place in places:
                    spoiled = [a.copy() for a in arrays]
                    spoiled[i][place] = bad
                    if np.isfinite(loss.evaluate(*spoiled)[0]).any():
                        found.append(f"{spec.name} {bad}")
    return found


@pytest.mark.parametrize(
    ("loss", "params"),
    [case for case in CASES if case[0].propagates_nonfinite],
    ids=lambda v: v.name if isinstance(v, Loss) else "",
)
def test_a_finite_loss_implies_finite_inputs(loss: Loss, params: dict[str, object]) -> None:
    assert any(spec.kind.implied_by_finite_loss for spec in loss.inputs)
    assert concealed(loss.bind(**params)) == []


def test_a_loss_that_conceals_is_seen() -> None:
    """The loss of an infinite score on the right side is 0."""
    assert concealed(get_loss("hinge")) == ["pred inf", "pred -inf"]


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss.propagates_nonfinite], ids=lambda loss: loss.name)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_left_to_the_loss_to_prove_is_proved(loss: Loss, bad: float) -> None:
    for role, one in zip(loss.roles, loss.inputs, strict=True):
        if not one.kind.implied_by_finite_loss:
            continue
        rng = np.random.default_rng(4)
        data = {r: spec.kind.sample(rng, 9, AXES) for r, spec in zip(loss.roles, loss.inputs, strict=True)}
        data[role][5] = bad
        for weight in (None, np.ones(9)):
            with pytest.raises(DataError, match=rf"^{role}\[5"):
                lossctl.compute(loss, **data, weight=weight)


def test_what_is_left_to_the_loss_is_told_as_early_as_without() -> None:
    pred, target = np.zeros(9), np.ones(9)
    pred[7], target[3] = math.nan, math.nan
    for loss in ("bce_with_logits", "bce_with_logits:pos_weight=2", "mse", "bce"):
        with pytest.raises(DataError, match=r"^pred\[7\]: nan"):
            lossctl.compute(loss, pred, target)


@every_loss
def test_inputs_are_not_written_and_the_thunk_answers_twice_the_same(loss: Loss) -> None:
    arrays = hurtful(loss, np.random.default_rng(1), 50)
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    _, thunk = loss.evaluate(*arrays)
    assert thunk is not None
    np.testing.assert_array_equal(thunk(), thunk())
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


# These can be negative: likelihoods without their constant, densities above 1, scores that subtract a spread.
SIGNED = (
    *("poisson_nll", "poisson_nll_log_rate", "negative_binomial_nll"),
    *("gaussian_nll", "laplace_nll", "student_t_nll", "crps_ensemble", "hinge_embedding", "aft", "ppo_clip"),
)
# These can be slightly below 0, if the sums of rows differ in their last digits.
ROUNDED = ("kl_divergence", "kl_divergence_log_target", "reverse_kl", "renyi", "bhattacharyya")


@every_loss
def test_no_value_is_nan_and_none_is_negative_where_the_loss_cannot_be(loss: Loss) -> None:
    arrays = hurtful(loss, np.random.default_rng(11), 500)
    values = loss.value(*arrays)
    assert not np.isnan(values).any()
    assert not np.isnan(loss.gradient(*arrays)).any()
    if loss.name not in SIGNED:
        assert (values >= (-1e-15 if loss.name in ROUNDED else 0.0)).all()


@every_loss
def test_drawn_samples_are_members_and_crowd_the_edges(loss: Loss) -> None:
    rng = np.random.default_rng(2)
    dims = AXES
    arrays = [i.kind.sample(rng, 2000, dims) for i in loss.inputs]
    for spec, array in zip(loss.inputs, arrays, strict=True):
        assert spec.kind.find_violation(array, dims) is None
    loss.value(*admitted(loss, arrays))  # which checks once more, with the shapes


def test_probabilities_are_drawn_down_to_a_trillionth_and_at_the_edges() -> None:
    kind = get_loss("bce").inputs[0].kind
    p = kind.sample(np.random.default_rng(0), 5000, {})
    assert {0.0, 1.0} <= set(p)
    assert p[p > 0].min() < 1e-11
    assert (1 - p[p < 1]).min() < 1e-11


OUTSIDE = {
    "Real": (np.nan, np.inf, -np.inf),
    "Positive": (0.0, -1.0, np.nan, np.inf),
    "NonNegative": (-1e-300, np.nan, np.inf),
    "NonZero": (0.0, -0.0, np.nan, -np.inf),
    "LogLikelihood": (1e-300, np.nan, -np.inf),
    "NegativeLog": (0.0, 1e-300, np.nan, -np.inf),
    "Desirable": (0.5, 2.0, -1.0, np.nan),
    "AboveMinusOne": (-1.0, -2.0, np.nan, np.inf),
    "Count": (-1.0, 0.5, np.nan, np.inf),
    "Probability": (-1e-300, 1 + 2.3e-16, np.nan, np.inf),
    "Sign": (0.0, 2.0, -0.5, np.nan),
    "Label": (-1.0, 4.0, 0.5, np.nan, np.inf),
    "Logits": (np.nan, np.inf),
    "Probabilities": (-0.1, 1.1, np.nan),
    "LogProbabilities": (1e-9, np.nan, np.inf),
    **dict.fromkeys(("Vector", "Direction", "Scores", "ClassScores", "PixelScores", "Members"), (np.nan, -np.inf)),
    "Amounts": (-1e-300, np.nan, np.inf),
    **dict.fromkeys(("ClassFlags", "HardMask"), (0.5, -1.0, np.nan)),
    **dict.fromkeys(("ClassChances", "Chances", "Mask"), (-1e-300, 1 + 2.3e-16, np.nan)),
    "PixelProbabilities": (-0.1, 1.1, np.nan),
    "PixelLabels": (-1.0, CLASSES, 0.5, np.nan),
    "Frames": (1e-9, np.nan, np.inf),
    "Symbols": (0.5, np.nan, np.inf),
    "Group": (0.5, np.nan, np.inf),
    "InputLength": (-1.0, 0.5, 99.0, np.nan),
    "TargetLength": (-1.0, 0.5, 99.0, np.nan),
    "Relevances": (-1e-9, np.nan, np.inf),
    "Event": (-1.0, 0.5, 2.0, np.nan),
    "Earliest": (-1e-9, np.nan, np.inf),
    "Latest": (0.0, -1.0, np.nan),
}


# Every kind that a loss takes or that a user's own can; of two of one name the plain one.
KINDS: dict[str, Kind] = {i.kind.name: i.kind for loss in LOSSES for i in loss.inputs}
KINDS |= {m.name: m for v in vars(input_kinds).values() for m in getattr(v, "__metadata__", ())}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, values in OUTSIDE.items() for v in values])
def test_a_value_outside_the_domain_is_found_where_it_is(name: str, value: float) -> None:
    kind = KINDS[name]
    array = kind.sample(np.random.default_rng(4), 30, AXES)
    assert kind.find_violation(array, AXES) is None
    array.reshape(30, -1)[17, -1] = value
    violation = kind.find_violation(array, AXES)
    assert violation is not None
    assert violation.element == 17
    assert violation.place == (math.prod(AXES[axis] for axis in kind.core) - 1 if kind.core else None)
    assert violation.cause


def test_every_kind_is_tried() -> None:
    """A new kind needs a line in OUTSIDE and in draws.DRAWS."""
    assert set(KINDS) == set(OUTSIDE) == set(DRAWS)


@pytest.mark.parametrize("total", [0.99, 1.01, 0.0])
def test_rows_that_do_not_sum_to_one_name_both_cures(total: float) -> None:
    rows = np.full((3, CLASSES), 1 / CLASSES)
    rows[1] *= total
    violation = KINDS["Probabilities"].find_violation(rows, {})
    assert violation is not None
    assert (violation.element, violation.place) == (1, None)
    assert "--normalize" in violation.cause
    assert "--sum-tolerance" in violation.cause


def test_rows_within_the_tolerance_pass_and_normalising_makes_them_sum_to_one() -> None:
    kind = KINDS["Probabilities"]
    rows = np.round(kind.sample(np.random.default_rng(0), 50, {"classes": 3}), 4)
    assert kind.find_violation(rows, {}) is None
    assert np.abs(kind.normalize(rows).sum(axis=1) - 1).max() < 1e-15
    assert kind.find_violation(rows * 0.5, {}, tolerance=0.51) is None


def test_log_probabilities_are_normalised_in_logarithms() -> None:
    kind = KINDS["LogProbabilities"]
    rows = kind.sample(np.random.default_rng(0), 50, {"classes": 3}) - 800.0  # exp of it is 0
    assert np.abs(np.exp(kind.normalize(rows)).sum(axis=1) - 1).max() < 1e-12


@pytest.mark.parametrize("bad", [(4,), (1,), (3, 2), (1, 3), ()])
def test_shapes_that_differ_are_refused_and_nothing_is_broadcast(bad: tuple[int, ...]) -> None:
    with pytest.raises(DataError):
        get_loss("mse").value(np.zeros(3), np.zeros(bad))


def test_a_column_is_one_number_for_each_sample() -> None:
    pred, target = np.array([1.0, 2.0, 4.0]), np.array([[0.0], [0.0], [1.0]])
    assert get_loss("mse").value(pred, target).tolist() == [1.0, 4.0, 9.0]
