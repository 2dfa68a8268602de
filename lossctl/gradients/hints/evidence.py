"""What a hint is, and the rule by which an explanation fits: the same for every hint.

A hint compares what its explanation predicts with the gradient under test at the wrong coordinates. The prediction
comes from the reference (`numeric`) and the loss, never from the gradient under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict

# Largest difference, relative to the scale, between the gradient that an explanation predicts and the given one:
# well above the uncertainty of the differences, well below any factor that is explained.
FITS = 1e-4
# A mistake is large enough to be explained if it exceeds this many times FITS.
VISIBLE = 5.0
# Multiple of the estimated error of a difference that is allowed for: of one in some thousands the roundoff was five
# times the estimate.
ERROR_FACTOR = 8.0
# Least number of wrong coordinates: with fewer, some explanation fits by chance.
ENOUGH = 3
# Largest relative error of a derivative that still gives a ratio, for gradients of two or three digits.
COARSE = 0.02


@dataclass(frozen=True)
class Evidence:
    """What a hint looks at: the loss, and complete samples of the check.

    Attributes:
        loss: the loss.
        failing: samples with a wrong coordinate.
        passing: samples without one.
        samples: number n of samples of the whole data.
    """

    loss: Loss
    failing: CheckedSamples
    passing: CheckedSamples
    samples: int


_Explanation: TypeAlias = Callable[[Evidence], str | None]


@dataclass(frozen=True)
class Hint:
    """One explanation of a wrong gradient.

    Attributes:
        code: name of the explanation in results, in kebab-case.
        explain: returns the text, or None if the explanation does not fit.
        of_values: whether the explanation predicts values. It is then tried only on errors that exceed its tolerance.
        second: whether it is tried on a second derivative too.
    """

    code: str
    explain: _Explanation
    of_values: bool
    second: bool


def hint(
    hints: list[Hint], code: str, *, of_values: bool = True, second: bool = False
) -> Callable[[_Explanation], _Explanation]:
    """Append the decorated function to `hints`, the explanations of a module in the order in which they are tried."""

    def register(explain: _Explanation) -> _Explanation:
        hints.append(Hint(code, explain, of_values, second))
        return explain

    return register


def share_of(fitting: np.ndarray) -> tuple[int, int] | None:
    """Return how many coordinates an explanation fits, and of how many, or None if too few.

    At most 1 % may disagree. Of 20 coordinates or more one may, so that one polluted coordinate does not silence
    an explanation.
    """
    n, total = int(np.count_nonzero(fitting)), fitting.size
    allowed = math.ceil(0.01 * total) if total >= 20 else 0
    return (n, total) if n >= ENOUGH and total - n <= allowed else None


def tolerance_of(cases: CheckedSamples, factor: float = 1.0) -> Array:
    """Return the difference at which a prediction still fits; `factor` is the multiple of numeric in it."""
    return np.asarray(FITS * cases.scale + ERROR_FACTOR * max(factor, 1.0) * cases.error)


def fit(cases: CheckedSamples, predicted: Array, factor: float = 1.0) -> tuple[int, int] | None:
    """Return at how many wrong coordinates with a known derivative `predicted` equals the given gradient, of how many.

    None if it does not fit. A non-finite gradient counts as a coordinate that does not fit.

    Args:
        cases: the wrong samples.
        predicted: (n, coordinates) the gradient that the explanation predicts from the numeric derivative.
        factor: multiple of the numeric derivative in `predicted`, which scales its error. Default 1.
    """
    mask = cases.informative
    return share_of(np.abs(cases.given - predicted)[mask] <= tolerance_of(cases, factor)[mask])


def share_text(share: tuple[int, int]) -> str:
    """Return a clause with the share if the explanation does not fit everywhere; otherwise nothing."""
    return "" if share[0] == share[1] else f" (at {share[0]:,} of {share[1]:,} wrong coordinates)"


def fits_right_ones(passing: CheckedSamples, predicted: Array) -> bool:
    """Return whether `predicted` also equals the gradient at 99 % of the coordinates that are right."""
    mask = passing.verdict == Verdict.OK
    close = np.abs(passing.given - predicted)[mask] <= tolerance_of(passing)[mask]
    return bool(close.mean() >= 0.99) if close.size else True


def constant_ratio(failing: CheckedSamples) -> tuple[float, tuple[int, int]] | None:
    """Return given ÷ numeric and the share of wrong coordinates if it is one number other than 1; otherwise None."""
    mask = failing.informative
    ratios = failing.given[mask] / failing.numeric[mask]
    # The ratio is known where the numeric slope is known to four digits; a slope of 0 gives no ratio.
    sure = (failing.error[mask] <= FITS * np.abs(failing.numeric[mask])) & np.isfinite(ratios)
    if np.count_nonzero(sure) < ENOUGH:  # a gradient in bfloat16 or float16
        sure = (failing.error[mask] <= COARSE * np.abs(failing.numeric[mask])) & np.isfinite(ratios)
    if np.count_nonzero(sure) < ENOUGH:
        return None
    ratio = float(np.median(ratios[sure]))
    share = fit(failing, ratio * failing.numeric, abs(ratio))
    return None if share is None or abs(ratio - 1.0) <= VISIBLE * FITS else (ratio, share)


def short(x: float) -> float:
    """Return x with four digits."""
    return float(f"{x:.4g}")


def class_of_target(cases: CheckedSamples) -> np.ndarray | None:
    """Return the mask of the target's class; None if the target is no class."""
    k = cases.given.shape[1]
    if len(cases.inputs) < 2 or cases.inputs[1].ndim != 1 or k < 2:
        return None
    return np.asarray(np.arange(k) == cases.inputs[1][:, None])


def softmax(z: Array) -> Array:
    """Return the softmax of each row."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))
