"""Summary of a gradient check: counts of verdicts, and some complete samples for the diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.core.arrays import Array
from lossctl.gradients.verdict import CoordinateVerdicts, Reason, Verdict
from lossctl.immutable import immutable

# Number of samples with a wrong coordinate kept for the diagnosis; the same number without one are kept.
_KEPT = 2000
# Largest share of unresolved coordinates with which a check passes.
UNRESOLVED_SHARE = 0.01


@immutable
class CheckedSamples:
    """Complete samples of a check: inputs, gradient under test and verdicts.

    Attributes:
        row: (n,) row numbers.
        inputs: one array (n, ...) for each input of the loss; of width 0 for random directions.
        given: (n, coordinates) gradient under test.
        numeric, error, scale, verdict, clipped: as in :class:`CoordinateVerdicts`.
    """

    row: np.ndarray
    inputs: tuple[Array, ...]
    given: Array
    numeric: Array
    error: Array
    scale: Array
    verdict: np.ndarray
    clipped: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, chosen: Any) -> CheckedSamples:
        return CheckedSamples(
            self.row[chosen],
            tuple(a[chosen] for a in self.inputs),
            *(a[chosen] for a in (self.given, self.numeric, self.error, self.scale, self.verdict, self.clipped)),
        )

    def __add__(self, other: CheckedSamples) -> CheckedSamples:
        return _concatenated([self, other])

    @property
    def wrong(self) -> np.ndarray:
        """Mask of the wrong coordinates."""
        return np.asarray(self.verdict == Verdict.WRONG)

    @property
    def informative(self) -> np.ndarray:
        """Mask of the wrong coordinates with a known derivative; at a kink only an interval is known."""
        return np.asarray(self.wrong & ~self.clipped)

    @property
    def relative_error(self) -> Array:
        """|given − numeric| of each coordinate relative to the scale of its sample; inf where it is NaN."""
        with np.errstate(all="ignore"):
            away = np.abs(self.given - self.numeric)
            off = away / self.scale
        return np.where(away == 0, 0.0, np.where(np.isnan(off), np.inf, off))


@immutable
class CheckSummary:
    """Summary of the check of some rows; ``a + b`` merges the summaries of two sets of rows.

    Attributes:
        samples: number of samples.
        counts: number of coordinates for each :class:`Verdict`, in its order.
        reasons: number of coordinates for each :class:`Reason`, in its order.
        worst: largest relative error of the coordinates that are ok or wrong.
        worst_row: row of the sample with this error; None if `worst` is 0.
        verified: number of coordinates that are ok.
        moving: number of these with a gradient other than 0.
        failing: samples with a wrong coordinate: the first ones and the worst of the others.
        passing: the first samples without one.
        flat: why differences show nothing of a loss that is flat at all points; empty if they do.
        method: the perturbations; empty if each coordinate was perturbed alone.
        notes: remarks on the function that was checked.
        verdicts, given: all verdicts and the gradient under test, if they were requested.
    """

    samples: int
    counts: tuple[int, ...]
    reasons: tuple[int, ...]
    worst: float
    worst_row: int | None
    verified: int
    moving: int
    failing: CheckedSamples  # samples with something wrong, the first of them and the worst
    passing: CheckedSamples
    flat: str = ""
    method: str = ""  # where it was not each coordinate by itself
    notes: tuple[str, ...] = ()
    verdicts: CoordinateVerdicts | None = None  # all verdicts, if they were asked for
    given: Array | None = None

    def __add__(self, other: CheckSummary) -> CheckSummary:
        return merged([self, other])

    def without_flat(self) -> CheckSummary:
        """Turn ok coordinates into unresolved ones if all gradients are 0 and differences show nothing of the loss."""
        if not self.flat or self.moving or self.counts[Verdict.WRONG]:
            return self
        moved = {Verdict.OK: -self.verified, Verdict.UNRESOLVED: self.verified}
        counts = [n + moved.get(v, 0) for v, n in zip(Verdict, self.counts, strict=True)]
        if self.verdicts is not None:
            self.verdicts.verdict[self.verdicts.verdict == Verdict.OK] = Verdict.UNRESOLVED
        return replace(self, counts=tuple(counts), verified=0, notes=(*self.notes, self.flat))

    @property
    def checked(self) -> int:
        """Number of coordinates checked."""
        return sum(self.counts)

    @property
    def passed(self) -> bool:
        """Whether no coordinate is wrong, at most 1 % are unresolved (TINY ones aside), and something is verified."""
        unresolved = self.counts[Verdict.UNRESOLVED] - self.reasons[Reason.TINY]
        verified = self.verified > 0 or not self.checked
        return verified and not self.counts[Verdict.WRONG] and unresolved <= UNRESOLVED_SHARE * self.checked


def merged(parts: Sequence[CheckSummary]) -> CheckSummary:
    """Merge the summaries of one set of rows after the other.

    All at once: adding them up, each of 50 blocks of 100 × 50,000 numbers would be copied some 25 times.
    """
    worst = max(parts, key=lambda part: part.worst)
    whole = [part.verdicts for part in parts if part.verdicts is not None]
    gradients = [part.given for part in parts if part.given is not None]
    passing, kept = [], 0
    for part in parts:
        if kept < _KEPT:
            passing.append(part.passing)
            kept += len(part.passing)
    return CheckSummary(
        sum(part.samples for part in parts),
        tuple(sum(column) for column in zip(*(part.counts for part in parts), strict=True)),
        tuple(sum(column) for column in zip(*(part.reasons for part in parts), strict=True)),
        worst.worst,
        worst.worst_row,
        sum(part.verified for part in parts),
        sum(part.moving for part in parts),
        _most_informative(_concatenated([part.failing for part in parts])),
        _concatenated(passing)[:_KEPT],
        next((part.flat for part in parts if part.flat), ""),
        next((part.method for part in parts if part.method), ""),
        tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        _stacked(whole) if len(whole) == len(parts) else None,
        np.concatenate(gradients) if len(gradients) == len(parts) else None,
    )


def _concatenated(parts: Sequence[CheckedSamples]) -> CheckedSamples:
    filled = [part for part in parts if len(part)]
    if len(filled) < 2:
        return (filled or parts)[0]
    return CheckedSamples(
        np.concatenate([part.row for part in filled]),
        tuple(np.concatenate(column) for column in zip(*(part.inputs for part in filled), strict=True)),
        *(
            np.concatenate([getattr(part, name) for part in filled])
            for name in ("given", "numeric", "error", "scale", "verdict", "clipped")
        ),
    )


def _stacked(parts: Sequence[CoordinateVerdicts]) -> CoordinateVerdicts:
    return CoordinateVerdicts(
        *(np.concatenate(column) for column in zip(*(vars(part).values() for part in parts), strict=True))
    )


def _most_informative(cases: CheckedSamples) -> CheckedSamples:
    """Return at most 2,000 samples: the first 1,800 and those with the largest relative errors."""
    if len(cases) <= _KEPT:
        return cases
    worst = np.argsort(-np.where(cases.wrong, cases.relative_error, 0.0).max(axis=1), kind="stable")[: _KEPT // 10]
    return cases[np.unique(np.concatenate([np.arange(_KEPT - _KEPT // 10), worst]))]


def summarize_verdicts(
    verdicts: CoordinateVerdicts,
    arrays: Sequence[Array],
    given: Array,
    rows: np.ndarray,
    *,
    method: str = "",
    notes: tuple[str, ...] = (),
    keep_verdicts: bool = False,
) -> CheckSummary:
    """Summarize the verdicts on some samples.

    Args:
        verdicts: the verdicts.
        arrays: the inputs of the loss.
        given: (samples, coordinates) the gradient under test.
        rows: (samples,) row numbers.
        method: the perturbations; empty if each coordinate was perturbed alone.
        notes: remarks on the function that was checked.
        keep_verdicts: also keep all verdicts and `given`.
    """
    cases = CheckedSamples(
        rows, tuple(arrays), given, verdicts.numeric, verdicts.error, verdicts.scale, verdicts.verdict, verdicts.clipped
    )
    judged = np.isin(verdicts.verdict, (Verdict.OK, Verdict.WRONG))
    off = np.where(judged & (cases.relative_error > 0), cases.relative_error, 0.0)
    largest = float(off.max()) if off.size else 0.0
    failing = cases.wrong.any(axis=1)
    return CheckSummary(
        len(rows),
        tuple(int(n) for n in np.bincount(verdicts.verdict.ravel(), minlength=len(Verdict))),
        tuple(int(n) for n in np.bincount(verdicts.reason.ravel(), minlength=len(Reason))),
        largest,
        int(rows[off.max(axis=1).argmax()]) if largest else None,
        int(np.count_nonzero(verdicts.verdict == Verdict.OK)),
        int(np.count_nonzero((verdicts.verdict == Verdict.OK) & (given != 0))),
        _most_informative(cases[failing]),
        cases[~failing][:_KEPT],
        "",
        method,
        notes,
        verdicts if keep_verdicts else None,
        given if keep_verdicts else None,
    )
