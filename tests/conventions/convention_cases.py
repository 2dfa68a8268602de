"""Cases of every convention: ordinary rows, weights, edges; shared by the tests and the script that records values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from inputs import inputs_of

from lossctl.conventions.as_loss import loss_of
from lossctl.conventions.kernels import mixed_focal, mixed_focal_with_logits
from lossctl.conventions.lookup import conventions
from lossctl.conventions.record import Convention

# (pred, target) of losses of a probability, where logarithms end; the second row is ordinary, of the other class.
EDGES = ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0), (1.0, 1.0), (1e-9, 1.0), (1.0 - 1e-9, 0.0), (1e-20, 1.0), (1e-17, 1.0))
CLASS_WEIGHT = (0.5, 1.0, 2.0, 3.0)


@dataclass(frozen=True)
class Case:
    """One number of a library.

    Attributes:
        name: the name under which the number is recorded.
        row: the convention.
        inputs: the inputs by name, with ``weight`` and ``class_weight``, which may be None.
        options: further options of ``lossctl.compute``.
        call: the expression, if it is not that of the row.
    """

    name: str
    row: Convention
    inputs: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)
    call: str = ""


def cases() -> Iterator[Case]:
    """Yield all cases; the names are unique."""
    names: set[str] = set()
    for row in conventions():
        name = f"{row.title} {row.loss}"
        name = f"{name}, {row.mode}" if name in names else name
        names.add(name)
        inputs = _inputs(row)
        yield Case(name, row, inputs, {"class_axis": 2} if row.loss == "lovasz_softmax" else {})
        if row.weights:
            weight = np.random.default_rng(1).integers(1, 24, len(inputs["pred"])) / 8  # exact in single precision
            weight[::7] = 0.0 if row.library.name in ("keras", "torch", "sklearn") else 1.0
            yield Case(f"{name}, weights", row, inputs | {"weight": weight})
        if row.inside or row.class_weights:
            yield Case(f"{name}, class weights", row, inputs | {"class_weight": np.array(CLASS_WEIGHT)})
        if row.inside:
            call = row.call.replace(")", ", label_smoothing=0.1)")
            yield Case(f"{name}, smoothing", row, inputs, {"label_smoothing": 0.1}, call)
            weighted = inputs | {"class_weight": np.array(CLASS_WEIGHT)}
            yield Case(f"{name}, smoothing and class weights", row, weighted, {"label_smoothing": 0.1}, call)
        if row.function == "poisson_nll_loss":
            yield Case(f"{name}, full", row, inputs, {"full": True}, row.call.replace(")", ", full=True)"))
        if row.ignored is not None:
            target = inputs["target"].copy()
            target[::5] = row.ignored
            yield Case(f"{name}, ignored", row, inputs | {"target": target}, {"ignore_index": row.ignored})
        if row.kernel in (mixed_focal, mixed_focal_with_logits):
            soft = np.random.default_rng(2).integers(0, 65, len(inputs["pred"])) / 64  # exact in single precision
            yield Case(f"{name}, soft targets", row, inputs | {"target": soft})
        yield from _edges(row, name)


def _inputs(row: Convention) -> dict[str, Any]:
    inputs = inputs_of(loss_of(row)) | {"weight": None, "class_weight": None}
    if row.library.name == "sklearn" and row.loss == "categorical_cross_entropy":
        inputs["target"] = np.eye(4)[inputs["target"].argmax(axis=1)]  # it takes one-hot rows only
    if row.function == "Circle":  # vectors of length 1, of groups of two or more
        inputs["pred"] /= np.linalg.norm(inputs["pred"], axis=1, keepdims=True)
        inputs["target"] = np.arange(1000) // 4
    if row.function == "kto_loss":
        inputs["kl"] = np.full_like(inputs["kl"], 1.25)  # it takes one number for the batch
    return inputs


def _edges(row: Convention, name: str) -> Iterator[Case]:
    inputs: dict[str, Any]
    if row.loss == "mape":  # below 1, and far below
        target = np.concatenate([10.0 ** np.linspace(-0.1, -3, 30), [1e-9] if row.library.single else [1e-18]])
        if row.library.name in ("xgboost", "lightgbm", "catboost"):  # their floors are 1, or none
            target = target[:-1]
        pred = 1.5 * target
        yield Case(
            f"{name}, small targets", row, {"pred": pred, "target": target, "weight": None, "class_weight": None}
        )
        return
    if row.function in ("symmetric_mean_absolute_percentage_error", "log_cosh_error"):
        size = 10.0 ** np.linspace(-8, -5, 30) if row.loss == "smape" else np.array([1e-3, 1.0, 709.0, 711.0])
        inputs = {"pred": 1.5 * size, "target": size - size * (row.loss == "log_cosh")}
        yield Case(f"{name}, edges", row, inputs | {"weight": None, "class_weight": None})
        return
    if row.function in ("multilabel_ranking_loss", "multilabel_coverage_error"):
        inputs = _inputs(row)
        yield Case(f"{name}, equal scores", row, inputs | {"pred": np.round(inputs["pred"])})
        return
    if row.function == "CategoricalFocalCrossentropy":
        inputs = _inputs(row)
        yield Case(f"{name}, far scores", row, inputs | {"pred": 20.0 * inputs["pred"]})
        return
    if row.library.name in ("xgboost", "lightgbm", "catboost"):  # their predictions go through a sigmoid or softmax
        return
    loss = loss_of(row)
    kinds = [spec.kind.name for spec in loss.inputs]
    for i, (p, t) in enumerate(EDGES):
        inputs = {"weight": None, "class_weight": None}
        if kinds == ["Probability", "Probability"] and row.loss != "zero_one":
            inputs |= {"pred": np.array([p, 0.25]), "target": np.array([t, 1.0 - t])}
        elif kinds[0] == "Probabilities" and row.function in (
            "log_loss",
            "CategoricalCrossentropy",
            "SparseCategoricalCrossentropy",
            "nll_loss",
            "KLDivergence",
        ):
            labels = np.array([int(t), 1 - int(t)])
            target = labels if kinds[1] == "Label" else np.eye(2)[labels]
            inputs |= {"pred": np.array([[1.0 - p, p], [0.75, 0.25]]), "target": target}
        else:
            return
        yield Case(f"{name}, edge {i}", row, inputs)
