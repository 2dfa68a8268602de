"""lossctl: loss values, per-sample losses and gradient checks, exact and fast.

    argv ── losses ("huber:delta=0.5") ──┐
    files ── io ── aligned blocks ───────┴─ engine ── results ── report ── render ── stdout

Data flows one way, and a package imports only those to its left (lossctl/README.md)::

    errors, immutable ← frameworks ← core ← losses, conventions
    frameworks ← io
    conventions ← explanation
    core, io ← engine ← analysis, gradients, explanation, api ← report ← render ← cli
    gradients ← testing
    core ← pytest_plugin

>>> import lossctl
>>> float(lossctl.compute("huber:delta=0.5", [0.0, 3.0], [0.25, 1.0]))
0.453125
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossctl.api import compute as compute
    from lossctl.api import list_losses as list_losses
    from lossctl.core.array_kinds import Vector as Vector
    from lossctl.core.decorator import Loss as Loss
    from lossctl.core.decorator import MeanTransform as MeanTransform
    from lossctl.core.decorator import Param as Param
    from lossctl.core.decorator import loss as loss
    from lossctl.core.input_kinds import Label as Label
    from lossctl.core.input_kinds import Logits as Logits
    from lossctl.core.input_kinds import LogProbabilities as LogProbabilities
    from lossctl.core.input_kinds import Positive as Positive
    from lossctl.core.input_kinds import Probabilities as Probabilities
    from lossctl.core.input_kinds import Probability as Probability
    from lossctl.core.input_kinds import Real as Real
    from lossctl.core.input_kinds import Sign as Sign
    from lossctl.core.interval import NON_NEGATIVE as NON_NEGATIVE
    from lossctl.core.interval import OPEN_UNIT as OPEN_UNIT
    from lossctl.core.interval import POSITIVE as POSITIVE
    from lossctl.core.interval import REAL as REAL
    from lossctl.core.interval import UNIT as UNIT
    from lossctl.core.interval import Interval as Interval
    from lossctl.core.registry import get_loss as get_loss
    from lossctl.engine.result import Result as Result
    from lossctl.errors import DataError as DataError
    from lossctl.errors import LossctlError as LossctlError
    from lossctl.errors import UsageError as UsageError
    from lossctl.explanation.entry import explain as explain
    from lossctl.explanation.result import Explanation as Explanation
    from lossctl.gradients.gradcheck import gradcheck as gradcheck
    from lossctl.gradients.model_result import ModelCheck as ModelCheck
    from lossctl.gradients.result import GradCheck as GradCheck
    from lossctl.gradients.verify import verify as verify
    from lossctl.gradients.verify_result import Verification as Verification

# Where each public name is: imported on first use, so that `lossctl --help` needs no NumPy.
_HOME = {
    **dict.fromkeys(("compute", "list_losses"), "lossctl.api"),
    "Explanation": "lossctl.explanation.result",
    "GradCheck": "lossctl.gradients.result",
    "ModelCheck": "lossctl.gradients.model_result",
    "explain": "lossctl.explanation.entry",
    "gradcheck": "lossctl.gradients.gradcheck",
    "verify": "lossctl.gradients.verify",
    "Verification": "lossctl.gradients.verify_result",
    **dict.fromkeys(("DataError", "LossctlError", "UsageError"), "lossctl.errors"),
    **dict.fromkeys(("NON_NEGATIVE", "OPEN_UNIT", "POSITIVE", "REAL", "UNIT", "Interval"), "lossctl.core.interval"),
    **dict.fromkeys(
        ("Label", "Logits", "LogProbabilities", "Positive", "Probabilities", "Probability", "Real", "Sign"),
        "lossctl.core.input_kinds",
    ),
    "Vector": "lossctl.core.array_kinds",
    "get_loss": "lossctl.core.registry",
    **dict.fromkeys(("MeanTransform", "Loss", "Param", "loss"), "lossctl.core.decorator"),
    "Result": "lossctl.engine.result",
}
__all__ = [*_HOME, "__version__"]  # noqa: PLE0604 - strings all the same


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("lossctl")
    if name not in _HOME:
        raise AttributeError(f"module 'lossctl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
