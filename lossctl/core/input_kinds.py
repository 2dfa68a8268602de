"""Kinds of inputs of a loss: the annotation of a positional parameter of a kernel (``pred: Real``)."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import numpy as np

from lossctl.core.arrays import Array, Dims
from lossctl.core.interval import NON_NEGATIVE, POSITIVE, REAL, Interval
from lossctl.core.kind import CLASSES, SUM_TOLERANCE, DomainViolation, Kind, all_finite
from lossctl.errors import number
from lossctl.immutable import immutable


class NonZeroKind(Kind):
    """A number other than 0, for divisors."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        if violation := super().find_violation(x, dims, tolerance):
            return violation
        return None if x.all() else self.first_violation(x, x != 0.0)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        x = super().sample(rng, n, dims)
        return np.where(x == 0.0, 1.0, x)


class AboveKind(Kind):
    """A number above the low end of its interval; many samples are near that end."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return np.where(rng.random(n) < 0.1, 0.0, self.domain.low + 10.0 ** rng.uniform(-6, 6, n))


class BelowKind(Kind):
    """A number below the high end of its interval; many samples are near that end."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return self.domain.high - 10.0 ** rng.uniform(-6, 3, n)


class CountKind(Kind):
    """A whole number of at least 0."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        if violation := super().find_violation(x, dims, tolerance):
            return violation
        whole = np.floor(x) == x
        return None if whole.all() else self.first_violation(x, whole)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return np.floor(np.where(rng.random(n) < 0.5, rng.uniform(0, 10, n), 10.0 ** rng.uniform(0, 6, n)))


class ProbabilityKind(Kind):
    """A probability of one event."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        edge_distance = 10.0 ** rng.uniform(-12, np.log10(0.5), n)  # log-uniform in the distance from an edge
        x = np.where(rng.random(n) < 0.5, edge_distance, 1.0 - edge_distance)
        edge = rng.random(n)
        return np.where(edge < 0.01, 0.0, np.where(edge > 0.99, 1.0, x))


class SignKind(Kind):
    """A label -1 or +1."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        inside = np.abs(x) == 1.0
        return None if inside.all() else self.first_violation(x, inside)

    def encode(self, codes: Array) -> Array:
        return 2.0 * codes - 1.0

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.choice([-1.0, 1.0], n)


@immutable
class LabelKind(Kind):
    """The index of a class.

    Attributes:
        rows: the kind of targets that are rows over the classes, if the loss takes those, too.
    """

    rows: Kind | None = None

    @property
    def is_code(self) -> bool:
        return True

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        classes = dims.get("classes", np.inf)  # of a user's loss without class scores, labels may be any classes
        if not x.size:
            return None
        if x.min() >= 0 and x.max() <= classes - 1 and (np.floor(x) == x).all():
            return None
        inside = (x >= 0) & (x <= classes - 1) & (np.floor(x) == x)
        violation = self.first_violation(x, inside)
        value = float(x[~inside][0])
        if value != np.floor(value):
            return violation
        columns = f"{classes} columns are classes 0 to {classes - 1}" if "classes" in dims else "classes are 0, 1, 2, …"
        cause = f"label {number(value)} is not a class: {columns}"
        if value == classes and x.min() >= 1:
            cause += "; for labels that start at 1, add --labels 1,2,…"
        elif value in _NO_LABEL:
            cause += f"; --ignore-index {value:.0f} leaves such samples out"
        return DomainViolation(violation.element, violation.place, cause)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.integers(0, dims["classes"], n).astype(np.float64)


class LogitsKind(Kind):
    """A row of scores; some may be -inf (an excluded class), but not all."""

    @property
    def implied_by_finite_loss(self) -> bool:
        return True

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        if all_finite(x):  # one pass over memory instead of three
            return None
        if violation := super().find_violation(x, dims, tolerance):
            return violation
        top = x.max(axis=-1)
        if top.size and top.min() == -np.inf:
            return DomainViolation(int(top.argmin()), None, "every logit of the row is -inf: no class is left")
        return None

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        # From nearly uniform probabilities (scale 0.01) to probabilities of 1 to within 1e-43 (scale 100).
        return rng.normal(size=(n, dims["classes"])) * 10.0 ** rng.uniform(-2, 2, (n, 1))


class ProbabilitiesKind(Kind):
    """A row of probabilities that sum to 1."""

    @property
    def sums_to_one(self) -> bool:
        return True

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        return super().find_violation(x, dims, tolerance) or self._row_violation(x, tolerance)

    def _row_violation(self, x: Array, tolerance: float) -> DomainViolation | None:
        sums = self._sums(x)
        off = np.abs(sums - 1.0)
        if not off.size or off.max() <= tolerance:
            return None
        row = np.unravel_index(int(np.argmax(off > tolerance)), off.shape)
        cause = f"the row sums to {number(sums[row])}, not to 1 within {number(tolerance)}: "
        return DomainViolation(
            int(row[0]), None, cause + "--normalize divides rows by their sum, --sum-tolerance allows for rounding"
        )

    def _sums(self, x: Array) -> Array:
        return np.asarray(x.sum(axis=-1))

    def normalize(self, x: Array) -> Array:
        x = np.ascontiguousarray(x)  # C order: the roundoff of a row sum does not depend on the other rows
        sums = x.sum(axis=-1, keepdims=True)
        # A row that cannot be scaled stays unchanged and fails the domain check that follows.
        return np.asarray(x / np.where((sums > 0) & np.isfinite(sums), sums, 1.0))

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        k = dims["classes"]
        weight = 10.0 ** rng.uniform(-12, 0, (n, k))
        rows = weight / weight.sum(axis=-1, keepdims=True)
        certain = np.eye(k)[rng.integers(0, k, n)]
        return np.where(rng.random((n, 1)) < 0.02, certain, rows)


class LogProbabilitiesKind(ProbabilitiesKind):
    """A row of natural logarithms of probabilities that sum to 1."""

    def _sums(self, x: Array) -> Array:
        return np.asarray(np.exp(x).sum(axis=-1))

    def normalize(self, x: Array) -> Array:
        x = np.ascontiguousarray(x)  # C order, as in ProbabilitiesKind.normalize
        top = x.max(axis=-1, keepdims=True)
        top = np.where(np.isfinite(top), top, 0.0)
        return np.asarray(x - top - np.log(np.exp(x - top).sum(axis=-1, keepdims=True)))

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(super().sample(rng, n, dims))


# What data sets and libraries write for a sample, or a pixel, without a label.
_NO_LABEL = (-100.0, -1.0, 255.0)
_FROM_LABELS = "; for 0/1 or named labels, add --labels NEG,POS"
_ZERO = "; --where COLUMN!=0 or a weight of 0 leaves such samples out, and wape takes targets of 0"
_LOGITS = Interval(-np.inf, np.inf, open_high=True)

Real: TypeAlias = Annotated[Array, Kind("Real", "a finite number", REAL)]
Positive: TypeAlias = Annotated[Array, Kind("Positive", "a finite number above 0", POSITIVE)]
NonNegative: TypeAlias = Annotated[Array, AboveKind("NonNegative", "a finite number, at least 0", NON_NEGATIVE)]
NonZero: TypeAlias = Annotated[Array, NonZeroKind("NonZero", "a finite number other than 0", REAL, hint=_ZERO)]
AboveMinusOne: TypeAlias = Annotated[
    Array,
    AboveKind("AboveMinusOne", "a finite number above -1", Interval(-1.0, np.inf, open_low=True, open_high=True)),
]
Count: TypeAlias = Annotated[Array, CountKind("Count", "a whole number, at least 0", NON_NEGATIVE)]
Probability: TypeAlias = Annotated[
    Array, ProbabilityKind("Probability", "a probability, from 0 to 1", Interval(0.0, 1.0), labels=2)
]
Sign: TypeAlias = Annotated[Array, SignKind("Sign", "-1 or +1", Interval(-1.0, 1.0), labels=2, hint=_FROM_LABELS)]
Label: TypeAlias = Annotated[
    Array,
    LabelKind("Label", "a whole number, the index of a class", Interval(0.0, np.inf, open_high=True), labels=-1),
]
_PROBABILITIES = ProbabilitiesKind("Probabilities", "a probability, from 0 to 1", Interval(0.0, 1.0), CLASSES)
Probabilities: TypeAlias = Annotated[Array, _PROBABILITIES]
LabelOrProbabilities: TypeAlias = Annotated[
    Array,
    LabelKind(
        *("Label", "the index of a class, or a row of probabilities", Interval(0.0, np.inf, open_high=True)),
        labels=-1,
        rows=_PROBABILITIES,
    ),
]
Logits: TypeAlias = Annotated[Array, LogitsKind("Logits", "a finite number or -inf", _LOGITS, CLASSES)]
LogProbabilities: TypeAlias = Annotated[
    Array,
    LogProbabilitiesKind(
        "LogProbabilities", "the logarithm of a probability, at most 0", Interval(-np.inf, 0.0), CLASSES
    ),
]
