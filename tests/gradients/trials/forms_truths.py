"""What the losses of :mod:`gradients.trials.forms` are, in mpmath."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp

mpf = mp.mpf


def mean_of(loss: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The mean of a loss over a batch."""

    def mean(x: Any, t: Any) -> Any:
        return mp.fsum(map(loss, x, t)) / len(x)

    return mean


def root_mean_square(x: Any, t: Any) -> Any:
    return mp.sqrt(mp.fsum((a - b) ** 2 for a, b in zip(x, t, strict=True)) / len(x))


def explained(x: Any, t: Any) -> Any:
    middle = mp.fsum(t) / len(t)
    return mp.fsum((a - b) ** 2 for a, b in zip(x, t, strict=True)) / mp.fsum((b - middle) ** 2 for b in t)


def soft_f1(x: Any, t: Any) -> Any:
    return 1 - 2 * mp.fsum(a * b for a, b in zip(x, t, strict=True)) / (mp.fsum(x) + mp.fsum(t))


def clipped_logit(x: Any, t: Any) -> Any:
    z = min(max(x, mpf(-6)), mpf(6))
    return mp.log(1 + mp.exp(z)) - t * z


def two_heads(x: Any, t: Any) -> Any:
    return x[1] / 2 + (x[0] - t) ** 2 / 2 * mp.exp(-x[1])


def pinball_rows(x: Any, t: Any) -> Any:
    return mp.fsum(max(tau * (t - v), (tau - 1) * (t - v)) for tau, v in zip((0.1, 0.5, 0.9), x, strict=True))


def student(x: Any, t: Any) -> Any:
    return mpf(5) / 2 * mp.log(1 + (x - t) ** 2 / 4)


def mixture(x: Any, t: Any) -> Any:
    r = x - t
    return -mp.log(mpf(0.9) * mp.exp(-(r**2) / 2) + mpf(0.1) / 5 * mp.exp(-((r / 5) ** 2) / 2))


def _weibull(x: Any, t: Any, event: Any) -> Any:
    z = (mp.log(t) - x) / mpf(0.7)
    return -(z - mp.exp(z)) + mp.log(mpf(0.7) * t) if event else mp.exp(z)


CENSORED: dict[str, Callable[..., Any]] = {
    "exponential": lambda x, t, event: mp.exp(x) * t - event * x,
    "weibull": _weibull,
}


def binned(x: Any, grade: Any) -> Any:
    cuts = (-2, 0, mpf(1.5))
    return mp.fsum(mp.log(1 + mp.exp(x - c)) - (grade > k) * (x - c) for k, c in enumerate(cuts))
