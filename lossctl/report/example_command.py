"""Example commands for `info`: self-contained command lines that run a loss on valid inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.kind import Kind, has_class_axis
from lossctl.core.loss import Loss

# Columns left of 80 by the headings of `info`. If an example with two samples is longer, it has only the second.
LINE = 67

# Example values by the number of axes of a sample: candidates for predictions, targets and other inputs. A candidate
# has two samples, or three for losses of groups, which need more than two. The first valid candidate is used.
_CHANCES = ((0.7, 0.2, 0.1), (0.1, 0.8, 0.1))
_CERTAIN = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
_LOGS, _OTHER_LOGS = (tuple(round(math.log(p), 4) for p in row) for row in (_CHANCES[0], (0.6, 0.3, 0.1)))
_THREE = ((2.0, 0.5, -1.0), (0.1, 0.8, 0.3), (1.0, 1.0, 0.0))
_PIXELS = ((0.6, 0.4), (0.3, 0.7))
_VALUES = {
    0: (
        ((2.5, -0.5), (0.8, 0.3), (-2.5, -0.5)),
        ((-1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (1.0, 2.0, 1.0), (-1.5, -2.0)),
        ((3.0, 2.0), (1.0, 1.0)),
    ),
    1: (
        (((2.0, 0.5, -1.0), (0.1, 0.8, 0.3)), _CHANCES, (_LOGS, _LOGS), _THREE),
        (((0.0, 1.0, 1.0), (1.0, 0.0, 0.0)), ((0.6, 0.3, 0.1), (0.2, 0.7, 0.1)), _CERTAIN, (_OTHER_LOGS, _OTHER_LOGS)),
        (((1.0, 0.0, 2.0), (0.5, 0.5, 1.0)),),
    ),
    2: ([(_PIXELS, _PIXELS), np.log((_PIXELS, _PIXELS)).round(4).tolist()], [], []),
}


def example(loss: Loss, spec: str) -> str:
    """Return a command line that shows where each input goes; ``gradcheck`` if no example values are valid.

    >>> from lossctl import get_loss
    >>> print(example(get_loss("huber"), "huber"))
    (echo 2.5,-1; echo -0.5,1) | lossctl compute huber - -p @1 -t @2
    """
    deep = any(len(i.kind.core) > 1 for i in loss.inputs)
    sizes = {name: 2 if deep else 3 for i in loss.inputs for name in i.kind.core} | {"symbols": 1}
    for samples in (2, 3):
        inputs = {role: _values(i.kind, role, sizes, samples) for i, role in zip(loss.inputs, loss.roles, strict=True)}
        known = {role: array for role, array in inputs.items() if array is not None}
        if len(known) == len(inputs) and loss.evaluate(*known.values())[0].any():  # an example with loss 0 shows little
            break
    else:
        return f"lossctl gradcheck {spec}"
    if deep:
        return _saved(loss, spec, known)
    whole = _printed(spec, known, samples)
    return whole if len(whole) <= LINE or loss.batch_coupled else _printed(spec, known, 1)


def _values(kind: Kind, role: str, sizes: Mapping[str, int], samples: int) -> Array | None:
    for values in _VALUES[len(kind.core)][{"pred": 0, "target": 1}.get(role, 2)]:
        array = np.array(values)[(slice(None), *(slice(sizes[name]) for name in kind.core))]
        if len(array) == samples and kind.find_violation(array, sizes) is None:
            return array
    return None


def _printed(spec: str, inputs: Mapping[str, Array], samples: int) -> str:
    """Return a command that pipes the samples as lines of csv without a header; options name columns by number."""
    table = np.column_stack([*inputs.values()])[-samples:]
    lines = "; ".join(f"echo {','.join(f'{x:g}' for x in row)}" for row in table.tolist())
    lines = f"({lines})" if samples > 1 else lines
    options, last = [], 0
    for role, array in inputs.items():
        first, last = last + 1, last + array[0].size
        options.append(_option(role) + (f"@{first}" if first == last else f"@{first}-{last}"))
    return f"{lines} | lossctl compute {spec} - {' '.join(options)}"


def _saved(loss: Loss, spec: str, inputs: Mapping[str, Array]) -> str:
    """Return a command that saves the second sample to .npz, for inputs of more axes than a line of text can hold."""
    file = f"{loss.name}.npz"
    saved = ", ".join(f"{role}={_nested(array[1:].tolist())}" for role, array in inputs.items())
    names = [f"{'' if role in ('pred', 'target') else _option(role)}{file}:{role}" for role in inputs]
    code = f'import numpy; numpy.savez("{file}", {saved})'
    axis = " --class-axis 2" if has_class_axis(loss.inputs[0].kind.core) else ""
    return f"python3 -c '{code}' && lossctl compute {spec} {' '.join(names)}{axis}"


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else f"{value:g}"


def _option(role: str) -> str:
    return {"pred": "-p ", "target": "-t "}.get(role, f"--input {role}=")
