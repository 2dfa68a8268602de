"""Every loss as a good NumPy programmer writes it: fast, and right in the middle of the range.

The textbook's formula at the default parameters, in place wherever a temporary can be reused, without a
branch where minimum and maximum will do. No care is taken of digits, overflow or 0·∞: this is what
throughput.py measures the kernels against, not what they should be.
"""

from __future__ import annotations

from plain.common import Array, Plain
from plain.likelihoods import LIKELIHOODS
from plain.margins import MARGINS
from plain.residuals import RESIDUALS
from plain.rows import ROWS
from plain.several import SEVERAL
from plain.wholes import WHOLES

__all__ = ["Array", "Plain", "expression"]


def expression(name: str) -> Plain | None:
    """The expression of a loss, of its inputs; None where nobody has written it yet."""
    if name in RESIDUALS:
        return lambda pred, target: RESIDUALS[name](pred - target)
    if name in MARGINS:
        return lambda pred, target: MARGINS[name](target * pred)
    return {**LIKELIHOODS, **SEVERAL, **ROWS, **WHOLES}.get(name)
