"""Trials: objectives of gradient boosting, (gradient, second derivative), and gradients for registered losses."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Label, Logits, Probability, Real
from lossctl.core.input_kinds import Count


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# --- the losses ---


def squared(pred: Real, target: Real):
    return (pred - target) ** 2


def log_loss(pred: Real, target: Probability):
    return np.logaddexp(0, pred) - target * pred


def log_cosh(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a + np.log1p(np.exp(-2 * a)) - np.log(2)


def pseudo_huber(pred: Real, target: Real):
    return np.sqrt(1 + (pred - target) ** 2) - 1


def pinball(pred: Real, target: Real):
    return np.maximum(0.9 * (target - pred), (0.9 - 1) * (target - pred))


def absolute(pred: Real, target: Real):
    return np.abs(pred - target)


def poisson(pred: Real, target: Count):
    return np.exp(pred) - target * pred


def cross_entropy(pred: Logits, target: Label):
    top = pred.max(axis=1)
    return top + np.log(np.exp(pred - top[:, None]).sum(axis=1)) - pred[np.arange(len(pred)), target.astype(int)]


def focal(pred: Real, target: Probability):
    t = np.round(target)
    p = sigmoid(pred)
    q = p * t + (1 - p) * (1 - t)
    return -(0.25 * t + 0.75 * (1 - t)) * (1 - q) ** 2 * np.log(q)


def under_costs_ten(pred: Real, target: Real):
    r = pred - target
    return np.where(r < 0, 10.0, 1.0) * r**2


# --- squares ---


@right(truths.square, "real", loss=squared)
def objective_squared(pred, target):
    return 2 * (pred - target), np.full_like(pred, 2.0)


@right(truths.square, "real", loss="mse")
def objective_squared_of_registered(pred, target):
    return 2 * (pred - target), 2 * np.ones(len(pred))


@wrong(truths.square, "real", "hessian", r"0\.5|half|\b2\b", loss=squared)
def objective_squared_hessian_of_half(pred, target):
    return 2 * (pred - target), np.full_like(pred, 1.0000001)


@wrong(truths.square, "real", "both halved", r"0\.5|half|\b2\b", loss=squared)
def objective_squared_both_halved(pred, target):
    return pred - target, np.ones_like(pred)


@right(truths.square, "real", loss="mse", signature="pred,dataset")
def objective_squared_xgboost(predt, dtrain):
    y = dtrain.get_label()
    return 2 * (predt - y), np.full(predt.shape, 2.0)


@right(truths.square, "real", loss=squared, signature="target,pred")
def objective_squared_sklearn(y_true, y_pred):
    return 2 * (y_pred - y_true), np.full_like(y_pred, 2.0)


@wrong(truths.square, "real", "sign", r"sign|signature|swap", loss=squared, signature="target,pred")
def objective_squared_sklearn_sign(y_true, y_pred):
    return 2 * (y_true - y_pred), np.full_like(y_pred, 2.0)


@wrong(truths.square, "real", "hessian", r"sign", loss=squared)
def objective_squared_negative_hessian(pred, target):
    return 2 * (pred - target), np.full_like(pred, -2.0)


@right(truths.asymmetric, "real", loss=under_costs_ten)
def objective_under_costs_ten(y_pred, y_true):
    residual = (y_true - y_pred).astype("float")
    grad = np.where(residual > 0, -2 * 10.0 * residual, -2 * residual)
    hess = np.where(residual > 0, 2 * 10.0, 2.0)
    return grad, hess


@wrong(truths.asymmetric, "real", "branch", r"<|>|where|branch|10|swap", loss=under_costs_ten)
def objective_under_costs_ten_reversed(y_pred, y_true):
    residual = (y_true - y_pred).astype("float")
    grad = np.where(residual < 0, -2 * 10.0 * residual, -2 * residual)
    hess = np.where(residual < 0, 2 * 10.0, 2.0)
    return grad, hess


# --- log loss ---


@right(truths.bce_logits, "logit", loss=log_loss, mistake="cancels", loses_digits=True)
def objective_log_loss(pred, target):
    p = sigmoid(pred)
    return p - target, p * (1 - p)


@right(truths.bce_logits, "logit", loss="bce_with_logits", mistake="cancels")
def objective_log_loss_of_registered(pred, target):
    p = 1 / (1 + np.exp(-pred))
    return p - target, p * (1 - p)


@right(truths.bce_logits, "logit", loss="bce_with_logits", mistake="cancels")
def gradient_log_loss_of_registered(pred, target):
    return 1 / (1 + np.exp(-pred)) - target


@right(truths.bce_logits, "logit", loss="bce_with_logits", mistake="float32", loses_digits=True)
def gradient_log_loss_float32(pred, target):
    return 1 / (1 + np.exp(-pred.astype(np.float32))) - target.astype(np.float32)


@right(truths.bce_logits, "logit", loss=log_loss, signature="pred,dataset", mistake="floor", loses_digits=True)
def objective_log_loss_xgboost(predt, dtrain):
    p = 1.0 / (1.0 + np.exp(-predt))
    return p - dtrain.get_label(), np.maximum(p * (1.0 - p), 1e-16)


@right(truths.bce_logits, "logit", loss=log_loss, mistake="float32", loses_digits=True)
def objective_log_loss_float32(pred, target):
    p = 1 / (1 + np.exp(-pred.astype(np.float32)))
    return p - target.astype(np.float32), p * (1 - p)


@right(truths.bce_logits, "logit", loss=log_loss, mistake="surrogate", surrogate=True, loses_digits=True)
def objective_log_loss_ones(pred, target):
    return sigmoid(pred) - target, np.ones_like(pred)


@wrong(truths.bce_logits, "logit", "hessian", r"1 − s", loss=log_loss)
def objective_log_loss_hessian_p(pred, target):
    p = sigmoid(pred)
    return p - target, p


@wrong(truths.bce_logits, "logit", "hessian", r"sign", loss=log_loss)
def objective_log_loss_hessian_sign(pred, target):
    p = sigmoid(pred)
    return p - target, p * (p - 1)


@wrong(truths.bce_logits, "logit", "sign", "sign", loss=log_loss)
def objective_log_loss_sign(pred, target):
    p = sigmoid(pred)
    return target - p, p * (1 - p)


@wrong(truths.bce_logits, "logit", "logit", r"sigmoid", loss=log_loss)
def objective_log_loss_no_sigmoid(pred, target):
    # XGBoost's custom objectives get raw margins; here they are taken for probabilities
    return pred - target, np.maximum(pred * (1 - pred), 1e-6)


@right(truths.focal_logits, "logit", loss=focal, mistake="digits", loses_digits=True)
def gradient_focal_loop(pred, target):
    grad = np.empty(len(pred))
    for i, (x, y) in enumerate(zip(pred, np.round(target), strict=True)):
        p = 1 / (1 + np.exp(-x))
        if y == 1:
            grad[i] = 0.25 * (1 - p) ** 2 * (2 * p * np.log(p) + p - 1)
        else:
            grad[i] = 0.75 * p**2 * (p - 2 * (1 - p) * np.log(1 - p))
    return grad


@wrong(truths.focal_logits, "logit", "swapped", r"alpha|0\.25|\b3\b|0\.33|target|class", loss=focal)
def gradient_focal_alpha_swapped(pred, target):
    t = np.round(target)
    p = 1 / (1 + np.exp(-pred))
    one = 0.75 * (1 - p) ** 2 * (2 * p * np.log(p) + p - 1)
    zero = 0.25 * p**2 * (p - 2 * (1 - p) * np.log(1 - p))
    return np.where(t == 1, one, zero)


# --- robust and skewed ---


@right(truths.log_cosh, "real", loss=log_cosh)
def objective_log_cosh(pred, target):
    grad = np.tanh(pred - target)
    return grad, 1 - grad * grad


@wrong(truths.log_cosh, "real", "hessian", r"", loss=log_cosh, seen_at=(DATA,))
def objective_log_cosh_hessian(pred, target):
    grad = np.tanh(pred - target)
    return grad, 1 - np.abs(grad)


@right(truths.pseudo_huber, "real", loss=pseudo_huber, mistake="digits", loses_digits=True)
def objective_pseudo_huber(pred, target):
    d = pred - target
    scale = 1 + d**2
    root = np.sqrt(scale)
    return d / root, 1 / (scale * root)


@wrong(truths.pseudo_huber, "real", "hessian", r"\(pred − target\)²", loss=pseudo_huber, seen_at=(DATA,))
def objective_pseudo_huber_hessian(pred, target):
    d = pred - target
    scale = 1 + d**2
    return d / np.sqrt(scale), 1 / scale


@right(truths.quantile, "real", loss=pinball, mistake="surrogate", surrogate=True)
def objective_pinball_ones(pred, target):
    return np.where(target > pred, -0.9, 1 - 0.9), np.ones_like(pred)


@right(truths.absolute, "real", loss=absolute, mistake="surrogate", surrogate=True)
def objective_absolute_ones(pred, target):
    return np.sign(pred - target), np.ones_like(pred)


@wrong(truths.absolute, "real", "sign", "sign", loss=absolute)
def objective_absolute_sign(pred, target):
    return np.sign(target - pred), np.ones_like(pred)


@right(truths.poisson_log, "log_count", loss=poisson)
def objective_poisson(pred, target):
    return np.exp(pred) - target, np.exp(pred)


@right(truths.poisson_log, "log_count", loss=poisson, mistake="surrogate", surrogate=True)
def objective_poisson_max_delta_step(pred, target):
    return np.exp(pred) - target, np.exp(pred + 0.7)


@wrong(truths.poisson_log, "log_count", "hessian", r"e\^", loss=poisson)
def objective_poisson_hessian(pred, target):
    return np.exp(pred) - target, np.exp(-pred)


# --- several classes ---


@right(truths.cross_entropy, "logits", loss=cross_entropy, mistake="digits", loses_digits=True)
def objective_softmax(pred, target):
    p = softmax(pred)
    return p - np.eye(pred.shape[1])[target.astype(int)], p * (1 - p)


@right(truths.cross_entropy, "logits", loss="sparse_softmax_cross_entropy", mistake="cancels")
def gradient_softmax_of_registered(pred, target):
    p = np.exp(pred) / np.exp(pred).sum(axis=1, keepdims=True)
    p[np.arange(len(p)), target.astype(int)] -= 1
    return p


@right(truths.cross_entropy, "logits", loss="sparse_softmax_cross_entropy", mistake="float32", loses_digits=True)
def gradient_softmax_float32(pred, target):
    p = softmax(pred.astype(np.float32))
    p[np.arange(len(p)), target.astype(int)] -= 1
    return p


@right(
    truths.cross_entropy,
    "logits",
    loss=cross_entropy,
    signature="pred,dataset",
    mistake="surrogate",
    surrogate=True,
    loses_digits=True,
)
def objective_softprob_xgboost(predt, data):
    # as in XGBoost's demo of a custom softmax, without the loop
    labels = data.get_label().astype(int)
    p = softmax(predt)
    grad = p.copy()
    grad[np.arange(len(p)), labels] -= 1.0
    return grad, np.maximum(2.0 * p * (1.0 - p), 1e-6)


@right(truths.cross_entropy, "logits", loss=cross_entropy, mistake="surrogate", surrogate=True, loses_digits=True)
def objective_multiclass_lightgbm(pred, target):
    k = pred.shape[1]
    p = softmax(pred)
    return p - np.eye(k)[target.astype(int)], k / (k - 1) * p * (1 - p)


@wrong(truths.cross_entropy, "logits", "label", r"label|class|offset|constant|one", loss=cross_entropy)
def objective_softmax_no_onehot(pred, target):
    p = softmax(pred)
    return p, p * (1 - p)


@wrong(truths.cross_entropy, "logits", "sign", "sign", loss="sparse_softmax_cross_entropy")
def gradient_softmax_sign(pred, target):
    p = softmax(pred)
    return np.eye(pred.shape[1])[target.astype(int)] - p


@wrong(truths.cross_entropy, "logits", "hessian", r"p/\(1 − p\)", loss=cross_entropy)
def objective_softmax_hessian_square(pred, target):
    p = softmax(pred)
    return p - np.eye(pred.shape[1])[target.astype(int)], p * p
