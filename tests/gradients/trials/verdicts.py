"""What lossctl says of a trial."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

import numpy as np
from gradients.trials.evaluate import arrays_of
from gradients.trials.record import DRAWN, Trial

import lossctl

PASSED, UNRESOLVED, WRONG, REFUSED, CRASHED = "passed", "unresolved", "wrong", "refused", "crashed"


@dataclass(frozen=True)
class Verdict:
    """A verdict in one word, and the explanation that came with it."""

    word: str
    hint: str = ""
    text: str = ""


def lossctl_says(trial: Trial, points: str) -> Verdict:
    """Check a trial, as somebody would in a test of theirs."""
    options: dict[str, object] = {}
    if trial.reduction != "none":
        options["reduction"] = trial.reduction
    if points != DRAWN:
        pred, target, *further = (arrays := arrays_of(trial, points))
        options |= {
            "pred": arrays[pred],
            "target": arrays[target],
            "inputs": {name: arrays[name] for name in further} or None,
        }
    if trial.loss is not None:
        options |= {"grad": trial.function, "signature": trial.signature}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = lossctl.gradcheck(trial.loss if trial.loss is not None else trial.function, **options)
    except lossctl.LossctlError as error:
        return Verdict(REFUSED, text=f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - a trial must not end the run of all of them
        return Verdict(CRASHED, text=f"{type(error).__name__}: {error}")
    parts = [found] if found.second is None else [found, found.second]
    hint = "; ".join(part.hint for part in parts if part.hint)
    if found:
        return Verdict(PASSED, hint, repr(found))
    wrong = any(part.counts.get("wrong") for part in parts)
    return Verdict(WRONG if wrong else UNRESOLVED, hint, repr(found))


def hint_is_right(trial: Trial, hint: str) -> bool:
    """Whether an explanation is about the mistake of the trial."""
    return bool(trial.hint) and re.search(trial.hint, hint, re.IGNORECASE) is not None
