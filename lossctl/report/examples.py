"""A command that runs anywhere, for any loss: two rows of inputs that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from lossctl.kernels.kinds import Kind
from lossctl.kernels.spec import Loss

# Values for two samples, of which the first that a kind takes are shown: predictions, then targets and the rest.
_NUMBERS = (((2.5, 0.5), (0.8, 0.3)), ((1.0, -1.0), (2.0, 1.0), (1.0, 0.0)))
_LOGS = tuple(round(math.log(p), 4) for p in (0.7, 0.2, 0.1))
_ROWS = (
    (((2.0, 0.5, -1.0), (0.1, 1.5, 0.3)), ((0.7, 0.2, 0.1), (0.1, 0.8, 0.1)), (_LOGS, _LOGS)),
    (((0.0, 1.0, 1.0), (1.0, 0.0, 0.0)), ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1)), ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))),
)


def example(loss: Loss, spec: str) -> str:
    """A command line: where inputs are no table of numbers or of classes, one that draws its own."""
    if any(i.kind.core not in ((), ("classes",)) for i in loss.inputs):
        return f"lossctl gradcheck {spec}"
    values = [_values(i.kind, role == "target") for i, role in zip(loss.inputs, loss.roles, strict=True)]
    known = [v for v in values if v is not None]
    return _command(loss, spec, known) if len(known) == len(values) else f"lossctl gradcheck {spec}"


def _values(kind: Kind, is_target: bool) -> Sequence[Sequence[float]] | None:
    """One row of numbers a sample."""
    for pair in (_ROWS if kind.core else _NUMBERS)[is_target]:
        array = np.array(pair)
        if kind.find_fault(array, {"classes": 3}) is None:
            return array.reshape(2, -1).tolist()
    return None


def _command(loss: Loss, spec: str, values: Sequence[Sequence[Sequence[float]]]) -> str:
    names = {
        role: [role] if len(rows[0]) == 1 else [f"{role}{j}" for j in range(len(rows[0]))]
        for role, rows in zip(loss.roles, values, strict=True)
    }
    lines = [",".join(name for group in names.values() for name in group)]
    lines += [",".join(f"{x:g}" for rows in values for x in rows[sample]) for sample in range(2)]
    options = []
    for role, columns in names.items():
        wanted = columns[0] if len(columns) == 1 else f"'{role}*'"
        options.append({"pred": "-p ", "target": "-t "}.get(role, f"--input {role}=") + wanted)
    said = "; ".join(f"echo {line}" for line in lines)
    return f"({said}) | lossctl compute {spec} - {' '.join(options)}"
