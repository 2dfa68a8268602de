"""Warnings about input that is valid but probably not intended, each with a suggested remedy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from lossctl.analysis.curves import axis_of
from lossctl.analysis.input_profile import InputProfile, mixed
from lossctl.core.loss import Loss
from lossctl.core.registry import registered
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan
from lossctl.errors import number
from lossctl.io.dataset import Dataset

# Minimum number of samples for a warning: two predictions may be equal, or lie in [0, 1], by chance.
_FEW = 3
# Samples per class before a missing class is reported: with k equally likely classes, 10·k samples miss a given class
# with a probability of 1 in 20,000.
_PER_CLASS = 10
# A run of _RUN rows that is repeated in the same order is not a coincidence if at least a fraction _DIFFERENT of all
# rows is distinct.
_RUN, _DIFFERENT = 8, 0.1

_BOTH = frozenset((0.0, 1.0))
_PREDICTED = r"(?<![a-z])(y_?)?(preds?|predict\w*|hat|scores?|logits?|probs?|proba|probabilit\w+)(?![a-z])"
_TRUE = r"(?<![a-z])(targets?|labels?|truth|actuals?|y_?true|ground_?truth|gt|observed)(?![a-z])"


def check_inputs(
    data: Dataset, plans: Sequence[LossPlan], options: ComputeOptions, profiles: Sequence[InputProfile]
) -> Iterator[str]:
    """Yield the warnings about the inputs, one line each, with the remedy at its end.

    Args:
        data: the inputs.
        plans: all losses computed from the inputs, because input unsuited to one loss may be meant for another.
        options: options of the computation.
        profiles: the profile of the inputs of each loss.
    """
    yield from data.notes
    yield from _one_hot(plans, profiles)
    if profiles and profiles[0].rows >= _FEW:
        yield from _swapped(data, plans, profiles)
        yield from _of_predictions(plans, profiles)
        yield from _of_targets(plans, options, profiles)
        yield from _exponentials(plans, profiles)
        yield from _narrowed(plans, profiles)
        yield from _repeated(data, profiles[0])
    yield from _same_column(data)


def check_inputs_of_models(
    data: Dataset,
    plans: Sequence[Sequence[LossPlan]],
    options: ComputeOptions,
    profiles: Sequence[Sequence[InputProfile]],
    names: Sequence[str],
) -> list[str]:
    """Return the warnings about several models; a warning that does not apply to all of them names its model.

    Args:
        data: the inputs.
        plans: for each model, all losses.
        options: options of the computation.
        profiles: for each model, the profile of the inputs of each loss.
        names: the names of the models.
    """
    warnings = [
        list(check_inputs(data, plans_of_model, options, profiles_of_model))
        for plans_of_model, profiles_of_model in zip(plans, profiles, strict=True)
    ]
    lines = [
        line if all(line in others for others in warnings) else f"{name}: {line}"
        for name, lines_of_model in zip(names, warnings, strict=True)
        for line in lines_of_model
    ]
    return list(dict.fromkeys(lines))


def _of_predictions(plans: Sequence[LossPlan], profiles: Sequence[InputProfile]) -> Iterator[str]:
    if any(profile.constant is not None for profile in profiles):
        yield "every prediction is the same: is it the right column?"
        return
    scored = [
        plan.loss for plan, profile in zip(plans, profiles, strict=True) if profile.unit and _takes_scores(plan.loss)
    ]
    if scored:
        loss = scored[0]
        takers = [other.name for other in registered().values() if other.from_logits == loss.name]
        remedy = f"? {takers[0]} takes probabilities" if takers else "?"
        yield f"{loss.name} takes scores, and every prediction lies in [0, 1]: are they probabilities{remedy}"
    for plan, profile in zip(plans, profiles, strict=True):
        threshold = plan.loss.params.get("threshold")
        if isinstance(threshold, float) and 0.0 < threshold < 1.0 and not profile.unit:
            yield (
                f"{plan.loss.name} decides at threshold={number(threshold)}, and predictions lie outside [0, 1]: "
                f"for logits and margins, {plan.loss.name}:threshold=0"
            )


def _takes_scores(loss: Loss) -> bool:
    """Return whether the predictions of the loss are scores before a sigmoid or softmax."""
    pred, *others = (i.kind.name for i in loss.inputs)
    if pred == "Logits":
        return loss.inputs[0].kind.core == ("classes",)
    named = any(other.from_logits == loss.name for other in registered().values())
    return pred == "Real" and (named or (others == ["Sign"] and axis_of(loss).name == "margin"))


def _of_targets(plans: Sequence[LossPlan], options: ComputeOptions, profiles: Sequence[InputProfile]) -> Iterator[str]:
    kinds = [[i.kind.name for i in plan.loss.inputs] for plan in plans]
    plain = [plan.loss.name for plan, kind in zip(plans, kinds, strict=True) if kind == ["Real", "Real"]]
    if profiles[0].target_codes == _BOTH and len(plain) == len(plans):
        brier = "; of probabilities, mse is the Brier score" if "mse" in plain else ""
        yield (
            f"{plain[0]} is a loss for quantities, and every target is 0 or 1: for two classes there is bce, "
            f"or bce_with_logits for scores{brier}"
        )
    for plan, kind, profile in zip(plans, kinds, profiles, strict=True):
        classes = plan.dims.get("classes", 0)
        labelled = "target" in options.labelled
        enough = profile.rows * plan.per_row >= _PER_CLASS * classes
        if kind[1:2] == ["Label"] and profile.without_zero and not labelled and classes > 1 and enough:
            yield (
                f"no target is class 0, though {classes} columns are classes 0 to {classes - 1}: "
                f"for labels that start at 1, add --labels {_from_one(classes)}"
            )
            return


def _one_hot(plans: Sequence[LossPlan], profiles: Sequence[InputProfile]) -> Iterator[str]:
    for plan, profile in zip(plans, profiles, strict=True):
        if profile.one_hot:
            yield (
                f"{plan.loss.name} takes each of the {plan.per_row} columns for an event by itself, and every row of "
                "predictions sums to 1, with one target of 1: for classes, categorical_cross_entropy"
            )
            return


def _same_column(data: Dataset) -> Iterator[str]:
    if not {"pred", "target"} <= set(data.places) or data.row_shape("pred") != data.row_shape("target"):
        return
    pred, target = data.places["pred"], data.places["target"]
    names = [data.locate(role, 0, 0) for role in ("pred", "target")]
    if pred.source == target.source and names[0] == names[1]:
        where = re.search(r"column .*", names[0])
        yield f"predictions and targets are the same {where[0] if where else 'array'}: is it what is meant?"


def _exponentials(plans: Sequence[LossPlan], profiles: Sequence[InputProfile]) -> Iterator[str]:
    for plan, profile in zip(plans, profiles, strict=True):
        if profile.exponentials:
            hazard = "log hazards, and every prediction is above 0" if plan.loss.name == "cox" else "logs of times"
            yield (
                f"{plan.loss.name} takes {hazard}: are they exponentials, as XGBoost's predict() gives? take their "
                "log, or predict(output_margin=True)"
            )


def _from_one(classes: int) -> str:
    return ",".join(map(str, range(1, classes + 1))) if classes < 5 else f"1,2,…,{classes}"


def _swapped(data: Dataset, plans: Sequence[LossPlan], profiles: Sequence[InputProfile]) -> Iterator[str]:
    """Detect swapped PREDS and TARGETS.

    The evidence is in their names, or in their values: observed targets of two classes are 0 or 1, so that PREDS of
    0 and 1 with TARGETS between them are suspicious.
    """
    if "target" not in data.places or all(len(plan.loss.inputs) < 2 for plan in plans):
        return
    pred, target = (_names(data, role) for role in (plans[0].roles[0], "target"))
    by_name = _called(pred, _TRUE, _PREDICTED) and _called(target, _PREDICTED, _TRUE)
    by_value = any(
        profile.codes == _BOTH and profile.target_unit and profile.target_codes is None for profile in profiles
    )
    one_number = all(not i.kind.core for plan in plans for i in plan.loss.inputs)
    if by_name:
        yield f"predictions come first, and PREDS is {pred}, TARGETS {target}: are they swapped?"
    elif by_value and one_number:
        yield "every prediction is 0 or 1 and the targets lie between: predictions come first; are they swapped?"


def _called(name: str, this: str, other: str) -> bool:
    return re.search(this, name) is not None and re.search(other, name) is None


def _names(data: Dataset, role: str) -> str:
    """Return the names of the file and the column of a role in lower case: ``labels.csv: column 'y'``."""
    place = data.places[role]
    file_name = data.sources[place.source].display_name
    at = data.locate(role, 0).removeprefix(file_name)
    column = re.search(r"column .*", at)
    return ": ".join(filter(None, (os.path.basename(file_name), column[0] if column else ""))).lower()


def _narrowed(plans: Sequence[LossPlan], profiles: Sequence[InputProfile]) -> Iterator[str]:
    for plan, profile in zip(plans, profiles, strict=True):
        if profile.narrow:
            digits = np.finfo(profile.narrow).precision
            yield (
                f"the data are {profile.narrow}, of {digits} digits, and predictions and targets agree in nearly all "
                f"of them: {plan.loss.name} is mostly rounding; subtract a common offset, or write float64"
            )
            return


def _repeated(data: Dataset, profile: InputProfile) -> Iterator[str]:
    if profile.digests is None or "weight" in data.places or profile.constant is not None:
        return
    ordered = np.sort(profile.digests)
    if (ordered[1:] != ordered[:-1]).all():  # the usual case: no duplicates; a fifth of the time of the count below
        return
    counts = np.unique(ordered, return_counts=True)[1]
    if len(counts) < max(_FEW, _DIFFERENT * len(ordered)):
        return
    if counts.min() == counts.max():
        yield f"every sample is there {counts[0]} times, inputs and all: was the file joined to itself?"
    elif copied := _copied(profile.digests):
        first, again, length = copied
        yield f"samples {again} to {again + length - 1} are samples {first} to {first + length - 1} once more"


def _copied(digests: npt.NDArray[np.uint64]) -> tuple[int, int, int] | None:
    """Find the first run of rows that is repeated; return its start, the start of the repetition and its length."""
    n = len(digests) - _RUN + 1
    if n < 2:
        return None
    windows = np.zeros(n, np.uint64)
    for i in range(_RUN):
        windows = mixed(windows) + digests[i : i + n]  # this hash depends on the order of rows
    order = np.argsort(windows, kind="stable")
    same = np.flatnonzero(windows[order][1:] == windows[order][:-1])
    for place in same[np.argsort(order[same + 1], kind="stable")]:
        first, again = int(order[place]), int(order[place + 1])
        # A stretch of equal rows matches itself shifted by one row; such matches are skipped.
        if again - first >= _RUN and len(np.unique(digests[first : first + _RUN])) > _RUN // 2:
            differ = digests[first : len(digests) - again + first] != digests[again:]
            length = int(np.argmax(differ)) if differ.any() else len(differ)
            return first, again, min(length, again - first)
    return None
