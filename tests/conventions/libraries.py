"""Evaluate the expression of a convention with the real package."""

from __future__ import annotations

import importlib
import importlib.util
import os
import types
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from lossctl.conventions.record import Convention

os.environ["KERAS_BACKEND"] = "torch"
TENSORS, JAX = ("torch", "keras", "kornia", "torchmetrics", "trl"), ("optax", "jax")
MODULES = {
    "torch": ("torch",),
    "keras": ("torch", "keras"),
    "tensorflow": ("tensorflow",),
    "sklearn": ("sklearn",),
    "optax": ("optax", "jax"),
    "jax": ("jax",),
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "catboost": ("catboost",),
    "statsmodels": ("statsmodels",),
    "kornia": ("torch", "kornia"),
    "torchmetrics": ("torch", "torchmetrics"),
    "scoringrules": ("scoringrules",),
    "trl": ("torch", "trl"),
}


def installed(row: Convention) -> bool:
    """Return whether the package of a convention is installed, in the version measured or later, or ``before``."""
    if any(importlib.util.find_spec(name) is None for name in MODULES[row.library.name]):
        return False
    version = _parts(importlib.import_module(row.library.name).__version__)
    return version < _parts(row.before) if row.before else version >= _parts(row.library.version)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


@cache
def namespace(library: str) -> dict[str, Any]:
    """Import what the expressions of a library need."""
    names: dict[str, Any] = {"np": np}
    if library in TENSORS:
        import torch

        names |= {"torch": torch, "F": torch.nn.functional}
    if library == "keras":
        import keras

        names["keras"] = keras
    elif library == "tensorflow":
        import tensorflow as tf

        names["tf"] = tf
    elif library == "sklearn":
        import sklearn._loss.loss
        import sklearn.metrics

        names["sklearn"] = sklearn
    elif library in JAX:
        import jax
        import jax.scipy.special

        names["jax"] = jax
        if library == "optax":
            import optax

            names["optax"] = optax
    elif library == "statsmodels":
        import statsmodels.api
        import statsmodels.robust.norms
        import statsmodels.tools.eval_measures

        names["statsmodels"] = statsmodels
    elif library == "catboost":
        names["eval_metric"] = _catboost
    elif library in ("kornia", "torchmetrics", "scoringrules", "trl"):
        names[library] = importlib.import_module(library)
        names["trainer"] = _trainer
    return names


def _trainer(loss_type: str) -> Any:
    """Return what a method of TRL's trainers takes from its trainer, with the default settings."""

    def alone(x: Any) -> Any:
        return x

    return types.SimpleNamespace(
        accelerator=types.SimpleNamespace(device="cpu", gather_for_metrics=alone, gather=alone),
        is_encoder_decoder=False,
        aux_loss_enabled=False,
        reference_free=False,
        calculate_KL=True,
        f_divergence_type="reverse_kl",
        loss_type=loss_type,
        label_smoothing=0.0,
        beta=0.1,
        simpo_gamma=0.5,
        desirable_weight=1.0,
        undesirable_weight=1.0,
    )


def _catboost(target: Any, pred: Any, metric: str, weight: Any) -> float:
    from catboost.utils import eval_metric

    return float(eval_metric(target, pred, metric, weight=weight)[0])


def evaluate(library: str, call: str, inputs: Mapping[str, Any]) -> float:
    """Return the number of a library for arrays by name; inputs that are None stay None."""
    if library == "xgboost":
        return _xgboost(call.split("'")[1], **inputs)
    if library == "lightgbm":
        return _lightgbm(call.split("'")[1], **inputs)
    names = namespace(library)
    arrays = {name: None if array is None else _converted(library, name, array) for name, array in inputs.items()}
    arrays |= {"onehot": lambda t: _one_hot(library, t, inputs["pred"].shape[-1]), "indices": _indices}
    return float(eval(call, names | arrays))  # noqa: S307 - the expressions are those of lossctl.conventions


def _converted(library: str, name: str, array: Any) -> Any:
    # Integers are labels; a column makes keras take rows as samples instead of as classes.
    if library == "tensorflow" and array.dtype.kind == "f":
        array = array.astype(np.float32)  # as keras does; tf.nn computes in the type of its tensors
    if library in ("keras", "tensorflow"):
        scalar = array.ndim == 1 and array.dtype.kind == "f" and name in ("pred", "target")
        return array[:, None] if scalar else array
    if library in TENSORS:
        return namespace(library)["torch"].as_tensor(array)
    if library in JAX:
        return namespace("jax")["jax"].numpy.asarray(array)
    return array


def _one_hot(library: str, labels: Any, classes: int) -> Any:
    rows = np.eye(classes)[np.asarray(labels)]
    return _converted(library, "onehot", rows)


def _indices(flags: Any) -> Any:
    """Return the indices of the classes that are present, padded with -1, as multilabel_margin_loss takes them."""
    import torch

    rows = [[int(i) for i in np.flatnonzero(row)] for row in np.asarray(flags)]
    return torch.tensor([row + [-1] * (flags.shape[1] - len(row)) for row in rows])


def _xgboost(metric: str, pred: Any, target: Any, weight: Any = None, **others: Any) -> float:
    import xgboost

    data = xgboost.DMatrix(np.zeros((len(target), 1)), label=target, weight=weight, base_margin=_margin(pred))
    params: dict[str, Any] = {"eval_metric": metric, "base_score": 0.5, "objective": "reg:squarederror"}
    if pred.ndim == 2:
        params |= {"objective": "multi:softprob", "num_class": pred.shape[1]}
    elif metric == "poisson-nloglik":
        params["objective"] = "count:poisson"
        data.set_base_margin(np.log(pred))
    elif metric == "gamma-deviance":
        params["objective"] = "reg:gamma"
        data.set_base_margin(np.log(pred))
    booster = xgboost.train(params, data, num_boost_round=0)
    return float(booster.eval(data).rpartition(":")[2])


def _margin(pred: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.log(pred) if pred.ndim == 2 else pred


def _lightgbm(metric: str, pred: Any, target: Any, weight: Any = None, **others: Any) -> float:
    import lightgbm

    params: dict[str, Any] = {"metric": metric, "verbose": -1, "objective": "regression", "learning_rate": 1e-300}
    score = pred
    with np.errstate(divide="ignore"):
        if metric in ("poisson", "gamma_deviance"):
            params["objective"], score = {"poisson": "poisson", "gamma_deviance": "gamma"}[metric], np.log(pred)
        elif metric == "cross_entropy":
            params["objective"], score = metric, np.log(pred / (1.0 - pred))
        elif metric == "binary_logloss":
            params["objective"] = "binary"
        elif metric == "multi_logloss":
            params |= {"objective": "multiclass", "num_class": pred.shape[1]}
            score = np.log(pred).T.ravel()
    seen: dict[str, Any] = {}
    data = lightgbm.Dataset(np.zeros((len(target), 1)), target, weight=weight, init_score=score, free_raw_data=False)
    lightgbm.train(
        params | {"boost_from_average": False, "min_data_in_leaf": 1},
        data,
        1,
        [data],
        callbacks=[lightgbm.record_evaluation(seen)],
    )
    return float(seen["training"][metric][0])
