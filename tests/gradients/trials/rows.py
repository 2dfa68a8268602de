"""Trials: losses of vectors, masks, ranks and batches."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import right, wrong

from lossctl.core.array_kinds import Direction, HardMask, Mask, Relevances, Scores, Vector


def norm(a):
    return np.linalg.norm(a, axis=-1, keepdims=True)


# --- distances ---


@right(truths.cosine, "vectors", mistake="digits", loses_digits=True)
def cosine_distance(a: Direction, b: Direction):
    na, nb = norm(a), norm(b)
    cos = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], -(b / (na * nb) - cos * a / na**2)


@wrong(truths.cosine, "vectors", "chain", r"along pred")
def cosine_distance_no_projection(a: Direction, b: Direction):
    na, nb = norm(a), norm(b)
    cos = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], -b / (na * nb)


@wrong(truths.cosine, "vectors", "sign", "sign")
def cosine_similarity_gradient(a: Direction, b: Direction):
    na, nb = norm(a), norm(b)
    cos = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], b / (na * nb) - cos * a / na**2


@wrong(truths.cosine, "vectors", "swapped", r"swap|order")
def cosine_distance_of_the_other(a: Direction, b: Direction):
    na, nb = norm(a), norm(b)
    cos = np.sum(a * b, axis=1, keepdims=True) / (na * nb)
    return 1 - cos[:, 0], -(a / (na * nb) - cos * b / nb**2)


# At a tie its gradient is 0/0, and ties are drawn.
@right(truths.euclidean, "vectors", drawn=False)
def euclidean(a: Vector, b: Vector):
    d = a - b
    n = np.sqrt((d**2).sum(axis=1))
    return n, d / n[:, None]


@wrong(truths.euclidean, "vectors", "chain", r"distance|norm|loss|ratio|row|pred")
def euclidean_not_divided(a: Vector, b: Vector):
    d = a - b
    return np.sqrt((d**2).sum(axis=1)), d


@wrong(truths.euclidean, "vectors", "factor", r"\b2\b|twice")
def euclidean_twice(a: Vector, b: Vector):
    d = a - b
    n = np.linalg.norm(d, axis=1)
    return n, 2 * d / n[:, None]


@right(truths.square_distance, "vectors")
def square_distance(a: Vector, b: Vector):
    d = a - b
    return np.sum(d * d, axis=1), 2 * d


@right(truths.triplet, "triplets", drawn=False)
def triplet(pred: Vector, target: Vector, negative: Vector):
    dp, dn = pred - target, pred - negative
    np_, nn = np.sqrt((dp**2).sum(1)), np.sqrt((dn**2).sum(1))
    loss = np.maximum(0, np_ - nn + 1.0)
    return loss, (loss > 0)[:, None] * (dp / np_[:, None] - dn / nn[:, None])


@wrong(truths.triplet, "triplets", "flat", r"flat|inactive|zero|where|loss", drawn=False)
def triplet_always(pred: Vector, target: Vector, negative: Vector):
    dp, dn = pred - target, pred - negative
    np_, nn = np.sqrt((dp**2).sum(1)), np.sqrt((dn**2).sum(1))
    return np.maximum(0, np_ - nn + 1.0), dp / np_[:, None] - dn / nn[:, None]


@right(truths.square_triplet, "triplets", drawn=False)
def square_triplet(pred: Vector, target: Vector, negative: Vector):
    dp, dn = ((pred - target) ** 2).sum(1), ((pred - negative) ** 2).sum(1)
    active = dp - dn + 1 > 0
    return np.where(active, dp - dn + 1, 0), np.where(active[:, None], 2 * (negative - target), 0)


@wrong(truths.square_triplet, "triplets", "sign", "sign", drawn=False)
def square_triplet_sign(pred: Vector, target: Vector, negative: Vector):
    dp, dn = ((pred - target) ** 2).sum(1), ((pred - negative) ** 2).sum(1)
    active = dp - dn + 1 > 0
    return np.where(active, dp - dn + 1, 0), np.where(active[:, None], 2 * (target - negative), 0)


@wrong(truths.square_triplet, "triplets", "term", r"negative|input", drawn=False)
def square_triplet_positive_only(pred: Vector, target: Vector, negative: Vector):
    dp, dn = ((pred - target) ** 2).sum(1), ((pred - negative) ** 2).sum(1)
    active = dp - dn + 1 > 0
    return np.where(active, dp - dn + 1, 0), np.where(active[:, None], 2 * (pred - target), 0)


# --- masks ---


@right(truths.dice, "masks", mistake="digits", loses_digits=True)
def dice(p: Mask, t: HardMask):
    smooth = 1.0
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    loss = 1 - (2 * both + smooth) / (total + smooth)
    return loss[:, 0], -(2 * t * (total + smooth) - (2 * both + smooth)) / (total + smooth) ** 2


@wrong(truths.dice, "masks", "eps", r"smooth|eps|ε")
def dice_smooth_in_one(p: Mask, t: HardMask):
    smooth = 1.0
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    loss = 1 - (2 * both + smooth) / (total + smooth)
    return loss[:, 0], -(2 * t * total - 2 * both) / (total**2 + 1e-7)


@wrong(truths.dice, "masks", "chain", r"constant along")
def dice_numerator_only(p: Mask, t: HardMask):
    smooth = 1.0
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    loss = 1 - (2 * both + smooth) / (total + smooth)
    return loss[:, 0], -2 * t / (total + smooth)


@wrong(truths.dice, "masks", "sign", "sign")
def dice_coefficient_gradient(p: Mask, t: HardMask):
    both = (p * t).sum(axis=1, keepdims=True)
    total = p.sum(axis=1, keepdims=True) + t.sum(axis=1, keepdims=True)
    loss = 1 - (2 * both + 1) / (total + 1)
    return loss[:, 0], (2 * t * (total + 1) - (2 * both + 1)) / (total + 1) ** 2


@right(truths.square_dice, "masks", mistake="digits", loses_digits=True)
def vnet_dice(p: Mask, t: HardMask):
    num = 2 * np.sum(p * t, axis=1, keepdims=True) + 1
    den = np.sum(p**2, axis=1, keepdims=True) + np.sum(t**2, axis=1, keepdims=True) + 1
    return (1 - num / den)[:, 0], -(2 * t * den - num * 2 * p) / den**2


@wrong(truths.square_dice, "masks", "chain", r"")
def vnet_dice_as_dice(p: Mask, t: HardMask):
    num = 2 * np.sum(p * t, axis=1, keepdims=True) + 1
    den = np.sum(p**2, axis=1, keepdims=True) + np.sum(t**2, axis=1, keepdims=True) + 1
    return (1 - num / den)[:, 0], -(2 * t * den - num) / den**2


@right(truths.jaccard, "masks", mistake="digits", loses_digits=True)
def iou(p: Mask, t: HardMask):
    both = (p * t).sum(1, keepdims=True) + 1
    union = (p + t - p * t).sum(1, keepdims=True) + 1
    return 1 - (both / union)[:, 0], -(t * union - both * (1 - t)) / union**2


@wrong(truths.jaccard, "masks", "chain", r"target|t\b|class|where")
def iou_union_of_sums(p: Mask, t: HardMask):
    both = (p * t).sum(1, keepdims=True) + 1
    union = (p + t - p * t).sum(1, keepdims=True) + 1
    return 1 - (both / union)[:, 0], -(t * union - both) / union**2


@right(truths.tversky, "masks", mistake="digits", loses_digits=True)
def tversky(p: Mask, t: HardMask):
    a, b = 0.3, 0.7
    tp = (p * t).sum(1, keepdims=True)
    fp = (p * (1 - t)).sum(1, keepdims=True)
    fn = ((1 - p) * t).sum(1, keepdims=True)
    den = tp + a * fp + b * fn + 1
    dden = t + a * (1 - t) - b * t
    return 1 - ((tp + 1) / den)[:, 0], -(t * den - (tp + 1) * dden) / den**2


@wrong(truths.tversky, "masks", "swapped", r"alpha|beta|swap|constant along")
def tversky_weights_swapped(p: Mask, t: HardMask):
    a, b = 0.3, 0.7
    tp = (p * t).sum(1, keepdims=True)
    fp = (p * (1 - t)).sum(1, keepdims=True)
    fn = ((1 - p) * t).sum(1, keepdims=True)
    den = tp + a * fp + b * fn + 1
    dden = t + b * (1 - t) - a * t
    return 1 - ((tp + 1) / den)[:, 0], -(t * den - (tp + 1) * dden) / den**2


@right(truths.mean_bce, "masks")
def pixel_bce(p: Mask, t: HardMask):
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return loss.mean(axis=1), (p - t) / (p * (1 - p)) / p.shape[1]


@wrong(truths.mean_bce, "masks", "1/k", r"\b12\b|pixel|number|mean")
def pixel_bce_no_mean(p: Mask, t: HardMask):
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    return loss.mean(axis=1), (p - t) / (p * (1 - p))


@wrong(truths.mean_bce, "masks", "memory order", "transpos")
def pixel_bce_memory_order(p: Mask, t: HardMask):
    loss = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    grad = (p - t) / (p * (1 - p)) / p.shape[1]
    return loss.mean(axis=1), grad.T.ravel().reshape(p.shape)


# --- ranks ---


@right(truths.ranknet, "ranked")
def ranknet(s: Scores, g: Relevances):
    loss, grad = np.zeros(len(s)), np.zeros_like(s)
    for i in range(s.shape[1]):
        for j in range(s.shape[1]):
            better = g[:, i] > g[:, j]
            d = s[:, i] - s[:, j]
            loss += np.where(better, np.logaddexp(0, -d), 0)
            push = np.where(better, -1 / (1 + np.exp(d)), 0)
            grad[:, i] += push
            grad[:, j] -= push
    return loss, grad


@wrong(truths.ranknet, "ranked", "term", r"")
def ranknet_winner_only(s: Scores, g: Relevances):
    loss, grad = np.zeros(len(s)), np.zeros_like(s)
    for i in range(s.shape[1]):
        for j in range(s.shape[1]):
            better = g[:, i] > g[:, j]
            d = s[:, i] - s[:, j]
            loss += np.where(better, np.logaddexp(0, -d), 0)
            grad[:, i] += np.where(better, -1 / (1 + np.exp(d)), 0)
    return loss, grad


@wrong(truths.ranknet, "ranked", "sign", "sign")
def ranknet_sign(s: Scores, g: Relevances):
    better = (g[:, :, None] > g[:, None, :]).astype(float)
    d = s[:, :, None] - s[:, None, :]
    push = better / (1 + np.exp(d))
    return (better * np.logaddexp(0, -d)).sum(axis=(1, 2)), push.sum(axis=2) - push.sum(axis=1)


@right(truths.listnet, "ranked", mistake="cancels")
def listnet(s: Scores, g: Relevances):
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    p, t = softmax(s), softmax(g)
    m = s - s.max(axis=1, keepdims=True)
    return -(t * (m - np.log(np.exp(m).sum(axis=1, keepdims=True)))).sum(axis=1), p - t


@wrong(truths.listnet, "ranked", "term", r"target|softmax|offset|constant|input")
def listnet_grades_not_normalised(s: Scores, g: Relevances):
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    p, t = softmax(s), softmax(g)
    m = s - s.max(axis=1, keepdims=True)
    return -(t * (m - np.log(np.exp(m).sum(axis=1, keepdims=True)))).sum(axis=1), p - g / (g.sum(1, keepdims=True) + 1)


@right(truths.rank_hinge, "ranked")
def rank_hinge(s: Scores, g: Relevances):
    active = (g[:, :, None] > g[:, None, :]) & (1 - s[:, :, None] + s[:, None, :] > 0)
    loss = np.where(active, 1 - s[:, :, None] + s[:, None, :], 0).sum(axis=(1, 2))
    return loss, active.sum(axis=1) - active.sum(axis=2).astype(float)


@wrong(truths.rank_hinge, "ranked", "transposed", "sign")
def rank_hinge_axes(s: Scores, g: Relevances):
    active = (g[:, :, None] > g[:, None, :]) & (1 - s[:, :, None] + s[:, None, :] > 0)
    loss = np.where(active, 1 - s[:, :, None] + s[:, None, :], 0).sum(axis=(1, 2))
    return loss, active.sum(axis=2) - active.sum(axis=1).astype(float)


# --- of a whole batch ---


def _similarities(a, b):
    u, v = a / norm(a), b / norm(b)
    s = u @ v.T / 0.1
    p = np.exp(s - s.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return u, v, s, p


def _through_norm(grad_u, a, u):
    return (grad_u - u * np.sum(grad_u * u, axis=1, keepdims=True)) / norm(a)


@right(truths.infonce, "pairs", mistake="digits", loses_digits=True, coupled=True, drawn=False)
def infonce(a: Direction, b: Direction):
    u, v, _, p = _similarities(a, b)
    return -np.log(np.diag(p)), _through_norm((p - np.eye(len(a))) @ v / 0.1, a, u)


@wrong(truths.infonce, "pairs", "chain", r"", coupled=True, drawn=False)
def infonce_no_norm(a: Direction, b: Direction):
    _, v, _, p = _similarities(a, b)
    return -np.log(np.diag(p)), (p - np.eye(len(a))) @ v / 0.1


@wrong(truths.infonce, "pairs", "temperature", r"temperature|0\.1|10", coupled=True, drawn=False)
def infonce_no_temperature(a: Direction, b: Direction):
    u, v, _, p = _similarities(a, b)
    return -np.log(np.diag(p)), _through_norm((p - np.eye(len(a))) @ v, a, u)
