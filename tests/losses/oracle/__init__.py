"""The definition of each loss to 50 digits: formulas written from the catalogue, independently of the kernels.

One file per family, as in lossctl/losses; all files of the folder are imported. A formula takes ONE sample and returns
the terms whose sum is its loss::

    @oracle("huber", relative_value=always, relative_gradient=always)
    def huber(pred: Number, target: Number, *, delta: Number) -> list[Number]:
        \"\"\"r²/2 where |r| ≤ delta, else delta·(|r| − delta/2).\"\"\"

The inputs are those of the loss, in the same order. The annotation determines how doubles are converted, without
rounding: ``Number`` (or ``Row``, nested lists of numbers) to mpf, ``Label`` to int. All parameters are keywords without
defaults: numbers are passed as mpf, others (bool, None, str) unchanged.

The terms define the accuracy required. The error of a value is relative to Σ|term|, and the error of a gradient is
relative to Σ|derivative of a term|. Therefore a formula is split into terms where the catalogue subtracts, and is
written so that no term cancels within itself. ``relative_value`` and ``relative_gradient`` say where the catalogue
promises full relative accuracy; there the error is relative to the result.

Derivatives are difference quotients, so that only the formula itself can be wrong. The working precision grows with
the range of the inputs (``_digits``), and the step shrinks with it (``_step``).
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
