"""How the rows of a data set become the elements of a loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lossctl.core.arrays import Dims
from lossctl.core.input_kinds import (
    CLASSES,
    SUM_TOLERANCE,
    Kind,
    LabelKind,
    ProbabilitiesKind,
    flattens_axes,
    has_class_axis,
)
from lossctl.core.loss import Loss
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import Dataset


@dataclass(frozen=True)
class ComputeOptions:
    """What the engine does that is no loss's business."""

    nan: str = "error"  # or skip, or propagate
    tolerance: float = SUM_TOLERANCE
    normalize: bool = False
    class_axis: int | None = None
    class_weight: tuple[float, ...] = ()  # one for each class, or none at all
    ignore_index: int | None = None  # the label of what does not count
    detail: bool = True  # standard error and extremes besides the sum
    labelled: frozenset[str] = frozenset()  # roles that hold codes 0, 1, 2 … of --labels


@dataclass(frozen=True)
class LossPlan:
    """A loss, the roles of its inputs, and how a row splits into elements."""

    loss: Loss
    roles: tuple[str, ...]
    loop: tuple[int, ...]  # the shape of a sample's elements: () for one
    core: tuple[int, ...]  # the shape of an element of the predictions: () for a number
    dims: Dims

    @property
    def per_row(self) -> int:
        """Elements of one sample."""
        return math.prod(self.loop)


def bind_plan(loss: Loss, roles: Sequence[str], data: Dataset, policy: ComputeOptions) -> LossPlan:
    """How the rows of the data become elements of the loss.

    Raises:
        DataError: shapes that do not fit each other or the loss.
        UsageError: options about classes that do not fit the loss.
    """
    loops: list[tuple[tuple[int, ...], str]] = []
    dims: dict[str, tuple[tuple[int, ...], str]] = {}
    for role, spec in zip(roles, loss.inputs, strict=True):
        loop, axes = _split(loss, role, spec.kind, data, policy.class_axis)
        for name, shape in axes.items():
            known = dims.setdefault(name, (shape, role))
            if known[0] != shape:
                what = f"{role} has {_inner(shape)} {name.rstrip('.')} a row, {known[1]} has {_inner(known[0])}"
                raise DataError(f"{what}: {_shapes(data, roles)}")
        loops.append((loop, role))
    loop = loops[0][0]
    for other, role in loops[1:]:
        if other != loop:
            raise DataError(_misfit(loss, data, roles, role))
    if "weight" in data.places and data.tail("weight") not in ((), loop):
        raise DataError(
            f"weight has {_shape(data.tail('weight'))}: one a sample or one an element; {_shapes(data, roles)}"
        )
    first = [shape for name in loss.inputs[0].kind.core for shape in dims[name][0]]
    job = LossPlan(
        loss, tuple(roles), loop, tuple(first), {name: math.prod(shape) for name, (shape, _) in dims.items()}
    )
    _check_classes(job, policy)
    return job


def _split(
    loss: Loss, role: str, kind: Kind, data: Dataset, axis: int | None
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """The axes that elements lie on, and those of each name in their core."""
    core = kind.core
    # A row of one class is no row, and a pixel no image, but a vector of one number is a vector.
    plain = not core or flattens_axes(core) or core == CLASSES
    tail = data.tail(role) if plain else data.shape(role)
    if len(tail) < len(core):
        if core == CLASSES:
            raise DataError(
                f"{role}: one number a row, where {loss.name} takes one for each class: select several columns"
            )
        cure = "; a single image is an array of shape (1, …)" if flattens_axes(core) else ""
        raise DataError(f"{role} has {_shape(tail)}, where {loss.name} takes shape (n, {', '.join(core)}){cure}")
    if has_class_axis(core):
        tail = _classes_last(role, tail, axis)
    cut = len(tail) - len(core) + flattens_axes(core)
    own = [(length,) for length in tail[cut:]]
    if flattens_axes(core):
        return (), dict(zip(core, [tail[:cut], *own], strict=True))
    return tail[:cut], dict(zip(core, own, strict=True))


def classes_of(loss: Loss) -> tuple[str, Kind] | None:
    """The role and the kind of the input that says of which class a sample is, if there is one."""
    for role, spec in zip(loss.roles, loss.inputs, strict=True):
        whole = isinstance(spec.kind, LabelKind) and not spec.kind.core
        if role == "target" and (whole or (isinstance(spec.kind, ProbabilitiesKind) and spec.kind.core == CLASSES)):
            return role, spec.kind
    return None


def _check_classes(job: LossPlan, policy: ComputeOptions) -> None:
    """That --class-weight and --ignore-index fit the loss."""
    name, target = job.loss.name, classes_of(job.loss)
    if policy.ignore_index is not None and (target is None or not isinstance(target[1], LabelKind)):
        raise UsageError(f"--ignore-index {policy.ignore_index}: the targets of {name} are not one label a sample")
    if not policy.class_weight:
        return
    if target is None:
        raise UsageError(f"--class-weight: the targets of {name} are neither one label a sample nor a row of classes")
    if len(policy.class_weight) != job.dims["classes"]:
        raise UsageError(f"--class-weight: {len(policy.class_weight)} weights for {job.dims['classes']} classes")


def _classes_last(role: str, tail: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    if len(tail) > 1:
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


def roles_of(loss: Loss, data: Dataset) -> list[str]:
    """Which role each input of the loss has.

    Raises:
        UsageError: an input that the data do not have.
    """
    roles = list(loss.roles)
    for role, spec in zip(roles, loss.inputs, strict=True):
        if role not in data.places:
            cure = "give TARGETS, or --target COLUMN" if role == "target" else f"--input {role}=FILE or COLUMN"
            raise UsageError(f"{loss.name} needs {role} ({spec.kind.words}): {cure}")
    return roles


def check_fits_in_memory(data: Dataset, jobs: Sequence[LossPlan]) -> None:
    """That the whole batch can be in memory; where its length is not known before it is read, it is tried.

    Raises:
        DataError: it clearly cannot: its inputs take more than a sixth of the memory that is free.
    """
    rows = min((source.rows for source in data.sources if source.rows is not None), default=0)
    roles = {role for job in jobs for role in job.roles}
    needed = _COPIES * rows * sum(8 * math.prod(data.shape(role)) for role in roles)
    free = _free()
    if free is not None and needed > free:
        names = ", ".join(job.loss.name for job in jobs)
        raise DataError(
            f"{names}: {rows:,} samples are one batch, and need {_bytes(needed)} of memory ({_COPIES} times their "
            f"numbers); {_bytes(free)} are free: give it smaller batches"
        )


def check_unweighted_gradient(loss: Loss, data: Dataset, reduction: str) -> None:
    """That nobody asks for the gradient of a weighted mean or sum of losses that share their samples.

    Raises:
        UsageError: such a gradient is not that of each sample times its weight, which is all that kernels give.
    """
    if loss.batch_coupled and "weight" in data.places and reduction != "none":
        raise UsageError(
            f"{loss.name}: samples depend on each other, so the gradient of a weighted {reduction} is not that of each "
            "times its weight: leave out --weight, or say --reduction none"
        )


# What a coupled loss takes at its peak, as multiples of its inputs in float64: the inputs as they are
# read and as they are laid out, two arrays of their size for what the kernel makes of them, and two
# for the gradient and what leads to it. (infonce at 4,000 × 512: 2.7 times beside what it is given.)
_COPIES = 6

_MEMINFO = Path("/proc/meminfo")


def _free() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not tell."""
    if not _MEMINFO.exists():
        return None
    fields = dict(line.split(":", 1) for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def _bytes(n: int) -> str:
    return f"{n / 1e9:,.1f} GB"
