"""Profile of the inputs, collected in the same pass as the loss, from which input warnings are derived.

A property of the profile holds for all rows or not at all, so that the first numbers of a block are often enough to
refute it. On data that give no reason for a warning, the profile costs microseconds per block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.kind import SUM_TOLERANCE
from lossctl.engine.block import Block
from lossctl.engine.plan import LossPlan
from lossctl.immutable import immutable

# Numbers that are tested before a test of the whole block: in ordinary predictions the first sixteen are not all in
# [0, 1], and not all 0 or 1.
_HEAD = 16
_NONE = np.empty(0)
_BOTH = (0.0, 1.0)
_SCORES = ("Real", "Logits")  # kinds of predictions that can be scores
# Maximum number of rows (8 bytes of digest each) and of numbers in them for which duplicate rows are detected. The
# limits keep the cost at 1 to 2 ms per run.
_ROWS, _NUMBERS = 100_000, 1 << 18
# Limit of the mean |pred − target| relative to the mean |target|, in units of the machine epsilon of the narrow type.
# Below it, at most two digits of the difference are significant.
_ULPS = 100.0
# 2⁶⁴ divided by the golden ratio: its multiples modulo 2⁶⁴ are evenly distributed (Fibonacci hashing; Knuth, The Art
# of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@immutable
class InputProfile:
    """Properties that hold for all rows of the inputs so far.

    ``a + b`` is the profile of the rows of a followed by those of b. ``target_unit`` and ``target_codes`` are False and
    None, without a test, where they cannot lead to a warning.

    Attributes:
        rows: number of rows.
        unit, target_unit: whether all predictions, which are scores, and all targets lie in [0, 1].
        codes, target_codes: the distinct predictions and targets if all are 0 or 1, else None.
        constant: the bytes of a row of predictions if all rows are equal, else None.
        exponentials: whether predictions that should be logarithms, of a survival model, look like their exponentials.
        one_hot: whether probabilities of events are rows that sum to 1, with targets of which exactly one is 1.
        without_zero: whether targets are class labels and none is 0.
        narrow: the type (float32 or float16) whose roundoff dominates prediction − target, or "".
        digests: (rows,) a hash of the inputs of each row, or None if there are too many rows.
    """

    rows: int
    unit: bool
    target_unit: bool
    codes: frozenset[float] | None
    target_codes: frozenset[float] | None
    constant: bytes | None
    exponentials: bool
    one_hot: bool
    without_zero: bool
    narrow: str
    digests: npt.NDArray[np.uint64] | None = field(repr=False)

    def __add__(self, other: InputProfile) -> InputProfile:
        return InputProfile(
            self.rows + other.rows,
            self.unit and other.unit,
            self.target_unit and other.target_unit,
            _union(self.codes, other.codes),
            _union(self.target_codes, other.target_codes),
            self.constant if self.constant == other.constant else None,
            self.exponentials and other.exponentials,
            self.one_hot and other.one_hot,
            self.without_zero and other.without_zero,
            self.narrow if self.narrow == other.narrow else "",
            None if self.digests is None or other.digests is None else np.concatenate([self.digests, other.digests]),
        )


def _union(a: frozenset[float] | None, b: frozenset[float] | None) -> frozenset[float] | None:
    return None if a is None or b is None else a | b


def profile_block(block: Block, plan: LossPlan) -> InputProfile:
    """Compute the profile of the inputs of one block; weights are ignored."""
    roles = [role for role in plan.roles if role in block.places or plan.lists]
    arrays = [block.array(plan, i) if plan.lists else block.input(role) for i, role in enumerate(roles)]
    pred, target = arrays[0], arrays[1] if len(arrays) > 1 else _NONE
    first, firsts = pred[:_HEAD].tolist(), target[:_HEAD].tolist()
    scores = plan.loss.inputs[0].kind.name in _SCORES
    codes = _codes(pred, first)
    # Targets of 0 and 1 are normal for a loss of two classes. They matter only if the predictions are 0 and 1 as well,
    # or if the loss is for quantities.
    look = codes is not None or _quantities(plan)
    return InputProfile(
        block.count,
        scores and _in_unit(pred, first),
        look and _in_unit(target, firsts),
        codes,
        _codes(target, firsts) if look else None,
        _constant(pred.reshape(block.count, -1), first),
        _exponentials(plan, pred, target),
        _one_hot(plan, pred, target),
        0.0 not in firsts and [i.kind.name for i in plan.loss.inputs[1:2]] == ["Label"] and bool(target.all()),
        _narrow(block, plan, pred, target) if _quantities(plan) else "",
        _digests(block, arrays),
    )


def _quantities(plan: LossPlan) -> bool:
    """Return whether the loss is for quantities: predictions and targets may be any real number."""
    return [i.kind.name for i in plan.loss.inputs[:2]] == ["Real", "Real"]


def _in_unit(x: Array, first: Sequence[float]) -> bool:
    return bool(first) and all(0.0 <= v <= 1.0 for v in first) and bool(x.min() >= 0.0 and x.max() <= 1.0)


def _codes(x: Array, first: Sequence[float]) -> frozenset[float] | None:
    if not first or not all(v in _BOTH for v in first):
        return None
    ones = int(np.count_nonzero(x == 1.0))
    zeros = int(np.count_nonzero(x == 0.0))
    return frozenset([*([0.0] if zeros else []), *([1.0] if ones else [])]) if zeros + ones == len(x) else None


def _constant(rows: Array, first: Sequence[float]) -> bytes | None:
    if first[0] != rows[-1, 0] or not (rows == rows[0]).all():
        return None
    return bytes(rows[0].tobytes())


def _exponentials(plan: LossPlan, pred: Array, target: Array) -> bool:
    """Return whether predictions of cox or aft look like exponentials: hazard ratios, or times and not their logs."""
    kinds = [i.kind.name for i in plan.loss.inputs]
    if kinds == ["Real", "NonNegative", "Event"]:
        return bool((pred[:_HEAD] > 0.0).all() and (pred > 0.0).all())
    if kinds != ["Real", "Earliest", "Latest"] or not (pred > 0.0).all():
        return False
    timed = target > 0.0
    times = np.log(target[timed])
    return bool(timed.any() and np.abs(np.log(pred[timed]) - times).sum() < np.abs(pred[timed] - times).sum())


def _one_hot(plan: LossPlan, pred: Array, target: Array) -> bool:
    """Return whether a loss of single events gets rows of class probabilities: then cross-entropy over classes fits."""
    if len(plan.loop) != 1 or plan.per_row < 2 or [i.kind.name for i in plan.loss.inputs[:2]] != ["Probability"] * 2:
        return False
    for rows in (slice(_HEAD), slice(None)):
        p, t = (array.reshape(-1, plan.per_row)[rows] for array in (pred, target))
        certain = ((t == 0.0) | (t == 1.0)).all() and (t.sum(axis=-1) == 1.0).all()
        if not certain or not (np.abs(p.sum(axis=-1) - 1.0) <= SUM_TOLERANCE).all():
            return False
    return True


def _narrow(block: Block, plan: LossPlan, pred: Array, target: Array) -> str:
    """Return the narrow type of predictions or targets if its roundoff dominates their differences, else ""."""
    raws = [block.rows[block.places[role].source][block.places[role].field] for role in plan.roles[:2]]
    types = [raw.dtype for raw in raws if raw.dtype.kind == "f" and raw.dtype.itemsize < 8]
    if not types:
        return ""
    coarsest = min(types, key=lambda dtype: dtype.itemsize)
    limit = _ULPS * float(np.finfo(coarsest).eps)
    for part in (slice(_HEAD), slice(None)):
        off, size = np.abs(pred[part] - target[part]).sum(), np.abs(target[part]).sum()
        if not 0.0 < off < limit * size:
            return ""
    return str(coarsest.name)


def _digests(block: Block, arrays: Sequence[Array]) -> npt.NDArray[np.uint64] | None:
    """Hash the inputs of each row: the sum of the hashes of its numbers, each hashed with its column number."""
    count = block.count
    rows = [np.ascontiguousarray(array).reshape(count, -1).view(np.uint64) for array in arrays]
    if block.start + count > min(_ROWS, _NUMBERS // sum(row.shape[1] for row in rows)):
        return None
    digests, column = np.zeros(count, np.uint64), 0
    for bits in rows:
        places = np.arange(column + 1, column + 1 + bits.shape[1], dtype=np.uint64)
        digests += mixed(bits + places * _GOLDEN).sum(axis=1, dtype=np.uint64)
        column += bits.shape[1]
    return digests


def mixed(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Hash 64-bit integers: each output bit depends on all input bits; finalizer of SplitMix64 (Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
