"""Diagnosis of a wrong gradient: the first simple explanation that fits every wrong sample."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.errors import number
from lossctl.gradients.tally import CheckedSamples, CheckSummary
from lossctl.gradients.verdict import Verdict

# Largest difference, relative to the scale, between the gradient that an explanation predicts and the given one:
# well above the uncertainty of the differences, well below any factor that is explained.
_FITS = 1e-4
# A mistake is large enough to be explained if it exceeds this many times _FITS.
_VISIBLE = 5.0
# Multiple of the estimated error of a difference that is allowed for: of one in some thousands the roundoff was five
# times the estimate.
_ERROR_FACTOR = 8.0
# Least number of wrong coordinates: with fewer, some explanation fits by chance.
_ENOUGH = 3
# Least number of ways to choose the wrong samples among all samples: with fewer, a threshold can separate the wrong
# samples from the right ones by chance.
_WAYS = 10_000
# Least share of samples on the smaller side of a threshold.
_BOTH_SIDES = 0.01
# Largest relative error of a derivative that still gives a ratio, for gradients of two or three digits.
_COARSE = 0.02
# Least number of wrong samples at equal distances.
_LEAST_PERIODS = 8
# Step of a central difference relative to the sample: it is accurate to about 1e-10, far below _FITS.
_STEP = 1e-5
# Most coordinates of a sample at which the loss is evaluated with its arguments swapped.
_MOST_COORDINATES = 32
# Most classes for which a factor each is listed.
_MOST_CLASSES = 6


_Explanation: TypeAlias = Callable[[Loss, CheckSummary, int], str | None]


@dataclass(frozen=True)
class Hint:
    """One explanation of a wrong gradient.

    Attributes:
        code: name of the explanation in results, in kebab-case.
        explain: function of the loss, the summary of the check and the number of samples; returns the text, or None
            if the explanation does not fit.
        of_values: whether the explanation predicts values. It is then tried only on errors that exceed its tolerance.
        second: whether it is tried on a second derivative too.
    """

    code: str
    explain: _Explanation
    of_values: bool
    second: bool


# The explanations in the order in which they are tried, which is their order in this file; the first that fits is
# returned. Explanations of where the gradient is wrong come before those of its values.
HINTS: list[Hint] = []


def _hint(code: str, *, of_values: bool = True, second: bool = False) -> Callable[[_Explanation], _Explanation]:
    """Append the decorated function to :data:`HINTS`."""

    def register(explain: _Explanation) -> _Explanation:
        HINTS.append(Hint(code, explain, of_values, second))
        return explain

    return register


@np.errstate(all="ignore")  # an overflow fits no explanation
def diagnose(loss: Loss, tally: CheckSummary, samples: int, *, second: bool = False) -> tuple[str, str] | None:
    """Return the code and the text of the first explanation that fits, or None.

    Args:
        loss: the loss.
        tally: the summary of the check.
        samples: number n of samples of the whole data, for factors of n and 1/n.
        second: whether `tally` is that of a second derivative. Default False.
    """
    failing = tally.failing
    wrong = failing.wrong
    if np.count_nonzero(wrong) < _ENOUGH:
        return None
    # Every explanation fits errors that are smaller than its tolerance.
    large = (
        np.median(failing.relative_error[wrong]) > _VISIBLE * _FITS and np.count_nonzero(failing.informative) >= _ENOUGH
    )
    directions = not failing.inputs[0].size  # only a constant factor can be recognised
    for hint in HINTS:
        if (hint.second or not (second or directions)) and (large or not hint.of_values):
            text = hint.explain(loss, tally, samples)
            if text:
                return hint.code, text
    return None


def _share(fitting: np.ndarray) -> tuple[int, int] | None:
    """Return how many coordinates an explanation fits, and of how many, or None if too few.

    At most 1 % may disagree. Of 20 coordinates or more one may, so that one polluted coordinate does not silence
    an explanation.
    """
    n, total = int(np.count_nonzero(fitting)), fitting.size
    allowed = math.ceil(0.01 * total) if total >= 20 else 0
    return (n, total) if n >= _ENOUGH and total - n <= allowed else None


def _fit(cases: CheckedSamples, predicted: Array, factor: float = 1.0) -> tuple[int, int] | None:
    """Return at how many wrong coordinates with a known derivative `predicted` equals the given gradient, of how many.

    None if it does not fit. A non-finite gradient counts as a coordinate that does not fit.

    Args:
        cases: the wrong samples.
        predicted: (n, coordinates) the gradient that the explanation predicts from the numeric derivative.
        factor: multiple of the numeric derivative in `predicted`, which scales its error. Default 1.
    """
    mask = cases.informative
    return _share(np.abs(cases.given - predicted)[mask] <= _tolerance(cases, factor)[mask])


def _tolerance(cases: CheckedSamples, factor: float = 1.0) -> Array:
    return np.asarray(_FITS * cases.scale + _ERROR_FACTOR * max(factor, 1.0) * cases.error)


def _at(share: tuple[int, int]) -> str:
    """Return a clause with the share if the explanation does not fit everywhere; otherwise nothing."""
    return "" if share[0] == share[1] else f" (at {share[0]:,} of {share[1]:,} wrong coordinates)"


def _fits_right_ones(passing: CheckedSamples, predicted: Array) -> bool:
    """Return whether `predicted` also equals the gradient at 99 % of the coordinates that are right."""
    mask = passing.verdict == Verdict.OK
    close = np.abs(passing.given - predicted)[mask] <= _tolerance(passing)[mask]
    return bool(close.mean() >= 0.99) if close.size else True


@_hint("not-computed", of_values=False)
def _zero_everywhere(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    given = np.concatenate([tally.failing.given, tally.passing.given])
    if given.any():
        return None
    return "given is 0 everywhere: the gradient was never computed, or was reset"


@_hint("same-everywhere", of_values=False)
def _same_everywhere(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    given = np.concatenate([tally.failing.given, tally.passing.given])
    if len(given) < _ENOUGH or not (given == given[0]).all() or not np.ptp(tally.failing.numeric[:, 0]):
        return None
    return f"given is the same at every sample ({number(float(given[0, 0]))}): one element, or a mean, was repeated"


@_hint("not-finite", of_values=False)
def _not_finite(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a gradient that is NaN or infinite where the derivative is finite."""
    failing, passing = tally.failing, tally.passing
    bad = ~np.isfinite(failing.given)
    share = _share(bad[failing.wrong])
    if share is None:
        return None
    what = (
        "NaN"
        if np.isnan(failing.given[bad]).all()
        else "infinite"
        if np.isinf(failing.given[bad]).all()
        else "NaN or infinite"
    )
    if failing.given.shape[1] == 1:
        good = passing.inputs[0][~np.isin(passing.verdict[:, 0], (Verdict.WRONG, Verdict.UNDEFINED))]
        at, target = failing.inputs[0][bad[:, 0]], failing.inputs[1][bad[:, 0]] if len(failing.inputs) > 1 else None
        if target is not None and target.shape == at.shape and (at == target).all():
            return f"given is {what} where pred equals target{_at(share)}; the derivative is finite there"
        values = np.unique(at)
        if len(values) <= 3 and not np.isin(good, values).any():
            listed = " or ".join(number(float(v)) for v in values)
            return f"given is {what} where pred is {listed}{_at(share)}; the derivative is finite there"
    return f"given is {what} at {share[0]:,} of {share[1]:,} wrong coordinates; the derivative is finite there"


@_hint("kink", of_values=False)
def _kinks(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain samples that are wrong only at one value of a quantity: a kink, where the value is no subgradient."""
    failing, passing = tally.failing, tally.passing
    if len(passing) < _ENOUGH or failing.given.shape[1] != 1:
        return None
    for words, of in _quantities(loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if "pred" in words and (wrong == wrong[0]).all() and not (right == wrong[0]).any():
            at = "pred equals target" if "−" in words and not wrong[0] else f"{words} is {number(float(wrong[0]))}"
            return f"wrong only where {at}: at a kink any value between the one-sided slopes is right"
    return None


@_hint("rows", of_values=False)
def _rows(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain wrong samples that are every k-th row of the data."""
    row, passing = tally.failing.row, tally.passing.row
    # If there are more samples than are kept, the kept ones are not every k-th.
    if len(row) + len(passing) != tally.samples or len(row) < _LEAST_PERIODS:
        return None
    period = int(row[1] - row[0])
    if period < 2 or not (np.diff(row) == period).all() or row[0] >= period or row[-1] + period < tally.samples:
        return None
    constant = _constant(tally.failing)
    there = "" if constant is None else f"; there given ÷ numeric is {number(_short(constant[0]))}"
    return f"wrong only at samples {row[0]}, {row[1]}, {row[2]}, …: every k-th with k = {period}{there}"


@_hint("one-side", of_values=False)
def _one_side(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain samples that are wrong on one side of a threshold of a simple quantity and right on the other."""
    failing, passing = tally.failing, tally.passing
    if len(passing) < _ENOUGH or failing.given.shape[1] != 1:
        return None
    passing = passing[_visibly_affected(failing, passing)]
    # A few right samples among hundreds of wrong ones are right by chance, and say nothing of a threshold.
    if min(len(failing), len(passing)) < _BOTH_SIDES * max(len(failing), len(passing)):
        return None
    # With few samples, one of the quantities (up to five) can separate the wrong ones by chance.
    if len(passing) < _ENOUGH or math.comb(len(failing) + len(passing), len(failing)) < _WAYS:
        return None
    constant = _constant(failing)
    there = "" if constant is None else f"; there given ÷ numeric is {number(_short(constant[0]))}"
    for words, of in _quantities(loss):
        wrong, right = of(failing.inputs), of(passing.inputs)
        if wrong.min() > right.max():
            return f"wrong only where {words} > {_between(right.max(), wrong.min())}, right below{there}"
        if wrong.max() < right.min():
            return f"wrong only where {words} < {_between(wrong.max(), right.min())}, right above{there}"
    return None


def _between(low: float, high: float) -> str:
    """Return the shortest decimal number in [low, high], as the threshold to show."""
    for digits in range(1, 17):
        for value in (float(f"{low:.{digits}g}"), float(f"{high:.{digits}g}"), float(f"{(low + high) / 2:.{digits}g}")):
            if low <= value <= high:
                return number(value)
    return number(low)


def _quantities(loss: Loss) -> Sequence[tuple[str, Callable[[Sequence[Array]], Array]]]:
    if len(loss.inputs) < 2:
        return (("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0])))
    kinds = [i.kind.name for i in loss.inputs[:2]]
    quantities: list[tuple[str, Callable[[Sequence[Array]], Array]]] = []
    if kinds == ["Real", "Real"]:
        quantities += [("|pred − target|", lambda a: np.abs(a[0] - a[1])), ("pred − target", lambda a: a[0] - a[1])]
    if kinds == ["Real", "Sign"]:
        quantities += [("target·pred", lambda a: a[0] * a[1])]
    quantities += [("target", lambda a: a[1]), ("pred", lambda a: a[0]), ("|pred|", lambda a: np.abs(a[0]))]
    return quantities


def _visibly_affected(failing: CheckedSamples, passing: CheckedSamples) -> np.ndarray:
    """Return a mask of the right samples whose gradient the mistake would have made wrong; in a flat tail none.

    The mistake is modelled as a constant share of the derivative, the median over the wrong coordinates. It
    counts as visible if it is at least 0.9 times the smallest error of a wrong coordinate, both relative to
    the scale.
    """
    mask = failing.informative
    shares = np.abs(failing.given[mask] / failing.numeric[mask] - 1.0)
    share = float(np.median(shares)) if shares.size else math.inf
    size, least = np.abs(passing.numeric), 0.9 * float(failing.relative_error[failing.wrong].min())
    seen = (size > 1e-3 * passing.scale) & (share * size > least * passing.scale)
    return np.asarray((seen & (passing.verdict == Verdict.OK)).any(axis=1))


@_hint("diagonal")
def _diagonal(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a gradient through a softmax that takes only p(1 − p), the diagonal of its Jacobian."""
    failing = tally.failing
    if loss.inputs[0].kind.name != "Logits" or failing.given.shape[1] < 3:
        return None
    p = _softmax(failing.inputs[0].reshape(len(failing), -1))
    by_probability = failing.given / (1.0 - p)  # times p
    whole = by_probability - p * by_probability.sum(axis=1, keepdims=True)
    soft = (p.max(axis=1, keepdims=True) < 0.99) & np.isfinite(whole)
    mask = failing.informative & soft
    share = _share((np.abs(whole - failing.numeric) <= _tolerance(failing))[mask])
    if share is None:
        return None
    return f"given has only the diagonal of the Jacobian of the softmax, p(1 − p){_at(share)}"


@_hint("constant-factor", second=True)
def _ratio(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    constant = _constant(tally.failing)
    if constant is None:
        return None
    ratio, share = constant
    failing, passing = tally.failing, tally.passing
    # One right sample in a hundred, such as p = t = 1, at which rounding hides the mistake, is an exception as well.
    mixed = len(passing) and _visibly_affected(failing, passing).sum() > _BOTH_SIDES * len(failing)
    # A right coordinate of a wrong sample contradicts "every" as a right sample does, if its slope is not 0.
    contradicted = np.abs(failing.given - ratio * failing.numeric) > _tolerance(failing, abs(ratio))
    mixed |= ((failing.verdict == Verdict.OK) & contradicted).sum() > _BOTH_SIDES * failing.wrong.sum()
    where = (
        f"{share[0]:,} of {share[1]:,} wrong coordinates"
        if share[0] < share[1]
        else "every wrong sample"
        if mixed
        else "every sample"
    )
    if mixed and share[0] == share[1] and (failing.verdict == Verdict.OK).any():
        where = "every wrong coordinate"
    return f"given ÷ numeric is {number(_short(ratio))} at {where}{_named(ratio, loss, tally, samples)}"


def _constant(failing: CheckedSamples) -> tuple[float, tuple[int, int]] | None:
    """Return given ÷ numeric and the share of wrong coordinates if it is one number other than 1; otherwise None."""
    mask = failing.informative
    ratios = failing.given[mask] / failing.numeric[mask]
    # The ratio is known where the numeric slope is known to four digits; a slope of 0 gives no ratio.
    sure = (failing.error[mask] <= _FITS * np.abs(failing.numeric[mask])) & np.isfinite(ratios)
    if np.count_nonzero(sure) < _ENOUGH:  # a gradient in bfloat16 or float16
        sure = (failing.error[mask] <= _COARSE * np.abs(failing.numeric[mask])) & np.isfinite(ratios)
    if np.count_nonzero(sure) < _ENOUGH:
        return None
    ratio = float(np.median(ratios[sure]))
    share = _fit(failing, ratio * failing.numeric, abs(ratio))
    return None if share is None or abs(ratio - 1.0) <= _VISIBLE * _FITS else (ratio, share)


def _short(x: float) -> float:
    return float(f"{x:.4g}")


def _named(ratio: float, loss: Loss, tally: CheckSummary, samples: int) -> str:
    k = tally.failing.given.shape[1]
    named = [
        (0.0, "it was not computed there"),
        (0.5, "a factor of 2 is missing"),
        (2.0, "a factor of 2 too much"),
        (-1.0, "the sign is wrong"),
        (-0.5, "the sign is wrong, and a factor of 2 is missing"),
        (-2.0, "the sign is wrong, and a factor of 2 is too much"),
        (1.0 / samples, f"1/n: it is the gradient of the mean over n = {samples:,}; say --reduction mean"),
        (float(samples), f"n = {samples:,}: it was multiplied by the number of samples"),
        (1.0 / math.log(2.0), "1/log 2: the loss was taken in bits"),
        (math.log(2.0), "log 2: the loss was taken in another base"),
        (1.0 / math.log(10.0), "1/log 10: a logarithm to base 10"),
        (math.log(10.0), "log 10: a logarithm to base 10"),
    ]
    if k > 1:
        named += [(1.0 / k, f"1/k: it was divided by the number of classes, {k}")]
        named += [(float(k), f"k: it was multiplied by the number of classes, {k}")]
        named += [(1.0 / (samples * k), f"1/(n·k): it is the gradient of the mean over all {samples * k:,} elements")]
    for value, words in named:
        if abs(ratio - value) <= 2e-5 * abs(value):
            return f": {words}"
    for parameter, bound in loss.params.items():
        if isinstance(bound, float) and bound not in (0.0, 1.0):
            for value, words in ((bound, "one too much"), (1.0 / bound, "one is missing")):
                if abs(ratio - value) <= 2e-5 * abs(value):
                    return f": a factor {parameter} = {number(bound)}, {words}"
    return ": a constant factor"


@_hint("transposed")
def _transposed(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    k = failing.given.shape[1]
    if k < 2 or len(failing) + len(tally.passing) != samples or len(tally.passing) + len(failing) != tally.samples:
        return None
    order = np.argsort(np.concatenate([failing.row, tally.passing.row]), kind="stable")
    given = np.concatenate([failing.given, tally.passing.given])[order]
    numeric = np.concatenate([failing.numeric, tally.passing.numeric])[order]
    scale = np.concatenate([failing.scale, tally.passing.scale])[order]
    sure = np.isfinite(numeric)
    other = given.reshape(k, samples).T
    if (np.abs(other - numeric)[sure] <= np.broadcast_to(10 * _FITS * scale, sure.shape)[sure]).all():
        return f"given is transposed: read as ({k}, {samples:,}) it is right"
    return None


@_hint("other-variable")
def _logit(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    pred = failing.inputs[0].reshape(len(failing), -1)
    kind = loss.inputs[0].kind.name
    if pred.shape[1] != failing.given.shape[1]:
        return None
    if kind == "Probability" and _fit(failing, failing.numeric * pred * (1.0 - pred)):
        return "given ÷ numeric is p(1 − p): it is the derivative with respect to the logit; say --wrt logits"
    if kind == "Probabilities":
        slope = np.nan_to_num(failing.numeric)
        by_logit = pred * (slope - (pred * slope).sum(axis=1, keepdims=True))
        if _fit(failing, by_logit):
            return "given is the derivative with respect to the logits, through the softmax; say --wrt logits"
    if kind == "Logits":
        p = np.exp(pred - pred.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        through = p * (failing.given - (p * failing.given).sum(axis=1, keepdims=True))
        if (np.abs(through - failing.numeric) <= _FITS * failing.scale + _ERROR_FACTOR * failing.error)[
            failing.informative
        ].all():
            return "given is the derivative with respect to the probabilities, not to the logits"
    if kind == "Real" and pred.shape[1] == 1:
        p = 1.0 / (1.0 + np.exp(-pred))
        if _fit(failing, failing.numeric / (p * (1.0 - p))):
            return "numeric ÷ given is p(1 − p): it is the derivative with respect to the probability, not the logit"
    return None


@_hint("flat")
def _flat(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a gradient that is not 0 where the loss is flat, and right elsewhere."""
    failing, passing = tally.failing, tally.passing
    mask = failing.informative
    share = _share((np.abs(failing.numeric) <= np.minimum(_ERROR_FACTOR * failing.error, _FITS * failing.scale))[mask])
    moving = np.concatenate([(c.numeric != 0)[c.verdict == Verdict.OK] for c in (failing, passing)])
    if share is None or np.count_nonzero(moving) < _ENOUGH:
        return None
    return f"given is not 0 where the loss is flat (clipped, or inactive), and right elsewhere{_at(share)}"


@_hint("moved")
def _moved(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a gradient whose rows or columns are shifted or reversed; all rows have to be at hand for rows."""
    failing = tally.failing
    k = failing.given.shape[1]
    if k > 2:
        for words, move in _MOVES:
            if share := _fit(failing, move(failing.numeric.T).T):
                return f"given is {words} along the classes{_at(share)}"
    if len(failing) + len(tally.passing) != tally.samples or len(failing) <= _ENOUGH:
        return None
    every = failing + tally.passing
    every = every[np.argsort(every.row, kind="stable")]
    mask = every.verdict <= Verdict.WRONG
    for words, move in _MOVES:
        close = np.abs(every.given - move(every.numeric)) <= np.maximum(_tolerance(every), move(_tolerance(every)))
        if share := _share(close[mask]):
            return f"given is {words} along the samples{_at(share)}"
    return None


_MOVES: Sequence[tuple[str, Callable[[Array], Array]]] = (
    ("shifted by one", lambda a: np.roll(a, 1, axis=0)),
    ("shifted by one", lambda a: np.roll(a, -1, axis=0)),
    ("in reversed order", lambda a: a[::-1]),
)


@_hint("swapped")
def _swapped(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Compare with differences of the loss at swapped inputs: the gradient under test may be the same both ways."""
    failing, passing = tally.failing, tally.passing
    if len(loss.inputs) < 2 or loss.inputs[0].kind != loss.inputs[1].kind or loss.batch_coupled:
        return None
    if failing.given.shape[1] > _MOST_COORDINATES:
        return None
    share = _fit(failing, _swapped_derivative(loss, failing))
    if share is None or (len(passing) and not _fits_right_ones(passing, _swapped_derivative(loss, passing))):
        return None
    return f"given is the gradient with prediction and target swapped{_at(share)}"


def _swapped_derivative(loss: Loss, cases: CheckedSamples) -> Array:
    """Return central differences of the loss with respect to its first input, at swapped inputs."""
    x, others = cases.inputs[1], (cases.inputs[0], *cases.inputs[2:])
    flat = x.reshape(len(x), -1)
    derivative = np.empty(flat.shape)
    for j in range(flat.shape[1]):
        step = _STEP * np.maximum(np.abs(flat).max(axis=1), _STEP)
        ends = []
        for sign in (-1.0, 1.0):
            moved = flat.copy()
            moved[:, j] += sign * step
            ends.append((moved[:, j], loss.evaluate(moved.reshape(x.shape), *others)[0]))
        derivative[:, j] = (ends[1][1] - ends[0][1]) / (ends[1][0] - ends[0][0])
    return derivative


def _softmax(z: Array) -> Array:
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


@_hint("ratio-of-input")
def _ratio_of_input(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a ratio that is a simple function of an input at every wrong coordinate."""
    failing = tally.failing
    shape = failing.given.shape
    for role, array in zip(loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1).astype(float)
        if flat.shape[1] not in (1, shape[1]) or not np.ptp(flat):
            continue
        for words, of in _FUNCTIONS:
            factor = np.broadcast_to(of(flat), shape)
            # A function that is nearly constant over the points, for example e^x of tiny x, explains nothing.
            if len(np.unique(factor[failing.informative].round(3))) < 2 * _ENOUGH:
                continue
            tolerance = _FITS * failing.scale + _ERROR_FACTOR * np.maximum(np.abs(factor), 1.0) * failing.error
            close = np.abs(failing.given - factor * failing.numeric) <= tolerance
            if share := _share(close[failing.informative]):
                return f"given ÷ numeric is {words.format(role)}{_at(share)}"
    return None


_FUNCTIONS: Sequence[tuple[str, Callable[[Array], Array]]] = (
    ("{0}", lambda x: x),
    ("−{0}", lambda x: -x),
    ("1/{0}", lambda x: 1.0 / x),
    ("{0}²", np.square),
    ("1/{0}²", lambda x: 1.0 / np.square(x)),
    ("2·{0}", lambda x: 2.0 * x),
    ("e^{0}", np.exp),
    ("e^−{0}", lambda x: np.exp(-x)),
    ("1 + {0}", lambda x: 1.0 + x),
    ("1/(1 + {0})", lambda x: 1.0 / (1.0 + x)),
    ("1 − {0}", lambda x: 1.0 - x),
    ("{0}·(1 − {0})", lambda x: x * (1.0 - x)),
    ("1/({0}·(1 − {0}))", lambda x: 1.0 / (x * (1.0 - x))),
    ("s(1 − s), where s is the sigmoid of {0}", lambda x: np.exp(-np.abs(x)) / np.square(1.0 + np.exp(-np.abs(x)))),
)


@_hint("label-smoothing")
def _label_smoothing(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a difference of ε(1/k − 1) at the class of the target and ε/k at the others."""
    failing = tally.failing
    target_class = _own_class(failing)
    if target_class is None:
        return None
    k = target_class.shape[1]
    difference, mask = failing.given - failing.numeric, failing.informative
    if np.count_nonzero(mask & target_class) < _ENOUGH or np.count_nonzero(mask & ~target_class) < _ENOUGH:
        return None
    at_own, at_others = (float(np.median(difference[mask & part])) for part in (target_class, ~target_class))
    epsilon = abs(at_others) * k
    if not 0.0 < epsilon < 1.0 or abs(at_own + (k - 1) * at_others) > _VISIBLE * _FITS:
        return None
    share = _fit(failing, failing.numeric + np.where(target_class, at_own, at_others))
    if share is None:
        return None
    what = "is missing" if at_own < 0 else "is too much"
    return f"a label smoothing of {number(_short(epsilon))} {what}{_at(share)}"


def _own_class(cases: CheckedSamples) -> np.ndarray | None:
    """Return the mask of the target's class; None if the target is no class."""
    k = cases.given.shape[1]
    if len(cases.inputs) < 2 or cases.inputs[1].ndim != 1 or k < 2:
        return None
    return np.asarray(np.arange(k) == cases.inputs[1][:, None])


@_hint("label-shifted")
def _label_shifted(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a one-hot target at the class before or after that of the target."""
    failing = tally.failing
    target_class = _own_class(failing)
    if target_class is None or target_class.shape[1] < 3:
        return None
    for step, words in ((1, "after"), (-1, "before")):
        shifted = np.roll(target_class, step, axis=1)
        share = _fit(failing, failing.numeric + target_class - shifted)
        if share and _share((failing.wrong == target_class | shifted).ravel()):
            return f"given takes the class {words} the target for the target{_at(share)}"
    return None


@_hint("constant-offset")
def _offset(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a constant difference at every wrong coordinate, for example a forgotten one-hot target."""
    failing = tally.failing
    amount = float(np.median((failing.given - failing.numeric)[failing.informative]))
    if not np.isfinite(amount) or not np.ptp(failing.numeric[failing.informative]):
        return None
    share = _fit(failing, failing.numeric + amount)
    if share is None:
        return None
    target_class = _own_class(failing)
    where = f"{share[0]:,} of {share[1]:,} wrong coordinates" if share[0] < share[1] else "every wrong coordinate"
    if target_class is not None and (target_class == failing.wrong).all():
        where = "the target's own class, and right at the others"
    elif target_class is not None and (target_class == ~failing.wrong).all():
        where = "every class but the target's"
    return f"given − numeric is {number(_short(amount))} at {where}"


@_hint("input-added")
def _input_added(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a difference that is an input, for example a forgotten target."""
    failing = tally.failing
    for role, array in zip(loss.roles, failing.inputs, strict=True):
        flat = array.reshape(len(array), -1).astype(float)
        if flat.shape[1] != failing.given.shape[1] or len(np.unique(flat)) < 2:
            continue
        for sign, words in ((1.0, "one too much"), (-1.0, "one is missing")):
            if share := _fit(failing, failing.numeric + sign * flat):
                return f"given − numeric is {'' if sign > 0 else '−'}{role}{_at(share)}: {words}"
    return None


@_hint("factor-by-class")
def _factor_by_class(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a ratio that is constant for each class of the target: a forgotten pos_weight or class weight."""
    failing, passing = tally.failing, tally.passing
    if len(failing.inputs) < 2 or failing.inputs[1].ndim != 1:
        return None
    target = failing.inputs[1]
    classes, counts = np.unique(target, return_counts=True)
    if not 1 < len(np.unique(np.concatenate([target, passing.inputs[1]]))) <= _MOST_CLASSES or counts.min() < _ENOUGH:
        return None
    ratios = []
    for c in classes:
        constant = _constant(failing[target == c])
        if constant is None or constant[1][0] < constant[1][1]:
            return None
        ratios.append(constant[0])
    right = passing.verdict == Verdict.OK
    moving = (np.abs(passing.numeric) > 1e-3 * passing.scale) & right
    if np.isin(passing.inputs[1][moving.any(axis=1)], classes).any():
        return None
    listed = ", ".join(
        f"{number(_short(r))} at target {number(float(c))}" for c, r in zip(classes, ratios, strict=True)
    )
    right_ones = ", right at the others" if moving.any() else ""
    return f"given ÷ numeric is {listed}{right_ones}: a weight of the class"


@_hint("whole-numbers")
def _whole_numbers(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    """Explain a gradient that was rounded, or computed from labels instead of probabilities."""
    given = np.concatenate([tally.failing.given, tally.passing.given])
    numeric = tally.failing.numeric[tally.failing.informative]
    if (
        not (given == np.round(given)).all()
        or len(np.unique(given)) < 2
        or (np.abs(numeric - np.round(numeric)) < 1e-3).mean() > 0.5
    ):
        return None
    return "given holds whole numbers only, and numeric does not: it was rounded, or computed in whole numbers"


@_hint("constant-along-rows")
def _along_rows(loss: Loss, tally: CheckSummary, samples: int) -> str | None:
    failing = tally.failing
    if failing.given.shape[1] < 2:
        return None
    difference = failing.given - failing.numeric
    usable = np.isfinite(difference) & (failing.error <= _FITS * failing.scale)
    middle = np.array(
        [np.median(row[use]) if use.any() else np.nan for row, use in zip(difference, usable, strict=True)]
    )
    if (
        np.abs(difference - middle[:, None])[usable] <= np.broadcast_to(_FITS * failing.scale, usable.shape)[usable]
    ).all():
        return "given is off by one constant along each row: the gradient of a loss that renormalises its rows"
    return None
