"""Match the columns of a data set with the inputs of a loss: how each row splits into elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field

from lossctl.core.array_kinds import PIXEL_WEIGHT
from lossctl.core.arrays import Dims
from lossctl.core.kind import CLASSES, Kind, flattens_axes, has_class_axis
from lossctl.core.list_parameters import lists_of, with_list_inputs
from lossctl.core.loss import Loss
from lossctl.core.pixels import with_pixel_weights
from lossctl.core.registry import get_loss
from lossctl.core.twins import meant, twin_hint
from lossctl.core.user_kernel import ROWS, tensor_hint
from lossctl.engine.masks import MaskLayout, channels_first, mask_layout
from lossctl.engine.options import EXPOSURE, ComputeOptions, check_acting, check_classes
from lossctl.errors import DataError, UsageError
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset


@immutable
class LossPlan:
    """A loss bound to columns of a data set, with the shape in which it reads each row.

    Attributes:
        loss: the loss.
        roles: the column role of each input of the loss, in the order of its inputs.
        loop: the shape of the elements of one sample; () if a sample is one element.
        core: the shape of one element of the predictions; () if it is a number.
        dims: the length of each named core axis.
        lists: the values of the parameters of the loss that are lists, by role.
        repeated: the roles of inputs with one number for all elements of a row.
        masks: how a loss of masks reads its images; None if it reads them as they are, and for other losses.
        exposed: whether the target is divided by the exposure, which is its weight.
    """

    loss: Loss
    roles: tuple[str, ...]
    loop: tuple[int, ...]
    core: tuple[int, ...]
    dims: Dims
    lists: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    masks: MaskLayout | None = None
    exposed: bool = False

    @property
    def per_row(self) -> int:
        """The number of elements of one sample."""
        return math.prod(self.loop)

    @property
    def channel_axis(self) -> int | None:
        """The axis of the channels of an image, if each is an element; else None."""
        return self.masks.axis if self.masks else None

    @property
    def target(self) -> str:
        """The role of the target: of several columns of targets, a comparison takes one for each model."""
        return self.roles[self.loss.roles.index("target")]


def plan_loss(loss: Loss, data: Dataset, options: ComputeOptions, roles: Sequence[str] | None = None) -> LossPlan:
    """Bind a loss to columns: check their shapes and determine how each row splits into elements.

    Args:
        loss: the loss.
        data: the data set with the columns.
        options: options of the computation; the class axis, the class weights and the ignored label matter here.
        roles: the column role of each input of the loss, in order; default: the roles of the loss.

    Raises:
        DataError: the shapes do not fit each other or the loss.
        UsageError: the data set lacks an input of the loss, or the options about classes do not fit the loss.
    """
    roles = loss.roles if roles is None else roles
    _check_present(loss, data, roles)
    tails = [data.raw_row_shape(role) for role in roles]
    loss = for_shapes(loss, tails).for_rows(tails)
    lists = {name: values for name, values in lists_of(loss).items() if name not in roles}
    check_acting(loss, options)
    masks = mask_layout(loss, data, options, roles)
    loops: list[tuple[tuple[int, ...], str]] = []
    dims: dict[str, tuple[tuple[int, ...], str]] = {}
    for role, spec in zip(roles, loss.inputs, strict=True):
        if masks is not None and masks.channels:
            loop, axes = masks.split(data, role, spec.kind.core)
        else:
            loop, axes = _split(loss, role, spec.kind, data, options.class_axis)
        for name, shape in axes.items():
            known = dims.setdefault(name, (shape, role))
            if known[0] != shape:
                what = f"{role} has {_inner(shape)} {name.rstrip('.')} a row, {known[1]} has {_inner(known[0])}"
                raise DataError(f"{what}: {_shapes(data, roles)}{twin_hint(loss.name, tails)}")
        loops.append((loop, role))
    loop = loops[0][0]
    _check_lists(loss, data, roles, loop, lists)
    # The targets of a list belong to each of its values, a scale or an exposure to each element of its sample.
    scales = {
        r for r, i in zip(roles, loss.inputs, strict=True) if r not in ("pred", "target") and i.kind.domain.low >= 0
    }
    repeated = {role for other, role in loops[1:] if not other and math.prod(loop) > 1 and (lists or role in scales)}
    for other, role in loops[1:]:
        if other != loop and role not in repeated and (other or math.prod(loop) > 1):
            raise DataError(_misfit(loss, data, roles, role) + twin_hint(loss.name, tails))
    weight = data.row_shape("weight") if "weight" in data.places else ()
    if weight != loop[: len(weight)] and not (masks and masks.weights):
        raise DataError(f"weight has {_shape(weight)}: one per sample or one per element; {_shapes(data, roles)}")
    exposed = _is_exposed(loss, data, roles, loop)
    first = [shape for name in loss.inputs[0].kind.core for shape in dims[name][0]]
    pixels = masks is not None and masks.weighs_pixels
    plan = LossPlan(
        with_pixel_weights(loss) if pixels else with_list_inputs(loss),
        (*roles, *([PIXEL_WEIGHT] if pixels else lists)),
        loop,
        tuple(first),
        {name: math.prod(shape) for name, (shape, _) in dims.items()},
        lists,
        frozenset(repeated),
        masks,
        exposed,
    )
    check_classes(plan.loss, plan.dims, options)
    if plan.dims.get("items") == 1 and not data.lists:
        raise UsageError(
            f"{loss.name}: each row is a list of one item, whose loss says nothing: a file of one item per row needs "
            "--group COLUMN, the list of each row"
        )
    return plan


def _is_exposed(loss: Loss, data: Dataset, roles: Sequence[str], loop: tuple[int, ...]) -> bool:
    """Return whether the data set has an exposure that is no input of the loss.

    Raises:
        UsageError: the loss takes no exposure, or has a term of the counts themselves.
        DataError: the exposure has another shape.
    """
    if EXPOSURE not in data.places or EXPOSURE in roles:
        return False
    if not loss.takes_exposure:
        raise UsageError(f"{loss.name} takes no exposure")
    if loss.params.get("full"):
        raise UsageError(f"{loss.name}:full adds a term of the counts, and with an exposure targets are rates")
    shape = data.row_shape(EXPOSURE)
    if shape != loop[: len(shape)]:
        raise DataError(f"exposure has {_shape(shape)}: one per sample or one per element; {_shapes(data, roles)}")
    return True


def _check_lists(
    loss: Loss, data: Dataset, roles: Sequence[str], loop: tuple[int, ...], lists: Mapping[str, tuple[float, ...]]
) -> None:
    """Raise UsageError if a parameter that is a list has not one value for each column of the predictions."""
    columns = loop[-1] if loop else 1
    for name, values in lists.items():
        if loss.row_wise:
            raise UsageError(f"{loss.name}: {name} is a list, and each row is one sample: it takes one value")
        if len(values) != columns or len(loop) > 1:
            many = f"{len(values)} values of {name}, one for each column"
            raise UsageError(f"{loss.name}: {many}, and {_shapes(data, roles[:1])}")


def for_shapes(loss: Loss, tails: Sequence[tuple[int, ...]]) -> Loss:
    """Return the loss that is meant by the name as typed for rows of these shapes: log_loss of k columns is another.

    Raises:
        UsageError: that loss lacks a parameter that was bound.
    """
    name = meant(loss.called, tails)
    return get_loss(name).bind(**loss.bound_values) if name else loss


def _check_present(loss: Loss, data: Dataset, roles: Sequence[str]) -> None:
    """Raise UsageError if the data set lacks an input of the loss."""
    for role, spec in zip(roles, loss.inputs, strict=True):
        if role not in data.places:
            hint = "give TARGETS, or --target COLUMN" if role == "target" else f"--input {role}=FILE or COLUMN"
            if role == "scale" and loss.training_scale:
                hint += ", or --training FILE, the past of the series"
            raise UsageError(f"{loss.name} needs {role} ({spec.kind.words}): {hint}")


def _split(
    loss: Loss, role: str, kind: Kind, data: Dataset, axis: int | None
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
    """Split the shape of a sample into the loop axes and, for each core name, the lengths of its axes."""
    core = kind.core
    # A single column is a number, not a row of one class or an image of one pixel. Only where an element is a
    # vector, a list or a sequence does a single column count as an axis of length 1.
    plain = not core or flattens_axes(core) or core == CLASSES
    tail = data.row_shape(role) if plain else data.raw_row_shape(role)
    if len(tail) < len(core):
        if core == CLASSES:
            raise DataError(
                f"{role}: one number per row, but {loss.name} takes one for each class: select several columns"
                f"{twin_hint(loss.name, [data.raw_row_shape(r) for r in loss.roles])}"
            )
        hint = "; a single image is an array of shape (1, …)" if flattens_axes(core) else ""
        raise DataError(f"{role} has {_shape(tail)}, where {loss.name} takes shape (n, {', '.join(core)}){hint}")
    if has_class_axis(core):
        tail = _classes_last(role, tail, axis)
    cut = len(tail) - len(core) + flattens_axes(core)
    core_axes = [(length,) for length in tail[cut:]]
    if flattens_axes(core):
        return (), dict(zip(core, [tail[:cut], *core_axes], strict=True))
    return tail[:cut], dict(zip(core, core_axes, strict=True))


def _classes_last(role: str, tail: tuple[int, ...], axis: int | None) -> tuple[int, ...]:
    if axis is None:
        if len(tail) > 1:
            raise UsageError(f"{role} has shape (n, {_inner(tail)}): --class-axis says which axis holds the classes")
        return tail
    classes, others = channels_first(role, tail, axis)
    return (*others, classes)


def _inner(tail: tuple[int, ...]) -> str:
    return ", ".join(map(str, tail))


def _shape(tail: tuple[int, ...]) -> str:
    if len(tail) > 1:
        return f"shape (n, {_inner(tail)})"
    return f"{tail[0]} columns" if tail else "1 column"


def _shapes(data: Dataset, roles: Sequence[str]) -> str:
    names = {r: data.sources[data.places[r].source].display_name for r in roles}
    return ", ".join(f"{r}{f' ({n})' if n != r else ''} has {_shape(data.row_shape(r))}" for r, n in names.items())


def _misfit(loss: Loss, data: Dataset, roles: Sequence[str], role: str) -> str:
    kind = loss.inputs[list(roles).index(role)].kind
    if loss.row_wise and not kind.core:
        hint = f"{loss.name} takes one {kind.name.lower()} a row"
    elif not loss.is_builtin and not loss.row_wise:
        hint = f"for a row per sample, annotate the parameters of {loss.name}: {ROWS}{tensor_hint(loss.kernel)}"
    else:
        hint = "nothing is broadcast: choose columns with --pred and --target"
    return f"{_shapes(data, roles)}: {hint}"


def check_unweighted_gradient(loss: Loss, data: Dataset, reduction: str) -> None:
    """Refuse the gradient of a weighted mean or sum of a batch-coupled loss.

    Kernels give the gradient of the unweighted sum; if samples depend on each other, the weighted gradient is not
    that gradient times the weight of each sample.

    Raises:
        UsageError: the loss is batch-coupled, the data have weights, and the reduction is not ``none``.
    """
    if loss.batch_coupled and "weight" in data.places and reduction != "none":
        raise UsageError(
            f"{loss.name}: samples depend on each other, so the gradient of a weighted {reduction} is not that of each "
            "times its weight: leave out --weight, or say --reduction none"
        )
