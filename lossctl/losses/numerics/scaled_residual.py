"""The scale c of robust losses, and the slope of the Gaussian well 1 − exp(−(r/c)²/2) of a residual r."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from lossctl.core.arrays import Array
from lossctl.core.decorator import Param
from lossctl.core.interval import POSITIVE
from lossctl.losses.numerics.elementary import not_finite, select
from lossctl.losses.numerics.error_free import difference, product, quotient

Scale = Annotated[float, Param("where it bends, in target units", POSITIVE)]

# exp(−(r/c)²/4) is 0 for (r/c)² above this.
_FLAT = 4000.0


def gaussian_slope(pred: Array, target: Array, c: float) -> Array:
    """Return ``r/c²·exp(−(r/c)²/2)``, corrected by the roundoff of r/c, which the exponential magnifies."""
    r, lost = difference(pred, target)
    u, u_low = quotient(r, lost, c)
    w, w_low = product(u, u)
    low = select(w < _FLAT, w_low + 2.0 * u * u_low, 0.0)
    # Half of the exponent at a time: exp of the whole can vanish although its quotient by a tiny c does not.
    half = np.exp(-0.25 * w) * (1.0 - 0.25 * low)
    u[not_finite(u)] = 0.0  # the slope is 0 there
    return np.asarray((u * half) / c * half)
