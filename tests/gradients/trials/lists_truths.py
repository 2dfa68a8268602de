"""What the losses of :mod:`gradients.trials.lists` are, in mpmath."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from mpmath import mp

mpf = mp.mpf
F = mp.fsum


def dot(a: Any, b: Any) -> Any:
    return F(x * y for x, y in zip(a, b, strict=True))


def softmax(z: Any) -> Any:
    total = F(map(mp.exp, z))
    return [mp.exp(v) / total for v in z]


def list_mle(s: Any, grades: Any) -> Any:
    order = sorted(range(len(s)), key=lambda i: -grades[i])
    return F(mp.log(F(mp.exp(s[j]) for j in order[i:])) - s[order[i]] for i in range(len(order)))


def bpr(user: Any, item: Any, negative: Any) -> Any:
    return mp.log(1 + mp.exp(-dot(user, [a - b for a, b in zip(item, negative, strict=True)])))


def supervised_temperature(s: Any, grades: Any) -> Any:
    gain = [mpf(2) ** g - 1 for g in grades]
    total = max(F(gain), 1)
    return -F(g / total * mp.log(p) for g, p in zip(gain, softmax([v / 2 for v in s]), strict=True))


def clip(a: Any, b: Any) -> Any:
    s = [[2 * dot(x, y) for y in b] for x in a]
    n = range(len(a))
    rows = F(mp.log(softmax(s[i])[i]) for i in n)
    columns = F(mp.log(softmax([s[j][i] for j in n])[i]) for i in n)
    return -(rows + columns) / 2


def additive_margin(cosine: Any, label: Any) -> Any:
    z = [10 * (c - (mpf(0.35) if k == label else 0)) for k, c in enumerate(cosine)]
    return -mp.log(softmax(z)[label])


def alignment(logits: Any, length: Any) -> Any:
    """Paths of `length` steps among the frames: an elementary symmetric sum."""
    ways = [mpf(1)] + [mpf(0)] * len(logits)
    for z in logits:
        p = 1 / (1 + mp.exp(-z))
        ways = [ways[k] * (1 - p) + (ways[k - 1] * p if k else 0) for k in range(len(ways))]
    return -mp.log(ways[int(length)])


def variation(x: Any, y: Any) -> Any:
    steps = [b - a for a, b in pairwise(x)]
    away = F((a - b) ** 2 for a, b in zip(x, y, strict=True)) / 2
    return away + mpf(0.03) * F(mp.log(mp.cosh(d / mpf(0.1))) for d in steps)


def log_dice(p: Any, t: Any) -> Any:
    return -mp.log((2 * dot(p, t) + 1) / (F(p) + F(t) + 1))


def focal_tversky(p: Any, t: Any) -> Any:
    tp, fp, fn = dot(p, t), dot(p, [1 - v for v in t]), dot([1 - v for v in p], t)
    return (1 - (tp + 1) / (tp + mpf(0.3) * fp + mpf(0.7) * fn + 1)) ** mpf(0.75)


def jeffreys(p: Any, q: Any) -> Any:
    return F((a - b) * mp.log(a / b) for a, b in zip(p, q, strict=True))


def earth_mover(p: Any, q: Any) -> Any:
    return F(F(a - b for a, b in zip(p[:k], q[:k], strict=True)) ** 2 for k in range(1, len(p) + 1))


def kl_of_logits(z: Any, q: Any) -> Any:
    return F(t * mp.log(t / s) for t, s in zip(q, softmax(z), strict=True))


def reverse_of_logits(z: Any, q: Any) -> Any:
    return F(s * mp.log(s / t) for t, s in zip(q, softmax(z), strict=True))


def poly1(z: Any, label: Any) -> Any:
    p = softmax(z)[label]
    return -mp.log(p) + 1 - p


def cox(x: Any, time: Any, event: Any) -> Any:
    n = range(len(x))
    return F(event[i] * (mp.log(F(mp.exp(x[j]) for j in n if time[j] >= time[i])) - x[i]) for i in n)


def squared_log(x: Any, t: Any) -> Any:
    return (mp.log(1 + x) - mp.log(1 + t)) ** 2 / 2


def fair2(x: Any, t: Any) -> Any:
    return 2 * abs(x - t) - 4 * mp.log(1 + abs(x - t) / 2)


def gamma_log(x: Any, t: Any) -> Any:
    return x + t * mp.exp(-x)


def weighted_log(x: Any, t: Any) -> Any:
    return (1 + 4 * t) * (mp.log(1 + mp.exp(x)) - t * x)


def student_row(a: Any, b: Any) -> Any:
    return mp.log(1 + F((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def angle_between(a: Any, b: Any) -> Any:
    return 2 - 2 * dot(a, b) / mp.sqrt(dot(a, a) * dot(b, b))
