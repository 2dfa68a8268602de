"""Trials: counts and amounts: Poisson, gamma and Tweedie in their several forms."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, TRAINED, right, wrong

from lossctl import Positive, Real
from lossctl.core.input_kinds import Count


@right(truths.poisson, "count")
def poisson(pred: Positive, target: Count):
    return pred - target * np.log(pred), 1 - target / pred


@wrong(truths.poisson, "count", "chain", r"pred|log|exp")
def poisson_as_log(pred: Positive, target: Count):
    return pred - target * np.log(pred), pred - target


@wrong(truths.poisson, "count", "sign", "sign")
def poisson_sign(pred: Positive, target: Count):
    return pred - target * np.log(pred), target / pred - 1


@wrong(truths.poisson, "count", "constant", r"\b1\b|constant|offset|less")
def poisson_no_one(pred: Positive, target: Count):
    return pred - target * np.log(pred), -target / pred


@right(truths.poisson_eps, "count")
def poisson_keras(y_true: Count, y_pred: Positive):
    return y_pred - y_true * np.log(y_pred + 1e-8), 1 - y_true / (y_pred + 1e-8)


@right(truths.poisson_log, "log_count")
def poisson_log(log_rate: Real, y: Count):
    return np.exp(log_rate) - y * log_rate, np.exp(log_rate) - y


@wrong(truths.poisson_log, "log_count", "chain", r"pred|exp|e\^")
def poisson_log_as_rate(pred: Real, y: Count):
    return np.exp(pred) - y * pred, 1 - y * np.exp(-pred)


@wrong(truths.poisson_log, "log_count", "base", "")
def poisson_log_base_10(pred: Real, y: Count):
    return np.exp(pred) - y * pred, 10**pred - y


@right(truths.poisson_deviance, "count", mistake="digits", loses_digits=True)
def poisson_deviance(pred: Positive, target: Count):
    with np.errstate(all="ignore"):
        log_term = np.where(target > 0, target * np.log(target / pred), 0.0)
    return 2 * (log_term - target + pred), 2 * (1 - target / pred)


@wrong(truths.poisson_deviance, "count", "factor", r"0\.5|half|\b2\b")
def poisson_deviance_half(pred: Positive, target: Count):
    with np.errstate(all="ignore"):
        log_term = np.where(target > 0, target * np.log(target / pred), 0.0)
    return 2 * (log_term - target + pred), 1 - target / pred


@right(truths.gamma_deviance, "positive", mistake="digits", loses_digits=True)
def gamma_deviance(pred: Positive, target: Positive):
    return 2 * (np.log(pred / target) + target / pred - 1), 2 * (1 / pred - target / pred**2)


@right(truths.gamma_deviance, "positive", mistake="digits", loses_digits=True)
def gamma_deviance_one_fraction(pred: Positive, target: Positive):
    return 2 * (-np.log(target / pred) + (target - pred) / pred), 2 * (pred - target) / pred**2


@wrong(truths.gamma_deviance, "positive", "chain", r"pred")
def gamma_deviance_chain(pred: Positive, target: Positive):
    return 2 * (np.log(pred / target) + target / pred - 1), 2 * (pred - target) / pred


@wrong(truths.gamma_deviance, "positive", "swapped", r"swap|order")
def gamma_deviance_swapped(pred: Positive, target: Positive):
    return 2 * (np.log(pred / target) + target / pred - 1), 2 * (target - pred) / target**2


@wrong(truths.gamma_deviance, "positive", "derivative of target", r"swap|target|wrt|respect")
def gamma_deviance_by_target(pred: Positive, target: Positive):
    return 2 * (np.log(pred / target) + target / pred - 1), 2 * (1 / pred - 1 / target)


@right(truths.gamma_log, "log_count", mistake="cancels", drawn=False)
def gamma_log(pred: Real, target: Real):
    return pred + target * np.exp(-pred), 1 - target * np.exp(-pred)


@wrong(truths.gamma_log, "log_count", "sign", r"sign|\+|where target", drawn=False)
def gamma_log_plus(pred: Real, target: Real):
    return pred + target * np.exp(-pred), 1 + target * np.exp(-pred)


@right(truths.tweedie, "count")
def tweedie(pred: Positive, target: Count):
    rho = 1.5
    loss = -target * pred ** (1 - rho) / (1 - rho) + pred ** (2 - rho) / (2 - rho)
    return loss, -target * pred**-rho + pred ** (1 - rho)


@wrong(truths.tweedie, "count", "exponent", r"pred")
def tweedie_exponent(pred: Positive, target: Count):
    rho = 1.5
    loss = -target * pred ** (1 - rho) / (1 - rho) + pred ** (2 - rho) / (2 - rho)
    return loss, -target * pred ** (1 - rho) + pred ** (2 - rho)


@right(truths.tweedie_log, "log_count", mistake="cancels")
def tweedie_log(pred: Real, y: Count):
    rho = 1.5
    a, b = (1 - rho) * pred, (2 - rho) * pred
    return -y * np.exp(a) / (1 - rho) + np.exp(b) / (2 - rho), -y * np.exp(a) + np.exp(b)


@wrong(truths.tweedie_log, "log_count", "chain", "")
def tweedie_log_chain(pred: Real, y: Count):
    rho = 1.5
    a, b = (1 - rho) * pred, (2 - rho) * pred
    return -y * np.exp(a) / (1 - rho) + np.exp(b) / (2 - rho), -y * np.exp(a) * (1 - rho) + np.exp(b) * (2 - rho)


@right(truths.square_log, "positive")
def msle(pred: Positive, target: Positive):
    d = np.log1p(pred) - np.log1p(target)
    return d**2, 2 * d / (1 + pred)


@wrong(truths.square_log, "positive", "chain", r"1 ?\+ ?pred|pred")
def msle_chain(pred: Positive, target: Positive):
    d = np.log1p(pred) - np.log1p(target)
    return d**2, 2 * d


@wrong(truths.square_log, "positive", "eps", r"pred", seen_at=(DATA, TRAINED))
def msle_no_plus_one(pred: Positive, target: Positive):
    d = np.log1p(pred) - np.log1p(target)
    return d**2, 2 * d / pred
