"""Wrong outputs of a kernel that are rounding: of a narrower type or accumulation, of cancellation, or noise."""

from __future__ import annotations

import math

import numpy as np

from lossctl.errors import number
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, Precision, round_to
from lossctl.gradients.tally import CheckedSamples
from lossctl.gradients.verify_block import ArrayTally
from lossctl.immutable import immutable

# Least number of outputs at which an explanation must fit.
ENOUGH = 3
# Least number of errors whose signs show whether they are noise; most standard deviations of their balance.
_NOISE, _DEVIATIONS = 16, 4.0
# Errors up to this share of the terms can be lost digits: beyond it not one decimal digit is right.
LOST = 0.1
# Fewer errors than _NOISE can be lost digits up to so many times the allowed one.
FEW = 8.0


@immutable
class Cause:
    """Why an output is not right.

    Attributes:
        code: its name in results, in kebab-case.
        text: a sentence.
        digits: whether digits were lost, so that the output is not wrong.
    """

    code: str
    text: str
    digits: bool = False


def lost_digits(tally: ArrayTally, precision: Precision) -> Cause | None:
    """Explain errors that are rounding: of a narrower type, or noise without a sign of its own."""
    failing = tally.summary.failing
    wrong = failing.wrong
    if not np.isfinite(failing.given[wrong]).all():
        return None
    size = (np.abs(failing.given - failing.numeric) / (ULPS_OF_TERMS * failing.error))[wrong]  # in allowed errors
    error = (failing.given - failing.numeric)[wrong]
    # The allowed errors of written numbers do not show the terms: the numbers stand for them.
    sizes = np.maximum(np.abs(failing.given), np.abs(failing.numeric))
    terms = (sizes if tally.written else failing.error / precision.eps)[wrong]
    where = _where(tally)
    if (np.abs(error) > LOST * terms).any():
        return None
    outputs = (failing.given * (failing.inputs[-2] * failing.inputs[-1])[:, None])[wrong]
    for name in ("bfloat16", "float16", "float32"):
        narrow = PRECISIONS[name]
        # 2 ulps: the factor was divided out and multiplied again.
        stored = np.abs(outputs - round_to(outputs, narrow)) <= 2.0**-51 * np.abs(outputs)
        if narrow.eps > precision.eps and len(outputs) >= ENOUGH and stored.all():
            return Cause("narrower-numbers", f"loses digits: its numbers are {name} numbers", digits=True)
    if len(error) < _NOISE:
        if size.max() <= FEW:
            return Cause("rounding", f"loses digits at {where}", digits=True)
        return None
    if not _is_noise(failing):
        return None
    ratio = float(np.median(np.abs(error) / terms))
    share = len(failing) / max(len(failing) + len(tally.summary.passing), 1)
    for name in ("float32", "float16", "bfloat16"):
        narrow = PRECISIONS[name]
        if narrow.eps > precision.eps and share > 0.5 and narrow.eps / 64 <= ratio <= narrow.eps:
            text = f"loses digits at {where}: as noisy as a computation in {name}; it accumulates in a narrower type"
            return Cause("narrower-type", text, digits=True)
    typical = float(np.sqrt(np.mean(np.square(tally.summary.passing.numeric)))) if len(tally.summary.passing) else 1.0
    small = float(np.abs(failing.numeric[wrong]).max()) < max(typical, 1.0) / 16.0
    if small and (np.abs(error) <= ULPS_OF_TERMS * precision.eps * max(typical, 1.0)).all():
        text = f"loses digits at {where}: it cancels, results there are small differences of larger numbers"
        return Cause("cancels", text, digits=True)
    return Cause("rounding", f"loses digits at {where}: errors without a sign, as rounding has", digits=True)


def _where(tally: ArrayTally) -> str:
    """Return which rows fail, in words: their number, the first of them, or a bound on |pred|."""
    failing, passing = tally.summary.failing, tally.summary.passing
    if len(failing) == 1:
        return f"sample {failing.row[0]}"
    text = f"{len(failing):,} of {tally.summary.samples:,} samples"
    if len(failing) >= ENOUGH and len(passing) >= ENOUGH:
        high, low = (np.abs(c.inputs[0].reshape(len(c), -1)) for c in (failing, passing))
        if high.max(axis=1).min() > low.max(axis=1).max():
            return f"{text}, where |pred| > {number(float(f'{low.max():.3g}'))}"
        if high.max(axis=1).max() < low.max(axis=1).min():
            return f"{text}, where |pred| < {number(float(f'{low.max(axis=1).min():.3g}'))}"
    return f"{text} (first: {failing.row[0]})"


def _is_noise(failing: CheckedSamples) -> bool:
    """Return whether the signs of the errors depend neither on the reference nor on an input of the same shape."""
    wrong = failing.wrong
    error = (failing.given - failing.numeric)[wrong]
    sign = np.sign(error)
    n = len(error)
    away = sign * np.sign(failing.numeric[wrong])
    for keys in (failing.numeric, *failing.inputs[:-2]):
        flat = keys.reshape(len(failing), -1)
        if flat.shape[1] not in (1, failing.given.shape[1]):
            continue
        order = np.argsort(np.broadcast_to(flat, failing.given.shape)[wrong], kind="stable")
        for signs in (sign, away):
            changes = np.count_nonzero(np.diff(signs[order]) != 0)
            if changes < (n - 1) / 2.0 - _DEVIATIONS * math.sqrt(n) / 2.0:
                return False
    return True
