"""Names that people give to the arguments of losses, gradients and objectives."""

from __future__ import annotations

from collections.abc import Sequence

# Compared in lower case and without underscores. Single letters are left out: y is a prediction as often as a target.
PREDICTION_NAMES = frozenset(
    (
        *("pred", "preds", "prediction", "predictions", "predicted", "predt", "ypred", "ypreds", "yhat", "yscore"),
        *("yprob", "logits", "logit", "scores", "score", "output", "outputs", "estimate", "estimates", "forecast"),
        *("probs", "approx", "approxes", "rawprediction", "rawpredictions", "rawscore", "rawscores", "rawpred"),
    )
)
TARGET_NAMES = frozenset(
    (
        *("target", "targets", "ytrue", "label", "labels", "truth", "true", "actual", "actuals", "groundtruth", "gt"),
        *("observed", "observation", "observations"),
    )
)
# The argument of an objective of XGBoost or LightGBM that has get_label().
DATASET_NAMES = frozenset(
    (
        *("data", "dataset", "ds", "dmatrix", "dmat", "dtrain", "dtest", "dvalid", "traindata", "traindataset"),
        *("trainset", "lgbdata", "lgbdataset", "lgbtrain", "xgbdata", "xgbtrain"),
    )
)
WEIGHT_NAMES = frozenset(("weight", "weights", "sampleweight", "sampleweights", "w", "wt", "sw"))


def bare(name: str) -> str:
    """Return a name without underscores, in lower case.

    >>> bare("y_Pred")
    'ypred'
    """
    return name.replace("_", "").lower()


def prediction_position(names: Sequence[str]) -> int:
    """Return the position of the predictions among the arguments of a loss: 0, unless the names say another.

    >>> [prediction_position(names) for names in (["pred", "target"], ["y_true", "y_pred"], ["t", "x"])]
    [0, 1, 0]
    """
    if bare(names[0]) in PREDICTION_NAMES:
        return 0
    return next((i for i, name in enumerate(names) if bare(name) in PREDICTION_NAMES), 0)


def argument_order(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return what each argument of a gradient function is: ``pred``, ``target``, ``dataset``, ``weight``, or ''.

    One known name is enough: of two arguments the other one is then the target, or the prediction.

    Args:
        names: the names of the arguments, in their order.

    Returns:
        One word for each name; None if the names do not say which argument is the prediction.

    >>> argument_order(["y_true", "y_pred", "sample_weight"]), argument_order(["predt", "dtrain"])
    (('target', 'pred', 'weight'), ('pred', 'dataset'))
    >>> argument_order(["y", "y_hat"]), argument_order(["a", "b"]), argument_order(["pred", "logits"])
    (('target', 'pred'), None, None)
    """
    roles = [_role(bare(name)) for name in names]
    predictions, targets = roles.count("pred"), roles.count("target") + roles.count("dataset")
    if predictions + targets == 0 or predictions > 1 or targets > 1:
        return None
    if "" in roles and not (predictions and targets):
        roles[roles.index("")] = "target" if predictions else "pred"
    return tuple(roles) if "pred" in roles else None


def _role(name: str) -> str:
    sets = (
        ("pred", PREDICTION_NAMES),
        ("target", TARGET_NAMES),
        ("dataset", DATASET_NAMES),
        ("weight", WEIGHT_NAMES),
    )
    return next((role for role, names in sets if name in names), "")
