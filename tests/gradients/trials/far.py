"""Trials: numbers far from 0, such as prices, with residuals of the size at which the formula changes."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Real


@right(truths.square_insensitive, "real_far")
def square_insensitive(pred: Real, target: Real, eps=0.5):
    r = pred - target
    beyond = np.maximum(0, np.abs(r) - eps)
    return beyond**2, 2 * beyond * np.sign(r)


@wrong(truths.square_insensitive, "real_far", "tube", r"flat|where|\b0\b")
def square_insensitive_always(pred: Real, target: Real, eps=0.5):
    r = pred - target
    return np.maximum(0, np.abs(r) - eps) ** 2, 2 * (r - eps * np.sign(r))


@right(truths.hinge_of_residual, "real_far")
def one_sided(y_true: Real, y_pred: Real):
    return np.maximum(0, y_true - y_pred) ** 2, -2 * np.maximum(0, y_true - y_pred)


@wrong(truths.hinge_of_residual, "real_far", "sign", "sign")
def one_sided_sign(y_true: Real, y_pred: Real):
    return np.maximum(0, y_true - y_pred) ** 2, 2 * np.maximum(0, y_true - y_pred)


@right(truths.geman_mcclure, "real_far")
def geman_mcclure(pred: Real, target: Real):
    u = (pred - target) ** 2
    return u / (1 + u), 2 * (pred - target) / (1 + u) ** 2


@wrong(truths.geman_mcclure, "real_far", "exponent", r"1 \+|depends")
def geman_mcclure_exponent(pred: Real, target: Real):
    u = (pred - target) ** 2
    return u / (1 + u), 2 * (pred - target) / (1 + u)


@right(truths.fair, "real_far", mistake="log(1 + x)", loses_digits=True)
def fair_of_prices(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a - np.log(1 + a), (pred - target) / (1 + a)


@wrong(truths.fair, "real_far", "sign lost", r"sign|one side|where|target", seen_at=(DATA,))
def fair_of_prices_sign(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a - np.log1p(a), a / (1 + a)
