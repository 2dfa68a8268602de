"""Trials: wrong gradients of rows: mistakes of losses of several classes, vectors, masks and ranks."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.multiclass import log_softmax, one_hot, picked, softmax
from gradients.trials.objectives import cross_entropy
from gradients.trials.record import DATA, wrong
from gradients.trials.rows import norm

from lossctl import Label, Logits, Probabilities, Real
from lossctl.core.array_kinds import Direction, HardMask, Mask, Relevances, Scores, Vector

# --- logits ---


def ce(z, y):
    return -picked(log_softmax(z), y)


@wrong(truths.cross_entropy, "logits", "chain", r"\bp\b|softmax")
def cross_entropy_times_p(z: Logits, y: Label):
    p = softmax(z)
    return ce(z, y), p * (p - one_hot(y, z.shape[1]))


@wrong(truths.cross_entropy, "logits", "log", r"log")
def cross_entropy_log_probability(z: Logits, y: Label):
    return ce(z, y), log_softmax(z) - one_hot(y, z.shape[1])


@wrong(truths.cross_entropy, "logits", "softmax twice", r"twice|softmax")
def cross_entropy_softmax_twice(z: Logits, y: Label):
    return ce(z, y), softmax(softmax(z)) - one_hot(y, z.shape[1])


@wrong(truths.cross_entropy, "logits", "sigmoid", r"sigmoid")
def cross_entropy_sigmoid(z: Logits, y: Label):
    return ce(z, y), 1 / (1 + np.exp(-z)) - one_hot(y, z.shape[1])


@wrong(truths.cross_entropy, "logits", "sum of columns", r"all numbers")
def cross_entropy_divided_by_total(z: Logits, y: Label):
    e = np.exp(z)
    return ce(z, y), e / e.sum() - one_hot(y, z.shape[1])


@wrong(truths.cross_entropy, "logits", "predicted class", r"largest|argmax|predicted|class")
def cross_entropy_argmax(z: Logits, y: Label):
    return ce(z, y), softmax(z) - one_hot(z.argmax(axis=1), z.shape[1])


@wrong(truths.cross_entropy, "logits", "loop", r"sample|row|last")
def cross_entropy_target_of_first_half(z: Logits, y: Label):
    gradient = softmax(z)
    half = np.arange(len(z) // 2)
    gradient[half, y[half].astype(int)] -= 1
    return ce(z, y), gradient


@wrong(truths.cross_entropy, "logits", "label of the row before", r"row|sample|before|shift")
def cross_entropy_shuffled_labels(z: Logits, y: Label):
    return ce(z, y), softmax(z) - one_hot(np.roll(y, 1), z.shape[1])


@wrong(truths.cross_entropy, "square", "transposed", r"transposed", drawn=False)
def cross_entropy_square_transposed(z: Logits, y: Label):
    return ce(z, y), (softmax(z) - one_hot(y, z.shape[1])).T


@wrong(truths.cross_entropy_smooth, "logits", "smoothing", r"0\.0?2|smoothing")
def label_smoothing_without_uniform_part(z: Logits, y: Label):
    k = z.shape[1]
    row = log_softmax(z)
    return -(0.9 * picked(row, y) + 0.1 * row.mean(axis=1)), softmax(z) - 0.9 * one_hot(y, k)


@wrong(truths.cross_entropy_weighted, "logits", "class weight", r"target|class")
def class_weight_twice(z: Logits, y: Label):
    w = np.array([0.5, 1.0, 2.0, 4.0, 1.0])[y.astype(int)]
    return w * ce(z, y), (w**2)[:, None] * (softmax(z) - one_hot(y, 5))


@wrong(truths.cross_entropy_weighted, "logits", "class weight", r"class|column|target")
def class_weight_of_target_term_only(z: Logits, y: Label):
    w = np.array([0.5, 1.0, 2.0, 4.0, 1.0])[y.astype(int)]
    return w * ce(z, y), softmax(z) - w[:, None] * one_hot(y, 5)


@wrong(truths.softmax_focal, "logits", "focal weight", r"row|sample|cross")
def softmax_focal_as_cross_entropy(z: Logits, y: Label):
    log_p = picked(log_softmax(z), y)
    return -((1 - np.exp(log_p)) ** 2) * log_p, softmax(z) - one_hot(y, z.shape[1])


@wrong(truths.distillation, "logits_soft", "temperature", r"\b4\b|0\.25|temperature|0\.5|\b2\b")
def distillation_without_t_squared(z: Logits, t: Probabilities):
    row = log_softmax(z / 2)
    return 4 * (t * (np.log(t) - row)).sum(axis=1), (np.exp(row) - t) / 2


@wrong(truths.distillation, "logits_soft", "temperature", r"temperature|÷ 2|2\b")
def distillation_student_at_temperature_1(z: Logits, t: Probabilities):
    row = log_softmax(z / 2)
    return 4 * (t * (np.log(t) - row)).sum(axis=1), 2 * (softmax(z) - t)


@wrong(truths.multi_margin, "logits", "mask", r"flat|inactive")
def multi_margin_always(z: Logits, y: Label):
    k = z.shape[1]
    own = one_hot(y, k)
    m = 1 + z - picked(z, y)[:, None]
    return (np.maximum(m, 0) * (1 - own)).sum(axis=1), (1 - own) - (k - 1) * own


@wrong(truths.multi_margin, "logits", "target's class", r"target|class|not computed")
def multi_margin_no_target(z: Logits, y: Label):
    own = one_hot(y, z.shape[1])
    m = (1 + z - picked(z, y)[:, None]) * (1 - own)
    return np.maximum(m, 0).sum(axis=1), (m > 0) * 1.0


@wrong(truths.kl_logits, "logits_soft", "log ratio", "log")
def kl_logits_log_ratio(z: Logits, t: Probabilities):
    row = log_softmax(z)
    return (t * (np.log(t) - row)).sum(axis=1), row - np.log(t)


@wrong(truths.cross_entropy_soft, "logits_soft", "mean over classes", r"1/k|classes")
def soft_cross_entropy_mean(z: Logits, t: Probabilities):
    return -(t * log_softmax(z)).sum(axis=1), (softmax(z) - t) / z.shape[1]


# --- probabilities ---


@wrong(truths.kl, "distributions", "target", r"target")
def kl_no_target(p: Probabilities, t: Probabilities):
    return (t * np.log(t / p)).sum(axis=1), -1 / p


@wrong(truths.kl, "distributions", "eps", r"ε|eps|0\.001", seen_at=(DATA,), drawn=False)
def kl_eps_in_gradient(p: Probabilities, t: Probabilities):
    return (t * np.log(t / p)).sum(axis=1), -t / (p + 1e-3)


@wrong(truths.hellinger, "distributions", "chain", r"loss|row|sample", drawn=False)
def hellinger_of_the_square(p: Probabilities, t: Probabilities):
    d = np.sqrt(p) - np.sqrt(t)
    return np.sqrt((d**2).sum(axis=1) / 2), d / (2 * np.sqrt(p))


@wrong(truths.gce, "probabilities", "exponent", r"pred|\bp\b", drawn=False)
def generalized_cross_entropy_exponent(p: Probabilities, y: Label):
    q = picked(p, y)
    gradient = np.zeros_like(p)
    gradient[np.arange(len(y)), y.astype(int)] = -(q**0.7)
    return (1 - q**0.7) / 0.7, gradient


@wrong(truths.nll, "probabilities", "every class", r"class|flat", drawn=False)
def nll_at_every_class(p: Probabilities, y: Label):
    return -np.log(picked(p, y)), -1 / p


# --- vectors ---


@wrong(truths.cosine, "vectors", "norm", r"norm|length|row|sample|target")
def cosine_without_norm_of_target(a: Direction, b: Direction):
    na, nb = norm(a), norm(b)
    cos = (a * b).sum(axis=1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], -(b / na - cos * nb * a / na**2)


@wrong(truths.euclidean, "vectors", "norm squared", r"loss|norm|row|sample|distance", drawn=False)
def euclidean_over_square(a: Vector, b: Vector):
    d = a - b
    n = norm(d)
    return n[:, 0], d / n**2


@wrong(truths.square_triplet, "triplets", "factor", r"0\.5|\b2\b", drawn=False)
def square_triplet_half(pred: Vector, target: Vector, negative: Vector):
    dp, dn = ((pred - target) ** 2).sum(1), ((pred - negative) ** 2).sum(1)
    return np.maximum(dp - dn + 1, 0), np.where((dp - dn + 1 > 0)[:, None], negative - target, 0)


@wrong(truths.triplet, "triplets", "negative", r"negative", drawn=False)
def triplet_plus_negative(pred: Vector, target: Vector, negative: Vector):
    dp, dn = pred - target, pred - negative
    loss = np.maximum(0, norm(dp) - norm(dn) + 1)
    return loss[:, 0], (loss > 0) * (dp / norm(dp) + dn / norm(dn))


def contrastive(a, b, same):
    d = norm(a - b)[:, 0]
    return same * d**2 + (1 - same) * np.maximum(2 - d, 0) ** 2


@wrong(truths.contrastive, "pairs_same", "sign", r"same|sign", drawn=False)
def contrastive_sign(pred: Vector, target: Vector, same: Real):
    d = pred - target
    n = norm(d)
    apart = 2 * np.maximum(2 - n, 0) * d / n
    return contrastive(pred, target, same), np.where(same[:, None] > 0, 2 * d, apart)


@wrong(truths.contrastive, "pairs_same", "mask", r"flat|inactive", drawn=False, seen_at=(DATA,))
def contrastive_always(pred: Vector, target: Vector, same: Real):
    d = pred - target
    n = norm(d)
    return contrastive(pred, target, same), np.where(same[:, None] > 0, 2 * d, -2 * (2 - n) * d / n)


@wrong(truths.square_distance, "vectors", "normalised", r"row|sample|norm|loss")
def square_distance_normalized(a: Vector, b: Vector):
    d = a - b
    return (d**2).sum(axis=1), d / (norm(d) + 1e-12)


@wrong(truths.mean_square, "vectors", "mean", r"\bk\b|classes|6\b")
def mean_square_twice_divided(a: Vector, b: Vector):
    d = a - b
    return (d**2).mean(axis=1), 2 * d / d.shape[1] ** 2


@wrong(truths.square_distance, "vectors", "first column", r"column|class|coordinate", drawn=False)
def square_distance_first_column_only(a: Vector, b: Vector):
    gradient = np.zeros_like(a)
    gradient[:, 0] = 2 * (a - b)[:, 0]
    return ((a - b) ** 2).sum(axis=1), gradient


@wrong(truths.square_distance, "vectors", "feature weights", r"column|class|coordinate", drawn=False)
def square_distance_feature_scales(a: Vector, b: Vector):
    return ((a - b) ** 2).sum(axis=1), 2 * (a - b) / np.array([1.0, 0.5, 2.0, 1.3, 3.0, 0.8])


# --- masks and ranks ---


@wrong(truths.dice, "masks", "pixels", r"classes|12|\bk\b|pixels")
def dice_over_pixels(p: Mask, t: HardMask):
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    gradient = -(2 * t * (total + 1) - (2 * both + 1)) / (total + 1) ** 2
    return 1 - ((2 * both + 1) / (total + 1))[:, 0], gradient / p.shape[1]


@wrong(truths.dice, "masks", "factor in one term", r"target is 1")
def dice_numerator_without_2(p: Mask, t: HardMask):
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    return 1 - ((2 * both + 1) / (total + 1))[:, 0], -(t * (total + 1) - (2 * both + 1)) / (total + 1) ** 2


@wrong(truths.dice, "masks", "quotient rule", r"row|sample|norm")
def dice_denominator_not_squared(p: Mask, t: HardMask):
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    return 1 - ((2 * both + 1) / (total + 1))[:, 0], -(2 * t * (total + 1) - (2 * both + 1)) / (total + 1)


@wrong(truths.mean_bce, "masks", "chain", r"p(red)?·\(1 − p|p\(1 − p|logit", drawn=False)
def pixel_bce_by_logit(p: Mask, t: HardMask):
    loss = np.where(t > 0.5, -np.log(p), -np.log1p(-p)).mean(axis=1)
    return loss, (p - t) / p.shape[1]


@wrong(truths.ranknet, "ranked", "half", r"0\.5|\b2\b")
def ranknet_half(s: Scores, g: Relevances):
    d = s[:, None, :] - s[:, :, None]
    better = g[:, :, None] > g[:, None, :]
    loss = (np.logaddexp(0, d) * better).sum(axis=(1, 2))
    lam = better / (1 + np.exp(-d))
    return loss, 0.5 * (lam.sum(axis=1) - lam.sum(axis=2))


# --- objectives of boosting ---


@wrong(truths.cross_entropy, "logits", "hessian", r"1 − ", loss=cross_entropy)
def objective_softmax_hessian_p(pred, target):
    p = softmax(pred)
    return p - one_hot(target, pred.shape[1]), p


@wrong(truths.cross_entropy, "logits", "class axis", r"over the samples", loss=cross_entropy)
def objective_softmax_over_samples(pred, target):
    p = softmax(pred.T).T
    return p - one_hot(target, pred.shape[1]), 2 * p * (1 - p)
