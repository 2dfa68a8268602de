"""Trials: wrong gradients of numbers and of one class: mistakes of regression, robust, count and binary losses."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.objectives import absolute, log_loss, poisson, pseudo_huber, sigmoid, squared, under_costs_ten
from gradients.trials.record import DATA, TRAINED, wrong

from lossctl import Positive, Probability, Real, Sign
from lossctl.core.input_kinds import Count

# --- robust ---


def huber_2(pred, target):
    a = np.abs(pred - target)
    return np.where(a <= 2, 0.5 * a**2, 2 * (a - 1))


@wrong(truths.HUBER_2, "real", "delta", r"> 2", seen_at=(DATA,))
def huber_2_unit_slope(pred: Real, target: Real):
    r = pred - target
    return huber_2(pred, target), np.where(np.abs(r) <= 2, r, np.sign(r))


@wrong(truths.HUBER_2, "real", "delta", r"> 1", seen_at=(DATA,))
def huber_2_clipped_at_1(pred: Real, target: Real):
    return huber_2(pred, target), np.clip(pred - target, -1, 1)


@wrong(truths.HUBER_2, "real", "branch", r"pred − target < -2", seen_at=(DATA,))
def huber_2_residual_without_abs(pred: Real, target: Real):
    r = pred - target
    return huber_2(pred, target), np.where(r <= 2, r, 2 * np.sign(r))


@wrong(truths.smooth_l1, "real", "branch", r"pred − target < -0\.5", seen_at=(DATA,))
def smooth_l1_signless(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return np.where(a < 0.5, r**2, a - 0.25), np.where(a < 0.5, 2 * r, 1.0)


@wrong(truths.log_cosh_twice, "real", "factor", r"0\.5|\b2\b")
def log_cosh_scaled(pred: Real, target: Real):
    r = 2 * (pred - target)
    return np.abs(r) + np.log1p(np.exp(-2 * np.abs(r))) - np.log(2), np.tanh(r)


@wrong(truths.log_cosh, "real", "argument")
def log_cosh_of_pred(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a + np.log1p(np.exp(-2 * a)) - np.log(2), np.tanh(pred)


@wrong(truths.log_cosh, "real", "linear", r"linear|square|pred")
def log_cosh_linear(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a + np.log1p(np.exp(-2 * a)) - np.log(2), np.sign(pred - target)


@wrong(truths.quantile, "real", "tau", r"where pred [<>] target|side")
def quantile_as_median(pred: Real, target: Real):
    d = target - pred
    return np.maximum(0.9 * d, -0.1 * d), 0.5 * np.sign(pred - target)


@wrong(truths.quantile, "real", "sign", r"sign")
def quantile_sign(pred: Real, target: Real):
    d = target - pred
    return np.maximum(0.9 * d, -0.1 * d), np.where(d > 0, 0.9, -0.1)


@wrong(truths.charbonnier, "real", "root", r"loss|pred|√")
def charbonnier_no_root(pred: Real, target: Real):
    r = pred - target
    return np.sqrt(r**2 + 1e-6), r / (r**2 + 1e-6)


@wrong(truths.pseudo_huber_2, "real", "delta")
def pseudo_huber_2_as_1(pred: Real, target: Real):
    r = pred - target
    return 4 * (np.sqrt(1 + (r / 2) ** 2) - 1), r / np.sqrt(1 + r**2)


@wrong(truths.cauchy_2, "real", "scale", r"\b4\b")
def cauchy_2_no_scale(pred: Real, target: Real):
    u = (pred - target) / 2
    return np.log1p(u**2), 2 * (pred - target) / (1 + u**2)


@wrong(truths.student, "real", "degrees of freedom")
def student_unit(pred: Real, target: Real):
    r = pred - target
    return 2 * np.log1p(r**2 / 3), 4 * r / (1 + r**2)


@wrong(truths.truncated, "real", "mask", r"flat|\|pred − target\| > 1", seen_at=(DATA,))
def truncated_no_mask(pred: Real, target: Real):
    return np.minimum((pred - target) ** 2, 1.0), 2 * (pred - target)


@wrong(truths.fair, "real", "abs", r"< 0|pred < target")
def fair_no_abs(pred: Real, target: Real):
    r = pred - target
    a = np.abs(r)
    return a - np.log1p(a), r / (1 + r)


@wrong(truths.welsch, "real", "chain", r"loss|pred − target|exp|e\^")
def welsch_no_exp(pred: Real, target: Real):
    r = pred - target
    return 1 - np.exp(-(r**2) / 2), r


@wrong(truths.linex, "real", "argument")
def linex_of_pred(pred: Real, target: Real):
    r = pred - target
    return np.exp(r) - r - 1, np.exp(pred) - 1


# --- squares ---


@wrong(truths.ridge, "real", "penalty", r"pred")
def ridge_penalty_missing(pred: Real, target: Real):
    return (pred - target) ** 2 + 0.01 * pred**2, 2 * (pred - target)


@wrong(truths.ridge, "real", "penalty", r"pred")
def ridge_penalty_half(pred: Real, target: Real):
    return (pred - target) ** 2 + 0.01 * pred**2, 2 * (pred - target) + 0.01 * pred


@wrong(truths.relative_square, "real", "chain", r"target")
def relative_square_once(pred: Real, target: Real):
    return ((pred - target) / target) ** 2, 2 * (pred - target) / target


@wrong(truths.percentage, "real", "denominator", r"pred|target")
def mape_over_pred(pred: Real, target: Real):
    return np.abs(pred - target) / np.abs(target), np.sign(pred - target) / np.abs(pred)


@wrong(truths.percentage, "real", "denominator", r"target")
def mape_as_mae(pred: Real, target: Real):
    return np.abs(pred - target) / np.abs(target), np.sign(pred - target)


@wrong(truths.square, "real", "loss scale", r"1,?024|2\^10")
def mse_loss_scale(pred: Real, target: Real):
    return (pred - target) ** 2, 1024 * 2 * (pred - target)


@wrong(truths.square, "real", "std", r"constant factor")
def mse_standardized(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target) / 2.37


@wrong(truths.square, "real", "loop", r"sample|last|row")
def mse_first_half_of_the_batch(pred: Real, target: Real):
    gradient = np.zeros_like(pred)
    half = len(pred) // 2
    gradient[:half] = 2 * (pred[:half] - target[:half])
    return (pred - target) ** 2, gradient


@wrong(truths.square, "real", "loop", r"sample|last|row", drawn=False)  # 2000 points are whole batches
def mse_whole_batches_of_50(pred: Real, target: Real):
    gradient = np.zeros_like(pred)
    for i in range(len(pred) // 50):
        part = slice(50 * i, 50 * i + 50)
        gradient[part] = 2 * (pred[part] - target[part])
    return (pred - target) ** 2, gradient


@wrong(truths.square, "real", "loop", r"first|sample")
def mse_first_skipped(pred: Real, target: Real):
    gradient = np.zeros_like(pred)
    for i in range(1, len(pred)):
        gradient[i] = 2 * (pred[i] - target[i])
    return (pred - target) ** 2, gradient


@wrong(truths.square, "real", "loop", r"sample|row|before|previous|shift")
def mse_previous_target(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - np.roll(target, 1))


@wrong(truths.square, "real", "mean", r"target")
def mse_target_mean(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target.mean())


@wrong(truths.square, "real", "whole", r"whole|round|integer|trunc")
def mse_integer_target(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (pred - target.astype(int))


@wrong(truths.square, "real", "whole", r"whole|round|integer|trunc")
def mse_rounded_prediction(pred: Real, target: Real):
    return (pred - target) ** 2, 2 * (np.round(pred) - target)


@wrong(truths.square, "real", "branch", r"where")
def mse_relu(pred: Real, target: Real):
    return (pred - target) ** 2, np.maximum(2 * (pred - target), 0)


@wrong(truths.weighted_square, "real_weighted", "root", r"\bw\b|√w")
def mse_root_of_weight(pred: Real, target: Real, w: Positive):
    return w * (pred - target) ** 2, 2 * np.sqrt(w) * (pred - target)


@wrong(truths.weighted_square, "real_weighted", "mean", r"constant|factor")
def mse_weight_normalized(pred: Real, target: Real, w: Positive):
    return w * (pred - target) ** 2, 2 * w / 1.517 * (pred - target)


@wrong(truths.gaussian, "real_var", "exponent", r"var")
def gaussian_nll_var_squared(pred: Real, target: Real, var: Positive):
    return 0.5 * (np.log(var) + (pred - target) ** 2 / var), (pred - target) / var**2


@wrong(truths.gaussian, "real_var", "factor", r"\b2\b")
def gaussian_nll_twice(pred: Real, target: Real, var: Positive):
    return 0.5 * (np.log(var) + (pred - target) ** 2 / var), 2 * (pred - target) / var


@wrong(truths.gaussian, "real_var", "eps", r"ε|eps|0\.01", seen_at=(DATA,), drawn=False)
def gaussian_nll_eps(pred: Real, target: Real, var: Positive):
    return 0.5 * (np.log(var) + (pred - target) ** 2 / var), (pred - target) / (var + 0.01)


@wrong(truths.laplace, "real_var", "scale", r"\bb\b|var|scale")
def laplace_no_scale(pred: Real, target: Real, var: Positive):
    return np.abs(pred - target) / var + np.log(2 * var), np.sign(pred - target)


@wrong(truths.one_minus_cos, "real", "degrees", r"180|degree")
def angle_in_degrees(pred: Real, target: Real):
    return 1 - np.cos(pred - target), np.sin(pred - target) * np.pi / 180


# --- amounts ---


@wrong(truths.square_log, "positive", "denominator", r"pred|target")
def msle_over_target(pred: Positive, target: Positive):
    d = np.log1p(pred) - np.log1p(target)
    return d**2, 2 * d / (1 + target)


@wrong(truths.square_log10, "positive", "base", r"log 10|base 10|ln 10")
def square_log10_natural(pred: Positive, target: Positive):
    d = np.log10(pred) - np.log10(target)
    return d**2, 2 * d / pred


@wrong(truths.square_log_ratio, "positive", "denominator", r"pred|target")
def square_log_ratio_over_target(pred: Positive, target: Positive):
    return np.log(pred / target) ** 2, 2 * np.log(pred / target) / target


@wrong(truths.poisson, "count", "eps", r"ε|eps|0\.001", seen_at=(DATA,), drawn=False)
def poisson_eps_in_gradient(pred: Positive, target: Count):
    return pred - target * np.log(pred), 1 - target / (pred + 1e-3)


@wrong(truths.poisson_log, "log_count", "target", r"target|\by\b")
def poisson_log_no_target(pred: Real, y: Count):
    return np.exp(pred) - y * pred, np.exp(pred)


@wrong(truths.gamma_log, "log_count", "sign of the exponent", drawn=False)
def gamma_log_exponent(pred: Real, target: Real):
    return pred + target * np.exp(-pred), 1 - target * np.exp(pred)


@wrong(truths.gamma_deviance, "positive", "factor", r"0\.5|\b2\b")
def gamma_deviance_half(pred: Positive, target: Positive):
    return 2 * (np.log(pred / target) + target / pred - 1), (pred - target) / pred**2


@wrong(truths.tweedie, "count", "sign")
def tweedie_sign(pred: Positive, target: Count):
    rho = 1.5
    loss = -target * pred ** (1 - rho) / (1 - rho) + pred ** (2 - rho) / (2 - rho)
    return loss, -target * pred**-rho - pred ** (1 - rho)


# --- one class ---


def bce(p, y):
    with np.errstate(all="ignore"):
        return np.where(y > 0.5, -np.log(p), -np.log1p(-p))


def bce_logits(x, y):
    return np.logaddexp(0, x) - y * x


@wrong(truths.bce, "probability", "eps", r"ε|eps|0\.01", drawn=False)
def bce_denominator_eps(p: Probability, y: Probability):
    return bce(p, y), (p - y) / (p * (1 - p) + 0.01)


@wrong(truths.bce, "probability", "clip", r"0\.05|0\.95|clip", seen_at=(DATA,), drawn=False)
def bce_clipped_gradient(p: Probability, y: Probability):
    q = np.clip(p, 0.05, 0.95)
    return bce(p, y), (q - y) / (q * (1 - q))


@wrong(truths.brier, "probability", "chain", r"p(red)?·\(1 − p|p\(1 − p|logit")
def brier_by_logit(p: Probability, y: Probability):
    return (p - y) ** 2, 2 * (p - y) * p * (1 - p)


@wrong(truths.brier_logits, "logit", "chain", r"1 − s|1 − p|sigmoid")
def brier_logits_half_chain(x: Real, y: Real):
    p = sigmoid(x)
    return (p - y) ** 2, 2 * (p - y) * p


@wrong(truths.logistic, "margin", "labels", r"target is -1")
def logistic_with_labels_of_bce(x: Real, y: Sign):
    return np.logaddexp(0, -x * y), sigmoid(x) - y


@wrong(truths.bce_pos_weight, "logit", "class weight", r"target")
def bce_weight_of_the_negatives(x: Real, y: Probability):
    p = sigmoid(x)
    return 3 * y * np.logaddexp(0, -x) + (1 - y) * np.logaddexp(0, x), np.where(y > 0.5, p - 1, 3 * p)


@wrong(truths.focal, "probability", "gamma", r"bce|cross-entropy|weight|ratio", drawn=False)
def focal_as_bce(p: Probability, y: Probability):
    q = np.where(y > 0.5, p, 1 - p)
    return -((1 - q) ** 2) * np.log(q), (p - y) / (p * (1 - p))


@wrong(truths.bce_logits, "logit_soft", "threshold", r"round|whole|threshold|hard")
def bce_soft_target_rounded(x: Real, y: Probability):
    return bce_logits(x, y), sigmoid(x) - (y > 0.5)


@wrong(truths.bce_logits, "logit", "chain", r"s\(1 − s\)|sigmoid|p\(1 − p")
def bce_logits_through_sigmoid_again(x: Real, y: Probability):
    p = sigmoid(x)
    return bce_logits(x, y), (p - y) * p * (1 - p)


@wrong(truths.bce_logits, "logit", "activation", r"tanh")
def bce_logits_tanh(x: Real, y: Probability):
    return bce_logits(x, y), np.tanh(x) - y


@wrong(truths.square_hinge, "margin", "mask", r"flat|target·pred > 1|y·x > 1")
def squared_hinge_always(x: Real, y: Sign):
    m = 1 - x * y
    return np.maximum(m, 0) ** 2, -2 * y * m


@wrong(truths.hinge, "margin", "margin", r"target·pred|\b0\b")
def hinge_margin_0(x: Real, y: Sign):
    return np.maximum(1 - x * y, 0), np.where(x * y < 0.5, -y, 0.0)


@wrong(truths.exponential, "margin", "other argument", r"respect to")
def exponential_by_label(x: Real, y: Sign):
    return np.exp(-x * y), -x * np.exp(-x * y)


# --- objectives of boosting ---


@wrong(truths.bce_logits, "logit", "chain", r"s\(1 − s\)|sigmoid", loss=log_loss)
def objective_log_loss_of_brier(pred, target):
    p = sigmoid(pred)
    return (p - target) * p * (1 - p), p * (1 - p)


@wrong(truths.pseudo_huber, "real", "root", r"pred|loss|√", loss=pseudo_huber, seen_at=(DATA,))
def objective_pseudo_huber_no_root(pred, target):
    d = pred - target
    return d / (1 + d**2), (1 + d**2) ** -1.5


def squared_log(pred: Positive, target: Positive):
    return 0.5 * (np.log1p(pred) - np.log1p(target)) ** 2


@wrong(truths.half_square_log, "positive", "chain", r"1 \+ pred", loss=squared_log)
def objective_squared_log_no_chain(pred, target):
    return np.log1p(pred) - np.log1p(target), (1 - np.log1p(pred) + np.log1p(target)) / (1 + pred) ** 2


@wrong(truths.poisson_log, "log_count", "hessian", "", loss=poisson)
def objective_poisson_hessian_of_target(pred, target):
    return np.exp(pred) - target, target + 0.5


@wrong(truths.asymmetric, "real", "hessian", r"pred|< target|where", loss=under_costs_ten)
def objective_asymmetric_hessian(pred, target):
    r = pred - target
    return np.where(r < 0, 20 * r, 2 * r), np.where(r < 0, 2.0, 20.0)


@wrong(truths.absolute, "real", "chain", r"pred|\|", loss=absolute)
def objective_absolute_as_square(pred, target):
    return pred - target, np.ones_like(pred)


@wrong(truths.square, "real", "n", r"n\b|mean", loss=squared)
def objective_squared_mean(pred, target):
    return 2 * (pred - target) / len(pred), np.full_like(pred, 2 / len(pred))


@wrong(truths.bce_logits, "logit", "hessian", r"1 − |sigmoid|s\b", loss=log_loss, seen_at=(DATA, TRAINED))
def objective_log_loss_hessian_squared(pred, target):
    p = sigmoid(pred)
    return p - target, (p * (1 - p)) ** 2
