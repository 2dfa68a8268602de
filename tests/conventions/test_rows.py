"""Each convention gives the number of its library, of the package itself where it is installed."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from convention_cases import Case, cases
from libraries import evaluate, installed

from lossctl.conventions.as_loss import loss_of
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.run import compute_losses
from lossctl.io.dataset import from_arrays

RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))
CASES = list(cases())
# Rows that need more than 4 ulp, and why.
ULPS = {
    "lightgbm l2": 5,  # its threads sum parts of the rows, in an order that is not ours
    "lightgbm cross_entropy": 9,  # it gets log(p/(1 − p)) and takes the sigmoid of it; then as above
    "torchmetrics multilabel_ranking_loss": 2**31,  # its mean is in single precision
    "torchmetrics multilabel_coverage_error": 2**31,
}


def number_of(case: Case) -> float:
    """Return the number of the convention for a case."""
    arrays, options = dict(case.inputs), dict(case.options)
    class_weight = arrays.pop("class_weight")
    class_weight = () if class_weight is None else tuple(class_weight)
    params = {name: options.pop(name) for name in ("label_smoothing", "full") if name in options}
    loss = loss_of(case.row, class_weight, **params)
    computation = replace(ComputeOptions(**options), **case.row.settings(class_weight))
    reduction = "sum" if case.row.reduction == "sum" else "mean"
    return float(compute_losses(from_arrays(arrays), [loss], computation, reduction, ExecutionConfig(1)).results[0])


def summed_in_order(case: Case) -> float:
    """Return the number with the losses summed one after the other, as catboost and some of torch's losses do.

    At 1,000 rows that is up to 9 ulp from the exact sum, which is ours.
    """
    loss = loss_of(case.row)
    losses = loss.evaluate(*(np.asarray(case.inputs[i.name], float) for i in loss.inputs))[0]
    weight = np.ones(len(losses)) if case.inputs["weight"] is None else case.inputs["weight"]
    return float((losses * weight).cumsum()[-1] / weight.cumsum()[-1])


def close(ours: float, theirs: float, case: Case) -> bool:
    """Return whether two numbers agree to 4 ulp of the type in which the library computes, or to those of the row."""
    library = case.row.library
    roundoff = np.finfo(np.float32 if library.single else np.float64).eps
    terms = max(abs(theirs), 1.0 if "edge" in case.name or "Poisson" in case.name else 0.0)
    return ours == theirs or abs(ours - theirs) <= ULPS.get(case.row.title, 4) * roundoff * terms


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_number_is_that_of_the_library(case: Case) -> None:
    ours, theirs = number_of(case), float(RECORDED[case.name])
    if not close(ours, theirs, case) and case.row.library.name in ("catboost", "torch"):
        ours = summed_in_order(case)
    assert close(ours, theirs, case), (case.name, ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_recorded_number_is_that_of_the_installed_package(case: Case) -> None:
    if not installed(case.row):
        pytest.skip(f"{case.row.library.package} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = evaluate(case.row.library.name, case.call or case.row.call, case.inputs)
    assert close(float(RECORDED[case.name]), theirs, case) or math.isnan(theirs)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
