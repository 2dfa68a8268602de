"""What a hint is, and the rule by which an explanation fits: the same for every hint.

A hint compares what its explanation predicts with the gradient under test at the wrong coordinates. The prediction
comes from the reference (`numeric`) and the loss, never from the gradient under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verdict import Verdict
from lossctl.immutable import immutable

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
# Least number of ways to choose the wrong samples among all samples: with fewer, a threshold or a class can separate
# the wrong samples from the right ones by chance.
WAYS = 10_000
# Largest relative error of a derivative that still gives a ratio, for gradients of two or three digits.
COARSE = 0.02


@immutable
class Evidence:
    """What a hint looks at: the loss, and complete samples of the check.

    Attributes:
        loss: the loss.
        failing: samples with a wrong coordinate.
        passing: samples without one.
        samples: number n of samples of the whole data.
        reduction: what the user said that the gradient is of: each loss (``none``), their ``mean`` or ``sum``.
    """

    loss: Loss
    failing: CheckedSamples
    passing: CheckedSamples
    samples: int
    reduction: str = "none"

    @property
    def complete(self) -> bool:
        """Whether every sample of the data is at hand."""
        return len(self.failing) + len(self.passing) == self.samples

    @cached_property
    def every(self) -> CheckedSamples:
        """All samples at hand, in the order of the data."""
        both = self.failing + self.passing
        return both[np.argsort(both.row, kind="stable")]

    @cached_property
    def judged(self) -> np.ndarray:
        """Mask of the coordinates of `every` that are wrong, or right and not 0: 0 is right whatever the mistake is."""
        every = self.every
        return np.asarray(every.wrong | ((every.verdict == Verdict.OK) & (np.abs(every.numeric) > FITS * every.scale)))


_Explanation: TypeAlias = Callable[[Evidence], str | None]


@immutable
class Hint:
    """One explanation of a wrong gradient.

    Attributes:
        code: name of the explanation in results, in kebab-case.
        explain: returns the text, or None if the explanation does not fit.
        of_values: whether the explanation predicts values. It is then tried only if enough errors exceed its tolerance.
        second: whether it is tried on a second derivative too.
        few: whether it is tried on one or two wrong coordinates too.
    """

    code: str
    explain: _Explanation
    of_values: bool
    second: bool
    few: bool


def hint(
    hints: list[Hint], code: str, *, of_values: bool = True, second: bool = False, few: bool = False
) -> Callable[[_Explanation], _Explanation]:
    """Append the decorated function to `hints`, the explanations of a module in the order in which they are tried."""

    def register(explain: _Explanation) -> _Explanation:
        hints.append(Hint(code, explain, of_values, second, few))
        return explain

    return register


def share_of(fitting: np.ndarray, least: int = ENOUGH) -> tuple[int, int] | None:
    """Return how many coordinates an explanation fits, and of how many, or None if too few.

    At most 1 % may disagree. Of 20 coordinates or more one may, so that one polluted coordinate does not silence
    an explanation.
    """
    n, total = int(np.count_nonzero(fitting)), fitting.size
    return (n, total) if n >= least and total - n <= exceptions(total) else None


def exceptions(total: int) -> int:
    """Return how many of `total` coordinates may disagree with an explanation."""
    return math.ceil(0.01 * total) if total >= 20 else 0


def tolerance_of(cases: CheckedSamples, factor: float | Array = 1.0) -> Array:
    """Return the difference at which a prediction still fits; `factor` is the multiple of numeric in it."""
    return np.asarray(FITS * cases.scale + ERROR_FACTOR * np.maximum(factor, 1.0) * cases.error)


def visible(cases: CheckedSamples) -> np.ndarray:
    """Return the mask of the wrong coordinates whose error is well beyond the tolerance: the others fit anything."""
    return np.asarray(cases.informative & (cases.relative_error > VISIBLE * FITS))


def fit(
    cases: CheckedSamples, predicted: Array, factor: float | Array = 1.0, known: np.ndarray | None = None
) -> tuple[int, int] | None:
    """Return at how many wrong coordinates with a known derivative `predicted` equals the given gradient, of how many.

    None if it does not fit, also among the visible errors alone, or among `known` alone. A non-finite gradient counts
    as a coordinate that does not fit.

    Args:
        cases: the wrong samples.
        predicted: (n, coordinates) the gradient that the explanation predicts from the numeric derivative.
        factor: multiple of the numeric derivative in `predicted`, which scales its error. Default 1.
        known: mask of the coordinates at which the error, times a factor that varies, is small. Default: none.
    """
    close = np.abs(cases.given - predicted) <= tolerance_of(cases, factor)
    if not share_of(close[visible(cases)]) or (known is not None and not share_of(close[known])):
        return None
    return share_of(close[cases.informative])


def share_text(share: tuple[int, int], of: str = "wrong coordinates") -> str:
    """Return a clause with the share if the explanation does not fit everywhere; otherwise nothing."""
    return "" if share[0] == share[1] else f" (at {share[0]:,} of {share[1]:,} {of})"


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


def target_class(cases: CheckedSamples) -> np.ndarray | None:
    """Return the mask of the target's class, for labels and for rows of one 1; None if the target is no class."""
    k = cases.given.shape[1]
    if len(cases.inputs) < 2 or k < 2:
        return None
    target = cases.inputs[1]
    if target.ndim == 1:
        whole = (target == np.round(target)) & (target >= 0) & (target < k)
        return np.asarray(np.arange(k) == target[:, None]) if whole.all() else None
    flat = target.reshape(len(cases), -1)
    one_hot = flat.shape[1] == k and np.isin(flat, (0.0, 1.0)).all() and (flat.sum(axis=1) == 1.0).all()
    return np.asarray(flat == 1.0) if one_hot else None


def softmax(z: Array) -> Array:
    """Return the softmax of each row."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))
