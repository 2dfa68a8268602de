"""Losses of a margin, as functions of ``u = target·pred``, which they may overwrite."""

from __future__ import annotations

import numpy as np

from plain.common import Array, Plain, softplus


def _short(u: Array, margin: float = 1.0) -> Array:
    np.subtract(margin, u, out=u)
    return np.maximum(u, 0.0, out=u)


def _squared_hinge(u: Array) -> Array:
    s = _short(u)
    s *= s
    return s


def _smoothed_hinge(u: Array) -> Array:
    s = _short(u)
    q = np.minimum(s, 1.0)
    s -= 0.5 * q
    s *= q
    return s


def _exponential(u: Array) -> Array:
    np.negative(u, out=u)
    return np.exp(u, out=u)


def _modified_huber(u: Array) -> Array:
    s = _short(u)
    q = np.minimum(s, 2.0)
    s *= 2.0
    s -= q
    s *= q
    return s


def _savage(u: Array) -> Array:
    np.exp(u, out=u)
    u += 1.0
    u *= u
    return np.divide(1.0, u, out=u)


def _tangent(u: Array) -> Array:
    np.arctan(u, out=u)
    u *= 2.0
    u -= 1.0
    u *= u
    return u


def _dwd(u: Array, q: float = 1.0) -> Array:
    edge = q / (q + 1.0)
    line = np.minimum(u, edge)
    np.maximum(u, edge, out=u)
    np.divide(edge, u, out=u)
    u **= q
    u *= 1.0 / (q + 1.0)
    # At the edge the line and the tail are 1 − edge both.
    line -= edge
    u -= line
    return u


# Of u = target·pred, which each may overwrite.
MARGINS: dict[str, Plain] = {
    "hinge": _short,
    "squared_hinge": _squared_hinge,
    "smoothed_hinge": _smoothed_hinge,
    "modified_huber": _modified_huber,
    "soft_margin": lambda u: softplus(np.negative(u, out=u)),
    "exponential": _exponential,
    "perceptron": lambda u: _short(u, 0.0),
    "ramp": lambda u: np.minimum(_short(u), 1.0, out=u),
    "savage": _savage,
    "tangent": _tangent,
    "dwd": _dwd,
}
