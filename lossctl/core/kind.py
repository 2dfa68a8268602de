"""The base of the kinds of inputs: the interval of a number, the named axes of an element, the first violation.

``core`` names the axes of one element, as in the signature of a generalised ufunc: ``()`` for a number,
``("classes",)`` for a row of class scores. Axes of the same name have the same length in all inputs of a loss; all
other axes are loops over elements.

A name that ends in dots, ``("pixels...",)``, stands for any number of axes: all except the first and, if ``core``
names it as well, the axis of the classes. A kernel gets them flattened to one axis. Kinds with such a name are in
:mod:`lossctl.core.array_kinds`.
"""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Core, Dims
from lossctl.core.interval import REAL, Interval
from lossctl.errors import number
from lossctl.immutable import immutable

# Rows of probabilities from float16 files or `%.4f` text sum to 1 within this tolerance; logits and unnormalised scores
# do not.
SUM_TOLERANCE = 1e-3


@immutable
class DomainViolation:
    """The first element outside the domain of a kind.

    Attributes:
        element: the index of the element.
        place: the flat index within the element; None if the element is a number or is invalid as a whole.
        cause: the error message.
    """

    element: int
    place: int | None
    cause: str


@immutable
class Kind:
    """A number in an interval; subclasses add further conditions and other samples.

    Attributes:
        name: the name of the kind.
        words: a description of the valid values for messages, such as "a finite number".
        domain: the interval of each number.
        core: the names of the axes of one element.
        labels: how many names ``--labels`` can take for this kind: 0 (none), 2, or -1 (any number).
        hint: an end of the error message, with a remedy.
    """

    name: str
    words: str
    domain: Interval
    core: Core = ()
    labels: int = 0
    hint: str = field(default="", repr=False)

    @property
    def sums_to_one(self) -> bool:
        """Whether the numbers of an element are probabilities that sum to 1, so that --normalize has an effect."""
        return False

    @property
    def implied_by_finite_loss(self) -> bool:
        """Whether every invalid element contains a NaN or an infinity, so that finite losses can imply valid inputs."""
        return type(self) is Kind and self.domain is REAL

    @property
    def is_code(self) -> bool:
        """Whether the numbers stand for something else, as class labels do, so that they have no magnitude."""
        return False

    def find_violation(self, x: Array, dims: Dims, tolerance: float = SUM_TOLERANCE) -> DomainViolation | None:
        """Find the first element outside the domain.

        Args:
            x: (n, *core) elements.
            dims: the length of each named core axis.
            tolerance: allowed deviation from 1 of the sum of a row of probabilities.

        Returns:
            the first violation; None if all elements are valid.
        """
        if not x.size or (self.domain is REAL and all_finite(x)):
            return None
        # Two reductions need no temporary array; they also detect NaN, which fails every comparison.
        if x.min() in self.domain and x.max() in self.domain:
            return None
        inside = np.fromiter((v in self.domain for v in x.ravel()), bool, x.size).reshape(x.shape)
        return self.first_violation(x, inside)

    def first_violation(self, x: Array, inside: npt.NDArray[np.bool_]) -> DomainViolation:
        index = np.unravel_index(int(np.argmin(inside)), x.shape)
        place = int(np.ravel_multi_index(index[1:], x.shape[1:])) if len(index) > 1 else None
        return DomainViolation(int(index[0]), place, self.cause(float(x[index])))

    def cause(self, value: float) -> str:
        """Return the error message for one invalid value, with a remedy."""
        if value != value:
            return f"nan is not {self.words}; --nan skip leaves such samples out, --nan propagate lets them through"
        return f"{number(value)} is not {self.words}{self.hint}"

    def normalize(self, x: Array) -> Array:
        """Scale rows of probabilities to sum to 1; other kinds return ``x`` unchanged."""
        return x

    def encode(self, codes: Array) -> Array:
        """Encode class codes 0, 1, 2 …, which ``--labels`` makes of names, as values of this kind."""
        return codes

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        """Return ``n`` random elements (n, *core), with many near the ends of the domain."""
        # Twelve decades, because a difference step that is right for magnitude 1 fails at others.
        size = 10.0 ** rng.uniform(-6, 6, n)
        if self.domain.low >= 0:
            return size
        return np.where(rng.random(n) < 0.01, 0.0, size * rng.choice([-1.0, 1.0], n))


CLASSES = ("classes",)


def flattens_axes(core: Core) -> bool:
    """Return whether an element takes all axes of a sample, flattened (a core name that ends in dots)."""
    return bool(core) and core[0].endswith("...")


def has_class_axis(core: Core) -> bool:
    """Return whether one axis of an element, at any position in the data, holds the classes."""
    return (core[1:] if flattens_axes(core) else core) == CLASSES


def has_channels(core: Core, class_axis: int | None) -> bool:
    """Return whether each channel of an image is an element, because an axis of classes is given for a mask.

    Args:
        core: the axes of an element of the predictions.
        class_axis: the axis of the classes; None if not given.
    """
    return class_axis is not None and flattens_axes(core) and len(core) == 1


def as_elements(array: npt.NDArray[Any], core: Core, class_axis: int | None = None) -> npt.NDArray[Any]:
    """Reshape samples (n, …) to elements (m, *core).

    >>> as_elements(np.zeros((2, 3, 4)), ()).shape, as_elements(np.zeros((2, 3, 4)), ("pixels...",)).shape
    ((24,), (2, 12))
    """
    if class_axis is not None and array.ndim > 2 and has_class_axis(core):
        array = np.moveaxis(array, class_axis, -1)
    core_shape = array.shape[array.ndim - len(core) + flattens_axes(core) :] if core else ()
    if flattens_axes(core):
        inner = array.shape[1 : array.ndim - len(core_shape)]
        return array.reshape(len(array), math.prod(inner), *core_shape)
    return array if array.ndim == 1 + len(core) else array.reshape(-1, *core_shape)


def as_channels(array: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    """Reshape images (n, …) with channels along an axis to elements (n·channels, pixels).

    >>> as_channels(np.zeros((2, 4, 5, 3)), -1).shape
    (6, 20)
    """
    images = np.moveaxis(array, axis, 1)
    return images.reshape(len(images) * images.shape[1], -1)


def all_finite(x: Array) -> bool:
    """Return whether the sum is finite, which implies finite elements; takes half the time of min and max."""
    return math.isfinite(np.add.reduce(x, axis=None))  # an overflow gives False though all may be finite
