"""The result of the comparison of a kernel's outputs with a registered loss, and its text in a failing assertion."""

from __future__ import annotations

from collections.abc import Mapping

from lossctl.core.html_repr import html_of
from lossctl.core.parameters import Value
from lossctl.gradients.tally import CheckedSamples
from lossctl.immutable import immutable

# Number of the worst outputs in the text.
_SHOWN = 3


@immutable
class Output:
    """One wrong number of an output.

    Attributes:
        row: row of the sample; None for a reduced value.
        index: index of the coordinate within the sample; None if samples have one.
        given, exact: the number, and what it should be.
        error: the error in ε·terms.
        line: position of the sample in the file of its prediction, such as ``preds.csv:7``; None without lines.
    """

    row: int | None
    index: int | None
    given: float
    exact: float
    error: float
    line: str | None = None


@immutable
class VerifiedArray:
    """The verdict on one output, the values or the gradient.

    Attributes:
        what: ``value`` or ``gradient``.
        dtype: the precision by which it is judged: ``float64``, ``float32``, ``bfloat16`` or ``float16``.
        verdict: ``exact`` (every number is the exact one, rounded), ``as right as DTYPE allows`` (every error is within
            8 ε·terms), ``right to N digits`` (of a number typed), ``loses digits`` or ``wrong``.
        checked: number of numbers compared.
        exact: number of these that are the exact one, rounded.
        beyond: number of these that are off by more than rounding explains.
        undefined: numbers that were not compared because the loss or its slope is infinite there.
        worst, worst_row: the largest error in ε·terms, and its row.
        visible: share of the numbers, those that are 0 aside, at which an error of 0.1 % would be seen.
        rms: root mean square of the errors.
        baseline_rms: that of the baseline; None without one.
        cause: how the output is wrong, or where it loses digits; None if nothing simple explains it.
        cause_code: name of the cause, such as ``upstream-first``.
        outputs: the worst numbers that are beyond rounding, at most 100, the worst first.
        failing: samples with such a number, at most 2,000; None for a reduced value.
        judged: by what a number typed is judged, such as ``to the 7 digits typed, ± 5e-06``; None for arrays.
    """

    what: str
    dtype: str
    verdict: str
    checked: int
    exact: int
    beyond: int
    undefined: int
    worst: float
    worst_row: int | None
    visible: float
    rms: float
    baseline_rms: float | None
    cause: str | None
    cause_code: str | None
    outputs: tuple[Output, ...]
    failing: CheckedSamples | None
    judged: str | None = None

    @property
    def ratio(self) -> float | None:
        """The RMS error divided by that of the baseline; None without a baseline."""
        if self.baseline_rms is None:
            return None
        if self.rms == self.baseline_rms:
            return 1.0
        return self.rms / self.baseline_rms if self.baseline_rms else float("inf")

    def lines(self) -> list[str]:
        """Return the verdict, the cause and the worst numbers, one line each."""
        off = f"{self.beyond:,} of {self.checked:,} beyond rounding"
        return [
            f"{self.what}: {self.verdict} ({off}, worst error {self.worst:.3g} ε({self.dtype})·terms)",
            *([self.cause] if self.cause else []),
            *(
                f"sample {o.row}{f' [{o.index}]' if o.index is not None else ''}: "
                f"given {o.given:.9g}, exact {o.exact:.9g}"
                for o in self.outputs[:_SHOWN]
                if o.row is not None
            ),
        ]


@immutable
class Verification:
    """The verdicts on the outputs of a kernel; true in a condition if they passed.

    Attributes:
        loss: the loss with its parameters, as a specification.
        name, params: the name of the loss and its parameters.
        samples: number of samples.
        reduction: ``none``, ``mean`` or ``sum``.
        arrays: the verdict on each output.
        strict: whether lost digits fail.
        notes: remarks.
    """

    loss: str
    name: str
    params: Mapping[str, Value]
    samples: int
    reduction: str
    arrays: tuple[VerifiedArray, ...]
    strict: bool
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether no output is wrong and, with ``strict``, none loses digits."""
        return all(self.accepts(array) for array in self.arrays)

    def accepts(self, array: VerifiedArray) -> bool:
        """Return whether an output passed."""
        return array.verdict != "wrong" and not (self.strict and array.verdict == "loses digits")

    def __bool__(self) -> bool:
        return self.passed

    def _repr_html_(self) -> str:
        cells = {a.what: a.verdict for a in self.arrays}
        return html_of(f"outputs of {self.loss}", cells, "" if self.passed else repr(self))

    def __repr__(self) -> str:
        lines = [f"outputs of {self.loss}, {self.samples:,} samples: {'ok' if self.passed else 'FAIL'}"]
        for array in self.arrays:
            verdict, *details = array.lines()
            lines += [f"  {verdict}", *(f"    {line}" for line in details)]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])
