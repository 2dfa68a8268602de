"""What the losses of the trials are, at any precision: formulas from textbooks, in mpmath, one sample each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mpmath import mp

mpf = mp.mpf
Row = Sequence[mpf]

# --- regression ---


def square(x: mpf, t: mpf) -> mpf:
    return (x - t) ** 2


def half_square(x: mpf, t: mpf) -> mpf:
    return (x - t) ** 2 / 2


def weighted_square(x: mpf, t: mpf, w: mpf) -> mpf:
    return w * (x - t) ** 2


def absolute(x: mpf, t: mpf) -> mpf:
    return abs(x - t)


def huber(delta: float) -> Callable[[mpf, mpf], mpf]:
    def loss(x: mpf, t: mpf) -> mpf:
        r = abs(x - t)
        return r**2 / 2 if r <= delta else mpf(delta) * (r - mpf(delta) / 2)

    return loss


HUBER = huber(1.0)
HUBER_2 = huber(2.0)
HUBER_5 = huber(0.5)


def smooth_l1(x: mpf, t: mpf) -> mpf:
    r = abs(x - t)
    return r**2 / 2 / mpf(0.5) if r < 0.5 else r - mpf(0.25)


def log_cosh(x: mpf, t: mpf) -> mpf:
    return mp.log(mp.cosh(x - t))


def pseudo_huber(x: mpf, t: mpf) -> mpf:
    return mp.sqrt(1 + (x - t) ** 2) - 1


def pseudo_huber_2(x: mpf, t: mpf) -> mpf:
    return 4 * (mp.sqrt(1 + ((x - t) / 2) ** 2) - 1)


def charbonnier(x: mpf, t: mpf) -> mpf:
    return mp.sqrt((x - t) ** 2 + mpf(1e-3) ** 2)


def quantile(x: mpf, t: mpf) -> mpf:
    return max(mpf(0.9) * (t - x), (mpf(0.9) - 1) * (t - x))


def expectile(x: mpf, t: mpf) -> mpf:
    return (mpf(0.8) if t > x else 1 - mpf(0.8)) * (x - t) ** 2


def cauchy(x: mpf, t: mpf) -> mpf:
    return mp.log(1 + (x - t) ** 2)


def tukey(x: mpf, t: mpf) -> mpf:
    c = mpf(4.685)
    u = min(((x - t) / c) ** 2, mpf(1))
    return c**2 / 6 * (1 - (1 - u) ** 3)


def insensitive(x: mpf, t: mpf) -> mpf:
    return max(abs(x - t) - mpf(0.1), mpf(0))


def square_insensitive(x: mpf, t: mpf) -> mpf:
    return max(abs(x - t) - mpf(0.5), mpf(0)) ** 2


def hinge_of_residual(x: mpf, t: mpf) -> mpf:
    return max(t - x, mpf(0)) ** 2


def geman_mcclure(x: mpf, t: mpf) -> mpf:
    return (x - t) ** 2 / (1 + (x - t) ** 2)


def percentage(x: mpf, t: mpf) -> mpf:
    return abs(x - t) / abs(t)


def square_log(x: mpf, t: mpf) -> mpf:
    return (mp.log(1 + x) - mp.log(1 + t)) ** 2


def asymmetric(x: mpf, t: mpf) -> mpf:
    return (10 if x < t else 1) * (x - t) ** 2


def linex(x: mpf, t: mpf) -> mpf:
    return mp.exp(x - t) - (x - t) - 1


def square_plus_positive(x: mpf, t: mpf) -> mpf:
    return (x - t) ** 2 + (1 if x > 0 else 0)


def angle(x: mpf, t: mpf) -> mpf:
    return 1 - mp.cos((x - t) * mp.pi / 180)


def one_minus_cos(x: mpf, t: mpf) -> mpf:
    return 1 - mp.cos(x - t)


def gaussian(x: mpf, t: mpf, var: mpf) -> mpf:
    return (mp.log(var) + (x - t) ** 2 / var) / 2


def gaussian_constant(x: mpf, t: mpf, var: mpf) -> mpf:
    return (mp.log(2 * mp.pi * var) + (x - t) ** 2 / var) / 2


def fair(x: mpf, t: mpf) -> mpf:
    r = abs(x - t)
    return r - mp.log(1 + r)


def welsch(x: mpf, t: mpf) -> mpf:
    return 1 - mp.exp(-((x - t) ** 2) / 2)


# --- counts and amounts ---


def poisson(x: mpf, t: mpf) -> mpf:
    return x - t * mp.log(x)


def poisson_log(x: mpf, t: mpf) -> mpf:
    return mp.exp(x) - t * x


def poisson_eps(x: mpf, t: mpf) -> mpf:
    return x - t * mp.log(x + mpf(1e-8))


def gamma_deviance(x: mpf, t: mpf) -> mpf:
    return 2 * (mp.log(x / t) + t / x - 1)


def gamma_log(x: mpf, t: mpf) -> mpf:
    return x + t * mp.exp(-x)


def tweedie(x: mpf, t: mpf) -> mpf:
    p = mpf(1.5)
    return -t * x ** (1 - p) / (1 - p) + x ** (2 - p) / (2 - p)


def tweedie_log(x: mpf, t: mpf) -> mpf:
    p = mpf(1.5)
    return -t * mp.exp((1 - p) * x) / (1 - p) + mp.exp((2 - p) * x) / (2 - p)


def poisson_deviance(x: mpf, t: mpf) -> mpf:
    return 2 * ((t * mp.log(t / x) if t else mpf(0)) - t + x)


# --- one class ---


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + mp.exp(-x))


def bce(p: mpf, t: mpf) -> mpf:
    return -(t * mp.log(p) if t else mpf(0)) - ((1 - t) * mp.log(1 - p) if t != 1 else mpf(0))


def bce_plus(eps: float) -> Callable[[mpf, mpf], mpf]:
    def loss(p: mpf, t: mpf) -> mpf:
        return -t * mp.log(p + mpf(eps)) - (1 - t) * mp.log(1 - p + mpf(eps))

    return loss


BCE_EPS = bce_plus(1e-7)
BCE_EPS_3 = bce_plus(1e-3)


def bce_clip(eps: float) -> Callable[[mpf, mpf], mpf]:
    low, high = eps, 1.0 - eps  # as doubles

    def loss(p: mpf, t: mpf) -> mpf:
        q = min(max(p, mpf(low)), mpf(high))
        return -t * mp.log(q) - (1 - t) * mp.log(1 - q)

    return loss


BCE_CLIP = bce_clip(1e-7)
BCE_CLIP_2 = bce_clip(0.01)


def bce_logits(x: mpf, t: mpf) -> mpf:
    return (1 - t) * x + mp.log(1 + mp.exp(-x))


def bce_pos_weight(x: mpf, t: mpf) -> mpf:
    return 3 * t * mp.log(1 + mp.exp(-x)) + (1 - t) * mp.log(1 + mp.exp(x))


def bce_smooth(x: mpf, t: mpf) -> mpf:
    return bce_logits(x, t * (1 - mpf(0.1)) + mpf(0.1) / 2)


def bce_base2(p: mpf, t: mpf) -> mpf:
    return bce(p, t) / mp.log(2)


def brier(p: mpf, t: mpf) -> mpf:
    return (p - t) ** 2


def brier_logits(x: mpf, t: mpf) -> mpf:
    return (sigmoid(x) - t) ** 2


def focal(p: mpf, t: mpf) -> mpf:
    q = p if t == 1 else 1 - p
    return -((1 - q) ** 2) * mp.log(q)


def focal_logits(x: mpf, t: mpf) -> mpf:
    q = sigmoid(x) if t == 1 else sigmoid(-x)
    a = mpf(0.25) if t == 1 else mpf(0.75)
    return -a * (1 - q) ** 2 * mp.log(q)


def hinge(x: mpf, y: mpf) -> mpf:
    return max(1 - x * y, mpf(0))


def square_hinge(x: mpf, y: mpf) -> mpf:
    return max(1 - x * y, mpf(0)) ** 2


def logistic(x: mpf, y: mpf) -> mpf:
    return mp.log(1 + mp.exp(-x * y))


def exponential(x: mpf, y: mpf) -> mpf:
    return mp.exp(-x * y)


def modified_huber(x: mpf, y: mpf) -> mpf:
    return max(1 - x * y, mpf(0)) ** 2 if x * y >= -1 else -4 * x * y


# --- several classes ---


def log_softmax(z: Row) -> list[mpf]:
    total = mp.log(mp.fsum(mp.exp(v) for v in z))
    return [v - total for v in z]


def cross_entropy(z: Row, y: int) -> mpf:
    return -log_softmax(z)[y]


def cross_entropy_soft(z: Row, t: Row) -> mpf:
    return -mp.fsum(a * b for a, b in zip(t, log_softmax(z), strict=True))


def cross_entropy_weighted(z: Row, y: int) -> mpf:
    return mpf((0.5, 1.0, 2.0, 4.0, 1.0)[y]) * cross_entropy(z, y)


def cross_entropy_smooth(z: Row, y: int) -> mpf:
    k, a = len(z), mpf(0.1)
    return -mp.fsum(((1 - a) * (j == y) + a / k) * v for j, v in enumerate(log_softmax(z)))


def cross_entropy_cool(z: Row, y: int) -> mpf:
    return cross_entropy([v / mpf(0.5) for v in z], y)


def cross_entropy_warm(z: Row, y: int) -> mpf:
    return cross_entropy([v / 4 for v in z], y)


def cross_entropy_base2(z: Row, y: int) -> mpf:
    return cross_entropy(z, y) / mp.log(2)


def softmax_focal(z: Row, y: int) -> mpf:
    log_p = log_softmax(z)[y]
    return -((1 - mp.exp(log_p)) ** 2) * log_p


def softmax_square(z: Row, t: Row) -> mpf:
    return mp.fsum((mp.exp(a) - b) ** 2 for a, b in zip(log_softmax(z), t, strict=True))


def largest(z: Row, y: int) -> mpf:
    return max(z) - z[y]


def nll(p: Row, y: int) -> mpf:
    return -mp.log(p[y])


def nll_eps(p: Row, y: int) -> mpf:
    return -mp.log(p[y] + mpf(1e-7))


def gce(p: Row, y: int) -> mpf:
    return (1 - p[y] ** mpf(0.7)) / mpf(0.7)


def multi_margin(z: Row, y: int) -> mpf:
    return mp.fsum(max(1 + v - z[y], mpf(0)) for j, v in enumerate(z) if j != y)


def kl(p: Row, t: Row) -> mpf:
    return mp.fsum(b * (mp.log(b) - mp.log(a)) for a, b in zip(p, t, strict=True) if b)


def reverse_kl(p: Row, t: Row) -> mpf:
    return mp.fsum(a * (mp.log(a) - mp.log(b)) for a, b in zip(p, t, strict=True))


def kl_logits(z: Row, t: Row) -> mpf:
    return mp.fsum(b * (mp.log(b) - a) for a, b in zip(log_softmax(z), t, strict=True) if b)


def js(p: Row, t: Row) -> mpf:
    m = [(a + b) / 2 for a, b in zip(p, t, strict=True)]
    return (kl(m, p) + kl(m, t)) / 2


def hellinger(p: Row, t: Row) -> mpf:
    return mp.sqrt(mp.fsum((mp.sqrt(a) - mp.sqrt(b)) ** 2 for a, b in zip(p, t, strict=True)) / 2)


def focal_entropy(z: Row, y: int) -> mpf:
    """Cross-entropy less a tenth of the entropy."""
    row = log_softmax(z)
    return -row[y] + mpf(0.1) * mp.fsum(mp.exp(v) * v for v in row)


# --- vectors, masks, ranks ---


def dot(a: Row, b: Row) -> mpf:
    return mp.fsum(x * y for x, y in zip(a, b, strict=True))


def length(a: Row) -> mpf:
    return mp.sqrt(dot(a, a))


def minus(a: Row, b: Row) -> list[mpf]:
    return [x - y for x, y in zip(a, b, strict=True)]


def cosine(a: Row, b: Row) -> mpf:
    return 1 - dot(a, b) / (length(a) * length(b))


def euclidean(a: Row, b: Row) -> mpf:
    return length(minus(a, b))


def square_distance(a: Row, b: Row) -> mpf:
    d = minus(a, b)
    return dot(d, d)


def mean_square(a: Row, b: Row) -> mpf:
    return square_distance(a, b) / len(a)


def triplet(a: Row, p: Row, n: Row) -> mpf:
    return max(1 + length(minus(a, p)) - length(minus(a, n)), mpf(0))


def square_triplet(a: Row, p: Row, n: Row) -> mpf:
    return max(1 + square_distance(a, p) - square_distance(a, n), mpf(0))


def dice(p: Row, t: Row) -> mpf:
    return 1 - (2 * dot(p, t) + 1) / (mp.fsum(p) + mp.fsum(t) + 1)


def square_dice(p: Row, t: Row) -> mpf:
    return 1 - (2 * dot(p, t) + 1) / (dot(p, p) + dot(t, t) + 1)


def jaccard(p: Row, t: Row) -> mpf:
    both = dot(p, t)
    return 1 - (both + 1) / (mp.fsum(p) + mp.fsum(t) - both + 1)


def tversky(p: Row, t: Row) -> mpf:
    tp = dot(p, t)
    fp, fn = mp.fsum(p) - tp, mp.fsum(t) - tp
    return 1 - (tp + 1) / (tp + mpf(0.3) * fp + mpf(0.7) * fn + 1)


def mean_bce(p: Row, t: Row) -> mpf:
    return mp.fsum(bce(a, b) for a, b in zip(p, t, strict=True)) / len(p)


def ranknet(s: Row, g: Row) -> mpf:
    n = range(len(s))
    return mp.fsum(mp.log(1 + mp.exp(s[j] - s[i])) for i in n for j in n if g[i] > g[j])


def listnet(s: Row, g: Row) -> mpf:
    target = [mp.exp(v) for v in log_softmax(g)]
    return cross_entropy_soft(s, target)


def rank_hinge(s: Row, g: Row) -> mpf:
    n = range(len(s))
    return mp.fsum(max(1 - s[i] + s[j], mpf(0)) for i in n for j in n if g[i] > g[j])


# --- of a whole batch ---


def infonce(a: Sequence[Row], b: Sequence[Row]) -> mpf:
    a = [[x / length(row) for x in row] for row in a]
    b = [[x / length(row) for x in row] for row in b]
    return mp.fsum(cross_entropy([dot(u, v) / mpf(0.1) for v in b], i) for i, u in enumerate(a))


def centred(x: Row, t: Row) -> mpf:
    """Squares of the residuals less their mean."""
    r = minus(x, t)
    mean = mp.fsum(r) / len(r)
    return mp.fsum((v - mean) ** 2 for v in r)


def _centred(a: Row) -> list[mpf]:
    mean = mp.fsum(a) / len(a)
    return [v - mean for v in a]


def variance(x: Row, t: Row) -> mpf:
    """The variance of the residuals, divided by n."""
    return centred(x, t) / len(x)


def concordance(x: Row, t: Row) -> mpf:
    """One minus Lin's concordance correlation coefficient."""
    a, b = _centred(x), _centred(t)
    apart = mp.fsum(x) - mp.fsum(t)
    return 1 - 2 * dot(a, b) / (dot(a, a) + dot(b, b) + apart**2 / len(x))


def correlation(x: Row, t: Row) -> mpf:
    """One minus Pearson's correlation coefficient."""
    a, b = _centred(x), _centred(t)
    return 1 - dot(a, b) / mp.sqrt(dot(a, a) * dot(b, b))


def pairs(x: Row, t: Row) -> mpf:
    """The logistic loss of all pairs of which one is better."""
    n = range(len(x))
    return mp.fsum(mp.log1p(mp.exp(x[j] - x[i])) for i in n for j in n if t[i] > t[j])


def mean_absolute(x: Row, t: Row) -> mpf:
    """The mean of the absolute errors."""
    return mp.fsum(abs(v) for v in minus(x, t)) / len(x)


# --- losses of mistakes.py and row_mistakes.py ---


def log_cosh_twice(x: mpf, t: mpf) -> mpf:
    return mp.log(mp.cosh(2 * (x - t)))


def laplace(x: mpf, t: mpf, b: mpf) -> mpf:
    return abs(x - t) / b + mp.log(2 * b)


def student(x: mpf, t: mpf) -> mpf:
    return 2 * mp.log(1 + (x - t) ** 2 / 3)


def cauchy_2(x: mpf, t: mpf) -> mpf:
    return mp.log(1 + ((x - t) / 2) ** 2)


def truncated(x: mpf, t: mpf) -> mpf:
    return min((x - t) ** 2, mpf(1))


def ridge(x: mpf, t: mpf) -> mpf:
    return (x - t) ** 2 + mpf(0.01) * x**2


def relative_square(x: mpf, t: mpf) -> mpf:
    return ((x - t) / t) ** 2


def square_log10(x: mpf, t: mpf) -> mpf:
    return (mp.log10(x) - mp.log10(t)) ** 2


def square_log_ratio(x: mpf, t: mpf) -> mpf:
    return mp.log(x / t) ** 2


def half_square_log(x: mpf, t: mpf) -> mpf:
    return square_log(x, t) / 2


def distillation(z: Row, t: Row) -> mpf:
    return 4 * kl_logits([v / 2 for v in z], t)


def contrastive(a: Row, b: Row, same: mpf) -> mpf:
    d = length(minus(a, b))
    return same * d**2 + (1 - same) * max(2 - d, mpf(0)) ** 2
