"""The data of the trials: ordinary ones, and those of a model that is trained.

Of a trained model residuals are 1 % of the spread of the targets, logits have a standard deviation of 8,
probabilities are those of such logits, and all but some percent of the samples are predicted well.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gradients.trials.record import DATA, TRAINED

Arrays = dict[str, np.ndarray]  # by role: pred, target, further inputs by name
N, K = 120, 5


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -x))


def _softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _agreeing(rng: np.random.Generator, likely: np.ndarray, trained: bool) -> np.ndarray:
    """Flags that agree with `likely`, all but 4 % of them or about a third."""
    return np.where(rng.random(likely.shape) < (0.04 if trained else 0.35), ~likely, likely)


def real(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers, such as house prices in standard units."""
    target = 3.0 + 2.0 * rng.normal(size=N)
    return {"pred": target + (0.02 if trained else 1.5) * rng.normal(size=N), "target": target}


def real_far(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers far from 0, such as prices."""
    target = 150.0 + 40.0 * rng.normal(size=N)
    return {"pred": target + (0.5 if trained else 20.0) * rng.normal(size=N), "target": target}


def real_ties(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers, the first ones predicted exactly."""
    found = real(rng, trained)
    found["pred"][:3] = found["target"][:3]
    return found


def real_grad(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers, each with what somebody calls grad."""
    found = real_weighted(rng, trained)
    return {"pred": found["pred"], "target": found["target"], "grad": found["w"]}


def real_weighted(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers, each with a weight."""
    return {**real(rng, trained), "w": rng.uniform(0.2, 3.0, N)}


def real_var(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers, each with a predicted variance."""
    return {**real(rng, trained), "var": (1e-4 if trained else 1.0) * rng.uniform(0.3, 4.0, N)}


def tiny(rng: np.random.Generator, trained: bool) -> Arrays:
    """Numbers of 1e-15, such as charges or masses in SI units."""
    return {name: 1e-15 * a for name, a in real(rng, trained).items()}


def positive(rng: np.random.Generator, trained: bool) -> Arrays:
    """Amounts above 0."""
    target = np.exp(0.8 * rng.normal(size=N))
    return {"pred": target * np.exp((0.01 if trained else 0.7) * rng.normal(size=N)), "target": target}


def count(rng: np.random.Generator, trained: bool) -> Arrays:
    """Rates and counts."""
    pred = np.exp(0.8 + 0.8 * rng.normal(size=N)) * (10.0 if trained else 1.0)
    return {"pred": pred, "target": rng.poisson(pred).astype(float)}


def log_count(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logarithms of rates, and counts."""
    found = count(rng, trained)
    return {"pred": np.log(found["pred"]), "target": found["target"]}


def logit(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits of one class, and flags."""
    pred = (8.0 if trained else 2.0) * rng.normal(size=N)
    return {"pred": pred, "target": _agreeing(rng, pred > 0, trained).astype(float)}


def logit_soft(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits of one class, and probabilities as of a teacher."""
    pred = (8.0 if trained else 2.0) * rng.normal(size=N)
    return {"pred": pred, "target": _sigmoid(pred + 0.5 * rng.normal(size=N))}


def probability(rng: np.random.Generator, trained: bool) -> Arrays:
    """Probabilities of one class, and flags."""
    found = logit(rng, trained)
    return {"pred": _sigmoid(found["pred"]), "target": found["target"]}


def probability_ends(rng: np.random.Generator, trained: bool) -> Arrays:
    """The same, and the first rows are 0 and 1: saturated in float32, or cut by somebody."""
    found = probability(rng, trained)
    found["pred"][:4] = 0.0, 1.0, 0.0, 1.0
    found["target"][:4] = 0.0, 1.0, 1.0, 0.0
    return found


def margin(rng: np.random.Generator, trained: bool) -> Arrays:
    """Scores, and labels -1 and +1."""
    found = logit(rng, trained)
    return {"pred": found["pred"], "target": 2.0 * found["target"] - 1.0}


def _labels(rng: np.random.Generator, z: np.ndarray, trained: bool) -> np.ndarray:
    drawn = rng.integers(0, z.shape[1], len(z))
    return np.where(rng.random(len(z)) < (0.05 if trained else 0.5), drawn, z.argmax(axis=1))


def logits(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits of five classes, and labels."""
    z = (8.0 if trained else 1.5) * rng.normal(size=(N, K))
    return {"pred": z, "target": _labels(rng, z, trained)}


def logits_onehot(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits, and rows of one 1."""
    found = logits(rng, trained)
    return {"pred": found["pred"], "target": np.eye(K)[found["target"]]}


def logits_soft(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits, and the probabilities of a teacher."""
    z = (8.0 if trained else 1.5) * rng.normal(size=(N, K))
    return {"pred": z, "target": _softmax(z + rng.normal(size=z.shape))}


def probabilities(rng: np.random.Generator, trained: bool) -> Arrays:
    """Rows of probabilities, and labels."""
    found = logits(rng, trained)
    return {"pred": _softmax(found["pred"]), "target": found["target"]}


def distributions(rng: np.random.Generator, trained: bool) -> Arrays:
    """Rows of probabilities, and others close to them."""
    found = logits_soft(rng, trained)
    return {"pred": _softmax(found["pred"]), "target": found["target"]}


def vectors(rng: np.random.Generator, trained: bool) -> Arrays:
    """Embeddings in pairs."""
    target = rng.normal(size=(N, 6))
    return {"pred": target + (0.01 if trained else 1.0) * rng.normal(size=(N, 6)), "target": target}


def pairs_same(rng: np.random.Generator, trained: bool) -> Arrays:
    """Embeddings in pairs, and whether a pair is of the same thing; of the different ones two of three are close."""
    away = np.where(np.arange(N) % 3, 0.5, 3.0)[:, None] * rng.normal(size=(N, 6))
    same = (np.arange(N) % 2).astype(float)
    target = rng.normal(size=(N, 6))
    apart = (0.01 if trained else 0.5) * rng.normal(size=(N, 6))
    return {"pred": target + np.where(same[:, None] > 0, apart, away), "target": target, "same": same}


def triplets(rng: np.random.Generator, trained: bool) -> Arrays:
    """Embeddings: anchor, positive, negative; two of three negatives are close."""
    found = vectors(rng, trained)
    away = (0.3 if trained else 0.5) * np.where(np.arange(N) % 3, 1.0, 5.0)
    return {**found, "negative": found["target"] + away[:, None] * rng.normal(size=(N, 6))}


def masks(rng: np.random.Generator, trained: bool) -> Arrays:
    """Probabilities of 12 pixels, and a mask."""
    z = (8.0 if trained else 2.0) * rng.normal(size=(N, 12))
    return {"pred": _sigmoid(z), "target": _agreeing(rng, z > 0, trained).astype(float)}


def ranked(rng: np.random.Generator, trained: bool) -> Arrays:
    """Scores of six documents, and their grades."""
    target = rng.integers(0, 4, (N, 6)).astype(float)
    return {"pred": (3.0 if trained else 0.5) * target + rng.normal(size=(N, 6)), "target": target}


def logits_ties(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logits whose first rows have two largest ones that are equal."""
    found = logits(rng, trained)
    top = found["pred"][:6].max(axis=1)
    found["pred"][:6, 0] = found["pred"][:6, 3] = top
    return found


def square(rng: np.random.Generator, trained: bool) -> Arrays:
    """As many samples as classes."""
    z = (8.0 if trained else 1.5) * rng.normal(size=(K, K))
    return {"pred": z, "target": _labels(rng, z, trained)}


def pairs(rng: np.random.Generator, trained: bool) -> Arrays:
    """A batch of 12 embeddings of 4 features in two views."""
    target = rng.normal(size=(12, 4))
    return {"pred": target + (0.01 if trained else 1.0) * rng.normal(size=(12, 4)), "target": target}


def batch(rng: np.random.Generator, trained: bool) -> Arrays:
    """A batch of 20 numbers."""
    return {name: a[:20] for name, a in real(rng, trained).items()}


def heads(rng: np.random.Generator, trained: bool) -> Arrays:
    """Two outputs, a mean and the logarithm of a variance, and a number."""
    found = real(rng, trained)
    spread = 2.0 * np.log(0.02 if trained else 1.5) + 0.3 * rng.normal(size=N)
    return {"pred": np.stack([found["pred"], spread], axis=1), "target": found["target"]}


def heads3(rng: np.random.Generator, trained: bool) -> Arrays:
    """Three quantiles, and a number."""
    found, step = real(rng, trained), 0.02 if trained else 1.0
    return {
        "pred": found["pred"][:, None] + step * np.array([-1, 0, 1]),
        "target": found["target"],
    }


def durations(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logarithms of a rate, durations, and whether the end was seen."""
    pred = rng.normal(size=N)
    time = np.exp(-pred) * rng.exponential(size=N)
    return {"pred": pred, "target": time + 1e-3, "event": (rng.random(N) < 0.6).astype(float)}


def grades(rng: np.random.Generator, trained: bool) -> Arrays:
    """A score, and one of four ordered grades."""
    pred = (4.0 if trained else 1.5) * rng.normal(size=N)
    return {"pred": pred, "target": np.searchsorted([-2.0, 0.0, 1.5], pred + rng.normal(size=N)).astype(float)}


def chances(rng: np.random.Generator, trained: bool) -> Arrays:
    """A batch of 20 probabilities."""
    return {name: a[:20] for name, a in probability(rng, trained).items()}


def survival(rng: np.random.Generator, trained: bool) -> Arrays:
    """A batch of 20 log-hazards, durations without ties, and whether the end was seen."""
    return {name: a[:20] for name, a in durations(rng, trained).items()}


def cosines(rng: np.random.Generator, trained: bool) -> Arrays:
    """Cosines of five classes, and labels."""
    found = logits(rng, trained)
    return {"pred": np.tanh(found["pred"] / 8.0), "target": found["target"]}


def frames(rng: np.random.Generator, trained: bool) -> Arrays:
    """A logit for each of eight frames, and in how many of them something ends."""
    z = (4.0 if trained else 1.5) * rng.normal(size=(N, 8))
    return {"pred": z, "target": np.clip((z > 0).sum(axis=1), 1, 7).astype(float)}


def log_amounts(rng: np.random.Generator, trained: bool) -> Arrays:
    """Logarithms of amounts, and amounts."""
    found = positive(rng, trained)
    return {"pred": np.log(found["pred"]), "target": found["target"]}


_MAKERS: tuple[Callable[[np.random.Generator, bool], Arrays], ...] = (
    *(real, real_far, real_ties, real_grad, real_weighted, real_var, tiny, positive, count, log_count),
    *(logit, logit_soft, probability, probability_ends, margin),
    *(logits, logits_onehot, logits_soft, logits_ties, probabilities, distributions, square),
    *(vectors, pairs_same, triplets, masks, ranked, pairs, batch),
    *(heads, heads3, durations, grades, chances, survival),
    *(cosines, frames, log_amounts),
)
FAMILIES: dict[str, dict[str, Arrays]] = {
    maker.__name__: {
        points: maker(np.random.default_rng([5, *maker.__name__.encode(), points == TRAINED]), points == TRAINED)
        for points in (DATA, TRAINED)
    }
    for maker in _MAKERS
}
