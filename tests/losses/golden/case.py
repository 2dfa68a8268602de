"""One value of another library, and the expression that computes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

RTOL = 1e-12
FLOAT32 = 1e-6  # keras takes means in float32, and hinges too, whatever it is given


@dataclass(frozen=True)
class Case:
    """A loss, its inputs, and the expressions in their ``names`` and ``weight`` that compute it.

    ``call`` returns the mean over all samples (with ``weight``: Σwℓ/Σw). ``each`` returns the loss of each sample; the
    sum is differentiated with respect to the first input if the library can. If the library defines the loss
    differently from the catalogue, the expression converts it. ``F.`` stands for ``torch.nn.functional.`` and is
    expanded in the file.
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
    """The cases of one family; ``defaults`` are the default parameters of each loss that has parameters."""

    defaults: dict[str, dict[str, float | bool | str | None]]
    cases: list[Case] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Add a case."""
        self.cases.append(Case(*args, **kwargs))
