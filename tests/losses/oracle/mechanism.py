"""Values and derivatives of the formulas to 50 digits, and the magnitudes that errors are relative to."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpmath import mp, mpc, mpf  # type: ignore[import-untyped]

Number = Any  # mpf: mpmath's own types do not know that mpf + mpf is an mpf
Row = list[Any]  # of Number
Label = int
Inputs = Sequence[Any]
Params = Mapping[str, Any]
Predicate = Callable[[Inputs, Params], bool]

INF = mpf("inf")
ZERO = mpf(0)
SUBNORMAL = mpf(2) ** -1074  # the spacing of doubles below their normal range
Quotients = Callable[[Number], "list[Number] | None"]


class EdgeError(ValueError):
    """The loss has no single finite derivative at the point: it is infinite, jumps, or has a kink."""


def never(_inputs: Inputs, _params: Params) -> bool:
    """Relative accuracy is not promised."""
    return False


def always(_inputs: Inputs, _params: Params) -> bool:
    """Relative accuracy is promised everywhere."""
    return True


@dataclass(frozen=True)
class Oracle:
    """The independent formula of a loss, and where relative accuracy is promised."""

    name: str
    terms: Callable[..., list[Number]]
    relative_value: Predicate = never
    relative_gradient: Predicate = never
    digits: int = 0  # more than _digits gives: a formula that loses exp(-big²), say


ORACLE: dict[str, Oracle] = {}


def oracle(
    name: str, *, relative_value: Predicate = never, relative_gradient: Predicate = never, digits: int = 0
) -> Callable[[Callable[..., list[Number]]], Callable[..., list[Number]]]:
    """Register the decorated function as the formula of the loss ``name``."""

    def register(terms: Callable[..., list[Number]]) -> Callable[..., list[Number]]:
        if name in ORACLE:
            raise ValueError(f"two formulas for {name!r}")
        ORACLE[name] = Oracle(name, terms, relative_value, relative_gradient, digits)
        return terms

    return register


def value(name: str, inputs: Inputs, params: Params) -> tuple[Number, Number]:
    """Return the loss of one sample, and the magnitude that its error is relative to.

    >>> from oracle import value  # with the formulas
    >>> [float(x) for x in value("huber", (2.0, 0.0), {"delta": 1.0})]
    [1.5, 1.5]
    """
    entry = ORACLE[name]
    with mp.workdps(_digits(entry, inputs, params)):
        exact, given = _convert(entry, inputs, params)
        terms = entry.terms(*exact, **given)
        total = mp.fsum(terms)
        magnitude = abs(total) if entry.relative_value(exact, given) else mp.fsum(abs(t) for t in terms)
        return _rounded(total), _rounded(magnitude)


def gradient(
    name: str, inputs: Inputs, params: Params, only: Sequence[int] | None = None
) -> list[tuple[Number, Number]]:
    """Return the derivative by each coordinate of the first input (flattened), or of ``only``, with its magnitude.

    At a limit of the domain (p·√p at 0) it is the one-sided derivative, if that is finite. A logit of −inf has
    derivative 0. :func:`slopes` returns both one-sided derivatives.

    Raises:
        EdgeError: a coordinate has no derivative: the loss is infinite (probability 0 of the target class), the slope
            is infinite, or there is a kink (mae at r = 0, hinge at its margin).

    >>> from oracle import gradient  # with the formulas
    >>> [[float(x) for x in pair] for pair in gradient("mse", (3.0, 1.0), {})]
    [[4.0, 4.0]]
    """
    pairs = []
    for j, slope in enumerate(slopes(name, inputs, params, only)):
        if slope.left != slope.right:
            raise EdgeError(f"{name}: coordinate {j}: slopes {mp.nstr(slope.left)} and {mp.nstr(slope.right)}")
        if mp.isinf(slope.left):
            raise EdgeError(f"{name}: coordinate {j}: infinite slope")
        pairs.append((slope.left, slope.magnitude))
    return pairs


@dataclass(frozen=True)
class Slopes:
    """The one-sided derivatives by one coordinate, equal to the bit unless there is a kink."""

    left: Number
    right: Number
    magnitude: Number


def slopes(name: str, inputs: Inputs, params: Params, only: Sequence[int] | None = None) -> list[Slopes]:
    """Return both one-sided derivatives by each coordinate of the first input (flattened), or of ``only``.

    A slope that does not converge (√x at 0, a jump) is ±inf.

    Raises:
        EdgeError: the loss itself is infinite.
    """
    entry = ORACLE[name]
    digits = _digits(entry, inputs, params)
    with mp.workdps(digits):
        exact, given = _convert(entry, inputs, params)
        first, rest = exact[0], exact[1:]
        base = entry.terms(*exact, **given)
        if not all(mp.isfinite(t) for t in base):
            raise EdgeError(f"{name}: the loss is infinite")

        def by(j: int) -> Quotients:
            """Return (terms(x + h) − terms(x)) / h for coordinate j, None outside the domain of the formula."""

            def quotients(h: Number) -> list[Number] | None:
                try:
                    terms = entry.terms(_moved(first, j, h), *rest, **given)
                except (ValueError, ZeroDivisionError):
                    return None
                return None if any(map(_outside, terms)) else [(t - b) / h for t, b in zip(terms, base, strict=True)]

            return quotients

        step = _step(inputs, params)
        noise = mp.fsum(abs(t) for t in base) * mpf(10) ** (10 - digits)
        relative = entry.relative_gradient(exact, given)
        found = []
        coordinates = list(leaves(first))
        for j in range(len(coordinates)) if only is None else only:
            x = coordinates[j]
            left, right, magnitude = (ZERO,) * 3 if mp.isinf(x) else _both_sides(by(j), step, noise)
            if relative:
                magnitude = max(abs(left), abs(right))
            found.append(Slopes(_rounded(left), _rounded(right), _rounded(magnitude)))
        return found


def error(got: float, want: Number, magnitude: Number) -> float:
    """Return |got − want| / magnitude as a double; 0 if both are the same infinity.

    An infinity of the right sign is accepted for a number above the largest double, and an absolute error of one
    spacing of the subnormals is accepted everywhere.

    >>> error(1.25, mpf(1), mpf(2)), error(0.0, mpf("1e-400"), mpf("1e-400")), error(math.inf, mpf("1e400"), INF)
    (0.125, 0.0, 0.0)
    """
    if math.isnan(got) or mp.isnan(want):
        return math.inf
    if math.isinf(got) or mp.isinf(want):
        return 0.0 if float(want) == got else math.inf
    off = abs(mpf(got) - want) - SUBNORMAL
    if off <= 0:
        return 0.0
    return float(off / magnitude) if magnitude else math.inf


# The relative truncation error of a one-sided difference quotient is step/scale, which _step keeps below 1e-43. The two
# quotients of a smooth loss therefore agree to much more than this.
AGREE = mpf(10) ** -20
# The truncation error of the central difference is (step/scale)², 1e-120 of its terms. If the terms cancel to less than
# this, the slope is 0.
NOTHING = mpf(10) ** -110


def _both_sides(quotients: Quotients, step: Number, noise: Number) -> tuple[Number, Number, Number]:
    """Return the derivatives from the left and from the right, and Σ|derivative of a term|.

    ``noise`` is the roundoff of the terms.
    """
    sides = {sign: terms for sign in (-1, 1) if (terms := quotients(sign * step)) is not None}
    if not sides:
        raise EdgeError("an isolated point of the formula's domain")
    # The smaller magnitude of both sides, if it is not 0: a rounded term (the head of a quotient) may jump on one side.
    sizes = sorted(mp.fsum(abs(t) for t in terms) for terms in sides.values())
    magnitude = sizes[0] or sizes[-1]
    near = {sign: mp.fsum(terms) for sign, terms in sides.items()}
    if len(near) == 2 and abs(near[1] - near[-1]) <= max(AGREE * magnitude, noise / step):
        mean = (near[-1] + near[1]) / 2
        falls = abs(mean) < step and _limit(quotients, step, noise) == 0
        mean = ZERO if falls or abs(mean) <= NOTHING * magnitude else mean
        return mean, mean, magnitude
    # A kink, a limit of the domain, an infinite slope, or a minimum, where the quotients go to 0 with the step.
    limits = [_limit(quotients, sign * step, noise) for sign in sides]
    left, right = limits[0], limits[-1]
    if abs(right - left) <= max(AGREE * magnitude, noise / step):
        right = left
    return left, right, magnitude


def _limit(quotients: Quotients, step: Number, noise: Number) -> Number:
    """Return the limit of the quotient for a step towards 0, which may be 0 or ±inf.

    The error of the quotient is a power of the step, such as h^0.1 for p^1.1 at 0. Over equal ratios of the step it
    falls by equal factors, so Aitken's extrapolation gives the limit.
    """
    slow, mid, fast = (mp.fsum(quotients(step * mpf(10) ** -k) or [mp.nan]) for k in (0, 10, 20))
    if abs(fast) <= abs(mid) / 100 <= abs(slow) / 10_000:
        return ZERO
    first, second = mid - slow, fast - mid
    # The step is 10²⁰ times smaller, so the roundoff of the quotients is 10²⁰ times larger.
    if abs(second) <= max(AGREE * abs(fast), noise / abs(step) * mpf(10) ** 20):
        return fast
    if abs(second) > abs(first) / 2:
        return mp.sign(fast) * INF
    limit = fast - second**2 / (second - first)
    return limit if abs(limit) > AGREE * abs(slow) else ZERO


def _rounded(x: Number) -> Number:
    """Round a result to the 50 digits that are accurate."""
    with mp.workdps(50):
        return +x


def _digits(entry: Oracle, inputs: Inputs, params: Params) -> int:
    """Return the working precision that leaves 50 digits of the result after all cancellation in a formula."""
    big, small = _range(inputs, params)
    decades = math.log10(big) - math.log10(small)
    # 60 digits for the result and 60 + 17 for the step (below). A step changes a term t by as little as t·small/big,
    # and √(1 + (r/δ)²) − 1 loses twice as many digits. In a sum of e^big and 1 (large logits), numbers down to the
    # smallest double, 1e-324, must not be lost. The remaining digits are a margin.
    return 180 + math.ceil(3 * decades) + math.ceil(min(0.87 * big, 350)) + entry.digits


def _step(inputs: Inputs, params: Params) -> Number:
    """Return a step that is much smaller than the smallest scale of a loss of doubles.

    The smallest scale is a difference of two inputs, 1e-17 of the smallest input; 1e-60 leaves 43 digits.
    """
    return mpf(_range(inputs, params)[1]) * mpf(10) ** -60


def _range(inputs: Inputs, params: Params) -> tuple[float, float]:
    """Return the largest and the smallest magnitude among all numbers and 1."""
    sizes = [abs(float(x)) for x in (*leaves(list(inputs)), *_numbers(params.values()))]
    finite = [x for x in sizes if 0 < x < math.inf]
    return max(1.0, *finite, 1.0), min(1.0, *finite, 1.0)


def _convert(entry: Oracle, inputs: Inputs, params: Params) -> tuple[list[Any], dict[str, Any]]:
    """Convert doubles and arrays to mpf and labels to int, following the annotations of the formula."""
    kinds = [p.annotation for p in inspect.signature(entry.terms).parameters.values() if p.kind is not p.KEYWORD_ONLY]
    exact = [_mapped(x, int if "Label" in str(kind) else mpf) for x, kind in zip(inputs, kinds, strict=True)]
    return exact, {k: mpf(v) if _is_number(v) else v for k, v in params.items()}


def _is_number(x: Any) -> bool:
    """Return whether a parameter is a number (a flag is not)."""
    return isinstance(x, (int, float, mpf)) and not isinstance(x, bool)


def _numbers(values: Iterable[Any]) -> Iterator[Any]:
    """Return the parameters that are numbers."""
    return filter(_is_number, values)


def _outside(term: Number) -> bool:
    """Return whether a term is outside the domain of the formula: complex, NaN or infinite."""
    return isinstance(term, mpc) or not mp.isfinite(term)


# Inputs are numbers or lists of numbers, however nested. Arrays become lists.


def _mapped(x: Any, leaf: Callable[[Any], Any]) -> Any:
    """Return ``x`` with ``leaf`` applied to each number."""
    x = x.tolist() if hasattr(x, "tolist") else x
    return [_mapped(item, leaf) for item in x] if isinstance(x, (list, tuple)) else leaf(x)


def some(count: int, most: int = 4) -> range:
    """Return evenly spaced coordinates, because each takes several evaluations at hundreds of digits.

    >>> list(some(3)), list(some(25))
    ([0, 1, 2], [0, 8, 16, 24])
    """
    return range(0, count, max(1, (count - 1) // (most - 1)))


def leaves(x: Any) -> Iterator[Any]:
    """Return the numbers of ``x`` in order."""
    x = x.tolist() if hasattr(x, "tolist") else x
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from leaves(item)
    else:
        yield x


def _moved(x: Any, j: int, h: Number) -> Any:
    """Return ``x`` with ``h`` added to its ``j``-th number."""
    count = itertools.count()
    return _mapped(x, lambda number: number + h if next(count) == j else number)
