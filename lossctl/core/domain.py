"""The domain of a loss: the shapes and values that its inputs may have, and the first violation.

``Loss.value`` and the blocks of the engine make the same checks: each input by its kind, then checks across inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Dims
from lossctl.core.kind import SUM_TOLERANCE
from lossctl.core.parameters import Value
from lossctl.core.signature import Input
from lossctl.immutable import immutable

# Violations across inputs, which no kind can detect: (input name, mask of invalid elements, function from the index of
# an element to the message).
Violations: TypeAlias = Iterator[tuple[str, npt.NDArray[np.bool_], Callable[[int], str]]]


@immutable
class InputViolation:
    """The first invalid element of the inputs of a loss.

    Attributes:
        input: the position of the input among the inputs of the loss.
        element: the index of the element.
        place: the flat index within the element; None if the element is a number or is invalid as a whole.
        cause: the error message.
        across_inputs: whether a check across inputs failed; no place is known then.
    """

    input: int
    element: int
    place: int | None
    cause: str
    across_inputs: bool = False


@immutable(eq=False)
class Domain:
    """The valid inputs of a loss.

    Attributes:
        loss: the name of the loss, for messages.
        inputs: the inputs of the loss.
        params: the values of its parameters.
        validate: its checks across inputs (see ``@loss``); None if it has none.
        from_logits: the name of the same loss with logits as predictions, for messages.
    """

    loss: str
    inputs: tuple[Input, ...]
    params: Mapping[str, Value]
    validate: Callable[..., Violations] | None = None
    from_logits: str = ""

    def first_violation(
        self, arrays: Sequence[Array], dims: Dims, tolerance: float = SUM_TOLERANCE, skip: Collection[int] = ()
    ) -> InputViolation | None:
        """Find the first invalid element, in the order of the inputs, followed by the checks across inputs.

        Args:
            arrays: the inputs, each ``(n, *core)``.
            dims: the length of each named core axis.
            tolerance: allowed deviation from 1 of the sum of a row of probabilities.
            skip: positions of inputs that are not checked by their kind. Default: none.

        Returns:
            the violation; None if all elements are valid.
        """
        for i, (spec, array) in enumerate(zip(self.inputs, arrays, strict=True)):
            if i not in skip and (violation := spec.kind.find_violation(array, dims, tolerance)):
                return InputViolation(i, violation.element, violation.place, violation.cause)
        for name, invalid, cause in self._across_inputs(arrays, tolerance):
            if invalid.any():
                element = int(invalid.argmax())
                index = [spec.name for spec in self.inputs].index(name)
                return InputViolation(index, element, None, cause(element), across_inputs=True)
        return None

    def invalid_mask(self, arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
        """Return a mask (n,) of the elements that fail the checks across inputs."""
        mask = np.zeros(len(arrays[0]), bool)
        for _, invalid, _ in self._across_inputs(arrays, SUM_TOLERANCE):
            mask |= invalid
        return mask

    def _across_inputs(self, arrays: Sequence[Array], tolerance: float) -> Violations:
        return iter(()) if self.validate is None else self.validate(*arrays, tolerance=tolerance, **self.params)

    def likely_cause(self, violation: InputViolation, array: Array) -> str:
        """Guess why a value is invalid: the end of the error message, such as ``; are they logits? …``, or "".

        Args:
            violation: the first invalid element.
            array: the values of its input, ``(n, *core)``.

        >>> import numpy as np
        >>> from lossctl import get_loss
        >>> get_loss("bce").domain.likely_cause(InputViolation(0, 1, None, ""), np.array([0.5, -3.0]))
        '; are they logits? bce_with_logits takes logits'
        """
        index, kind = violation.input, self.inputs[violation.input].kind
        element = np.ravel(array[violation.element])
        values = element if violation.place is None else element[violation.place : violation.place + 1]
        value = float(values[0])
        if not math.isfinite(value):
            return ""
        if kind.name == "LogProbabilities" and index == 0 and value > 0.0:
            return "; are they logits? --normalize subtracts the logarithm of each row's sum, as log_softmax does"
        if not kind.name.startswith("Probabilit") or len(values) > 1 or 0.0 <= value <= 1.0:
            return ""
        if index == 1:
            if value == -1.0:
                return "; for labels -1 and +1, add --labels -1,1"
            two = kind.labels == 2 and value > 1.0 and value.is_integer()
            return f"; for two labels, such as 1 and {value:g}, add --labels 1,{value:g}" if two else ""
        logits = f"; are they logits? {self.from_logits} takes logits" if self.from_logits else ""
        percent = "; divide percentages by 100" if 1.0 < value <= 100.0 else ""
        return logits + percent
