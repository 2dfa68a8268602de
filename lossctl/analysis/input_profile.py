"""Facts about the inputs, seen in the same pass as the loss, of which advice is made.

Each is true of all rows or not, so that a block answers from its first numbers where they settle
it: on data that give no reason for advice, watching costs microseconds a block.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.engine.accumulate import Summary
from lossctl.engine.block import Block
from lossctl.engine.evaluate import summarize_block
from lossctl.engine.executors.base import Executor
from lossctl.engine.plan import ComputeOptions, LossPlan
from lossctl.engine.run import stream
from lossctl.io.dataset import Dataset

# So many numbers are looked at before all of them are: ordinary predictions do not begin with
# sixteen that lie in [0, 1] or are whole.
_HEAD = 16
_NONE = np.empty(0)
_BOTH = (0.0, 1.0)
_SCORES = ("Real", "Logits")  # kinds of predictions that can be scores
# Rows are compared with each other up to this many (8 bytes each), and numbers in them: 1 to 2 ms of
# any run, and no more.
_ROWS, _NUMBERS = 100_000, 1 << 18
# Mean |pred − target| below so many units in the last place of the narrow type that held them: of
# what is left after the difference, two digits or fewer are the data's.
_ULPS = 100.0
# 2⁶⁴ over the golden ratio: its multiples are spread evenly (Knuth, The Art of Computer Programming 3, 6.4).
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class InputProfile:
    """What is true of every row so far; ``a + b`` is what is true of both, a's rows coming first.

    Attributes:
        rows: how many.
        unit, target_unit: every prediction, every target lies in [0, 1].
        codes, target_codes: the values where they are only 0 and 1, else None.
        constant: the bytes of the row that every row of predictions is, or None.
        without_zero: no target is 0.
        narrow: the type, float32 or float16, whose rounding the differences drown in, or "".
        digests: a number a row, the same for the same inputs, or None where rows are too many.
    """

    rows: int
    unit: bool
    target_unit: bool
    codes: frozenset[float] | None
    target_codes: frozenset[float] | None
    constant: bytes | None
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
            self.without_zero and other.without_zero,
            self.narrow if self.narrow == other.narrow else "",
            None if self.digests is None or other.digests is None else np.concatenate([self.digests, other.digests]),
        )


def _union(a: frozenset[float] | None, b: frozenset[float] | None) -> frozenset[float] | None:
    return None if a is None or b is None else a | b


def summarize_and_profile(
    data: Dataset, jobs: Sequence[LossPlan], policy: ComputeOptions, executor: Executor
) -> tuple[list[Summary], list[InputProfile]]:
    """The summary of each job over all rows, and the traits of its inputs; no traits where there are no rows.

    Raises:
        DataError: the first row, in order, that cannot be used.
    """
    first: dict[tuple[tuple[str, str], ...], int] = {}
    for i, job in enumerate(jobs):
        first.setdefault(_inputs(job), i)
    totals = [_Seen(Summary(), None) for _ in jobs]
    watch = _Watch(tuple(jobs[i] for i in first.values()))
    for part in stream(data, jobs, policy, watch, executor, fold=operator.add):
        totals = [total + more for total, more in zip(totals, part, strict=True)]
    traits = [totals[first[_inputs(job)]].traits for job in jobs]
    return [total.summary for total in totals], [one for one in traits if one is not None]


def _inputs(job: LossPlan) -> tuple[tuple[str, str], ...]:
    """What its traits depend on."""
    return tuple((role, spec.kind.name) for role, spec in zip(job.roles, job.loss.inputs, strict=True))


@dataclass(frozen=True)
class _Seen:
    """What is kept of some rows for one loss; the traits with the first loss of its inputs alone."""

    summary: Summary
    traits: InputProfile | None

    def __add__(self, other: _Seen) -> _Seen:
        if self.traits is None or other.traits is None:
            traits = self.traits or other.traits
        else:
            traits = self.traits + other.traits
        return _Seen(self.summary + other.summary, traits)


@dataclass(frozen=True)
class _Watch:
    """The measure of a block: what is kept of each loss and, of some, what their inputs look like."""

    some: tuple[LossPlan, ...]

    def __call__(self, block: Block, job: LossPlan) -> _Seen:
        look = any(job.loss is one.loss for one in self.some)
        return _Seen(summarize_block(block, job), profile_block(block, job) if look else None)


def profile_block(block: Block, job: LossPlan) -> InputProfile:
    """What the inputs of one block look like, whatever their weights."""
    arrays = [block.input(role) for role in job.roles]
    pred, target = arrays[0], arrays[1] if len(arrays) > 1 else _NONE
    first, firsts = pred[:_HEAD].tolist(), target[:_HEAD].tolist()
    scores = job.loss.inputs[0].kind.name in _SCORES
    codes = _codes(pred, first)
    # Targets of two classes are what most losses of two classes have: of no interest but beside predictions
    # that look like such targets, or to a loss for quantities.
    look = codes is not None or _quantities(job)
    return InputProfile(
        block.count,
        scores and _in_unit(pred, first),
        look and _in_unit(target, firsts),
        codes,
        _codes(target, firsts) if look else None,
        _constant(pred.reshape(block.count, -1), first),
        0.0 not in firsts and [i.kind.name for i in job.loss.inputs[1:2]] == ["Label"] and bool(target.all()),
        _narrow(block, job, pred, target) if _quantities(job) else "",
        _digests(block, arrays),
    )


def _quantities(job: LossPlan) -> bool:
    """Whether any real number can be predicted, and any be right."""
    return [i.kind.name for i in job.loss.inputs[:2]] == ["Real", "Real"]


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


def _narrow(block: Block, job: LossPlan, pred: Array, target: Array) -> str:
    """The narrow type of predictions or targets whose differences are mostly its rounding."""
    raws = [block.rows[block.places[role].source][block.places[role].field] for role in job.roles[:2]]
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
    """A number a row, the same for the same inputs: a sum over its numbers, each mixed with its place."""
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
    """Other bits of each, any of which depends on all: the finish of SplitMix64 (Steele et al. 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
