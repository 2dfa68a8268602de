"""What each loss is, in 50 digits: formulas written from the catalogue, never from the kernels.

One file a family, as in lossctl/losses; each is imported by being there. A formula handles ONE
sample and returns the terms whose sum is its loss::

    @oracle("huber", relative_value=always, relative_gradient=always)
    def huber(pred: Number, target: Number, *, delta: Number) -> list[Number]:
        \"\"\"r²/2 where |r| ≤ delta, else delta·(|r| − delta/2).\"\"\"

Inputs are the loss's own, in its order; the annotation says how they are converted from doubles,
exactly: ``Number`` (or ``Row``, lists of them, however nested) to mpf, ``Label`` to int. All
parameters are keyword-only and must be given: numbers as mpf, the rest (bool, None, str) as it is.

The terms carry the notion of accuracy. An error is judged against Σ|term|, and one of a gradient
against Σ|term's derivative|, so terms are split where the catalogue's formula subtracts and written
so that a term does not itself cancel. ``relative_value`` and ``relative_gradient`` say where the
catalogue promises full relative accuracy: there the magnitude is that of the result.

Derivatives are differences, not formulas, so that a formula is all that can be wrong. The working
precision grows with the range of the inputs (``_digits``), the step shrinks with it (``_step``).
"""

from __future__ import annotations

import importlib
import pkgutil

from oracle.mechanism import (
    ORACLE,
    EdgeError,
    Number,
    Oracle,
    Slopes,
    always,
    error,
    gradient,
    leaves,
    never,
    oracle,
    slopes,
    some,
    value,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"oracle.{_module.name}")

__all__ = [
    "ORACLE",
    "EdgeError",
    "Number",
    "Oracle",
    "Slopes",
    "always",
    "error",
    "gradient",
    "leaves",
    "never",
    "oracle",
    "slopes",
    "some",
    "value",
]
