"""Trials: lists, pairs, sequences, masks and distributions, and objectives of gradient boosting."""

from __future__ import annotations

import numpy as np
from gradients.trials import lists_truths as of
from gradients.trials.record import DATA, TRAINED, right, wrong

from lossctl import Label, Logits, Positive, Probabilities, Probability, Real
from lossctl.core.array_kinds import Direction, Mask, Relevances, Scores, Vector
from lossctl.core.input_kinds import Count


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(z, axis=-1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(z, axis=-1):
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))


# --- ranking ---


def _by_grade(scores, relevance):
    order = np.argsort(-relevance, axis=1, kind="stable")
    return order, np.take_along_axis(scores, order, axis=1)


def _put_back(order, g):
    out = np.empty_like(g)
    np.put_along_axis(out, order, g, axis=1)
    return out


@right(of.list_mle, "ranked")
def list_mle(scores: Scores, relevance: Relevances):
    order, s = _by_grade(scores, relevance)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    tail = np.cumsum(e[:, ::-1], axis=1)[:, ::-1]
    loss = (np.log(tail) + s.max(axis=1, keepdims=True) - s).sum(axis=1)
    return loss, _put_back(order, e * np.cumsum(1 / tail, axis=1) - 1)


@wrong(of.list_mle, "ranked", "cumsum", r"cumul")
def list_mle_cumsum_reversed(scores: Scores, relevance: Relevances):
    order, s = _by_grade(scores, relevance)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    tail = np.cumsum(e[:, ::-1], axis=1)[:, ::-1]
    loss = (np.log(tail) + s.max(axis=1, keepdims=True) - s).sum(axis=1)
    return loss, _put_back(order, e * np.cumsum((1 / tail)[:, ::-1], axis=1)[:, ::-1] - 1)


@wrong(of.list_mle, "ranked", "order", r"order")
def list_mle_not_put_back(scores: Scores, relevance: Relevances):
    _, s = _by_grade(scores, relevance)
    e = np.exp(s - s.max(axis=1, keepdims=True))
    tail = np.cumsum(e[:, ::-1], axis=1)[:, ::-1]
    loss = (np.log(tail) + s.max(axis=1, keepdims=True) - s).sum(axis=1)
    return loss, e * np.cumsum(1 / tail, axis=1) - 1


@right(of.bpr, "triplets", mistake="digits", loses_digits=True)
def bpr_of_dots(user: Vector, item: Vector, negative: Vector):
    x = (user * (item - negative)).sum(axis=1)
    return -np.log(sigmoid(x)), -sigmoid(-x)[:, None] * (item - negative)


@wrong(of.bpr, "triplets", "chain", "factor of the sample|row")
def bpr_of_dots_no_chain(user: Vector, item: Vector, negative: Vector):
    x = (user * (item - negative)).sum(axis=1)
    return -np.log(sigmoid(x)), -(item - negative)


@right(of.supervised_temperature, "ranked")
def softmax_over_relevant(scores: Scores, relevance: Relevances):
    gain = 2**relevance - 1
    p = gain / np.maximum(gain.sum(axis=1, keepdims=True), 1)
    return -(p * log_softmax(scores / 2)).sum(axis=1), (softmax(scores / 2) * p.sum(axis=1, keepdims=True) - p) / 2


@wrong(of.supervised_temperature, "ranked", "axis", "")
def softmax_over_relevant_axis(scores: Scores, relevance: Relevances):
    gain = 2**relevance - 1
    p = gain / np.maximum(gain.sum(axis=1, keepdims=True), 1)
    return -(p * log_softmax(scores / 2)).sum(axis=1), (softmax(scores / 2, axis=0) - p) / 2


# --- contrastive ---


def _clip_scores(a, b, scale=2.0):
    return scale * a @ b.T


@right(of.clip, "pairs", coupled=True)
def clip_symmetric(image: Vector, text: Vector):
    s = _clip_scores(image, text)
    rows, columns = softmax(s, 1), softmax(s, 0)
    loss = -(np.diag(log_softmax(s, 1)) + np.diag(log_softmax(s, 0))) / 2
    return loss, ((rows - np.eye(len(s))) + (columns - np.eye(len(s)))) / 2 @ text * 2.0


@wrong(of.clip, "pairs", "one direction", "", coupled=True)
def clip_one_direction(image: Vector, text: Vector):
    s = _clip_scores(image, text)
    loss = -(np.diag(log_softmax(s, 1)) + np.diag(log_softmax(s, 0))) / 2
    return loss, (softmax(s, 1) - np.eye(len(s))) @ text * 2.0


@wrong(of.clip, "pairs", "temperature", r"0\.5|half|÷|2 is missing", coupled=True)
def clip_no_scale(image: Vector, text: Vector):
    s = _clip_scores(image, text)
    loss = -(np.diag(log_softmax(s, 1)) + np.diag(log_softmax(s, 0))) / 2
    return loss, ((softmax(s, 1) - np.eye(len(s))) + (softmax(s, 0) - np.eye(len(s)))) / 2 @ text


@right(of.additive_margin, "cosines")
def additive_margin(cosine: Logits, target: Label):
    z = 10 * (cosine - 0.35 * np.eye(cosine.shape[1])[target])
    return -log_softmax(z)[np.arange(len(z)), target], 10 * (softmax(z) - np.eye(cosine.shape[1])[target])


@wrong(of.additive_margin, "cosines", "margin", r"softmax|margin|target", seen_at=(DATA,))
def additive_margin_forgotten(cosine: Logits, target: Label):
    z = 10 * (cosine - 0.35 * np.eye(cosine.shape[1])[target])
    return -log_softmax(z)[np.arange(len(z)), target], 10 * (softmax(10 * cosine) - np.eye(cosine.shape[1])[target])


@wrong(of.additive_margin, "cosines", "scale", r"0\.1|÷")
def additive_margin_no_scale(cosine: Logits, target: Label):
    z = 10 * (cosine - 0.35 * np.eye(cosine.shape[1])[target])
    return -log_softmax(z)[np.arange(len(z)), target], softmax(z) - np.eye(cosine.shape[1])[target]


# --- sequences ---


def _steps(logits, transcript):
    """The log-probabilities of staying and of going on, and the lattice of all monotone paths."""
    stay, go = -np.logaddexp(0, logits), -np.logaddexp(0, -logits)
    n, frames = logits.shape
    alpha = np.full((n, frames + 1, frames + 1), -np.inf)
    alpha[:, 0, 0] = 0
    for f in range(frames):
        alpha[:, f + 1] = np.logaddexp(
            alpha[:, f] + stay[:, f, None],
            np.concatenate([np.full((n, 1), -np.inf), alpha[:, f, :-1]], axis=1) + go[:, f, None],
        )
    beta = np.full((n, frames + 1, frames + 1), -np.inf)
    beta[np.arange(n), frames, transcript] = 0
    for f in reversed(range(frames)):
        beta[:, f] = np.logaddexp(
            beta[:, f + 1] + stay[:, f, None],
            np.concatenate([beta[:, f + 1, 1:], np.full((n, 1), -np.inf)], axis=1) + go[:, f, None],
        )
    return stay, go, alpha, beta


@right(of.alignment, "frames", drawn=False)
def alignment(logits: Vector, length: Count):
    length = length.astype(int)
    _, go, alpha, beta = _steps(logits, length)
    total = beta[:, 0, 0]
    through = alpha[:, :-1, :-1] + go[:, :, None] + beta[:, 1:, 1:] - total[:, None, None]
    return -total, sigmoid(logits) - np.exp(through).sum(axis=2)


@wrong(of.alignment, "frames", "best path", "", drawn=False)
def alignment_no_beta(logits: Vector, length: Count):
    length = length.astype(int)
    _, _, _, beta = _steps(logits, length)
    return -beta[:, 0, 0], sigmoid(logits) - (length / logits.shape[1])[:, None]


@right(of.variation, "vectors")
def total_variation(signal: Vector, observed: Vector):
    d = np.diff(signal, axis=1)
    g = signal - observed
    s = 0.3 * np.tanh(d / 0.1)
    g[:, 1:] += s
    g[:, :-1] -= s
    return 0.5 * ((signal - observed) ** 2).sum(axis=1) + 0.03 * np.log(np.cosh(d / 0.1)).sum(axis=1), g


@wrong(of.variation, "vectors", "one end", r"column|last|first")
def total_variation_one_end(signal: Vector, observed: Vector):
    d = np.diff(signal, axis=1)
    g = signal - observed
    s = 0.3 * np.tanh(d / 0.1)
    g[:, 1:] += s
    return 0.5 * ((signal - observed) ** 2).sum(axis=1) + 0.03 * np.log(np.cosh(d / 0.1)).sum(axis=1), g


# --- masks ---


@right(of.log_dice, "masks")
def log_dice(pred: Mask, target: Mask):
    hit, size = (pred * target).sum(axis=1), pred.sum(axis=1) + target.sum(axis=1)
    dice = (2 * hit + 1) / (size + 1)
    return -np.log(dice), -(2 * target / (2 * hit + 1)[:, None] - 1 / (size + 1)[:, None])


@wrong(of.log_dice, "masks", "chain", r"row|factor of the sample|loss")
def log_dice_of_dice(pred: Mask, target: Mask):
    hit, size = (pred * target).sum(axis=1), pred.sum(axis=1) + target.sum(axis=1)
    dice = (2 * hit + 1) / (size + 1)
    return -np.log(dice), -(2 * target - dice[:, None]) / (size + 1)[:, None]


@right(of.focal_tversky, "masks", mistake="digits", loses_digits=True)
def focal_tversky(pred: Mask, target: Mask):
    tp, fp, fn = (pred * target).sum(1), (pred * (1 - target)).sum(1), ((1 - pred) * target).sum(1)
    below = tp + 0.3 * fp + 0.7 * fn + 1
    t = (tp + 1) / below
    d = target / below[:, None] - ((tp + 1) / below**2)[:, None] * (target + 0.3 * (1 - target) - 0.7 * target)
    return (1 - t) ** 0.75, -0.75 * ((1 - t) ** -0.25)[:, None] * d


@wrong(of.focal_tversky, "masks", "chain", r"row|factor of the sample|loss", loses_digits=True)
def focal_tversky_no_gamma(pred: Mask, target: Mask):
    tp, fp, fn = (pred * target).sum(1), (pred * (1 - target)).sum(1), ((1 - pred) * target).sum(1)
    below = tp + 0.3 * fp + 0.7 * fn + 1
    t = (tp + 1) / below
    d = target / below[:, None] - ((tp + 1) / below**2)[:, None] * (target + 0.3 * (1 - target) - 0.7 * target)
    return (1 - t) ** 0.75, -d


# --- distributions ---


# Where both are 0 it is NaN, and certain rows are drawn.
@right(of.jeffreys, "distributions", drawn=False)
def jeffreys(p: Probabilities, q: Probabilities):
    ratio = np.log(p / q)
    return ((p - q) * ratio).sum(axis=1), ratio + 1 - q / p


@wrong(of.jeffreys, "distributions", "one direction", r"target/pred")
def jeffreys_one_direction(p: Probabilities, q: Probabilities):
    ratio = np.log(p / q)
    return ((p - q) * ratio).sum(axis=1), ratio + 1


@right(of.earth_mover, "distributions")
def earth_mover(p: Probabilities, q: Probabilities):
    c = np.cumsum(p - q, axis=1)
    return (c**2).sum(axis=1), 2 * np.cumsum(c[:, ::-1], axis=1)[:, ::-1]


@wrong(of.earth_mover, "distributions", "cumsum", r"cumul")
def earth_mover_same_cumsum(p: Probabilities, q: Probabilities):
    c = np.cumsum(p - q, axis=1)
    return (c**2).sum(axis=1), 2 * np.cumsum(c, axis=1)


# 0·log 0 is NaN, and one-hot rows are drawn.
@right(of.kl_of_logits, "logits_soft", drawn=False)
def kl_of_logits(student: Logits, teacher: Probabilities):
    log_q = log_softmax(student)
    return (teacher * (np.log(teacher) - log_q)).sum(axis=1), np.exp(log_q) - teacher


@right(of.reverse_of_logits, "logits_soft")
def reverse_kl_of_logits(student: Logits, teacher: Probabilities):
    q = softmax(student)
    a = log_softmax(student) - np.log(teacher)
    return (q * a).sum(axis=1), q * (a - (q * a).sum(axis=1, keepdims=True))


@wrong(of.reverse_of_logits, "logits_soft", "projection", r"one constant|times|softmax|row")
def reverse_kl_of_logits_no_mean(student: Logits, teacher: Probabilities):
    q = softmax(student)
    a = log_softmax(student) - np.log(teacher)
    return (q * a).sum(axis=1), q * a


@right(of.poly1, "logits")
def poly_loss(logits: Logits, labels: Label):
    onehot = np.eye(logits.shape[1])[labels]
    p = softmax(logits)
    pt = (p * onehot).sum(axis=1, keepdims=True)
    return -(onehot * log_softmax(logits)).sum(axis=1) + 1 - pt[:, 0], (p - onehot) * (1 + pt)


@wrong(of.poly1, "logits", "term", r"1 \+|probability|target|row|factor of the sample", seen_at=(DATA, TRAINED))
def poly_loss_as_cross_entropy(logits: Logits, labels: Label):
    onehot = np.eye(logits.shape[1])[labels]
    p = softmax(logits)
    pt = (p * onehot).sum(axis=1, keepdims=True)
    return -(onehot * log_softmax(logits)).sum(axis=1) + 1 - pt[:, 0], p - onehot


# --- survival ---


@right(of.cox, "survival", coupled=True)
def cox_breslow(log_hazard: Real, time: Positive, event: Probability):
    e = np.exp(log_hazard)
    at_risk = (time[None, :] >= time[:, None]).astype(float)
    total = at_risk @ e
    return event * (np.log(total) - log_hazard), e * ((event / total) @ at_risk) - event


@wrong(of.cox, "survival", "risk set", "", coupled=True)
def cox_breslow_transposed(log_hazard: Real, time: Positive, event: Probability):
    e = np.exp(log_hazard)
    at_risk = (time[None, :] >= time[:, None]).astype(float)
    total = at_risk @ e
    return event * (np.log(total) - log_hazard), e * (at_risk @ (event / total)) - event


@wrong(of.cox, "survival", "censoring", r"event|− numeric is -1", coupled=True)
def cox_breslow_all_events(log_hazard: Real, time: Positive, event: Probability):
    e = np.exp(log_hazard)
    at_risk = (time[None, :] >= time[:, None]).astype(float)
    total = at_risk @ e
    return event * (np.log(total) - log_hazard), e * ((event / total) @ at_risk) - 1


# --- objectives ---


def squared_log(pred: Positive, target: Positive):
    return 0.5 * (np.log1p(pred) - np.log1p(target)) ** 2


@right(of.squared_log, "positive", loss=squared_log, signature="pred,dataset")
def xgboost_squared_log(predt, dtrain):
    y = dtrain.get_label()
    d = np.log1p(predt) - np.log1p(y)
    return d / (predt + 1), (1 - d) / (predt + 1) ** 2


@wrong(of.squared_log, "positive", "chain", r"1 \+", loss=squared_log)
def squared_log_no_chain(pred, target):
    d = np.log1p(pred) - np.log1p(target)
    return d, (1 - d) / (pred + 1) ** 2


def fair_loss(pred: Real, target: Real):
    a = np.abs(pred - target)
    return 2 * a - 4 * np.log1p(a / 2)


@right(of.fair2, "real", loss=fair_loss, mistake="log(1 + x)", loses_digits=True)
def lightgbm_fair(preds, train_data):
    x = preds - train_data
    return 2 * x / (np.abs(x) + 2), 4 / (np.abs(x) + 2) ** 2


@wrong(of.fair2, "real", "hessian", r"1 \+|power|second|÷", loss=fair_loss, seen_at=(DATA,))
def lightgbm_fair_hessian(preds, train_data):
    x = preds - train_data
    return 2 * x / (np.abs(x) + 2), 2 / (np.abs(x) + 2)


def gamma_log(pred: Real, target: Positive):
    return pred + target * np.exp(-pred)


@right(of.gamma_log, "log_amounts", loss=gamma_log)
def gamma_objective(pred, target):
    psi = target * np.exp(-pred)
    return 1 - psi, psi


@wrong(of.gamma_log, "log_amounts", "link", "", loss=gamma_log)
def gamma_objective_of_rate(pred, target):
    return (pred - target) / np.maximum(pred**2, 1e-6), np.full_like(pred, 1.0)


def weighted_log(pred: Real, target: Probability):
    return (1 + 4 * target) * (np.logaddexp(0, pred) - target * pred)


@right(of.weighted_log, "logit", loss=weighted_log, mistake="cancels", loses_digits=True)
def scale_pos_weight(preds, labels):
    p = sigmoid(preds)
    w = 1 + 4 * labels
    return w * (p - labels), w * p * (1 - p)


@wrong(of.weighted_log, "logit", "weight", r"target is 1|4·target", loss=weighted_log)
def scale_pos_weight_forgotten(preds, labels):
    p = sigmoid(preds)
    return p - labels, p * (1 - p)


# --- float32 inside ---


@right(of.student_row, "vectors", mistake="float32", loses_digits=True)
def tsne_kernel_float32(a: Vector, b: Vector):
    d = (a - b).astype(np.float32)
    q = 1 + (d * d).sum(axis=1)
    return np.log(q), 2 * d / q[:, None]


@wrong(of.student_row, "vectors", "half", r"0\.5|half|2 is missing", loses_digits=True)
def tsne_kernel_float32_half(a: Vector, b: Vector):
    d = (a - b).astype(np.float32)
    q = 1 + (d * d).sum(axis=1)
    return np.log(q), d / q[:, None]


@right(of.angle_between, "vectors", mistake="digits", loses_digits=True)
def squared_angle(a: Direction, b: Direction):
    na, nb = (np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    cos = np.clip((a * b).sum(axis=1, keepdims=True) / na / nb, -1, 1)
    return 2 - 2 * cos[:, 0], -2 * (b / nb - cos * a / na) / na


@wrong(of.angle_between, "vectors", "norm", r"norm of pred|norm|row|factor of the sample")
def squared_angle_unit(a: Direction, b: Direction):
    na, nb = (np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    cos = np.clip((a * b).sum(axis=1, keepdims=True) / na / nb, -1, 1)
    return 2 - 2 * cos[:, 0], -2 * (b / nb - cos * a / na)
