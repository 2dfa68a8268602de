"""What is probably the matter with inputs that a loss cannot take."""

from __future__ import annotations

import math

import numpy as np

from lossctl.kernels.kinds import Array, Fault
from lossctl.kernels.spec import Loss


def likely_cause(loss: Loss, index: int, x: Array, fault: Fault) -> str:
    """The end of the error about input ``index`` that ``x`` holds: ``; are they logits? …``, or nothing.

    >>> import numpy as np
    >>> from lossctl import get_loss
    >>> likely_cause(get_loss("bce"), 0, np.array([0.5, -3.0]), Fault(1, None, ""))
    '; are they logits? bce_with_logits takes those'
    """
    element = np.ravel(x[fault.element])
    values = element if fault.place is None else element[fault.place : fault.place + 1]
    value = float(values[0])
    if not math.isfinite(value):
        return ""
    if loss.inputs[index].kind.name == "LogProbabilities" and index == 0 and value > 0.0:
        return "; are they logits? --normalize subtracts the logarithm of each row's sum, as log_softmax does"
    if not loss.inputs[index].kind.name.startswith("Probabilit") or len(values) > 1 or 0.0 <= value <= 1.0:
        return ""
    if index == 1:
        return "; labels -1 and +1 want --labels -1,1" if value == -1.0 else ""
    logits = f"; are they logits? {loss.from_logits} takes those" if loss.from_logits else ""
    percent = "; percentages want dividing by 100" if 1.0 < value <= 100.0 else ""
    return logits + percent
