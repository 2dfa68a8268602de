"""One figure of another library, and how it is got."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

RTOL = 1e-12
FLOAT32 = 1e-6  # keras takes means in float32, and hinges too, whatever it is given


@dataclass(frozen=True)
class Case:
    """A loss, its inputs, and the expressions in their ``names`` and ``weight`` that compute it.

    ``call`` gives the mean over everything (with ``weight``: Σwℓ/Σw), ``each`` the loss of every
    sample, whose sum is differentiated by the first input where the library can. Where a library
    defines a loss otherwise than the catalogue, the expression shows the adaptation. ``F.`` is short
    for ``torch.nn.functional.``, and is written out in the file.
    """

    loss: str
    inputs: tuple[np.ndarray, ...]
    call: str
    each: str | None = None
    weight: np.ndarray | None = None
    rtol: float = RTOL
    names: tuple[str, ...] = ("pred", "target")


@dataclass
class Recorder:
    """The cases of one family; ``defaults`` are the catalogue's, of each loss that has parameters."""

    defaults: dict[str, dict[str, float | bool | str | None]]
    cases: list[Case] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Add a case."""
        self.cases.append(Case(*args, **kwargs))
