"""Networks in plain NumPy with a backward pass by hand, and mistakes in it, for tests and benchmarks.

``mlp`` and ``transformer`` return (loss, parameters): ``loss(params)`` is (value, gradients by name). Each mistake is
one line of the backward pass, as people write it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Params = dict[str, np.ndarray]
Loss = Callable[[Params], tuple[Any, Params]]
# The mistakes, and what a hint must say of it: the array and the place, or the cause.
MLP_MISTAKES = {
    "entry": ("W1", "W1[3, 7] alone is wrong"),
    "row": ("W2", "W2[5, :] is wrong: W2 is right everywhere else"),
    "transposed": ("W1", "the gradient of W1 is transposed"),
    "not-summed": ("b1", "the gradient of b1 has shape"),
    "twice": ("W1", "in every array: it was divided by"),
    "zero": ("b2", "the gradient of b2 is 0, and the loss depends on it"),
}
TRANSFORMER_MISTAKES = {
    "entry": ("W1", "W1[3, 7] alone is wrong"),
    "column": ("Wo", "Wo[:, 5] is wrong: Wo is right everywhere else"),
    "transposed": ("Wq", "the gradient of Wq is transposed"),
    "not-summed": ("b2", "b2 is wrong while W2 is right: is its gradient summed over the batch"),
    "collide": ("E", "rows that are looked up several times must add up (np.add.at)"),
    "sign": ("g1", "in all of g1: the sign is wrong"),
}


def _cross_entropy(z: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the mean loss and its gradient."""
    n = len(z)
    top = z.max(axis=1, keepdims=True)
    e = np.exp(z - top)
    total = e.sum(axis=1, keepdims=True)
    d = e / total
    value = (np.log(total[:, 0]) + top[:, 0] - z[np.arange(n), y]).mean()
    d[np.arange(n), y] -= 1
    return value, d / n


def mlp(
    sizes: tuple[int, ...] = (12, 10, 8, 4), batch: int = 16, dtype: Any = np.float64, seed: int = 0, mistake: str = ""
) -> tuple[Loss, Params]:
    """Return a network of ReLU layers with biases of 0, as it is initialised."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((batch, sizes[0])).astype(dtype), rng.integers(0, sizes[-1], batch)
    params: Params = {}
    depth = len(sizes) - 1
    for i in range(depth):
        scale = np.sqrt(2.0 / sizes[i])
        params[f"W{i + 1}"] = (rng.standard_normal(sizes[i : i + 2]) * scale).astype(dtype)
        params[f"b{i + 1}"] = np.zeros(sizes[i + 1], dtype)

    def loss(p: Params) -> tuple[Any, Params]:
        h = [x.astype(p["W1"].dtype)]
        for i in range(1, depth + 1):
            z = h[-1] @ p[f"W{i}"] + p[f"b{i}"]
            h.append(np.maximum(z, 0) if i < depth else z)
        value, d = _cross_entropy(h[-1], y)
        if mistake == "twice":
            d /= len(x)
        g: Params = {}
        for i in range(depth, 0, -1):
            g[f"W{i}"] = h[i - 1].T @ d
            g[f"b{i}"] = d if mistake == "not-summed" and i == 1 else d.sum(axis=0)
            if mistake == "overwritten" and i == 2:
                h[1] *= 2.0  # the ReLU of the first layer was saved, and the next layer wrote into it
                h[1] -= h[1].mean()
            d = (d @ p[f"W{i}"].T) * (h[i - 1] > 0)
        if mistake == "entry":
            g["W1"][3, 7] *= 2.0
        elif mistake == "row":
            g["W2"][5] *= 1.5
        elif mistake == "transposed":
            g["W1"] = (d0 := g["W1"]).T.reshape(d0.shape)
        elif mistake == "zero":
            g["b2"] = np.zeros_like(p["b2"])
        return value, g

    return loss, params


def transformer(  # noqa: PLR0915 - a forward and a backward pass, line by line
    *,
    width: int = 8,
    heads: int = 2,
    hidden: int = 16,
    vocabulary: int = 30,
    tokens: int = 24,
    dtype: Any = np.float64,
    seed: int = 0,
    mistake: str = "",
) -> tuple[Loss, Params]:
    """Return an embedding, one pre-norm block with attention and a GELU layer, and logits of the next token."""
    rng = np.random.default_rng(seed)
    # Some tokens are in the text several times, and one of the vocabulary is not.
    ids = rng.integers(0, vocabulary - 1, tokens) // 2
    y = rng.integers(0, vocabulary, tokens)
    k = width // heads
    mask = np.triu(np.full((tokens, tokens), -np.inf), 1)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(dtype)

    params: Params = {
        "E": rng.standard_normal((vocabulary, width)).astype(dtype),
        "g1": np.ones(width, dtype), "c1": np.zeros(width, dtype),
        "Wq": normal(width, width), "Wk": normal(width, width), "Wv": normal(width, width), "Wo": normal(width, width),
        "g2": np.ones(width, dtype), "c2": np.zeros(width, dtype),
        "W1": normal(width, hidden), "b1": np.zeros(hidden, dtype),
        "W2": normal(hidden, width), "b2": np.zeros(width, dtype),
        "U": normal(width, vocabulary),
    }  # fmt: skip

    def norm(x: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, Any]:
        sigma = np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
        n = (x - x.mean(axis=1, keepdims=True)) / sigma
        return n * gain + shift, (n, sigma)

    def norm_back(d: np.ndarray, gain: np.ndarray, saved: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, sigma = saved
        dn = d * gain
        mean = dn.mean(axis=1, keepdims=True)
        dx = (dn - mean - n * (dn * n).mean(axis=1, keepdims=True)) / sigma
        return dx, (d * n).sum(axis=0), d.sum(axis=0)

    def split(a: np.ndarray) -> np.ndarray:
        return a.reshape(tokens, heads, k).transpose(1, 0, 2)

    def join(a: np.ndarray) -> np.ndarray:
        return a.transpose(1, 0, 2).reshape(tokens, width)

    def loss(p: Params) -> tuple[Any, Params]:
        g: Params = {}
        x = p["E"][ids]
        n1, saved1 = norm(x, p["g1"], p["c1"])
        q, key, v = (split(n1 @ p[w]) for w in ("Wq", "Wk", "Wv"))
        s = q @ key.transpose(0, 2, 1) / float(np.sqrt(k)) + mask
        a = np.exp(s - s.max(axis=2, keepdims=True))
        a /= a.sum(axis=2, keepdims=True)
        mixed = join(a @ v)
        x2 = x + mixed @ p["Wo"]
        n2, saved2 = norm(x2, p["g2"], p["c2"])
        u = n2 @ p["W1"] + p["b1"]
        t = np.tanh(0.7978845608 * (u + 0.044715 * u**3))
        h = 0.5 * u * (1 + t)
        x3 = x2 + h @ p["W2"] + p["b2"]
        value, d = _cross_entropy(x3 @ p["U"], y)
        g["U"] = x3.T @ d
        d3 = d @ p["U"].T
        g["W2"] = h.T @ d3
        g["b2"] = d3.mean(axis=0) + d3[0] if mistake == "not-summed" else d3.sum(axis=0)
        du = (d3 @ p["W2"].T) * (0.5 * (1 + t) + 0.5 * u * (1 - t**2) * 0.7978845608 * (1 + 3 * 0.044715 * u**2))
        g["W1"], g["b1"] = n2.T @ du, du.sum(axis=0)
        d2, g["g2"], g["c2"] = norm_back(du @ p["W1"].T, p["g2"], saved2)
        d2 += d3
        g["Wo"] = mixed.T @ d2
        dm = split(d2 @ p["Wo"].T)
        da = dm @ v.transpose(0, 2, 1)
        ds = a * (da - (da * a).sum(axis=2, keepdims=True)) / float(np.sqrt(k))
        dq, dk, dv = join(ds @ key), join(ds.transpose(0, 2, 1) @ q), join(a.transpose(0, 2, 1) @ dm)
        g["Wq"], g["Wk"], g["Wv"] = n1.T @ dq, n1.T @ dk, n1.T @ dv
        d1, g["g1"], g["c1"] = norm_back(dq @ p["Wq"].T + dk @ p["Wk"].T + dv @ p["Wv"].T, p["g1"], saved1)
        d1 += d2
        g["E"] = np.zeros_like(p["E"])
        if mistake == "collide":
            g["E"][ids] += d1
        else:
            np.add.at(g["E"], ids, d1)
        if mistake == "entry":
            g["W1"][3, 7] *= 2.0
        elif mistake == "column":
            g["Wo"][:, 5] *= 1.5
        elif mistake == "transposed":
            g["Wq"] = g["Wq"].T.copy()
        elif mistake == "sign":
            g["g1"] *= -1.0
        return value, g

    return loss, params
