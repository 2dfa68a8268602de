"""Which arrays of a model are checked, and the gradients that a function returned for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lossctl.core.arrays import Array
from lossctl.errors import DataError, UsageError, nearest, number, printable, quoted
from lossctl.gradients.array_hints import Hint
from lossctl.gradients.model_result import ArrayCheck
from lossctl.gradients.rounding import precision_of


def select_arrays(
    arrays: Mapping[str, np.ndarray],
    wrt: Sequence[str] | None,
    what: str = "gradient",
    constants: Mapping[str, str] | None = None,
) -> tuple[list[str], list[ArrayCheck]]:
    """Return the names of the arrays to check, and the verdicts on those that are skipped.

    Args:
        arrays: all arrays.
        wrt: the names of those to check. Default None: every array of floats.
        what: what is checked. Default ``gradient``.
        constants: the reason why an array has no gradient, by name. Default: none.

    Raises:
        UsageError: a name of `wrt` is no array, or an array without a gradient; or nothing is left to check.
        DataError: an array is complex, not numeric, or not finite.
    """
    for name in wrt or ():
        if name not in arrays:
            raise UsageError(
                f"--wrt {printable(name)}: there is no such array; there are {', '.join(map(printable, arrays))}"
                f"{nearest(name, arrays)}"
            )
    names, skipped = [], []
    for name, array in arrays.items():
        kind = array.dtype.kind
        if kind not in "fiub":
            cure = ": give its real and imaginary part as two arrays" if kind == "c" else ": only numbers are read"
            raise DataError(f"array {quoted(name)} is of type {printable(str(array.dtype))}{cure}")
        reason = (constants or {}).get(name, "")
        if kind != "f":
            reason = f"{array.dtype.name} has no gradient"
            if wrt is not None and name in wrt:
                raise UsageError(f"--wrt {printable(name)}: an array of {array.dtype.name} has no gradient")
        elif reason and wrt is not None and name in wrt:
            raise UsageError(f"--wrt {printable(name)}: it has no gradient: {reason}")
        elif wrt is not None and name not in wrt:
            reason = "not in --wrt"
        elif not array.size:
            reason = "empty"
        if not reason and not np.isfinite(array).all():
            first = np.unravel_index(int(np.argmin(np.isfinite(array))), array.shape)
            place = f"[{', '.join(str(int(i)) for i in first)}]" if array.shape else ""
            raise DataError(f"{printable(name)}{place} is {number(float(array[first]))}: parameters must be finite")
        if reason:
            skipped.append(skip(name, array, reason, what))
        else:
            names.append(name)
    if not names:
        raise UsageError("no array of floats is left to check")
    return names, skipped


def skip(name: str, array: np.ndarray, reason: str, what: str = "gradient") -> ArrayCheck:
    """Return the verdict on an array that is not checked."""
    return ArrayCheck(name, what, array.shape, array.dtype.name, array.size, "skipped", reason=reason)


class GivenGradients:
    """The gradients that a function returned, those that can be checked apart from the others.

    Args:
        arrays: all arrays.
        names: those to check.
        given: the gradients that were returned.
        where: the function that returned them.
        strict: whether a missing gradient is an error, rather than a skipped array.
        what: what is checked.

    Attributes:
        usable: the arrays whose gradient has their shape and is finite, as float64.
        precision: the precision of each, as the distance from 1 to the next number.
        checks, hints: on the other arrays.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        names: Sequence[str],
        given: Mapping[str, np.ndarray],
        *,
        where: str,
        strict: bool,
        what: str = "gradient",
    ) -> None:
        self.usable: dict[str, Array] = {}
        self.precision: dict[str, float] = {}
        self.checks: list[ArrayCheck] = []
        self.hints: list[Hint] = []
        self._where, self._what = where, what
        for name in names:
            if name in given:
                self._take(name, arrays[name], given[name])
            elif strict:
                raise DataError(f"{where}: returned no gradient of {printable(name)}, which --wrt names")
            else:
                self.checks.append(skip(name, arrays[name], "no gradient was returned", what))
        if all(check.verdict == "skipped" for check in self.checks) and not self.usable:
            raise DataError(f"{where}: returned no gradient of any array of floats")

    def _take(self, name: str, array: np.ndarray, gradient: np.ndarray) -> None:
        shape, code, words = array.shape, "", ""
        if gradient.shape != shape:
            if gradient.shape[1:] == shape and gradient.ndim == len(shape) + 1:
                code = "sum-over-batch"
                words = f"the gradient of {name} has shape {gradient.shape}: it is not summed over the batch"
            elif gradient.shape == shape[::-1]:
                code, words = "transposed", f"the gradient of {name} has shape {gradient.shape}: it is transposed"
            elif gradient.size != array.size or np.squeeze(gradient).shape != np.squeeze(array).shape:
                raise DataError(
                    f"{self._where}: the {self._what} of {printable(name)} has shape {gradient.shape}, "
                    f"{printable(name)} {shape}"
                )
        if not words and not np.isfinite(gradient).all():
            flat = np.isfinite(gradient).ravel()
            first = np.unravel_index(int(np.argmin(flat)), gradient.shape)
            place = f"{name}[{', '.join(str(int(i)) for i in first)}]" if gradient.shape else name
            code, words = (
                "not-finite",
                f"the gradient is {float(gradient[first])} at {place} ({flat.size - flat.sum():,} of {flat.size:,})",
            )
        if words:
            self.checks.append(ArrayCheck(name, self._what, shape, array.dtype.name, array.size, "wrong", reason=words))
            self.hints.append(Hint(code, words))
            return
        self.precision[name] = precision_of(gradient).eps
        self.usable[name] = gradient.astype(np.float64).reshape(shape)
