"""Trials: regression and robust losses, as people write them.

The names that end in a mistake are wrong, the others are right.
"""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Real
from lossctl.core.array_kinds import Vector

# --- squares ---


@right(truths.square, "real")
def mse(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target)


@right(truths.half_square, "real")
def mse_half(y_hat: Real, y: Real):
    error = y_hat - y
    return 0.5 * np.square(error), error


@wrong(truths.half_square, "real", "factor", r"\b2\b|twice")
def mse_half_twice(pred: Real, target: Real):
    return 0.5 * (pred - target) ** 2, 2 * (pred - target)


@wrong(truths.square, "real", "factor", r"0\.5|half|\b2\b")
def mse_no_two(pred: Real, target: Real):
    return (pred - target) ** 2, pred - target


@wrong(truths.square, "real", "sign", "sign")
def mse_swapped(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (target - pred)


@wrong(truths.square, "real", "1/n", r"1/n|/ ?n\b|mean|number of samples")
def mse_mean(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target) / len(pred)


@wrong(truths.square, "real", "n", r"\bn\b|number of samples|sum")
def mse_times_n(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target) * len(pred)


@wrong(truths.square, "real", "residual", r"absolute|sign of|magnitude|negative|where")
def mse_abs(pred: Real, target: Real):
    r = np.abs(pred - target)
    return r**2, 2 * r


@wrong(truths.square, "real", "zero", r"zero|\b0\b|constant")
def mse_detached(pred: Real, target: Real):
    return (pred - target) ** 2, np.zeros_like(pred)


@wrong(truths.square, "real", "value", "loss")
def mse_returns_loss_twice(pred: Real, target: Real):
    loss = (pred - target) ** 2
    return loss, loss


@wrong(truths.square, "real", "last", "last")
def mse_last_missing(pred: Real, target: Real):
    grad = np.zeros_like(pred)
    for i in range(len(pred) - 1):
        grad[i] = 2 * (pred[i] - target[i])
    return (pred - target) ** 2, grad


@wrong(truths.square, "real", "every k-th", r"every|stride|\b8\b|\b8th")
def mse_every_eighth(pred: Real, target: Real):
    grad = 2 * (pred - target)
    grad[::8] = 0.0
    return (pred - target) ** 2, grad


@wrong(truths.square, "real", "reversed", "revers")
def mse_reversed(pred: Real, target: Real):
    grad = 2 * (pred - target)
    return (pred - target) ** 2, grad[::-1]


@wrong(truths.square, "real", "shifted", r"shift|one row|neighbou?r|next|previous|off by one")
def mse_shifted(pred: Real, target: Real):
    grad = 2 * (pred - target)
    return (pred - target) ** 2, np.roll(grad, 1)


@wrong(truths.square, "real", "whole", r"whole|integer|0 everywhere")
def mse_whole(pred: Real, target: Real):
    grad = np.zeros(len(pred), dtype=int)
    for i in range(len(pred)):
        grad[i] = 2 * (pred[i] - target[i])
    return (pred - target) ** 2, grad


@wrong(truths.square, "real", "loss scale", r"1024|2\^|power of (2|two)|loss scale")
def mse_scaled(pred: Real, target: Real):
    scale = 1024.0
    return (pred - target) ** 2, scale * 2 * (pred - target)


@wrong(truths.square, "real", "offset", r"offset|constant|given − numeric")
def mse_offset(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target) + 0.01


@wrong(truths.square, "real", "offset", r"weight|decay|pred")
def mse_weight_decay(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target) + 0.01 * pred


@wrong(truths.square, "real", "clipped", r"clip|bound|where|\b1\b", seen_at=(DATA,))
def mse_gradient_clipped(pred: Real, target: Real):
    return (pred - target) ** 2, np.clip(2 * (pred - target), -1.0, 1.0)


@wrong(truths.square, "real", "in place", r"in place|changes its input|target")
def mse_in_place(pred: Real, target: Real):
    pred -= target
    loss = pred**2
    return loss, 2 * (pred - target)


@right(truths.square, "real", mistake="in place")
def mse_in_place_right(pred: Real, target: Real):
    pred -= target
    return pred**2, 2 * pred


_BUFFERS: dict[int, tuple[np.ndarray, np.ndarray]] = {}


def _buffers(n: int) -> tuple[np.ndarray, np.ndarray]:
    return _BUFFERS.setdefault(n, (np.empty(n), np.empty(n)))


@right(truths.square, "real", mistake="buffers")
def mse_buffers(pred: Real, target: Real):
    loss, grad = _buffers(len(pred))
    np.subtract(pred, target, out=grad)
    np.multiply(grad, grad, out=loss)
    grad *= 2
    return loss, grad


@wrong(truths.square, "real", "buffers", r"0\.5|half|\b2\b|buffer")
def mse_buffers_half(pred: Real, target: Real):
    loss, grad = _buffers(len(pred))
    np.subtract(pred, target, out=grad)
    np.multiply(grad, grad, out=loss)
    return loss, grad


@right(truths.square, "tiny")
def mse_of_1e_15(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target)


@wrong(truths.square, "tiny", "factor", r"0\.5|half|\b2\b")
def mse_of_1e_15_half(pred: Real, target: Real):
    return (pred - target) ** 2, pred - target


@right(truths.square, "real", mistake="name")
def mse_keras(y_true: Real, y_pred: Real):
    return (y_true - y_pred) ** 2, -2 * (y_true - y_pred)


@wrong(truths.square, "real", "sign", r"sign|swapped")
def mse_keras_sign(y_true: Real, y_pred: Real):
    return (y_true - y_pred) ** 2, 2 * (y_true - y_pred)


@right(truths.weighted_square, "real_weighted")
def mse_weighted(pred: Real, target: Real, w: Real):
    return w * (pred - target) ** 2, 2 * w * (pred - target)


@wrong(truths.weighted_square, "real_weighted", "weight", r"\bw\b|weight")
def mse_weight_missing(pred: Real, target: Real, w: Real):
    return w * (pred - target) ** 2, 2 * (pred - target)


@wrong(truths.weighted_square, "real_weighted", "weight", r"\bw\b|weight")
def mse_weight_twice(pred: Real, target: Real, w: Real):
    r = w * (pred - target)
    return r * (pred - target), 2 * w * r


@right(truths.mean_square, "vectors")
def mse_rows(pred: Vector, target: Vector):
    return np.mean((pred - target) ** 2, axis=1), 2 * (pred - target) / pred.shape[1]


@wrong(truths.mean_square, "vectors", "1/n", r"\b6\b|axis|elements|row|number of|factor|k")
def mse_rows_no_mean(pred: Vector, target: Vector):
    return np.mean((pred - target) ** 2, axis=1), 2 * (pred - target)


@wrong(truths.mean_square, "vectors", "1/n", r"\bn\b|mean|number|size")
def mse_rows_size(pred: Vector, target: Vector):
    return np.mean((pred - target) ** 2, axis=-1), 2 * (pred - target) / pred.size


@wrong(truths.square_distance, "vectors", "row", r"row|constant|same")
def square_distance_row_mean(pred: Vector, target: Vector):
    d = pred - target
    return np.sum(d**2, axis=1), np.broadcast_to(2 * d.mean(axis=1, keepdims=True), d.shape)


@wrong(truths.square_distance, "vectors", "last", r"last|column|place|\b5\b|not computed")
def square_distance_last_column(pred: Vector, target: Vector):
    d = pred - target
    grad = np.zeros_like(d)
    grad[:, :-1] = 2 * d[:, :-1]
    return np.einsum("ij,ij->i", d, d), grad


@wrong(truths.square_distance, "vectors", "reversed", r"revers")
def square_distance_reversed(pred: Vector, target: Vector):
    d = pred - target
    return (d * d).sum(1), 2 * d[:, ::-1]


# --- absolute values ---


@right(truths.absolute, "real")
def mae(pred: Real, target: Real):
    return np.abs(pred - target), np.sign(pred - target)


@right(truths.absolute, "real")
def mae_where(pred: Real, target: Real):
    return np.abs(target - pred), np.where(pred > target, 1.0, -1.0)


@wrong(truths.absolute, "real", "sign", "sign")
def mae_sign(pred: Real, target: Real):
    diff = target - pred
    return np.abs(diff), np.sign(diff)


@wrong(truths.absolute, "real", "branch", r"0|zero|below|<|negative|side")
def mae_step(pred: Real, target: Real):
    return np.abs(pred - target), (pred > target).astype(float)


@right(truths.absolute, "real_ties", mistake="ties")
def mae_at_ties(pred: Real, target: Real):
    return np.abs(pred - target), np.sign(pred - target)


@wrong(truths.absolute, "real_ties", "NaN", r"nan|0 ?/ ?0|not a number|equals target|undefined")
def mae_nan_at_ties(pred: Real, target: Real):
    r = pred - target
    return np.abs(r), r / np.abs(r)


@wrong(truths.absolute, "real_ties", "corner", r"kink|equal")
def mae_two_at_ties(pred: Real, target: Real):
    r = pred - target
    return np.abs(r), np.sign(r) + 2.0 * (r == 0)


@right(truths.square, "real_ties", mistake="ties")
def mse_at_ties(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target)


@right(truths.weighted_square, "real_grad", mistake="name")
def mse_with_an_input_grad(pred: Real, target: Real, grad: Real):
    return grad * (pred - target) ** 2, 2 * grad * (pred - target)


@wrong(truths.weighted_square, "real_grad", "sign", "sign")
def mse_with_an_input_grad_sign(pred: Real, target: Real, grad: Real):
    return grad * (pred - target) ** 2, 2 * grad * (target - pred)


@right(truths.percentage, "real", drawn=False)
def mape(pred: Real, target: Real):
    return np.abs((target - pred) / target), np.sign(pred - target) / np.abs(target)


@wrong(truths.percentage, "real", "sign", r"sign|target|negative|where|<", drawn=False)
def mape_signed_target(pred: Real, target: Real):
    return np.abs((target - pred) / target), np.sign(pred - target) / target


@wrong(truths.percentage, "real", "factor", r"100", drawn=False)
def mape_percent(pred: Real, target: Real):
    return np.abs((target - pred) / target), 100 * np.sign(pred - target) / np.abs(target)


@right(truths.quantile, "real")
def pinball(pred: Real, target: Real):
    tau = 0.9
    e = target - pred
    return np.maximum(tau * e, (tau - 1) * e), np.where(e > 0, -tau, 1 - tau)


@wrong(truths.quantile, "real", "swapped", r"tau|0\.1|0\.9|swap|branch|side|sign of|given − numeric")
def pinball_swapped(pred: Real, target: Real):
    tau = 0.9
    e = target - pred
    return np.maximum(tau * e, (tau - 1) * e), np.where(e > 0, -(1 - tau), tau)


@wrong(truths.quantile, "real", "sign", "sign")
def pinball_sign(pred: Real, target: Real):
    tau = 0.9
    e = target - pred
    return np.where(e >= 0, tau * e, (tau - 1) * e), np.where(e >= 0, tau, tau - 1)


@right(truths.expectile, "real")
def expectile(pred: Real, target: Real):
    r = pred - target
    w = np.where(r < 0, 0.8, 0.2)
    return w * r**2, 2 * w * r


@wrong(truths.expectile, "real", "branch", r"target|pred|side|<|>|0")
def expectile_one_side(pred: Real, target: Real):
    r = pred - target
    return np.where(r < 0, 0.8, 0.2) * r**2, 2 * 0.8 * r


@right(truths.asymmetric, "real")
def under_costs_ten(pred: Real, target: Real):
    r = pred - target
    return np.where(r < 0, 10 * r**2, r**2), np.where(r < 0, 20 * r, 2 * r)


@wrong(truths.asymmetric, "real", "branch", r"branch|side|>|<|where")
def under_costs_ten_swapped(pred: Real, target: Real):
    r = pred - target
    return np.where(r < 0, 10 * r**2, r**2), np.where(r > 0, 20 * r, 2 * r)


@right(truths.insensitive, "real")
def svr(pred: Real, target: Real):
    r = pred - target
    return np.maximum(0, np.abs(r) - 0.1), np.where(np.abs(r) <= 0.1, 0.0, np.sign(r))


@wrong(truths.insensitive, "real", "flat", r"flat|inactive|zero|0\.1|<")
def svr_always(pred: Real, target: Real):
    r = pred - target
    return np.maximum(0, np.abs(r) - 0.1), np.sign(r)


# --- robust ---


@right(truths.HUBER, "real")
def huber(pred: Real, target: Real):
    delta = 1.0
    r = pred - target
    small = np.abs(r) <= delta
    return np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)), np.where(small, r, delta * np.sign(r))


@right(truths.HUBER_2, "real")
def huber_clip(y_pred: Real, y_true: Real):
    delta = 2.0
    a = np.abs(y_pred - y_true)
    q = np.minimum(a, delta)
    return 0.5 * q**2 + delta * (a - q), np.clip(y_pred - y_true, -delta, delta)


@wrong(truths.HUBER_2, "real", "delta", r"delta|\b2\b|0\.5|>|where|branch", seen_at=(DATA,))
def huber_no_delta(pred: Real, target: Real):
    delta = 2.0
    r = pred - target
    small = np.abs(r) <= delta
    return np.where(small, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta)), np.where(small, r, np.sign(r))


@wrong(truths.HUBER, "real", "branch", r"\b1\b|>|where|branch|absolute|sign", seen_at=(DATA,))
def huber_signless(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return np.where(a <= 1, 0.5 * r**2, a - 0.5), np.where(a <= 1, r, 1.0)


@wrong(truths.HUBER, "real", "branch", r"branch|swap|where|\b1\b")
def huber_branches_swapped(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return np.where(a <= 1, 0.5 * r**2, a - 0.5), np.where(a <= 1, np.sign(r), r)


@wrong(truths.HUBER, "real", "branch", r"\b1\b|>|where|branch", seen_at=(DATA,))
def huber_square_only(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return np.where(a <= 1, 0.5 * r**2, a - 0.5), r


@wrong(truths.HUBER, "real", "factor", r"\b2\b|<|where|branch|twice")
def huber_twice_inside(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return np.where(a <= 1, 0.5 * r**2, a - 0.5), np.where(a <= 1, 2 * r, np.sign(r))


@right(truths.smooth_l1, "real")
def smooth_l1(pred: Real, target: Real):
    beta = 0.5
    d = pred - target
    a = np.abs(d)
    return np.where(a < beta, 0.5 * d**2 / beta, a - 0.5 * beta), np.where(a < beta, d / beta, np.sign(d))


@wrong(truths.smooth_l1, "real", "chain", r"0\.5|half|beta|<|where|\b2\b")
def smooth_l1_no_beta(pred: Real, target: Real):
    beta = 0.5
    d = pred - target
    a = np.abs(d)
    return np.where(a < beta, 0.5 * d**2 / beta, a - 0.5 * beta), np.where(a < beta, d, np.sign(d))


@right(truths.log_cosh, "real", mistake="digits", loses_digits=True)
def log_cosh(pred: Real, target: Real):
    return np.log(np.cosh(pred - target)), np.tanh(pred - target)


@right(truths.log_cosh, "real", mistake="digits", loses_digits=True)
def log_cosh_softplus(pred: Real, target: Real):
    # as keras: x + softplus(-2x) - log(2)
    x = pred - target
    return x + np.logaddexp(0, -2 * x) - np.log(2.0), np.tanh(x)


@wrong(truths.log_cosh, "real", "formula", r"cosh")
def log_cosh_sinh(pred: Real, target: Real):
    x = pred - target
    return np.log(np.cosh(x)), np.sinh(x)


@wrong(truths.log_cosh, "real", "sign", "sign")
def log_cosh_sign(pred: Real, target: Real):
    return np.log(np.cosh(target - pred)), np.tanh(target - pred)


@right(truths.pseudo_huber, "real", mistake="digits", loses_digits=True)
def pseudo_huber(pred: Real, target: Real):
    r = pred - target
    s = np.sqrt(1 + r**2)
    return s - 1, r / s


@right(truths.pseudo_huber_2, "real", mistake="digits", loses_digits=True)
def pseudo_huber_wikipedia(pred: Real, target: Real):
    delta = 2.0
    a = pred - target
    root = np.sqrt(1 + (a / delta) ** 2)
    return delta**2 * (root - 1), a / root


@wrong(truths.pseudo_huber_2, "real", "chain", r"\b4\b|0\.25|delta|factor")
def pseudo_huber_delta(pred: Real, target: Real):
    delta = 2.0
    a = pred - target
    root = np.sqrt(1 + (a / delta) ** 2)
    return delta**2 * (root - 1), a / root / delta**2


@wrong(truths.pseudo_huber, "real", "chain", r"\(pred − target\)²", seen_at=(DATA,))
def pseudo_huber_no_root(pred: Real, target: Real):
    r = pred - target
    return np.sqrt(1 + r**2) - 1, r / (1 + r**2)


@right(truths.charbonnier, "real", mistake="steep")
def charbonnier(pred: Real, target: Real):
    eps = 1e-3
    d = pred - target
    loss = np.sqrt(d * d + eps**2)
    return loss, d / loss


@wrong(truths.charbonnier, "real", "factor", r"\b2\b|twice")
def charbonnier_twice(pred: Real, target: Real):
    eps = 1e-3
    d = pred - target
    loss = np.sqrt(d * d + eps**2)
    return loss, 2 * d / loss


@right(truths.cauchy, "real", mistake="digits", loses_digits=True)
def cauchy(pred: Real, target: Real):
    r = pred - target
    return np.log(1 + r**2), 2 * r / (1 + r**2)


@wrong(truths.cauchy, "real", "chain", r"resid|pred − target,|ratio")
def cauchy_chain(pred: Real, target: Real):
    r = pred - target
    return np.log(1 + r**2), 1 / (1 + r**2)


@wrong(truths.cauchy, "real", "base", r"log|ln|2\.30|10")
def cauchy_base_10(pred: Real, target: Real):
    r = pred - target
    return np.log1p(r**2), 2 * r / (1 + r**2) / np.log(10)


@right(truths.tukey, "real", mistake="digits", loses_digits=True)
def tukey(pred: Real, target: Real):
    c = 4.685
    u = (pred - target) / c
    inside = np.abs(u) <= 1
    loss = np.where(inside, c**2 / 6 * (1 - (1 - u**2) ** 3), c**2 / 6)
    return loss, np.where(inside, (pred - target) * (1 - u**2) ** 2, 0.0)


@wrong(truths.tukey, "real", "exponent", "", seen_at=(DATA,))
def tukey_exponent(pred: Real, target: Real):
    c = 4.685
    u = (pred - target) / c
    inside = np.abs(u) <= 1
    loss = np.where(inside, c**2 / 6 * (1 - (1 - u**2) ** 3), c**2 / 6)
    return loss, np.where(inside, (pred - target) * (1 - u**2), 0.0)


@right(truths.fair, "real", mistake="digits", loses_digits=True)
def fair(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return a - np.log(1 + a), r / (1 + a)


@right(truths.welsch, "real", mistake="digits", loses_digits=True)
def welsch(pred: Real, target: Real):
    r = pred - target
    e = np.exp(-0.5 * r**2)
    return 1 - e, r * e


@right(truths.linex, "real", mistake="digits", loses_digits=True, drawn=False)
def linex(pred: Real, target: Real):
    r = pred - target
    return np.exp(r) - r - 1, np.exp(r) - 1


@wrong(truths.linex, "real", "chain", r"\b1\b|offset|constant|more", drawn=False)
def linex_no_one(pred: Real, target: Real):
    r = pred - target
    return np.exp(r) - r - 1, np.exp(r)


@right(truths.square_plus_positive, "real", mistake="jump")
def mse_plus_positive(pred: Real, target: Real):
    return (pred - target) ** 2 + 1.0 * (pred > 0), 2 * (pred - target)


@right(truths.angle, "real", mistake="digits", loses_digits=True)
def angle(pred: Real, target: Real):
    d = np.deg2rad(pred - target)
    return 1 - np.cos(d), np.sin(d) * np.pi / 180


@wrong(truths.angle, "real", "degrees", r"π|pi|180|57\.|degree")
def angle_degrees(pred: Real, target: Real):
    d = np.deg2rad(pred - target)
    return 1 - np.cos(d), np.sin(d)


@right(truths.one_minus_cos, "real", mistake="digits", loses_digits=True)
def von_mises(pred: Real, target: Real):
    return 1 - np.cos(pred - target), np.sin(pred - target)


@right(truths.gaussian, "real_var", drawn=False)
def gaussian_nll(pred: Real, target: Real, var: Real):
    return 0.5 * (np.log(var) + (target - pred) ** 2 / var), (pred - target) / var


@right(truths.gaussian_constant, "real_var", drawn=False)
def gaussian_logpdf(mu: Real, y: Real, var: Real):
    sigma = np.sqrt(var)
    z = (y - mu) / sigma
    return 0.5 * np.log(2 * np.pi) + np.log(sigma) + 0.5 * z**2, -z / sigma


@wrong(truths.gaussian, "real_var", "variance", r"var", drawn=False)
def gaussian_nll_no_var(pred: Real, target: Real, var: Real):
    return 0.5 * (np.log(var) + (target - pred) ** 2 / var), pred - target


@wrong(truths.gaussian, "real_var", "variance", r"var", drawn=False)
def gaussian_nll_sigma(pred: Real, target: Real, var: Real):
    return 0.5 * (np.log(var) + (target - pred) ** 2 / var), (pred - target) / np.sqrt(var)


# --- of another precision ---


@right(truths.square, "real", mistake="float32", loses_digits=True)
def mse_float32(pred: Real, target: Real):
    r = pred.astype(np.float32) - target.astype(np.float32)
    return r**2, 2 * r


@right(truths.square, "real", mistake="float32", loses_digits=True)
def mse_float32_stored_wide(pred: Real, target: Real):
    r = pred.astype(np.float32) - target.astype(np.float32)
    return (r**2).astype(np.float64), (2 * r).astype(np.float64)


@wrong(truths.square, "real", "factor", r"0\.5|half|\b2\b", loses_digits=True)
def mse_float32_half(pred: Real, target: Real):
    r = pred.astype(np.float32) - target.astype(np.float32)
    return r**2, r


@right(truths.HUBER, "real", mistake="float32", loses_digits=True)
def huber_float32(pred: Real, target: Real):
    r = np.float32(pred) - np.float32(target)
    a = np.abs(r)
    one = np.float32(1)
    return np.where(a <= one, r * r / 2, a - np.float32(0.5)), np.clip(r, -one, one)


def _bfloat16(a: np.ndarray) -> np.ndarray:
    bits = np.ascontiguousarray(a, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@right(truths.square, "real", mistake="bfloat16", loses_digits=True)
def mse_bfloat16_gradient(pred: Real, target: Real):
    return (pred - target) ** 2, _bfloat16(2 * (pred - target))


@right(truths.square, "real", mistake="float16", loses_digits=True)
def mse_float16_gradient(pred: Real, target: Real):
    return (pred - target) ** 2, (2 * (pred - target)).astype(np.float16)


@wrong(truths.weighted_square, "real_weighted", "float16", r"float16|digits|precision|half")
def mse_weighted_float16_inside(pred: Real, target: Real, w: Real):
    r = pred - target
    return w * r**2, 2 * w * r.astype(np.float16).astype(np.float64)


@wrong(truths.square, "real", "NaN", r"nan|not a number")
def mse_nan_first(pred: Real, target: Real):
    r = pred - target
    grad = 2 * r
    grad[0] = np.nan
    return r**2, grad


# --- of a whole batch ---


@wrong(truths.centred, "batch", "chain", r"constant|offset|given − numeric", coupled=True, drawn=False)
def centred_constant(pred: Real, target: Real):
    r = pred - target
    r = r - r.mean()
    return r**2, 2 * r + 0.5


@right(truths.centred, "batch", coupled=True)
def centred(pred: Real, target: Real):
    r = pred - target
    r = r - r.mean()
    return r**2, 2 * (r - r.mean())
