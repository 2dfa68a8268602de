"""Trials: the forms that people give a loss: classes, closures, loops, buffers, means and gradients by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
from gradients.trials import truths
from gradients.trials.forms_truths import (
    CENSORED,
    binned,
    clipped_logit,
    explained,
    mean_of,
    mixture,
    pinball_rows,
    root_mean_square,
    soft_f1,
    student,
    two_heads,
)
from gradients.trials.record import DATA, TRAINED, right, wrong

from lossctl import Positive, Probability, Real
from lossctl.core.array_kinds import Vector
from lossctl.core.input_kinds import Count


class SmoothCriterion:
    """A criterion with parameters of its own."""

    def __init__(self, beta=1.0):
        self.beta = beta

    def __call__(self, pred: Real, target: Real):
        diff = pred - target
        small = np.abs(diff) < self.beta
        loss = np.where(small, 0.5 * diff**2 / self.beta, np.abs(diff) - 0.5 * self.beta)
        return loss, np.where(small, diff / self.beta, np.sign(diff))


class SmoothCriterionOnlyLoss(SmoothCriterion):
    """The parameter is in the loss and forgotten in the gradient."""

    def __call__(self, pred: Real, target: Real):
        diff = pred - target
        return super().__call__(pred, target)[0], np.clip(diff, -1, 1)


right(truths.smooth_l1, "real")(SmoothCriterion(0.5))
wrong(truths.smooth_l1, "real", "parameter", r"÷|where|<|branch|beta|0\.5")(SmoothCriterionOnlyLoss(0.5))


class Layer:
    """A layer of a small network library: forward keeps what backward needs."""

    def forward(self, x, t):
        self.r = x - t
        return self.r**2

    def backward(self, up=1.0):
        return 2 * up * self.r


@right(truths.square, "real")
def layer_square(pred: Real, target: Real):
    layer = Layer()
    return layer.forward(pred, target), layer.backward()


@wrong(truths.square, "real", "up", r"0\.1|÷|factor")
def layer_square_learning_rate(pred: Real, target: Real):
    layer = Layer()
    return layer.forward(pred, target), layer.backward(up=0.1)


def _huber(pred: Real, target: Real, delta=1.0):
    return (
        np.piecewise(
            pred - target,
            [np.abs(pred - target) <= delta],
            [lambda r: r**2 / 2, lambda r: delta * (np.abs(r) - delta / 2)],
        ),
        np.piecewise(pred - target, [np.abs(pred - target) <= delta], [lambda r: r, lambda r: delta * np.sign(r)]),
    )


_partial = partial(_huber, delta=2.0)
_partial.__name__ = "huber_partial"  # type: ignore[attr-defined]
right(truths.HUBER_2, "real")(_partial)


def make_quantile(tau, factor=1.0):
    """A closure over a level."""

    def quantile(pred: Real, target: Real):
        error = target - pred
        return np.maximum(tau * error, (tau - 1) * error), factor * np.where(error > 0, -tau, 1 - tau)

    return quantile


def _named(function, name):
    function.__name__ = name
    return function


right(truths.quantile, "real")(_named(make_quantile(0.9), "quantile_closure"))
wrong(truths.quantile, "real", "sign", "sign")(_named(make_quantile(0.9, -1.0), "quantile_closure_minus"))


@right(truths.log_cosh, "real", drawn=False)
def log_cosh_loop(y_true, y_pred):
    import math

    losses, grads = [], []
    for t, p in zip(y_true, y_pred, strict=True):
        losses.append(math.log(math.cosh(p - t)))
        grads.append(math.tanh(p - t))
    return losses, grads


@wrong(truths.log_cosh, "real", "swapped", "sign", drawn=False)
def log_cosh_loop_swapped(y_true, y_pred):
    import math

    losses, grads = [], []
    for t, p in zip(y_true, y_pred, strict=True):
        losses.append(math.log(math.cosh(p - t)))
        grads.append(math.tanh(t - p))
    return losses, grads


@right(truths.cauchy, "real")
def cauchy_complex_step(pred: Real, target: Real):
    def f(x):
        return np.log(1 + (x - target) ** 2)

    return f(pred), np.imag(f(pred + 1e-100j)) / 1e-100


@right(truths.cauchy, "real", mistake="digits", loses_digits=True)
def cauchy_central_difference(pred: Real, target: Real):
    def f(x):
        return np.log(1 + (x - target) ** 2)

    return f(pred), (f(pred + 1e-5) - f(pred - 1e-5)) / 2e-5


@wrong(truths.cauchy, "real", "coarse difference", r"difference of the loss")
def cauchy_forward_difference(pred: Real, target: Real):
    def f(x):
        return np.log(1 + (x - target) ** 2)

    return f(pred), (f(pred + 0.01) - f(pred)) / 0.01


@right(truths.geman_mcclure, "real")
def geman_longdouble(pred: Real, target: Real):
    u = np.longdouble(pred - target) ** 2
    return (u / (1 + u)).astype(float), (2 * (pred - target) / (1 + u) ** 2).astype(float)


def half_mean(y_true, raw, loss_out, gradient_out):
    """Fills arrays that the caller made, as compiled losses do."""
    np.subtract(raw, y_true, out=gradient_out)
    np.multiply(gradient_out, gradient_out, out=loss_out)
    loss_out *= 0.5


@right(truths.half_square, "real")
def out_arrays(y_true: Real, raw_prediction: Real):
    loss, gradient = np.empty_like(raw_prediction), np.empty_like(raw_prediction)
    half_mean(y_true, raw_prediction, loss, gradient)
    return loss, gradient


@wrong(truths.half_square, "real", "buffer", r"\|pred − target\|")
def out_arrays_same(y_true: Real, raw_prediction: Real):
    gradient = np.empty_like(raw_prediction)
    loss = gradient  # one array for both
    half_mean(y_true, raw_prediction, loss, gradient)
    np.subtract(raw_prediction, y_true, out=gradient)
    return 0.5 * gradient**2, loss * np.abs(gradient)


# --- clipped logits ---


@right(clipped_logit, "logit", mistake="clip", loses_digits=True)
def clipped_logit_masked(pred: Real, target: Probability):
    z = np.clip(pred, -6, 6)
    p = 1 / (1 + np.exp(-z))
    return np.logaddexp(0, z) - target * z, np.where(np.abs(pred) <= 6, p - target, 0.0)


@wrong(clipped_logit, "logit", "clip", r"flat|where|\b6|clip", seen_at=(TRAINED,))
def clipped_logit_straight(pred: Real, target: Probability):
    z = np.clip(pred, -6, 6)
    p = 1 / (1 + np.exp(-z))
    return np.logaddexp(0, z) - target * z, p - target


# --- two outputs for each sample ---


@right(two_heads, "heads", drawn=False)
def mean_and_log_variance(pred: Vector, target: Real):
    mu, s = pred[:, 0], pred[:, 1]
    r = mu - target
    loss = 0.5 * s + 0.5 * r**2 * np.exp(-s)
    return loss, np.stack([r * np.exp(-s), 0.5 - 0.5 * r**2 * np.exp(-s)], axis=1)


@wrong(two_heads, "heads", "half", r"column|output|class|coordinate|\[1\]", drawn=False)
def mean_and_log_variance_half(pred: Vector, target: Real):
    mu, s = pred[:, 0], pred[:, 1]
    r = mu - target
    loss = 0.5 * s + 0.5 * r**2 * np.exp(-s)
    return loss, np.stack([r * np.exp(-s), 1.0 - r**2 * np.exp(-s)], axis=1)


@wrong(two_heads, "heads", "chain", r"pred\[1\]", drawn=False)
def mean_and_log_variance_precision(pred: Vector, target: Real):
    mu, s = pred[:, 0], pred[:, 1]
    r = mu - target
    loss = 0.5 * s + 0.5 * r**2 * np.exp(-s)
    return loss, np.stack([r, 0.5 - 0.5 * r**2 * np.exp(-s)], axis=1)


@right(pinball_rows, "heads3", drawn=False)
def three_quantiles(pred: Vector, target: Real):
    taus = np.array([0.1, 0.5, 0.9])
    e = target[:, None] - pred
    return np.maximum(taus * e, (taus - 1) * e).sum(axis=1), np.where(e > 0, -taus, 1 - taus)


@wrong(pinball_rows, "heads3", "one level", r"column 0.*column 2", drawn=False)
def three_quantiles_median(pred: Vector, target: Real):
    taus = np.array([0.1, 0.5, 0.9])
    e = target[:, None] - pred
    return np.maximum(taus * e, (taus - 1) * e).sum(axis=1), np.where(e > 0, -0.5, 0.5) * np.ones(3)


# --- likelihoods ---


@right(student, "real")
def student_t(pred: Real, target: Real, nu=4.0):
    r = pred - target
    return 0.5 * (nu + 1) * np.log1p(r**2 / nu), (nu + 1) * r / (nu + r**2)


@wrong(student, "real", "degrees", r"÷|factor|1\.25|0\.8")
def student_t_nu(pred: Real, target: Real, nu=4.0):
    r = pred - target
    return 0.5 * (nu + 1) * np.log1p(r**2 / nu), nu * r / (nu + r**2)


@right(mixture, "real")
def gaussian_mixture(pred: Real, target: Real):
    r = pred - target
    a = np.log(0.9) - 0.5 * r**2
    b = np.log(0.1) - 0.5 * (r / 5) ** 2 - np.log(5)
    total = np.logaddexp(a, b)
    return -total, np.exp(a - total) * r + np.exp(b - total) * r / 25


@wrong(mixture, "real", "weights", "")
def gaussian_mixture_prior(pred: Real, target: Real):
    r = pred - target
    a = np.log(0.9) - 0.5 * r**2
    b = np.log(0.1) - 0.5 * (r / 5) ** 2 - np.log(5)
    return -np.logaddexp(a, b), 0.9 * r + 0.1 * r / 25


# --- durations ---


@right(CENSORED["exponential"], "durations")
def exponential_hazard(log_hazard: Real, time: Positive, event: Probability):
    return np.exp(log_hazard) * time - event * log_hazard, np.exp(log_hazard) * time - event


@wrong(CENSORED["exponential"], "durations", "event", r"event|0 where|where|offset|1 ")
def exponential_hazard_no_censoring(log_hazard: Real, time: Positive, event: Probability):
    return np.exp(log_hazard) * time - event * log_hazard, np.exp(log_hazard) * time - 1


@right(CENSORED["weibull"], "durations")
def weibull_aft(pred: Real, time: Positive, event: Probability, sigma=0.7):
    z = (np.log(time) - pred) / sigma
    density, survival = -(z - np.exp(z)) + np.log(sigma * time), np.exp(z)
    return np.where(event > 0, density, survival), np.where(event > 0, 1 - np.exp(z), -np.exp(z)) / sigma


@wrong(CENSORED["weibull"], "durations", "chain", r"÷|factor|0\.7|sigma")
def weibull_aft_no_sigma(pred: Real, time: Positive, event: Probability, sigma=0.7):
    z = (np.log(time) - pred) / sigma
    density, survival = -(z - np.exp(z)) + np.log(sigma * time), np.exp(z)
    return np.where(event > 0, density, survival), np.where(event > 0, 1 - np.exp(z), -np.exp(z))


@wrong(CENSORED["weibull"], "durations", "branch", r"event|where|1\.429")
def weibull_aft_censored_as_seen(pred: Real, time: Positive, event: Probability, sigma=0.7):
    z = (np.log(time) - pred) / sigma
    density, survival = -(z - np.exp(z)) + np.log(sigma * time), np.exp(z)
    return np.where(event > 0, density, survival), (1 - np.exp(z)) / sigma


# --- ordered classes ---

CUTS = np.array([-2.0, 0.0, 1.5])


@right(binned, "grades")
def ordinal(pred: Real, target: Count):
    z = pred[:, None] - CUTS
    above = (target[:, None] > np.arange(3)).astype(float)
    return (np.logaddexp(0, z) - above * z).sum(axis=1), (1 / (1 + np.exp(-z)) - above).sum(axis=1)


@wrong(binned, "grades", "off by one", r"− numeric is -1|target < 3")
def ordinal_off_by_one(pred: Real, target: Count):
    z = pred[:, None] - CUTS
    above = (target[:, None] > np.arange(3)).astype(float)
    return (np.logaddexp(0, z) - above * z).sum(axis=1), (1 / (1 + np.exp(-z)) - (target[:, None] >= np.arange(3))).sum(
        axis=1
    )


# --- one number for a batch ---


@right(mean_of(truths.HUBER), "batch", coupled=True, reduction="mean")
def mean_huber(pred: Real, target: Real):
    r = pred - target
    return np.where(abs(r) < 1, r**2 / 2, abs(r) - 0.5).mean(), np.clip(r, -1, 1) / r.size


@wrong(mean_of(truths.HUBER), "batch", "mean twice", r"\bn\b|÷|samples", coupled=True, reduction="mean")
def mean_huber_twice(pred: Real, target: Real):
    r = pred - target
    return np.where(abs(r) < 1, r**2 / 2, abs(r) - 0.5).mean(), np.clip(r, -1, 1) / r.size**2


@wrong(mean_of(truths.HUBER), "batch", "no mean", r"\bn\b|÷|samples", coupled=True, reduction="mean")
def mean_huber_sum(pred: Real, target: Real):
    r = pred - target
    return np.where(abs(r) < 1, r**2 / 2, abs(r) - 0.5).mean(), np.clip(r, -1, 1)


@right(root_mean_square, "batch", coupled=True, reduction="mean")
def rmse(y_true: Real, y_pred: Real):
    value = np.sqrt(np.mean((y_true - y_pred) ** 2))
    return value, (y_pred - y_true) / (len(y_true) * value)


@wrong(root_mean_square, "batch", "chain", r"root|the loss", coupled=True, reduction="mean")
def rmse_of_mse(y_true: Real, y_pred: Real):
    return np.sqrt(np.mean((y_true - y_pred) ** 2)), 2 * (y_pred - y_true) / len(y_true)


@right(explained, "batch", coupled=True, reduction="mean")
def one_minus_r2(pred: Real, target: Real):
    total = ((target - target.mean()) ** 2).sum()
    return ((pred - target) ** 2).sum() / total, 2 * (pred - target) / total


@wrong(explained, "batch", "sign", "sign", coupled=True, reduction="mean")
def one_minus_r2_sign(pred: Real, target: Real):
    total = ((target - target.mean()) ** 2).sum()
    return ((pred - target) ** 2).sum() / total, 2 * (target - pred) / total


@right(soft_f1, "chances", coupled=True, reduction="mean")
def macro_soft_f1(pred: Probability, target: Probability):
    hit, size = (pred * target).sum(), pred.sum() + target.sum()
    return 1 - 2 * hit / size, -2 * target / size + 2 * hit / size**2


@wrong(
    soft_f1,
    "chances",
    "quotient rule",
    r"where target is 0|every wrong coordinate",
    coupled=True,
    reduction="mean",
    seen_at=(DATA, TRAINED),
)
def macro_soft_f1_numerator(pred: Probability, target: Probability):
    hit, size = (pred * target).sum(), pred.sum() + target.sum()
    return 1 - 2 * hit / size, -2 * target / size
