"""One block of rows: its inputs in the shapes that losses take, each checked against its domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array, Core, Order, column_major
from lossctl.core.domain import InputViolation
from lossctl.core.kind import as_channels, as_elements, has_class_axis
from lossctl.engine.elements import Elements, RowError, RowIndex
from lossctl.engine.mask_arrays import mask_array
from lossctl.engine.options import EXPOSURE, ComputeOptions, classes_of
from lossctl.engine.plan import LossPlan
from lossctl.engine.where import WHERE
from lossctl.errors import number
from lossctl.io.dataset import FieldRef
from lossctl.io.source import BadValueError, Rows

# Every integer of at most this magnitude is exactly a double.
EXACT_INTEGERS = 2**53


class Block:
    """The inputs of one block in the shapes that losses take; each shape of an input is converted once."""

    def __init__(
        self, options: ComputeOptions, places: Mapping[str, FieldRef], start: int, rows: Sequence[Rows]
    ) -> None:
        self.options, self.places, self.start, self.rows = options, places, start, rows
        self.count = len(rows[0][0])
        self._inputs: dict[tuple[str, Core, int | None], Array] = {}
        self._checked: set[tuple[str, int]] = set()

    def input(self, role: str, core: Core = (), channels: int | None = None) -> Array:
        """Return an input as float64 of shape (elements, *core).

        Args:
            role: the role of the input.
            core: the names of the axes of an element. Default: an element is a number.
            channels: the axis of the channels of an image, each of which is an element. Default: none.

        Raises:
            RowError: a number that float64 cannot hold exactly.
        """
        key = (role, core, channels)
        if key not in self._inputs:
            place = self.places[role]
            rows = self.rows[place.source][place.field]
            raw = as_elements(rows, core, self.options.class_axis) if channels is None else as_channels(rows, channels)
            try:
                self._inputs[key] = as_float64(raw)
            except BadValueError as bad:
                per_row = len(raw) // self.count or 1
                spot = bad.place if core else bad.row % per_row
                raise RowError(role, self.start + bad.row // per_row, spot, bad.cause) from None
        return self._inputs[key]

    def array(self, plan: LossPlan, position: int) -> Array:
        """Return one input of a loss, (elements, *core): as ``input``, or the values of a parameter that is a list.

        Args:
            plan: the loss and its inputs.
            position: the position of the input among those of the loss.
        """
        role = plan.roles[position]
        if role in plan.lists:
            return np.tile(plan.lists[role], self.count)
        if plan.masks is not None:
            return mask_array(self, plan, role)
        array = self.input(role, plan.loss.inputs[position].kind.core)
        if plan.exposed and role == plan.target:
            return np.asarray(array / self._per_element(plan, self._exposure()))
        return np.repeat(array, plan.per_row) if role in plan.repeated else array

    def elements(self, plan: LossPlan, *, defer_domain_check: bool = False) -> Elements:
        """Select the elements that count, and check their inputs.

        Elements of weight 0 do not count, unless the count of the elements is the divisor. Elements with a NaN do not
        count either, except that with ``nan="error"`` they are kept and fail the check.

        Args:
            plan: the loss and its inputs.
            defer_domain_check: if the loss has ``propagates_nonfinite``, skip the checks that finite losses make
                unnecessary; the caller then has to call ``check_domain`` if a loss is not finite. Default False.

        Raises:
            RowError: an invalid value.
        """
        arrays = [self.array(plan, i) for i in range(len(plan.roles))]
        weights, ignored = self._weights(plan, arrays)
        if self.options.weight_divisor == "count":
            keep = None if ignored is None else ~ignored
        else:
            keep = None if weights is None else weights != 0
        skipped = 0
        if self.options.nan != "error":
            missing = _any_nan(arrays) if keep is None else _any_nan(arrays) & keep
            skipped = int(np.count_nonzero(missing))
            keep = ~missing if keep is None else keep & ~missing
        index = None
        if keep is not None and not keep.all():
            index = np.flatnonzero(keep)
            arrays = [_take(a, index) for a in arrays]
            weights = None if weights is None else weights[index]
        row_index = RowIndex(self.start, self.count, plan.per_row, index)
        deferred = defer_domain_check and plan.loss.propagates_nonfinite
        arrays = self._encoded(plan, arrays)
        self._check_domain(plan, arrays, index, deferred=deferred)
        if self.options.clip is not None:
            arrays[0] = _clipped(arrays[0], self.options.clip)
        left_out = 0 if ignored is None else int(np.count_nonzero(ignored))
        return Elements(arrays, weights, row_index, skipped, left_out, deferred)

    def check_domain(self, plan: LossPlan, elements: Elements) -> None:
        """Make the checks that ``elements`` skipped; raise RowError at an invalid value."""
        self._check_domain(plan, elements.arrays, elements.rows.index)

    def _weights(self, plan: LossPlan, arrays: Sequence[Array]) -> tuple[Array | None, npt.NDArray[np.bool_] | None]:
        """Return (elements,) weights, sample weight times class weight, and the mask of the ignored elements or None.

        The weights are None if there are none; elements with the ignored label get weight 0.
        """
        options, weights, ignored = self.options, self._given_weights(plan), self._outside(plan)
        more = None
        if options.class_weight:
            target = classes_of(plan.loss)
            assert target is not None
            target_values = arrays[plan.roles.index(target[0])]
            rows = target[1].normalize(target_values) if options.normalize else target_values
            # Log-probabilities (domain up to 0) are weighted by their probabilities.
            more = weights_of(np.exp(rows) if target[1].domain.high == 0 else rows, options.class_weight)
        if plan.masks is not None and plan.masks.weighs_pixels:
            empty = (arrays[-1] == 0.0).all(axis=-1)  # elements without a pixel that counts
            ignored = empty if ignored is None else ignored | empty
        elif options.ignore_index is not None:
            labels = arrays[plan.loss.roles.index("target")] == options.ignore_index
            ignored = labels if ignored is None else ignored | labels
        if ignored is not None:
            more = np.where(ignored, 0.0, 1.0 if more is None else more)
        if more is None:
            return weights, None
        return more if weights is None else self._product(weights, more), ignored

    def _outside(self, plan: LossPlan) -> npt.NDArray[np.bool_] | None:
        """Return the mask of the elements of rows that do not count, by the option ``where``; None if it is not set."""
        where = self.options.where
        if where is None:
            return None
        place = self.places[WHERE]
        raw = self.rows[place.source][place.field]
        values = raw.reshape(-1) if raw.dtype == object else self.input(WHERE)
        return np.repeat(~where.mask(values), plan.per_row)

    def _product(self, weights: Array, of_classes: Array) -> Array:
        """Multiply the weights of elements by those of their classes.

        Raises:
            RowError: a product is too large or too small for a double.
        """
        product = weights * of_classes
        bad = np.isinf(product) | ((product == 0) & (weights != 0) & (of_classes > 0))
        if bad.any():
            at = int(np.argmax(bad))
            size = "large" if product[at] else "small"
            cause = f"weight {number(weights[at])} times the weight {number(of_classes[at])} of its class is too {size}"
            raise RowError("weight", self.start + at * self.count // len(product), None, f"{cause} for a double")
        return product

    def _given_weights(self, plan: LossPlan) -> Array | None:
        """Return the weights of the data, one for each element: a weight of a sample is repeated for its elements."""
        exposure = self._per_element(plan, self._exposure()) if plan.exposed else None
        if "weight" not in self.places or (plan.masks is not None and plan.masks.weights):
            return exposure
        weights = self._per_element(plan, self.checked_weights())
        return weights if exposure is None else weights * exposure

    def _per_element(self, plan: LossPlan, of_samples: Array) -> Array:
        """Repeat numbers (samples,) for the elements of each sample; numbers (elements,) stay."""
        elements = self.count * plan.per_row
        return np.repeat(of_samples, elements // len(of_samples)) if len(of_samples) < elements else of_samples

    def _exposure(self) -> Array:
        """Return the exposures, flattened.

        Raises:
            RowError: one is not a finite number above 0.
        """
        exposure = self.input(EXPOSURE)
        bad = ~((exposure > 0) & (exposure < np.inf))
        if bad.any():
            per_row = len(exposure) // self.count
            row, spot = divmod(int(np.argmax(bad)), per_row)
            cause = f"exposure {number(exposure[bad][0])} is not a finite number above 0"
            raise RowError(EXPOSURE, self.start + row, spot if per_row > 1 else None, cause)
        return exposure

    def checked_weights(self) -> Array:
        """Return the weights of the data as they are, flattened.

        Raises:
            RowError: a weight is negative, without the option for it, or not finite.
        """
        weights = self.input("weight")
        bad = ~(weights >= 0) | (weights == np.inf)
        if self.options.allow_negative_weights:
            bad = ~np.isfinite(weights)
        if bad.any():
            per_row = len(weights) // self.count
            row, spot = divmod(int(np.argmax(bad)), per_row)
            cause = f"weight {number(weights[bad][0])} is not a finite number"
            if not self.options.allow_negative_weights:
                cause += " of at least 0" + "; --allow-negative-weights lets it count" * bool(weights[bad][0] > -np.inf)
            raise RowError("weight", self.start + row, spot if per_row > 1 else None, cause)
        return weights

    def _encoded(self, plan: LossPlan, arrays: Sequence[Array]) -> list[Array]:
        """Return the inputs in the encoding of the loss; the option ``normalize`` scales rows of probabilities."""
        encoded = []
        for role, spec, array in zip(plan.roles, plan.loss.inputs, arrays, strict=True):
            values = spec.kind.encode(array) if role in self.options.labelled else array
            encoded.append(spec.kind.normalize(values) if self.options.normalize else values)
        return encoded

    def _check_domain(
        self, plan: LossPlan, arrays: Sequence[Array], index: npt.NDArray[np.intp] | None, *, deferred: bool = False
    ) -> None:
        """Raise RowError at the first element outside the domain of the loss."""
        domain = plan.loss.domain
        skipped = {i for i, spec in enumerate(domain.inputs) if deferred and spec.kind.implied_by_finite_loss}
        if len(skipped) == len(domain.inputs) and domain.validate is None:
            return
        # id: kinds are constants, and hashing one takes as long as a check
        keys = [(role, id(spec.kind)) for role, spec in zip(plan.roles, domain.inputs, strict=True)]
        valid = {i for i, key in enumerate(keys) if index is None and key in self._checked}  # checked for another loss
        violation = domain.first_violation(arrays, plan.dims, self.options.tolerance, valid | skipped)
        if violation and skipped:  # report the violation that a check of all inputs finds first
            violation = domain.first_violation(arrays, plan.dims, self.options.tolerance, valid)
        if violation:
            raise self._row_error(plan, violation, arrays[violation.input], index)
        if index is None:
            self._checked.update(key for i, key in enumerate(keys) if i not in skipped)

    def _row_error(
        self, plan: LossPlan, violation: InputViolation, array: Array, index: npt.NDArray[np.intp] | None
    ) -> RowError:
        kind = plan.loss.inputs[violation.input].kind
        element = violation.element if index is None else int(index[violation.element])
        row, spot = divmod(element, plan.per_row)
        moved = self.options.class_axis is not None and has_class_axis(kind.core)
        place = (None if plan.loop or moved else violation.place) if kind.core else spot if plan.loop else None
        cause = violation.cause + plan.loss.domain.likely_cause(violation, array)
        place = None if violation.across_inputs or plan.roles[violation.input] in plan.repeated else place
        return RowError(plan.roles[violation.input], self.start + row, place, cause)


def _clipped(p: Array, clip: float) -> Array:
    """Return probabilities in [clip, 1 − clip]; numbers that are none stay, for the check of the domain."""
    low = np.where((p >= 0.0) & (p < clip), clip, p)
    return np.where((p <= 1.0) & (p > 1.0 - clip), 1.0 - clip, low)


def _take(array: Array, index: npt.NDArray[np.intp]) -> Array:
    """Take elements and keep the memory order, which checks and kernels need: a later copy would take longer."""
    return np.take(array.T, index, axis=1).T if column_major(array) else array[index]


def weights_of(target: Array, class_weight: Sequence[float]) -> Array:
    """Return the class weight of each label, or of each row of probabilities: the mean of its classes' weights.

    An invalid label or row gets weight 1, so that it is kept and the domain check reports it.

    Args:
        target: (n,) labels or (n, classes) probabilities.
        class_weight: one weight for each class.

    >>> weights_of(np.array([2.0, 0.0]), (0.5, 1.0, 2.0)).tolist()
    [2.0, 0.5]
    >>> weights_of(np.array([[0.0, 0.5, 0.5]]), (0.5, 1.0, 2.0)).tolist()
    [1.5]
    """
    weights = np.asarray(class_weight)
    if target.ndim == 1:
        known = np.isin(target, np.arange(len(weights)))
        return np.where(known, weights[np.where(known, target, 0).astype(np.intp)], 1.0)
    # Class by class, not as a matrix product, so that the roundoff does not depend on the memory order of the rows.
    total = np.zeros(len(target))
    for column, weight in enumerate(class_weight):
        total += weight * target[:, column]
    return np.where(np.isnan(total) | np.isinf(total), 1.0, total)


def as_float64(raw: npt.NDArray[Any]) -> Array:
    """Convert an array to float64, in the memory order that kernels take.

    The order is set before the domain checks, because they profit as well: the row sums of a block of 10 classes
    take 254 µs in row-major order and 29 µs in column-major order (tests/benchmarks/inside.py sums).

    Raises:
        BadValueError: a number that float64 cannot hold exactly.
    """
    order: Order = "F" if column_major(raw) else "C"
    if raw.dtype == np.float64 and raw.dtype.isnative:
        return np.asarray(raw, order=order)
    # Type and order in one step: 61 µs for a block of 10 classes; in two steps 218 µs.
    array = raw.T.astype(np.float64, order="C").T if order == "F" else raw.astype(np.float64, order="C")
    if raw.dtype.kind in "iu" and raw.dtype.itemsize == 8:
        if raw.size and (int(raw.max()) > EXACT_INTEGERS or int(raw.min()) < -EXACT_INTEGERS):
            changed = np.array([int(a) != int(b) for a, b in zip(raw.flat, array.flat, strict=True)]).reshape(raw.shape)
            _raise_first(raw, changed, "is beyond 2**53 and no double")
    elif raw.dtype.kind == "f" and raw.dtype.itemsize > 8:
        _raise_first(raw, (array != raw) & ~np.isnan(raw), "has more digits than a double holds")
    return array


def _raise_first(raw: npt.NDArray[Any], changed: npt.NDArray[np.bool_], cause: str) -> None:
    if changed.any():
        place = np.unravel_index(int(np.argmax(changed)), raw.shape)
        spot = int(place[1]) if len(place) > 1 else None
        raise BadValueError(0, int(place[0]), spot, f"{raw[place]!s} {cause}: round it first")


def _any_nan(arrays: Sequence[Array]) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        nan = np.isnan(array)
        mask |= nan if nan.ndim == 1 else nan.any(axis=tuple(range(1, nan.ndim)))
    return mask
