"""The result of a check of a model or a layer, and its text in a failing assertion."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.core.html_repr import html_of
from lossctl.gradients.localize import Entry
from lossctl.immutable import immutable

# Verdicts on an array, in the order of the report.
VERDICTS = ("ok", "kink", "wrong", "unresolved", "skipped")
# Share of the entries that may be unresolved in a check that passes.
_UNRESOLVED = 0.01


@immutable
class ArrayCheck:
    """The verdict on the gradient of one array, or on one array that a layer returns.

    Attributes:
        name: the name of the array.
        what: what was checked: ``gradient``, ``vjp``, ``jvp`` or ``hvp``.
        shape, dtype: of the array.
        entries: the number of its entries.
        verdict: ``ok``, ``kink`` (the one-sided slopes differ, and the gradient lies between them), ``wrong``,
            ``unresolved`` or ``skipped``.
        relative_error: the error of the slope of the array along a random direction, relative to this slope; None if it
            was checked together with others, and right.
        visible: the relative error from which on it would have been seen; None if it was not checked.
        reason: why it was skipped or is unresolved; empty otherwise.
    """

    name: str
    what: str
    shape: tuple[int, ...]
    dtype: str
    entries: int
    verdict: str
    relative_error: float | None = None
    visible: float | None = None
    reason: str = ""


@immutable
class ModelCheck:
    """The result of the gradient check of a model or a layer; true in a condition if the check passed.

    Attributes:
        function: the name of the function.
        arrays: the verdict on each array.
        worst: wrong entries that were checked one by one, the largest relative error first.
        hints: how the gradient is wrong, most general first.
        hint_codes: a name for each hint, for example ``transposed``.
        evaluations: how often the function was evaluated.
        notes: remarks on the function.
        place: file and line of the function whose gradient was checked; None if it is not known.
    """

    function: str
    arrays: Sequence[ArrayCheck]
    worst: Sequence[Entry]
    hints: Sequence[str]
    hint_codes: Sequence[str]
    evaluations: int
    notes: Sequence[str] = ()
    place: tuple[str, int] | None = None

    @property
    def passed(self) -> bool:
        """No array is wrong, at most 1 % of the entries are unresolved, and an error of some array would be seen."""
        checked = [a for a in self.arrays if a.verdict != "skipped"]
        unresolved = sum(a.entries for a in checked if a.verdict == "unresolved")
        return (
            not any(a.verdict == "wrong" for a in checked)
            and unresolved <= _UNRESOLVED * sum(a.entries for a in checked)
            and any(a.verdict == "ok" or (a.verdict == "kink" and (a.visible or 1.0) < 1.0) for a in checked)
        )

    def __bool__(self) -> bool:
        return self.passed

    def verdict_of(self, name: str, what: str = "") -> str:
        """Return the verdict on an array; `what` selects one of several checks, default the first."""
        return next(a.verdict for a in self.arrays if a.name == name and what in ("", a.what))

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        cells = {f"{a.name} {a.what}".strip(): a.verdict for a in self.arrays}
        return html_of(f"gradients of {self.function}", cells, "" if self.passed else repr(self))

    def lines(self) -> list[str]:
        """Return the text of a failing assertion: the hints, the arrays by verdict, the wrong entries."""
        several = len({a.what for a in self.arrays}) > 1
        names = {
            verdict: [f"{a.what} {a.name}" if several else a.name for a in self.arrays if a.verdict == verdict]
            for verdict in VERDICTS
        }
        summary = "; ".join(f"{verdict}: {', '.join(names[verdict])}" for verdict in VERDICTS if names[verdict])
        return [
            *self.hints,
            f"gradient check of {self.function}: {'ok' if self.passed else 'FAIL'} ({summary})",
            *(f"  {e.place}: given {e.given:.6g}, numeric {e.numeric:.6g} ± {e.error:.1g}" for e in self.worst),
            *(f"  note: {note}" for note in self.notes),
        ]
