"""How the rows of a data set become the elements of a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lossctl.errors import DataError, UsageError
from lossctl.kernels.kinds import SUM_TOLERANCE, Dims
from lossctl.kernels.spec import Loss
from lossctl.sources.aligned import Dataset


@dataclass(frozen=True)
class Policy:
    """What the engine does that is no loss's business."""

    nan: str = "error"  # or skip, or propagate
    tolerance: float = SUM_TOLERANCE
    normalize: bool = False
    class_axis: int | None = None
    detail: bool = True  # standard error and extremes besides the sum
    labelled: frozenset[str] = frozenset()  # roles that hold codes 0, 1, 2 … of --labels


@dataclass(frozen=True)
class Job:
    """A loss, the roles of its inputs, and how a row splits into elements."""

    loss: Loss
    roles: tuple[str, ...]
    loop: tuple[int, ...]  # the shape of a sample's elements: () for one
    dims: Dims

    @property
    def per_row(self) -> int:
        """Elements of one sample."""
        return math.prod(self.loop)


def make_job(loss: Loss, roles: Sequence[str], data: Dataset, class_axis: int | None) -> Job:
    """How the rows of the data become elements of the loss.

    Raises:
        DataError: shapes that do not fit each other or the loss.
    """
    loops: list[tuple[tuple[int, ...], str]] = []
    dims: dict[str, tuple[int, str]] = {}
    for role, spec in zip(roles, loss.inputs, strict=True):
        tail, core = data.tail(role), spec.kind.core
        if core:
            tail = _classes_last(loss, role, tail, len(core), class_axis)
            for name, length in zip(core, tail[len(tail) - len(core) :], strict=True):
                known = dims.setdefault(name, (length, role))
                if known[0] != length:
                    raise DataError(
                        f"{role} has {length} {name} a row, {known[1]} has {known[0]}: {_shapes(data, roles)}"
                    )
        loops.append((tail[: len(tail) - len(core)], role))
    loop = loops[0][0]
    for other, role in loops[1:]:
        if other != loop:
            raise DataError(_misfit(loss, data, roles, role))
    if "weight" in data.places and data.tail("weight") not in ((), loop):
        raise DataError(
            f"weight has {_shape(data.tail('weight'))}: one a sample or one an element; {_shapes(data, roles)}"
        )
    return Job(loss, tuple(roles), loop, {name: length for name, (length, _) in dims.items()})


def _classes_last(loss: Loss, role: str, tail: tuple[int, ...], core: int, axis: int | None) -> tuple[int, ...]:
    if len(tail) < core:
        raise DataError(f"{role}: one number a row, where {loss.name} takes one for each class: select several columns")
    if core == 1 and len(tail) > 1:
        if axis is None:
            raise UsageError(f"{role} has shape (n, {_inner(tail)}): --class-axis says which axis holds the classes")
        if axis in (0, -len(tail) - 1) or not -len(tail) - 1 < axis <= len(tail):
            raise UsageError(f"--class-axis {axis}: {role} has axes 1 to {len(tail)} besides that of the samples, 0")
        place = axis - 1 if axis > 0 else axis + len(tail)
        return (*tail[:place], *tail[place + 1 :], tail[place])
    return tail


def _inner(tail: tuple[int, ...]) -> str:
    return ", ".join(map(str, tail))


def _shape(tail: tuple[int, ...]) -> str:
    if len(tail) > 1:
        return f"shape (n, {_inner(tail)})"
    return f"{tail[0]} columns" if tail else "1 column"


def _shapes(data: Dataset, roles: Sequence[str]) -> str:
    return ", ".join(f"{r} ({data.sources[data.places[r].source].where}) has {_shape(data.tail(r))}" for r in roles)


def _misfit(loss: Loss, data: Dataset, roles: Sequence[str], role: str) -> str:
    kind = loss.inputs[list(roles).index(role)].kind
    if loss.row_wise and not kind.core:
        cure = f"{loss.name} takes one {kind.name.lower()} a row"
    else:
        cure = "nothing is broadcast: choose columns with --pred and --target"
    return f"{_shapes(data, roles)}: {cure}"
