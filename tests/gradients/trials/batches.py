"""Trials: losses of a whole batch, with the share of each sample, as people write them."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import right, wrong

from lossctl import Real


def shares(value, n):
    """The same share of a number for each of n samples."""
    return np.full(n, value / n)


@right(truths.variance, "batch", coupled=True)
def variance_of_residuals(pred: Real, target: Real):
    r = pred - target
    return shares(r.var(), len(r)), 2 * (r - r.mean()) / len(r)


@wrong(truths.variance, "batch", "n − 1", r"factor|÷|\d", coupled=True)
def variance_of_residuals_unbiased(pred: Real, target: Real):
    r = pred - target
    return shares(r.var(), len(r)), 2 * (r - r.mean()) / (len(r) - 1)


@right(truths.concordance, "batch", coupled=True)
def concordance(y_true: Real, y_pred: Real):
    n, mean, mean_t = len(y_pred), y_pred.mean(), y_true.mean()
    top = 2 * ((y_pred - mean) * (y_true - mean_t)).mean()
    bottom = y_pred.var() + y_true.var() + (mean - mean_t) ** 2
    d_top, d_bottom = 2 * (y_true - mean_t) / n, 2 * (y_pred - mean) / n + 2 * (mean - mean_t) / n
    return shares(1 - top / bottom, n), -(d_top * bottom - top * d_bottom) / bottom**2


@wrong(truths.concordance, "batch", "product rule", coupled=True)
def concordance_mean(y_true: Real, y_pred: Real):
    n, mean, mean_t = len(y_pred), y_pred.mean(), y_true.mean()
    top = 2 * ((y_pred - mean) * (y_true - mean_t)).mean()
    bottom = y_pred.var() + y_true.var() + (mean - mean_t) ** 2
    d_top, d_bottom = 2 * (y_true - mean_t) / n, 2 * (y_pred - mean) / n
    return shares(1 - top / bottom, n), -(d_top * bottom - top * d_bottom) / bottom**2


@right(truths.correlation, "batch", coupled=True)
def correlation(pred: Real, target: Real):
    a, b = pred - pred.mean(), target - target.mean()
    length, length_b = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    r = (a * b).sum() / (length * length_b)
    return shares(1 - r, len(a)), r * a / length**2 - b / (length * length_b)


@wrong(truths.correlation, "batch", "projection", coupled=True)
def correlation_no_projection(pred: Real, target: Real):
    a, b = pred - pred.mean(), target - target.mean()
    length, length_b = np.sqrt((a * a).sum()), np.sqrt((b * b).sum())
    return shares(1 - (a * b).sum() / (length * length_b), len(a)), -b / (length * length_b)


@right(truths.pairs, "batch", coupled=True)
def pairs(scores: Real, relevance: Real):
    away = scores[:, None] - scores[None, :]
    better = relevance[:, None] > relevance[None, :]
    q = np.where(better, -1 / (1 + np.exp(away)), 0.0)
    return np.where(better, np.logaddexp(0, -away), 0.0).sum(axis=1), q.sum(axis=1) - q.sum(axis=0)


@wrong(truths.pairs, "batch", "winner only", coupled=True)
def pairs_winner_only(scores: Real, relevance: Real):
    away = scores[:, None] - scores[None, :]
    better = relevance[:, None] > relevance[None, :]
    q = np.where(better, -1 / (1 + np.exp(away)), 0.0)
    return np.where(better, np.logaddexp(0, -away), 0.0).sum(axis=1), q.sum(axis=1)


@right(truths.mean_absolute, "batch", coupled=True)
def mean_absolute(pred: Real, target: Real):
    r = pred - target
    return shares(np.abs(r).mean(), len(r)), np.sign(r) / len(r)


@wrong(truths.mean_absolute, "batch", "n", r"\bn\b|number of samples|÷", coupled=True)
def mean_absolute_sum(pred: Real, target: Real):
    r = pred - target
    return shares(np.abs(r).mean(), len(r)), np.sign(r)
