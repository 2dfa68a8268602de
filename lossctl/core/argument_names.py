"""Names that people give to the arguments of losses, gradients and objectives."""

from __future__ import annotations

from collections.abc import Sequence

# Compared in lower case and without underscores. Single letters are left out: y is a prediction as often as a target.
PREDICTION_NAMES = frozenset(
    (
        *("pred", "preds", "prediction", "predictions", "predicted", "predt", "ypred", "ypreds", "yhat", "yscore"),
        *("yprob", "logits", "logit", "scores", "score", "output", "outputs", "estimate", "estimates", "forecast"),
        *("probs", "margin", "approx", "approxes"),
    )
)
TARGET_NAMES = frozenset(
    (
        *("target", "targets", "ytrue", "label", "labels", "truth", "true", "actual", "actuals", "groundtruth", "gt"),
        *("observed", "observation", "observations"),
    )
)


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
