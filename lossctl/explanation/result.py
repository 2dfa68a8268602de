"""The result of a search: the definitions that give a number, ranked by their departures."""

from __future__ import annotations

from lossctl.conventions.record import Convention
from lossctl.immutable import immutable

# Agreements by chance from which on a number has too few digits for 0, 1, 2 and more departures. Of 40 numbers of no
# definition with 5 to 8 digits, 38 have no agreement at all, one has one at 0.08 and one at 0.03.
_CHANCE = (0.5, 0.05, 0.02)


@immutable
class Candidate:
    """A definition that gives the number.

    Attributes:
        loss: the loss in the syntax of the command line.
        departures: the ways in which it departs from the registered loss, its mean and its inputs.
        cost: the number of departures; the convention of a library counts as one.
        value: what it gives.
        precision: ``double``, ``single``, ``bfloat16`` or ``float16``, in which it agrees.
        convention: the convention of a library; None if it is a registered loss.
        names: other definitions that give the same value on these data to twelve digits.
    """

    loss: str
    departures: tuple[str, ...]
    cost: int
    value: float
    precision: str
    convention: Convention | None = None
    names: tuple[str, ...] = ()

    @property
    def cause(self) -> tuple[str, ...]:
        """What departs, however single precision comes about."""
        return (self.loss, *(text for text in self.departures if "single precision" not in text))

    @property
    def name(self) -> str:
        """The loss, with the library that computes it so."""
        return f"{self.loss} of {self.convention.title}" if self.convention else self.loss

    @property
    def text(self) -> str:
        """The name with the departures."""
        return "; ".join((self.name, *self.departures))


def loss_in(text: str) -> str:
    """Return the name of the loss in the text of a candidate.

    >>> loss_in("focal:alpha=none of optax sigmoid_focal_loss; is the sum")
    'focal'
    """
    return text.partition(";")[0].partition(" of ")[0].partition(":")[0]


@immutable
class Explanation:
    """The definitions that give a number.

    Attributes:
        number: the number as it is written.
        candidates: the definitions, fewest departures first.
        tried: the number of statistics that were compared.
        by_chance: the number of definitions with at most as many departures as the first that agree by chance.
        samples: the number of samples.
    """

    number: str
    candidates: tuple[Candidate, ...]
    tried: int
    by_chance: float
    samples: int

    @property
    def best(self) -> tuple[Candidate, ...]:
        """The definitions with the fewest departures."""
        return tuple(c for c in self.candidates if c.cost == self.candidates[0].cost)

    @property
    def found(self) -> bool:
        """Whether a definition gives the number, and chance is no likely explanation.

        Definitions of more departures are many and each is rare, so that they need stronger evidence.
        """
        return bool(self.candidates) and self.by_chance < _CHANCE[min(self.candidates[0].cost, len(_CHANCE) - 1)]
