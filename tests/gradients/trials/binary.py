"""Trials: losses of one class, of probabilities, logits and margins."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, TRAINED, right, wrong

from lossctl import Probability, Real, Sign


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


# --- probabilities ---


@right(truths.bce, "probability")
def bce(pred: Probability, target: Probability):
    return -(target * np.log(pred) + (1 - target) * np.log(1 - pred)), -target / pred + (1 - target) / (1 - pred)


@right(truths.bce, "probability")
def bce_one_fraction(p: Probability, y: Probability):
    return -y * np.log(p) - (1 - y) * np.log1p(-p), (p - y) / (p * (1 - p))


@wrong(truths.bce, "probability", "logit", "logit")
def bce_of_logit(p: Probability, y: Probability):
    return -y * np.log(p) - (1 - y) * np.log(1 - p), p - y


@wrong(truths.bce, "probability", "sign", "sign")
def bce_sign(p: Probability, y: Probability):
    return -y * np.log(p) - (1 - y) * np.log(1 - p), y / p - (1 - y) / (1 - p)


@wrong(truths.bce, "probability", "sign", r"sign|target|branch|where|class")
def bce_sign_of_one_term(p: Probability, y: Probability):
    return -y * np.log(p) - (1 - y) * np.log(1 - p), -y / p - (1 - y) / (1 - p)


@wrong(truths.bce, "probability", "term", r"target|zero|where|class")
def bce_positive_only(p: Probability, y: Probability):
    return -y * np.log(p) - (1 - y) * np.log(1 - p), -y / p


@wrong(truths.bce, "probability", "1/n", r"\bn\b|mean|number of samples")
def bce_mean(y_hat: Probability, y: Probability):
    m = y.shape[0]
    return -(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat)), -(y / y_hat - (1 - y) / (1 - y_hat)) / m


@wrong(truths.bce_base2, "probability", "base", r"log|ln|base")
def bce_bits(p: Probability, y: Probability):
    return -y * np.log2(p) - (1 - y) * np.log2(1 - p), (p - y) / (p * (1 - p))


@wrong(truths.bce, "probability", "swapped", r"swap|order")
def bce_swapped(p: Probability, y: Probability):
    # binary_cross_entropy_gradient(y, p) called as (p, y)
    def gradient(y_true, y_pred):
        q = np.clip(y_pred, 1e-3, 1 - 1e-3)
        return -(y_true / q) + (1 - y_true) / (1 - q)

    return -y * np.log(p) - (1 - y) * np.log(1 - p), gradient(p, y)


@right(truths.BCE_EPS, "probability")
def bce_eps(pred: Probability, target: Probability):
    eps = 1e-7
    loss = -target * np.log(pred + eps) - (1 - target) * np.log(1 - pred + eps)
    return loss, -target / (pred + eps) + (1 - target) / (1 - pred + eps)


@right(truths.BCE_EPS, "probability_ends", mistake="corner")
def bce_eps_at_0_and_1(pred: Probability, target: Probability):
    eps = 1e-7
    loss = -target * np.log(pred + eps) - (1 - target) * np.log(1 - pred + eps)
    return loss, -target / (pred + eps) + (1 - target) / (1 - pred + eps)


@wrong(truths.BCE_EPS, "probability_ends", "corner", r"nan|\b0\b|\b1\b|corner|eps")
def bce_nan_at_0_and_1(pred: Probability, target: Probability):
    eps = 1e-7
    loss = -target * np.log(pred + eps) - (1 - target) * np.log(1 - pred + eps)
    return loss, (pred - target) / (pred * (1 - pred))


@wrong(truths.BCE_EPS, "probability", "eps", r"eps|ε|small|close|0", seen_at=(TRAINED,))
def bce_eps_in_loss_only(pred: Probability, target: Probability):
    eps = 1e-7
    loss = -target * np.log(pred + eps) - (1 - target) * np.log(1 - pred + eps)
    return loss, -target / pred + (1 - target) / (1 - pred)


@wrong(truths.bce, "probability", "eps", r"eps|ε|small|close|0")
def bce_eps_in_gradient_only(pred: Probability, target: Probability):
    eps = 1e-3
    loss = -target * np.log(pred) - (1 - target) * np.log(1 - pred)
    return loss, (pred - target) / (pred * (1 - pred) + eps)


@wrong(truths.BCE_EPS_3, "probability", "eps", r"eps|ε|small|close|0")
def bce_eps_3_in_loss_only(pred: Probability, target: Probability):
    eps = 1e-3
    loss = -target * np.log(pred + eps) - (1 - target) * np.log(1 - pred + eps)
    return loss, (pred - target) / (pred * (1 - pred))


@right(truths.BCE_CLIP, "probability_ends", mistake="clip")
def bce_clip(y_pred: Probability, y_true: Probability):
    eps = 1e-7
    p = np.clip(y_pred, eps, 1 - eps)
    loss = -y_true * np.log(p) - (1 - y_true) * np.log(1 - p)
    inside = (y_pred >= eps) & (y_pred <= 1 - eps)
    return loss, np.where(inside, (p - y_true) / (p * (1 - p)), 0.0)


@wrong(truths.BCE_CLIP, "probability_ends", "clip", r"clip|flat|between")
def bce_clip_forgotten(y_pred: Probability, y_true: Probability):
    p = np.clip(y_pred, 1e-7, 1 - 1e-7)
    return -y_true * np.log(p) - (1 - y_true) * np.log(1 - p), (p - y_true) / (p * (1 - p))


@wrong(truths.BCE_CLIP_2, "probability", "clip", r"clip|flat|between", seen_at=(TRAINED,))
def bce_clip_at_a_hundredth(y_pred: Probability, y_true: Probability):
    p = np.clip(y_pred, 0.01, 0.99)
    return -y_true * np.log(p) - (1 - y_true) * np.log(1 - p), (p - y_true) / p / (1 - p)


@right(truths.brier, "probability")
def brier(p: Probability, y: Probability):
    return (p - y) ** 2, 2 * (p - y)


@wrong(truths.brier, "probability", "chain", r"p\(1|sigmoid|logit|probab|p·|pred")
def brier_with_sigmoid(p: Probability, y: Probability):
    return (p - y) ** 2, 2 * (p - y) * p * (1 - p)


@right(truths.focal, "probability", mistake="digits", loses_digits=True)
def focal(p: Probability, y: Probability):
    y = np.round(y)
    q = np.where(y == 1, p, 1 - p)
    sign = np.where(y == 1, 1, -1)
    return -((1 - q) ** 2) * np.log(q), sign * (2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q)


@wrong(truths.focal, "probability", "chain", r"")
def focal_detached(p: Probability, y: Probability):
    y = np.round(y)
    q = np.where(y == 1, p, 1 - p)
    sign = np.where(y == 1, 1, -1)
    return -((1 - q) ** 2) * np.log(q), -sign * (1 - q) ** 2 / q


@wrong(truths.focal, "probability", "sign", r"sign|target|class|where")
def focal_negative_sign(p: Probability, y: Probability):
    y = np.round(y)
    q = np.where(y == 1, p, 1 - p)
    return -((1 - q) ** 2) * np.log(q), 2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q


# --- logits ---


@right(truths.bce_logits, "logit", mistake="digits", loses_digits=True)
def bce_sigmoid(x: Real, t: Probability):
    p = 1 / (1 + np.exp(-x))
    return -t * np.log(p) - (1 - t) * np.log(1 - p), p - t


@right(truths.bce_logits, "logit", mistake="cancels")
def bce_stable(x: Real, t: Probability):
    return np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))), 1 / (1 + np.exp(-x)) - t


@right(truths.bce_logits, "logit_soft", mistake="cancels", loses_digits=True)
def bce_soft(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, sigmoid(x) - t


@right(truths.bce_logits, "logit", mistake="float32", loses_digits=True)
def bce_logits_float32(x: Real, t: Probability):
    x, t = x.astype(np.float32), t.astype(np.float32)
    loss = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x)))
    return loss, 1 / (1 + np.exp(-x)) - t


@wrong(truths.bce_logits, "logit", "probability", r"probab")
def bce_logits_by_probability(x: Real, t: Probability):
    p = sigmoid(x)
    return np.logaddexp(0, x) - t * x, (p - t) / (p * (1 - p))


@wrong(truths.bce_logits, "logit", "chain", r"p\(1|sigmoid|probab|chain|p·")
def bce_logits_sigmoid_twice(x: Real, t: Probability):
    p = sigmoid(x)
    return np.logaddexp(0, x) - t * x, (p - t) * p * (1 - p)


@wrong(truths.bce_logits, "logit", "sign", "sign")
def bce_logits_sign(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, t - sigmoid(x)


@wrong(truths.bce_logits, "logit", "offset", r"target|offset|constant|\bt\b")
def bce_logits_no_target(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, sigmoid(x)


@wrong(truths.bce_logits, "logit", "logit", r"sigmoid", seen_at=(DATA, TRAINED))
def bce_logits_raw(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, x - t


@wrong(truths.bce_logits, "logit", "whole", r"whole|integer|round")
def bce_logits_hard(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, (x > 0) - t


@wrong(truths.bce_logits, "logit", "saturated", r"flat|clip|zero|where|large|>|<", seen_at=(TRAINED,))
def bce_logits_clipped(x: Real, t: Probability):
    z = np.clip(x, -4, 4)
    return np.logaddexp(0, x) - t * x, sigmoid(z) - t


@wrong(truths.bce_logits, "logit", "1/n", r"\bn\b|mean|number of samples")
def bce_logits_mean(x: Real, t: Probability):
    return np.logaddexp(0, x) - t * x, (sigmoid(x) - t) / x.size


@wrong(truths.bce_logits, "logit", "float16", r"float16|digits|precision|half")
def bce_logits_float16_sigmoid(x: Real, t: Probability):
    p = sigmoid(x).astype(np.float16).astype(np.float64)
    return np.logaddexp(0, x) - t * x, (p - t) * 1.0000000001


@right(truths.bce_pos_weight, "logit", mistake="cancels")
def bce_pos_weight(x: Real, t: Probability):
    w = 3.0
    loss = w * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return loss, (1 - t) * sigmoid(x) - w * t * (1 - sigmoid(x))


@wrong(truths.bce_pos_weight, "logit", "weight", r"weight|\b3\b|0\.33|target|class|positive")
def bce_pos_weight_missing(x: Real, t: Probability):
    w = 3.0
    loss = w * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return loss, sigmoid(x) - t


@wrong(truths.bce_pos_weight, "logit", "weight", r"weight|\b3\b|target|class|negative")
def bce_pos_weight_everywhere(x: Real, t: Probability):
    w = 3.0
    loss = w * t * np.logaddexp(0, -x) + (1 - t) * np.logaddexp(0, x)
    return loss, w * (sigmoid(x) - t)


@right(truths.bce_smooth, "logit", mistake="cancels")
def bce_smooth(x: Real, t: Probability):
    s = t * 0.9 + 0.05
    return np.logaddexp(0, x) - s * x, sigmoid(x) - s


@wrong(truths.bce_smooth, "logit", "smoothing", r"smooth|0\.05|offset|constant")
def bce_smooth_forgotten(x: Real, t: Probability):
    s = t * 0.9 + 0.05
    return np.logaddexp(0, x) - s * x, sigmoid(x) - t


@right(truths.brier_logits, "logit", mistake="cancels", loses_digits=True)
def brier_logits(x: Real, t: Probability):
    p = sigmoid(x)
    return (p - t) ** 2, 2 * (p - t) * p * (1 - p)


@wrong(truths.brier_logits, "logit", "chain", r"probab|p\(1|sigmoid|chain")
def brier_logits_no_chain(x: Real, t: Probability):
    p = sigmoid(x)
    return (p - t) ** 2, 2 * (p - t)


@right(truths.focal_logits, "logit", mistake="digits", loses_digits=True)
def focal_logits(x: Real, t: Probability):
    # as torchvision, gamma 2, alpha 0.25; the gradient by hand
    t = np.round(t)
    p = sigmoid(x)
    ce = np.logaddexp(0, x) - t * x
    p_t = p * t + (1 - p) * (1 - t)
    a = 0.25 * t + 0.75 * (1 - t)
    sign = 2 * t - 1
    grad = a * sign * (1 - p_t) ** 2 * (-2 * p_t * ce - (1 - p_t))
    return a * ce * (1 - p_t) ** 2, grad


@wrong(truths.focal_logits, "logit", "alpha", r"alpha|0\.25|\b4\b|0\.75|1\.33|class|target|weight")
def focal_logits_no_alpha(x: Real, t: Probability):
    t = np.round(t)
    p = sigmoid(x)
    ce = np.logaddexp(0, x) - t * x
    p_t = p * t + (1 - p) * (1 - t)
    a = 0.25 * t + 0.75 * (1 - t)
    sign = 2 * t - 1
    grad = sign * (1 - p_t) ** 2 * (-2 * p_t * ce - (1 - p_t))
    return a * ce * (1 - p_t) ** 2, grad


@wrong(truths.focal_logits, "logit", "chain", r"")
def focal_logits_as_weight(x: Real, t: Probability):
    t = np.round(t)
    p = sigmoid(x)
    ce = np.logaddexp(0, x) - t * x
    p_t = p * t + (1 - p) * (1 - t)
    a = 0.25 * t + 0.75 * (1 - t)
    return a * ce * (1 - p_t) ** 2, a * (1 - p_t) ** 2 * (p - t)


# --- margins ---


@right(truths.hinge, "margin")
def hinge(pred: Real, y: Sign):
    return np.maximum(0, 1 - y * pred), np.where(y * pred < 1, -y, 0.0)


@wrong(truths.hinge, "margin", "sign", "sign")
def hinge_sign(pred: Real, y: Sign):
    return np.maximum(0, 1 - y * pred), np.where(y * pred < 1, y, 0.0)


@wrong(truths.hinge, "margin", "label", r"label|target|\by\b|sign|where")
def hinge_no_label(pred: Real, y: Sign):
    return np.maximum(0, 1 - y * pred), np.where(y * pred < 1, -1.0, 0.0)


@wrong(truths.hinge, "margin", "flat", r"flat|inactive|zero|margin|>|where")
def hinge_always(pred: Real, y: Sign):
    return np.maximum(0, 1 - y * pred), -y


@wrong(truths.hinge, "margin", "branch", r"0|1|between|where|margin")
def hinge_perceptron(pred: Real, y: Sign):
    return np.maximum(0, 1 - y * pred), np.where(y * pred < 0, -y, 0.0)


@right(truths.square_hinge, "margin")
def squared_hinge(pred: Real, y: Sign):
    m = np.maximum(0, 1 - y * pred)
    return m**2, -2 * y * m


@wrong(truths.square_hinge, "margin", "chain", r"label|target|\by\b|sign|where")
def squared_hinge_no_label(pred: Real, y: Sign):
    m = np.maximum(0, 1 - y * pred)
    return m**2, -2 * m


@wrong(truths.square_hinge, "margin", "factor", r"\b2\b|0\.5|half")
def squared_hinge_half(pred: Real, y: Sign):
    m = np.maximum(0, 1 - y * pred)
    return m**2, -y * m


@right(truths.logistic, "margin", mistake="digits", loses_digits=True)
def logistic(pred: Real, y: Sign):
    e = np.exp(-y * pred)
    return np.log(1 + e), -y * e / (1 + e)


@right(truths.logistic, "margin")
def logistic_logaddexp(f: Real, y: Sign):
    return np.logaddexp(0, -y * f), -y / (1 + np.exp(y * f))


@wrong(truths.logistic, "margin", "inverted", r"e\^")
def logistic_inverted(f: Real, y: Sign):
    return np.logaddexp(0, -y * f), -y / (1 + np.exp(-y * f))


@wrong(truths.logistic, "margin", "base", r"log|ln|base")
def logistic_sklearn_deviance_bits(f: Real, y: Sign):
    return np.logaddexp(0, -y * f), -y / (1 + np.exp(y * f)) / np.log(2)


@right(truths.exponential, "margin", drawn=False)
def adaboost(f: Real, y: Sign):
    loss = np.exp(-y * f)
    return loss, -y * loss


@wrong(truths.exponential, "margin", "chain", r"sign|label|target|\by\b", drawn=False)
def adaboost_no_label(f: Real, y: Sign):
    loss = np.exp(-y * f)
    return loss, -loss


@right(truths.modified_huber, "margin")
def modified_huber(f: Real, y: Sign):
    z = f * y
    loss = np.where(z >= -1, np.maximum(0, 1 - z) ** 2, -4 * z)
    return loss, np.where(z >= 1, 0.0, np.where(z >= -1, -2 * (1 - z) * y, -4 * y))


@wrong(truths.modified_huber, "margin", "branch", r"-1|−1|<|where|2|branch")
def modified_huber_two(f: Real, y: Sign):
    z = f * y
    loss = np.where(z >= -1, np.maximum(0, 1 - z) ** 2, -4 * z)
    return loss, np.where(z >= 1, 0.0, np.where(z >= -1, -2 * (1 - z) * y, -2 * y))
