"""A network of two layers with its backward pass by hand; run as a script, it writes parameters to network.npz."""

from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((32, 20)), RNG.integers(0, 5, 32)


def loss(W1, b1, W2, b2):  # noqa: N803 - as in a book
    """Softmax cross-entropy of the labels, and its gradients by name."""
    n = len(X)
    h = np.maximum(X @ W1 + b1, 0)
    z = h @ W2 + b2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    value = -np.log(p[np.arange(n), LABELS]).mean()
    p[np.arange(n), LABELS] -= 1
    d = p / n
    dh = (d @ W2.T) * (h > 0)
    return value, {"W1": X.T @ dh, "b1": dh.sum(axis=0), "W2": h.T @ d, "b2": d.mean(axis=0)}


if __name__ == "__main__":
    shapes = {"W1": (20, 16), "b1": (16,), "W2": (16, 5), "b2": (5,)}
    np.savez(
        Path(__file__).with_name("network.npz"), **{name: 0.3 * RNG.standard_normal(s) for name, s in shapes.items()}
    )
