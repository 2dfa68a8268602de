"""Trials: losses of several classes, of logits and of probabilities."""

from __future__ import annotations

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Label, Logits, Probabilities


def softmax(z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def naive_softmax(z):
    return np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True)


def log_softmax(z):
    m = z - z.max(axis=1, keepdims=True)
    return m - np.log(np.exp(m).sum(axis=1, keepdims=True))


def picked(a, y):
    return a[np.arange(len(y)), y.astype(int)]


def one_hot(y, k):
    return np.eye(k)[y.astype(int)]


def minus_onehot(p, y):
    g = p.copy()
    g[np.arange(len(y)), y.astype(int)] -= 1
    return g


# --- logits and labels ---


@right(truths.cross_entropy, "logits", mistake="digits", loses_digits=True)
def cross_entropy_naive(logits: Logits, labels: Label):
    p = naive_softmax(logits)
    return -np.log(picked(p, labels)), minus_onehot(p, labels)


@right(truths.cross_entropy, "logits", mistake="digits", loses_digits=True)
def cross_entropy_lse(z: Logits, y: Label):
    top = z.max(axis=1)
    lse = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
    return lse - picked(z, y), minus_onehot(np.exp(z - lse[:, None]), y)


@right(truths.cross_entropy, "logits", mistake="digits", loses_digits=True)
def cross_entropy_cs231n(scores: Logits, y: Label):
    # as in the notes of CS231n, without the mean
    scores = scores - np.max(scores, axis=1, keepdims=True)
    probs = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    loss = -np.log(probs[range(len(y)), y])
    dscores = probs.copy()
    dscores[range(len(y)), y] -= 1
    return loss, dscores


@right(truths.cross_entropy, "logits", mistake="digits", loses_digits=True)
def cross_entropy_log_softmax(z: Logits, y: Label):
    row = log_softmax(z)
    return -picked(row, y), minus_onehot(np.exp(row), y)


@right(truths.cross_entropy, "logits", mistake="loop", loses_digits=True)
def cross_entropy_loop(z: Logits, y: Label):
    loss, grad = np.zeros(len(z)), np.zeros(z.shape)
    for i in range(len(z)):
        s = z[i] - max(z[i])
        e = [np.exp(v) for v in s]
        total = sum(e)
        loss[i] = np.log(total) - s[int(y[i])]
        for j in range(z.shape[1]):
            grad[i, j] = e[j] / total - (1 if j == y[i] else 0)
    return loss, grad


@right(truths.cross_entropy, "logits", mistake="float32", loses_digits=True)
def cross_entropy_float32(z: Logits, y: Label):
    row = log_softmax(z.astype(np.float32))
    return -picked(row, y), minus_onehot(np.exp(row), y)


@right(truths.cross_entropy, "logits", mistake="jacobian", loses_digits=True)
def cross_entropy_jacobian(z: Logits, y: Label):
    p = softmax(z)
    onehot = one_hot(y, z.shape[1])
    jac = np.einsum("ij,jk->ijk", p, np.eye(z.shape[1])) - np.einsum("ij,ik->ijk", p, p)
    return -np.log((p * onehot).sum(axis=1)), np.einsum("ijk,ik->ij", jac, -onehot / p)


@wrong(truths.cross_entropy, "logits", "diagonal", r"diagonal|Jacobian")
def cross_entropy_diagonal(z: Logits, y: Label):
    p = softmax(z)
    onehot = one_hot(y, z.shape[1])
    return -np.log((p * onehot).sum(axis=1)), -onehot / p * p * (1 - p)


@wrong(truths.cross_entropy, "logits", "sign", "sign")
def cross_entropy_sign(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), -minus_onehot(p, y)


@wrong(truths.cross_entropy, "logits", "probability", r"probab")
def cross_entropy_by_probability(z: Logits, y: Label):
    p = softmax(z)
    grad = np.zeros_like(p)
    grad[np.arange(len(y)), y.astype(int)] = -1 / picked(p, y)
    return -np.log(picked(p, y)), grad


@wrong(truths.cross_entropy, "logits", "label", r"label|one-?hot|target|offset|constant|class|\b1\b")
def cross_entropy_no_onehot(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), p


@wrong(truths.cross_entropy, "logits", "1/n", r"\bn\b|mean|number of samples")
def cross_entropy_mean(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, y) / len(y)


@wrong(truths.cross_entropy, "logits", "1/k", r"\bk\b|classes|\b5\b|0\.2")
def cross_entropy_mean_of_classes(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, y) / z.shape[1]


@wrong(truths.cross_entropy, "logits", "axis", r"axis|over the samples")
def cross_entropy_axis_0(z: Logits, y: Label):
    p = softmax(z)
    e = np.exp(z)
    return -np.log(picked(p, y)), minus_onehot(e / e.sum(axis=0), y)


@wrong(truths.cross_entropy, "logits", "shifted class", r"shift|class|label")
def cross_entropy_label_off_by_one(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, (y + 1) % z.shape[1])


@wrong(truths.cross_entropy, "logits", "shifted class", r"shift|class|column|next")
def cross_entropy_columns_shifted(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), np.roll(minus_onehot(p, y), 1, axis=1)


@wrong(truths.cross_entropy, "logits", "reversed", r"revers")
def cross_entropy_classes_reversed(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, y)[:, ::-1]


@wrong(truths.cross_entropy, "logits", "every label", r"row|constant|\b1\b|class|label|offset")
def cross_entropy_minus_one_everywhere(z: Logits, y: Label):
    # grad[range(n)] -= 1 instead of grad[range(n), y] -= 1
    p = softmax(z)
    grad = p.copy()
    grad[range(len(y))] -= 1
    return -np.log(picked(p, y)), grad


@wrong(truths.cross_entropy, "logits", "outer index", r"class|label|column|target")
def cross_entropy_fancy_index(z: Logits, y: Label):
    # grad[:, y] -= 1: each column that is anybody's label
    p = softmax(z)
    grad = p.copy()
    grad[:, y.astype(int)] -= 1
    return -np.log(picked(p, y)), grad


@wrong(truths.cross_entropy, "logits", "last class", r"last|class|column|\b4\b|not computed")
def cross_entropy_last_class(z: Logits, y: Label):
    p = softmax(z)
    grad = minus_onehot(p, y)
    grad[:, -1] = 0
    return -np.log(picked(p, y)), grad


@wrong(truths.cross_entropy, "logits", "row", r"row|constant|same|not the target")
def cross_entropy_constant_row(z: Logits, y: Label):
    p = softmax(z)
    grad = np.repeat((picked(p, y) - 1)[:, None], z.shape[1], axis=1)
    return -np.log(picked(p, y)), grad


@wrong(truths.cross_entropy, "square", "transposed", "transpos", drawn=False)
def cross_entropy_transposed(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, y).T


@wrong(truths.cross_entropy, "logits", "memory order", "transpos")
def cross_entropy_reshaped(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(p, y).ravel(order="F").reshape(z.shape)


@wrong(truths.cross_entropy, "logits", "whole", r"whole|integer|round")
def cross_entropy_hard(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), minus_onehot(np.round(p), y)


@wrong(truths.cross_entropy, "logits", "clip", r"clip|offset|more|constant", seen_at=(DATA,))
def cross_entropy_gradient_rounded(z: Logits, y: Label):
    p = softmax(z)
    return -np.log(picked(p, y)), np.round(minus_onehot(p, y), 2)


@right(truths.cross_entropy_base2, "logits", mistake="digits", loses_digits=True)
def cross_entropy_bits(z: Logits, y: Label):
    p = softmax(z)
    return -np.log2(picked(p, y)), minus_onehot(p, y) / np.log(2)


@wrong(truths.cross_entropy_base2, "logits", "base", r"log|ln|base")
def cross_entropy_bits_natural(z: Logits, y: Label):
    p = softmax(z)
    return -np.log2(picked(p, y)), minus_onehot(p, y)


@right(truths.cross_entropy_cool, "logits", mistake="digits", loses_digits=True)
def temperature(z: Logits, y: Label):
    T = 0.5  # noqa: N806
    p = softmax(z / T)
    return -np.log(picked(p, y)), minus_onehot(p, y) / T


@wrong(truths.cross_entropy_cool, "logits", "temperature", r"temperature|0\.5|half|\b2\b")
def temperature_missing(z: Logits, y: Label):
    T = 0.5  # noqa: N806
    p = softmax(z / T)
    return -np.log(picked(p, y)), minus_onehot(p, y)


@wrong(truths.cross_entropy_warm, "logits", "temperature", r"temperature|16|\b4\b")
def temperature_inverted(z: Logits, y: Label):
    T = 4.0  # noqa: N806
    p = softmax(z / T)
    return -np.log(picked(p, y)), minus_onehot(p, y) * T


@wrong(truths.cross_entropy_warm, "logits", "temperature", r"temperature")
def temperature_only_in_loss(z: Logits, y: Label):
    T = 4.0  # noqa: N806
    return -picked(log_softmax(z / T), y), minus_onehot(softmax(z), y)


@right(truths.cross_entropy_smooth, "logits", mistake="cancels")
def label_smoothing(z: Logits, y: Label):
    a, k = 0.1, z.shape[1]
    t = one_hot(y, k) * (1 - a) + a / k
    return -(t * log_softmax(z)).sum(axis=1), softmax(z) - t


@wrong(truths.cross_entropy_smooth, "logits", "smoothing", r"smooth")
def label_smoothing_forgotten(z: Logits, y: Label):
    a, k = 0.1, z.shape[1]
    t = one_hot(y, k) * (1 - a) + a / k
    return -(t * log_softmax(z)).sum(axis=1), softmax(z) - one_hot(y, k)


@wrong(truths.cross_entropy_smooth, "logits", "smoothing", r"smooth|class|label|offset")
def label_smoothing_k_minus_1(z: Logits, y: Label):
    a, k = 0.1, z.shape[1]
    t = one_hot(y, k) * (1 - a) + a / k
    s = np.where(one_hot(y, k) == 1, 1 - a, a / (k - 1))
    return -(t * log_softmax(z)).sum(axis=1), softmax(z) - s


WEIGHT = np.array([0.5, 1.0, 2.0, 4.0, 1.0])


@right(truths.cross_entropy_weighted, "logits", mistake="digits", loses_digits=True)
def class_weight(z: Logits, y: Label):
    w = WEIGHT[y.astype(int)]
    return -w * picked(log_softmax(z), y), w[:, None] * minus_onehot(softmax(z), y)


@wrong(truths.cross_entropy_weighted, "logits", "class weight", r"weight|class|label|target is")
def class_weight_missing(z: Logits, y: Label):
    w = WEIGHT[y.astype(int)]
    return -w * picked(log_softmax(z), y), minus_onehot(softmax(z), y)


@wrong(truths.cross_entropy_weighted, "logits", "class weight", r"weight|class|column")
def class_weight_by_column(z: Logits, y: Label):
    w = WEIGHT[y.astype(int)]
    return -w * picked(log_softmax(z), y), WEIGHT * minus_onehot(softmax(z), y)


@right(truths.softmax_focal, "logits", mistake="digits", loses_digits=True)
def softmax_focal(z: Logits, y: Label):
    p = softmax(z)
    q = picked(p, y)
    factor = -2 * q * (1 - q) * np.log(q) + (1 - q) ** 2
    return -((1 - q) ** 2) * np.log(q), factor[:, None] * minus_onehot(p, y)


@wrong(truths.softmax_focal, "logits", "chain", r"factor of the sample")
def softmax_focal_as_weight(z: Logits, y: Label):
    p = softmax(z)
    q = picked(p, y)
    return -((1 - q) ** 2) * np.log(q), ((1 - q) ** 2)[:, None] * minus_onehot(p, y)


@right(truths.focal_entropy, "logits", mistake="digits", loses_digits=True)
def entropy_bonus(z: Logits, y: Label):
    row = log_softmax(z)
    p = np.exp(row)
    minus_h = (p * row).sum(axis=1)
    return -picked(row, y) + 0.1 * minus_h, minus_onehot(p, y) + 0.1 * p * (row - minus_h[:, None])


@wrong(truths.focal_entropy, "logits", "term", "")
def entropy_bonus_missing(z: Logits, y: Label):
    row = log_softmax(z)
    p = np.exp(row)
    return -picked(row, y) + 0.1 * (p * row).sum(axis=1), minus_onehot(p, y)


@right(truths.multi_margin, "logits")
def multiclass_hinge(scores: Logits, y: Label):
    n, y = np.arange(len(y)), y.astype(int)
    margins = np.maximum(0, scores - scores[n, y][:, None] + 1)
    margins[n, y] = 0
    grad = (margins > 0).astype(float)
    grad[n, y] = -grad.sum(axis=1)
    return margins.sum(axis=1), grad


@wrong(truths.multi_margin, "logits", "label", r"label|class|target")
def multiclass_hinge_minus_one(scores: Logits, y: Label):
    n, y = np.arange(len(y)), y.astype(int)
    margins = np.maximum(0, scores - scores[n, y][:, None] + 1)
    margins[n, y] = 0
    grad = (margins > 0).astype(float)
    grad[n, y] = -1
    return margins.sum(axis=1), grad


@right(truths.largest, "logits_ties", mistake="ties")
def margin_to_the_largest(z: Logits, y: Label):
    return z.max(axis=1) - picked(z, y), one_hot(z.argmax(axis=1), z.shape[1]) - one_hot(y, z.shape[1])


@wrong(truths.largest, "logits_ties", "ties", r"tie|equal")
def margin_to_all_largest(z: Logits, y: Label):
    top = z.max(axis=1, keepdims=True)
    return top[:, 0] - picked(z, y), (z == top).astype(float) - one_hot(y, z.shape[1])


# --- logits and distributions ---


@right(truths.cross_entropy_soft, "logits_soft", mistake="cancels")
def soft_cross_entropy(z: Logits, t: Probabilities):
    return -np.sum(t * log_softmax(z), axis=1), softmax(z) - t


@right(truths.cross_entropy_soft, "logits_onehot", mistake="digits", loses_digits=True)
def onehot_cross_entropy(z: Logits, t: Probabilities):
    return -np.sum(t * log_softmax(z), axis=1), softmax(z) - t


@wrong(truths.cross_entropy_soft, "logits_soft", "swapped", "sign")
def soft_cross_entropy_sign(z: Logits, t: Probabilities):
    return -np.sum(t * log_softmax(z), axis=1), t - softmax(z)


@wrong(truths.cross_entropy_soft, "logits_soft", "hard", r"whole|hard|label|argmax|largest class")
def soft_cross_entropy_argmax(z: Logits, t: Probabilities):
    return -np.sum(t * log_softmax(z), axis=1), minus_onehot(softmax(z), t.argmax(axis=1))


@wrong(truths.cross_entropy_soft, "logits_soft", "chain", r"probab|chain|p\(1")
def soft_cross_entropy_chain(z: Logits, t: Probabilities):
    p = softmax(z)
    return -np.sum(t * log_softmax(z), axis=1), (p - t) * p * (1 - p)


@right(truths.kl_logits, "logits_soft", mistake="cancels", loses_digits=True)
def distillation(z: Logits, t: Probabilities):
    with np.errstate(all="ignore"):
        return np.where(t > 0, t * (np.log(t) - log_softmax(z)), 0.0).sum(axis=1), softmax(z) - t


@right(truths.softmax_square, "logits_onehot", mistake="digits", loses_digits=True)
def softmax_mse(z: Logits, t: Probabilities):
    p = softmax(z)
    d = 2 * (p - t)
    return np.sum((p - t) ** 2, axis=1), p * (d - (d * p).sum(axis=1, keepdims=True))


@wrong(truths.softmax_square, "logits_onehot", "diagonal", r"diagonal|Jacobian")
def softmax_mse_diagonal(z: Logits, t: Probabilities):
    p = softmax(z)
    return np.sum((p - t) ** 2, axis=1), 2 * (p - t) * p * (1 - p)


@wrong(truths.softmax_square, "logits_onehot", "chain", r"probab|chain|softmax")
def softmax_mse_by_probability(z: Logits, t: Probabilities):
    p = softmax(z)
    return np.sum((p - t) ** 2, axis=1), 2 * (p - t)


# --- probabilities ---


@right(truths.nll, "probabilities")
def nll(p: Probabilities, y: Label):
    grad = np.zeros_like(p)
    grad[np.arange(len(y)), y.astype(int)] = -1 / picked(p, y)
    return -np.log(picked(p, y)), grad


@wrong(truths.nll, "probabilities", "logit", r"logit")
def nll_of_logits(p: Probabilities, y: Label):
    return -np.log(picked(p, y)), minus_onehot(p, y)


@wrong(truths.nll, "probabilities", "sign", "sign")
def nll_sign(p: Probabilities, y: Label):
    return -np.log(picked(p, y)), one_hot(y, p.shape[1]) / p


@right(truths.nll_eps, "probabilities")
def nll_eps(p: Probabilities, y: Label):
    onehot = one_hot(y, p.shape[1])
    return -np.sum(onehot * np.log(p + 1e-7), axis=1), -onehot / (p + 1e-7)


@right(truths.gce, "probabilities", mistake="digits", loses_digits=True)
def generalized_cross_entropy(p: Probabilities, y: Label):
    q = 0.7
    grad = np.zeros_like(p)
    grad[np.arange(len(y)), y.astype(int)] = -(picked(p, y) ** (q - 1))
    return (1 - picked(p, y) ** q) / q, grad


@wrong(truths.gce, "probabilities", "factor", r"0\.7|factor|q")
def generalized_cross_entropy_q(p: Probabilities, y: Label):
    q = 0.7
    grad = np.zeros_like(p)
    grad[np.arange(len(y)), y.astype(int)] = -q * picked(p, y) ** (q - 1)
    return (1 - picked(p, y) ** q) / q, grad


@right(truths.kl, "distributions", mistake="digits", loses_digits=True)
def kl(q: Probabilities, p: Probabilities):
    with np.errstate(all="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=1), np.where(p > 0, -p / q, 0.0)


@wrong(truths.kl, "distributions", "swapped", r"swap|order|ratio|target|pred")
def kl_swapped(q: Probabilities, p: Probabilities):
    with np.errstate(all="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0).sum(axis=1), -q / p


@wrong(truths.kl, "distributions", "direction", r"", drawn=False)
def kl_of_the_other(q: Probabilities, p: Probabilities):
    return (p * np.log(p / q)).sum(axis=1), np.log(q / p) + 1


@right(truths.reverse_kl, "distributions", mistake="digits", loses_digits=True, drawn=False)
def reverse_kl(q: Probabilities, p: Probabilities):
    return (q * np.log(q / p)).sum(axis=1), np.log(q / p) + 1


@wrong(truths.reverse_kl, "distributions", "constant", r"\b1\b|constant|offset|less|more", drawn=False)
def reverse_kl_no_one(q: Probabilities, p: Probabilities):
    return (q * np.log(q / p)).sum(axis=1), np.log(q / p)


@right(truths.js, "distributions", mistake="digits", loses_digits=True, drawn=False)
def jensen_shannon(q: Probabilities, p: Probabilities):
    m = (p + q) / 2
    return 0.5 * (p * np.log(p / m) + q * np.log(q / m)).sum(axis=1), 0.5 * np.log(q / m)


@wrong(truths.js, "distributions", "factor", r"0\.5|half|\b2\b|twice", drawn=False)
def jensen_shannon_twice(q: Probabilities, p: Probabilities):
    m = (p + q) / 2
    return 0.5 * (p * np.log(p / m) + q * np.log(q / m)).sum(axis=1), np.log(q / m)


@right(truths.hellinger, "distributions", mistake="digits", loses_digits=True, drawn=False)
def hellinger(q: Probabilities, p: Probabilities):
    h = np.sqrt(np.sum((np.sqrt(q) - np.sqrt(p)) ** 2, axis=1)) / np.sqrt(2)
    return h, (1 - np.sqrt(p / q)) / (4 * h[:, None])
