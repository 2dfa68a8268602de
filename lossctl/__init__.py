"""lossctl: loss values, per-sample losses and gradient checks, exact and fast.

    argv ── losses ("huber:delta=0.5") ──┐
    files ── sources ── aligned blocks ──┴─ kernel ── Summary (+) ── Report ── renderer ── stdout

Data flows one way, and nothing on the right is known to anything on its left::

    errors ← kernels ← summary, sources ← engine ← result, api ← checker ← report ← render ← cli

>>> import lossctl
>>> float(lossctl.compute("huber:delta=0.5", [0.0, 3.0], [0.25, 1.0]))
0.453125
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lossctl.api import compute as compute
    from lossctl.api import losses as losses
    from lossctl.errors import DataError as DataError
    from lossctl.errors import LossctlError as LossctlError
    from lossctl.errors import UsageError as UsageError
    from lossctl.gradients import gradcheck as gradcheck
    from lossctl.kernels.declare import Finish as Finish
    from lossctl.kernels.declare import Loss as Loss
    from lossctl.kernels.declare import Param as Param
    from lossctl.kernels.declare import loss as loss
    from lossctl.kernels.domain import NON_NEGATIVE as NON_NEGATIVE
    from lossctl.kernels.domain import OPEN_UNIT as OPEN_UNIT
    from lossctl.kernels.domain import POSITIVE as POSITIVE
    from lossctl.kernels.domain import REAL as REAL
    from lossctl.kernels.domain import UNIT as UNIT
    from lossctl.kernels.domain import Interval as Interval
    from lossctl.kernels.kinds import Label as Label
    from lossctl.kernels.kinds import Logits as Logits
    from lossctl.kernels.kinds import LogProbabilities as LogProbabilities
    from lossctl.kernels.kinds import Positive as Positive
    from lossctl.kernels.kinds import Probabilities as Probabilities
    from lossctl.kernels.kinds import Probability as Probability
    from lossctl.kernels.kinds import Real as Real
    from lossctl.kernels.kinds import Sign as Sign
    from lossctl.kernels.registry import get_loss as get_loss
    from lossctl.outcomes import GradCheck as GradCheck
    from lossctl.result import Result as Result

# Where each public name is: imported on first use, so that `lossctl --help` needs no NumPy.
_HOME = {
    **dict.fromkeys(("compute", "losses"), "lossctl.api"),
    "GradCheck": "lossctl.outcomes",
    "gradcheck": "lossctl.gradients",
    **dict.fromkeys(("DataError", "LossctlError", "UsageError"), "lossctl.errors"),
    **dict.fromkeys(("NON_NEGATIVE", "OPEN_UNIT", "POSITIVE", "REAL", "UNIT", "Interval"), "lossctl.kernels.domain"),
    **dict.fromkeys(
        ("Label", "Logits", "LogProbabilities", "Positive", "Probabilities", "Probability", "Real", "Sign"),
        "lossctl.kernels.kinds",
    ),
    "get_loss": "lossctl.kernels.registry",
    **dict.fromkeys(("Finish", "Loss", "Param", "loss"), "lossctl.kernels.declare"),
    "Result": "lossctl.result",
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
