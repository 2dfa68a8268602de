"""Gradients as people write them: no false alarm, no miss, and labels that mpmath agrees with."""

from __future__ import annotations

import numpy as np
import pytest
from gradients.trials import DATA, DRAWN, TRAINED, TRIALS, Trial
from gradients.trials.evaluate import arrays_of, evaluated
from gradients.trials.truth_at import Truth, truth_at
from gradients.trials.verdicts import PASSED, UNRESOLVED, WRONG, lossctl_says

# How far a right gradient, and a loss, may be from the truth, by what makes the trial hard.
ROUNDING = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 2e-2}
# By how much a wrong gradient differs from the truth, of the largest slope of its sample.
VISIBLE = 1e-4


ALL = [trial for trial in TRIALS.values() if trial.installed]
AT_DATA = [(trial, points) for trial in ALL for points in (DATA, TRAINED)]
RIGHT = [(t, p) for t in ALL if t.right for p in (DATA, TRAINED)]
MISTAKEN = [(t, p) for t in ALL if not t.right for p in t.seen_at]
AT_DRAWN = [t for t in ALL if t.drawn]


def name(value: object) -> str:
    return value.name if isinstance(value, Trial) else str(value)


def distance(given: np.ndarray, truth: Truth) -> np.ndarray:
    """How far each coordinate is from the slopes between left and right: infinite if NaN, 0 where there are none."""
    low, high = np.minimum(truth.left, truth.right), np.maximum(truth.left, truth.right)
    away = np.maximum(np.maximum(low - given, given - high), 0.0)
    return np.where(np.isnan(low), 0.0, np.where(np.isnan(given), np.inf, away))


def scale_of(truth: Truth) -> np.ndarray:
    """The largest slope of each sample."""
    return np.nanmax(np.abs(truth.right), axis=1, keepdims=True)


@pytest.mark.slow
@pytest.mark.parametrize(("trial", "points"), AT_DATA, ids=name)
def test_the_label_is_the_truth(trial: Trial, points: str) -> None:
    """The loss is the truth's; the gradient is its derivative if and only if the trial is called right."""
    loss, gradient, second = evaluated(trial, arrays_of(trial, points))
    truth = truth_at(trial, points)
    rounding = ROUNDING.get(trial.mistake, 1e-9 if trial.right or not trial.loses_digits else 1e-5)
    cast = 1e-6 * np.abs(arrays_of(trial, points)["pred"]).max() if trial.mistake == "float32" else 0.0
    size = np.sqrt(np.mean(truth.loss**2)) + trial.loses_digits * 1.0
    value = loss.sum(keepdims=True) if trial.coupled else loss[truth.rows]
    finite = np.isfinite(truth.loss)
    assert np.all((np.abs(value - truth.loss) <= 10 * rounding * np.maximum(np.abs(truth.loss), size))[finite])
    away, scale = distance(gradient[truth.rows], truth), scale_of(truth)
    if trial.right:
        typical = np.sqrt(np.nanmean(truth.right**2))
        assert np.all(away <= rounding * np.maximum(scale, typical) + cast), (away, truth.right)
    curved = np.zeros(1)
    if second is not None:
        curved = np.abs(second[truth.rows] - truth.second)
        largest = np.maximum(np.abs(truth.second), np.sqrt(np.mean(truth.second**2)))
        if trial.right and not trial.surrogate:
            assert np.all(curved <= 10 * rounding * largest), (curved, truth.second)
        if trial.surrogate:
            assert np.any(curved > VISIBLE * largest)
        curved = curved - VISIBLE * largest
    if not trial.right and points in trial.seen_at:
        together = gradient[truth.rows].sum(axis=1)
        off = np.maximum(truth.along.min(axis=1) - together, together - truth.along.max(axis=1))
        assert np.any(away > VISIBLE * scale) or np.any(curved > 0) or np.any(off > VISIBLE * scale[:, 0])


def judge(trial: Trial, points: str) -> None:
    """A right gradient passes, or is unresolved if the function has too few digits; a wrong one does not pass."""
    found = lossctl_says(trial, points)
    if trial.right:
        assert found.word == PASSED or (found.word == UNRESOLVED and trial.loses_digits), found.text
    else:
        assert found.word in {WRONG, UNRESOLVED}, found.text


@pytest.mark.slow
@pytest.mark.parametrize(("trial", "points"), RIGHT, ids=name)
def test_no_false_alarm(trial: Trial, points: str) -> None:
    judge(trial, points)


@pytest.mark.slow
@pytest.mark.parametrize(("trial", "points"), MISTAKEN, ids=name)
def test_no_miss(trial: Trial, points: str) -> None:
    judge(trial, points)


@pytest.mark.slow
@pytest.mark.parametrize("trial", AT_DRAWN, ids=name)
def test_drawn_points(trial: Trial) -> None:
    judge(trial, DRAWN)
