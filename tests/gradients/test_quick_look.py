"""Of many samples that two steps show to be wrong, a sample is refined: the verdicts are those of refining all."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lossctl.core.registry import as_loss
from lossctl.gradients import remeasure
from lossctl.gradients.finite_differences import DerivativeProblem
from lossctl.gradients.points import Points
from lossctl.gradients.verdict import CoordinateVerdicts, Verdict

SAMPLES = 6000
RNG = np.random.default_rng(0)
PRED = RNG.normal(size=SAMPLES).round(2)
TARGET = (PRED + RNG.normal(size=SAMPLES)).round(2)  # some residuals are 0


def squared(r: np.ndarray) -> np.ndarray:
    return r * r


def log_cosh(r: np.ndarray) -> np.ndarray:
    return np.log(np.cosh(r))


def in_float32(r: np.ndarray) -> np.ndarray:
    return np.square(r.astype(np.float32))


def problem(loss: Callable, gradient: Callable) -> tuple[DerivativeProblem, list[int]]:
    """Return the problem, and a list to which the number of values of each evaluation is added."""
    evaluated: list[int] = []

    def f(pred, target):
        evaluated.append(len(pred))
        return loss(pred - target)

    points = Points(as_loss(f), [PRED, TARGET], np.arange(SAMPLES))
    return points.problem(gradient(PRED - TARGET), 0.0, 1e-6), evaluated


@pytest.mark.parametrize(
    ("loss", "gradient"),
    [
        (squared, lambda r: 2 * r),
        (squared, lambda r: r),
        (squared, lambda r: np.where(r > 0.5, r, 2 * r)),
        (np.abs, lambda r: 0.9 * np.sign(r)),
        (log_cosh, lambda r: r / (1 + r * r)),
        (in_float32, lambda r: 2 * r),
        (in_float32, lambda r: 1.9 * r),
    ],
)
def test_the_verdicts_are_those_of_refining_every_sample(loss, gradient) -> None:
    p, _ = problem(loss, gradient)
    quick, all_refined = (
        remeasure.check_measured(p, remeasure.is_noisy(p), many=many).verdict for many in (SAMPLES - 1, SAMPLES)
    )
    np.testing.assert_array_equal(quick, all_refined)


def test_few_wrong_samples_are_refined() -> None:
    p, evaluated = problem(squared, lambda r: r)
    assert (remeasure.check_measured(p, False).verdict != Verdict.WRONG).sum() == (PRED == TARGET).sum()
    assert sum(evaluated) < 25 * SAMPLES  # 51 if all are refined


def test_all_are_refined_if_the_refinement_contradicts(monkeypatch) -> None:
    def hasty(p: DerivativeProblem) -> tuple[CoordinateVerdicts, np.ndarray]:
        verdicts = remeasure.check(p)
        verdicts.verdict[:] = Verdict.WRONG
        return verdicts, np.ones(SAMPLES, bool)

    monkeypatch.setattr(remeasure, "quick_look", hasty)
    p, _ = problem(squared, lambda r: 2 * r)
    assert (remeasure.check_measured(p, False).verdict == Verdict.OK).all()
