"""The difference quotient as a function of its step: truncation error at long steps, roundoff at short ones."""

from __future__ import annotations

import numpy as np

from lossctl.core.loss import Loss
from lossctl.gradients.result import GradCheck
from lossctl.gradients.sampling import sample_magnitude
from lossctl.immutable import immutable


@immutable
class StepSweep:
    """The central differences of one coordinate over a range of steps.

    Attributes:
        steps: (step, derivative, |derivative − given gradient| relative to the scale) for each step.
    """

    steps: list[tuple[float, float, float]]


def sweep_steps(loss: Loss, result: GradCheck) -> StepSweep:
    """Return the central differences of the worst wrong coordinate, or of the first one if none is wrong."""
    cases = result.failing if len(result.failing) else result.passing
    error = np.where(cases.wrong, cases.relative_error, 0.0)
    i, j = np.unravel_index(int(error.argmax()), error.shape)
    pred = cases.inputs[0][i : i + 1]
    others = [a[i : i + 1] for a in cases.inputs[1:]]
    x = float(pred.ravel()[j])

    def f(at: float) -> float:
        moved = pred.copy()
        moved.reshape(1, -1)[0, j] = at
        return float(loss.evaluate(moved, *others)[0][0])

    given, scale = float(cases.given[i, j]), float(cases.scale[i, 0]) or 1.0
    size = float(sample_magnitude(loss, cases.inputs)[i])
    steps = []
    for exponent in range(0, 52, 3):  # steps from S down to its last bit, each 1/8 of the one before
        h = size * 2.0**-exponent
        taken = (x + h) - (x - h)
        derivative = (f(x + h) - f(x - h)) / taken if taken else np.nan
        steps.append((h, derivative, abs(derivative - given) / scale))
    return StepSweep(steps)
