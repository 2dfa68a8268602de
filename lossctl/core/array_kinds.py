"""Kinds whose element is an array other than a row of classes: vectors, lists, images, sequences."""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

import numpy as np

from lossctl.core.arrays import Array, Dims
from lossctl.core.input_kinds import LabelKind, LogProbabilitiesKind, ProbabilitiesKind, ProbabilityKind
from lossctl.core.interval import NON_NEGATIVE, REAL, UNIT, Interval
from lossctl.core.kind import CLASSES, SUM_TOLERANCE, DomainViolation, Kind
from lossctl.errors import number
from lossctl.immutable import immutable


@immutable
class ArrayKind(Kind):
    """Finite numbers; samples have one magnitude within an element.

    Attributes:
        decades: samples have a magnitude of 10^-decades to 10^decades.
    """

    decades: float = 3.0

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        shape = tuple(dims[name] for name in self.core)
        size = 10.0 ** rng.uniform(-self.decades, self.decades, (n, *(1,) * len(shape)))
        return np.asarray(rng.normal(size=(n, *shape)) * size)


class AmountsKind(ArrayKind):
    """Numbers of at least 0; each number of a sample has its own magnitude."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        shape = (n, *(dims[name] for name in self.core))
        return np.where(rng.random(shape) < 0.01, 0.0, 10.0 ** rng.uniform(-3, 3, shape))


class DirectionKind(ArrayKind):
    """A vector other than zero, so that it has a direction."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        if violation := super().find_violation(x, dims, tolerance):
            return violation
        zero = ~x.any(axis=-1)
        if not zero.any():
            return None
        return DomainViolation(
            int(zero.argmax()), None, "a vector of zeros has no direction, and no cosine; leave the row out"
        )


class DistributionKind(ProbabilitiesKind):
    """A row of probabilities that sum to 1; samples are hardly ever 0, and otherwise not below about 1e-8.

    For losses such as q·log q, whose derivative at a tiny probability is hardly larger than the derivatives at the
    other probabilities of the row. Below 1e-9 this derivative is lost in the roundoff of the loss for every step of a
    difference quotient. At 0 it is infinite, but the quotients diverge too slowly to detect that.
    """

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        k = dims["classes"]
        weight = 10.0 ** rng.uniform(-8, 0, (n, k))
        certain = np.eye(k)[rng.integers(0, k, n)]
        return np.where(rng.random((n, 1)) < 0.005, certain, weight / weight.sum(axis=-1, keepdims=True))


class FlagsKind(Kind):
    """Numbers that are 0 or 1."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        inside = (x == 0) | (x == 1)
        return None if inside.all() else self.first_violation(x, inside)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.integers(0, 2, (n, *(dims[name] for name in self.core))).astype(np.float64)


class ProbabilityArrayKind(ProbabilityKind):
    """Probabilities that need not sum to 1."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        shape = (n, *(dims[name] for name in self.core))
        return super().sample(rng, int(np.prod(shape)), dims).reshape(shape)


# The value of a pixel of 8 bits that is on, or of one without a label.
_BYTE = 255.0


def _of_a_byte(value: float) -> str:
    """Return the end of the error message for a value of a mask, with remedies for a mask of 8 bits."""
    if not value.is_integer() or not 1.0 < value <= _BYTE:
        return ""
    if value < _BYTE:
        return "; divide levels of 8 bits by 255; labels of several classes need --class-axis"
    return "; for a mask of 0 and 255 add --labels 0,255; --ignore-index 255 leaves pixels out"


class MaskKind(ProbabilityArrayKind):
    """A mask of probabilities."""

    def cause(self, value: float) -> str:
        return super().cause(value) + _of_a_byte(value)


class HardMaskKind(FlagsKind):
    """A mask of 0 and 1."""

    def cause(self, value: float) -> str:
        return super().cause(value) + _of_a_byte(value)


class PixelProbabilitiesKind(ProbabilitiesKind):
    """Probabilities that sum to 1 in each pixel."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        # Unscaled, at least 1e-4: losses depend on the order of the probabilities within an image, and any step of a
        # difference quotient changes the order of tiny ones.
        weight = 10.0 ** rng.uniform(-4, 0, (n, dims[self.core[0]], dims["classes"]))
        certain = np.eye(dims["classes"])[rng.integers(0, dims["classes"], weight.shape[:2])]
        rows = weight / weight.sum(axis=-1, keepdims=True)
        return np.where(rng.random((n, dims[self.core[0]], 1)) < 0.02, certain, rows)


class PixelLabelsKind(LabelKind):
    """The index of a class in each pixel."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.integers(0, dims["classes"], (n, dims[self.core[0]])).astype(np.float64)


class FramesKind(LogProbabilitiesKind):
    """Log-probabilities of the classes for each frame of a sequence, followed by padding.

    The loss has to check that the probabilities of each frame sum to 1, because the kind does not know how many
    frames are not padding.
    """

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        return Kind.find_violation(self, x, dims, tolerance)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        # Never one-hot, unlike other kinds of probabilities: almost every path through such frames has probability 0.
        rows = 10.0 ** rng.uniform(-6, 0, (n, dims["frames"], dims["classes"]))
        return np.asarray(np.log(rows / rows.sum(axis=-1, keepdims=True)))


class WholeKind(Kind):
    """Whole numbers."""

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        inside = np.isfinite(x) & (np.floor(x) == x)
        return None if inside.all() else self.first_violation(x, inside)

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.integers(0, dims["classes"], (n, *(dims[name] for name in self.core))).astype(np.float64)


class GroupKind(WholeKind):
    """The number of the group of a sample; any whole number."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.integers(0, n // 4 + 1, n).astype(np.float64)  # 4 samples a group on average; some groups have 1


@immutable
class LengthKind(Kind):
    """The number of leading entries of an axis that count; the others are padding.

    Attributes:
        axis: the name of the axis.
        shortest, longest: range of the lengths of samples, as fractions of the axis.
    """

    axis: str = ""
    shortest: float = 0.0
    longest: float = 1.0

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        inside = (x >= 0) & (x <= dims[self.axis]) & (np.floor(x) == x)
        if inside.all():
            return None
        violation = self.first_violation(x, inside)
        value = float(x[violation.element])
        if not value > dims[self.axis]:
            return violation
        return DomainViolation(
            violation.element, None, f"length {number(value)} is more than the {dims[self.axis]} {self.axis}"
        )

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        low, high = (int(share * dims[self.axis]) for share in (self.shortest, self.longest))
        return rng.integers(low, high + 1, n).astype(np.float64)


FEATURES, ITEMS, PIXELS = ("features",), ("items",), ("pixels...",)
_FLAG = "0 or 1"

Vector: TypeAlias = Annotated[
    # One decade: if two vectors are a million times as long as a third, their distances to it differ only by roundoff.
    Array, ArrayKind("Vector", "a finite number", REAL, FEATURES, decades=1.0)
]
# One decade: in a batch, the derivatives at the longest vector are negligible against those at the shortest.
Direction: TypeAlias = Annotated[Array, DirectionKind("Direction", "a finite number", REAL, FEATURES, decades=1.0)]
Scores: TypeAlias = Annotated[Array, ArrayKind("Scores", "a finite number", REAL, ITEMS)]
ClassScores: TypeAlias = Annotated[Array, ArrayKind("ClassScores", "a finite number", REAL, CLASSES)]
Relevances: TypeAlias = Annotated[Array, AmountsKind("Relevances", "a finite number, at least 0", NON_NEGATIVE, ITEMS)]
Amounts: TypeAlias = Annotated[Array, AmountsKind("Amounts", "a finite number, at least 0", NON_NEGATIVE, CLASSES)]
Distribution: TypeAlias = Annotated[
    Array, DistributionKind("Probabilities", "a probability, from 0 to 1", UNIT, CLASSES)
]
ClassFlags: TypeAlias = Annotated[Array, FlagsKind("ClassFlags", _FLAG, UNIT, CLASSES)]
ClassChances: TypeAlias = Annotated[
    Array, ProbabilityArrayKind("ClassChances", "a probability, from 0 to 1", UNIT, CLASSES)
]
Mask: TypeAlias = Annotated[Array, MaskKind("Mask", "a probability, from 0 to 1", UNIT, PIXELS, labels=2)]
HardMask: TypeAlias = Annotated[Array, HardMaskKind("HardMask", _FLAG, UNIT, PIXELS, labels=2)]
PIXEL_WEIGHT = "pixel weight"  # no input of a loss can have such a name
PIXEL_WEIGHTS = AmountsKind("PixelWeights", "a finite number, at least 0", NON_NEGATIVE, PIXELS)
PixelWeights: TypeAlias = Annotated[Array | None, PIXEL_WEIGHTS]
PixelScores: TypeAlias = Annotated[Array, ArrayKind("PixelScores", "a finite number", REAL, PIXELS)]
PixelProbabilities: TypeAlias = Annotated[
    Array,
    PixelProbabilitiesKind("PixelProbabilities", "a probability, from 0 to 1", UNIT, PIXELS + CLASSES),
]
PixelLabels: TypeAlias = Annotated[
    Array, PixelLabelsKind("PixelLabels", "a whole number, the index of a class", NON_NEGATIVE, PIXELS, labels=-1)
]
Frames: TypeAlias = Annotated[
    Array,
    FramesKind("Frames", "the logarithm of a probability, at most 0", Interval(-np.inf, 0.0), ("frames", *CLASSES)),
]
Symbols: TypeAlias = Annotated[Array, WholeKind("Symbols", "a whole number", REAL, ("symbols",))]
Group: TypeAlias = Annotated[Array, GroupKind("Group", "a whole number", REAL)]
InputLength: TypeAlias = Annotated[
    Array, LengthKind("InputLength", "a whole number, of frames", NON_NEGATIVE, axis="frames", shortest=0.8)
]
TargetLength: TypeAlias = Annotated[
    # Half of the axis: with a blank between equal symbols, n frames have room for about n/2 symbols.
    Array, LengthKind("TargetLength", "a whole number, of symbols", NON_NEGATIVE, axis="symbols", longest=0.5)
]


class BoundKind(Kind):
    """A bound of a time; samples have few magnitudes, so that the two bounds of a time are often equal or nearly so."""

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        size = 10.0 ** rng.integers(-2, 3, n)
        if not self.domain.open_low:
            return np.where(rng.random(n) < 0.2, 0.0, size)
        size *= 1.0 + np.where(rng.random(n) < 0.5, 0.0, 10.0 ** rng.uniform(-6, 0, n))
        return np.where(rng.random(n) < 0.2, np.inf, size)


Earliest: TypeAlias = Annotated[Array, BoundKind("Earliest", "a finite number, at least 0", NON_NEGATIVE)]

Latest: TypeAlias = Annotated[
    Array, BoundKind("Latest", "a number above 0, or inf", Interval(0.0, math.inf, open_low=True))
]
