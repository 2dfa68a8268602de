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
# Libraries that sum 1,000 terms one after the other in double precision, or whose predictions go through a sigmoid.
ROUNDOFF = {"lightgbm": 16, "catboost": 16, "torch": 8}


def number_of(case: Case) -> float:
    """Return the number of the convention for a case."""
    arrays, options = dict(case.inputs), dict(case.options)
    class_weight = arrays.pop("class_weight")
    class_weight = () if class_weight is None else tuple(class_weight)
    params = {"label_smoothing": options.pop("label_smoothing")} if "label_smoothing" in options else {}
    loss = loss_of(case.row, class_weight, **params)
    computation = replace(ComputeOptions(**options), **case.row.settings(class_weight))
    reduction = "sum" if case.row.reduction == "sum" else "mean"
    return float(compute_losses(from_arrays(arrays), [loss], computation, reduction, ExecutionConfig(1)).results[0])


def close(ours: float, theirs: float, case: Case) -> bool:
    """Return whether two numbers agree to the roundoff of the library."""
    library = case.row.library
    roundoff = np.finfo(np.float32 if library.single else np.float64).eps
    terms = max(abs(theirs), 1.0 if "edge" in case.name or "Poisson" in case.name else 0.0)
    return ours == theirs or abs(ours - theirs) <= ROUNDOFF.get(library.name, 4) * roundoff * terms


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_number_is_that_of_the_library(case: Case) -> None:
    library = case.row.library.name
    if case.name not in RECORDED:
        assert library == "tensorflow" or case.row.before
        return
    ours, theirs = number_of(case), float(RECORDED[case.name])
    assert close(ours, theirs, case), (case.name, ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_recorded_number_is_that_of_the_installed_package(case: Case) -> None:
    if not installed(case.row.library.name) or case.name not in RECORDED:
        pytest.skip(f"{case.row.library.package} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = evaluate(case.row.library.name, case.call or case.row.call, case.inputs)
    assert close(float(RECORDED[case.name]), theirs, case) or math.isnan(theirs)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
