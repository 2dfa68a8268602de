"""Gradients as people write them, half of them wrong: what the gradient check is tried on.

The functions were written from libraries, textbooks and forums, without a look at how lossctl judges. Whether a
gradient is right is decided by mpmath (:mod:`gradients.trials.truths`, :mod:`gradients.trials.truth_at`) and tested
in ``test_trials.py``.
"""

from __future__ import annotations

from gradients.trials import (  # noqa: F401 - each adds its functions to TRIALS
    amounts,
    batches,
    binary,
    far,
    forms,
    jax_functions,
    lists,
    mistakes,
    multiclass,
    objectives,
    regression,
    row_mistakes,
    rows,
    torch_functions,
)
from gradients.trials.data import FAMILIES
from gradients.trials.record import DATA, DRAWN, TRAINED, TRIALS, Trial

__all__ = ["DATA", "DRAWN", "FAMILIES", "TRAINED", "TRIALS", "Trial"]
