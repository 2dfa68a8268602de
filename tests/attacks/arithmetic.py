"""Attacks on weights, sums and standard errors with tiny and huge numbers; the truth is computed with fractions."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from attacks.harness import attack, run

import lossctl
import lossctl.engine.run
from lossctl.core.registry import registered

MAGNITUDES = (1e-320, 1e-300, 1e-200, 1e-100, 1.0, 1e100, 1e200, 1e300)


def truth(losses: np.ndarray, weights: np.ndarray) -> tuple[Fraction, float]:
    """The weighted mean, and the square of its standard error by Cochran's formula, in exact arithmetic."""
    pairs = [(Fraction(a), Fraction(b)) for a, b in zip(losses.tolist(), weights.tolist(), strict=True)]
    whole = sum(b for _, b in pairs)
    mean = sum(a * b for a, b in pairs) / whole
    n = len(pairs)
    return mean, Fraction(n, n - 1) * sum((b * (a - mean)) ** 2 for a, b in pairs) / whole**2


def _root(x: Fraction) -> float:
    shift = (x.numerator.bit_length() - x.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(x / Fraction(4) ** shift), shift)


@attack("numbers", *MAGNITUDES)
def weights_of_every_size(folder: Path, size: float) -> None:
    rng = np.random.default_rng(0)
    losses, weights = rng.random(50), np.round(rng.random(50) * 8 + 1) * size
    result = lossctl.compute("mae", losses, np.zeros(50), weight=weights)
    mean, square = truth(losses, weights)
    assert float(result) == pytest.approx(float(mean), rel=1e-14)
    assert result.std_error == pytest.approx(_root(square), rel=1e-11)


@attack("numbers", *MAGNITUDES)
def weights_of_every_size_in_each_command(folder: Path, size: float) -> None:
    """Groups, the difference of two models, and the gradient of the mean, in two blocks."""
    rng, n = np.random.default_rng(3), 70
    a, b, weights, group = rng.random(n), rng.random(n), np.round(rng.random(n) * 8 + 1) * size, rng.integers(0, 2, n)
    weights[50:] *= 1.0 if size > 1e290 else 1e8  # the second block has another unit
    np.savez("d.npz", a=a, b=b, t=np.zeros(n), w=weights, g=group)
    shares = weights / weights.max()
    shares /= shares.sum()
    words = ("d.npz", "-t", "t", "-w", "w", "-p", "a")
    with mock.patch.object(lossctl.engine.run, "BLOCK", 50):
        groups = json.loads(run("breakdown", "mae", *words, "--by", "g", "-f", "json").out)["groups"]
        models = json.loads(run("compare", "mae", *words, "-p", "b", "-f", "json", "--resamples", "100").out)["models"]
        gradient = run("grad", "mae", *words, "-f", "value", "--reduction", "mean")
    for one in groups:
        of = group == float(one["g"])
        mean, square = truth(a[of], weights[of])
        assert one["mean"] == pytest.approx(float(mean), rel=1e-12), one
        assert one["std_error"] == pytest.approx(_root(square), rel=1e-9), one
    assert models[1]["difference"] == pytest.approx(shares @ (b - a), rel=1e-9)
    assert models[1]["low"] <= models[1]["difference"] <= models[1]["high"]
    assert models[0]["std_error"] == pytest.approx(_root(truth(a, weights)[1]), rel=1e-9)
    assert np.array(gradient.out.split(), float) == pytest.approx(shares, rel=1e-12, abs=1e-300)


@attack("numbers", *MAGNITUDES[1:])
def losses_of_every_size(folder: Path, size: float) -> None:
    losses = np.random.default_rng(1).random(50) * size
    result = lossctl.compute("mae", losses, np.zeros(50))
    mean, square = truth(losses, np.ones(50))
    assert float(result) == pytest.approx(float(mean), rel=1e-14)
    assert result.std_error == pytest.approx(_root(square), rel=1e-11)


@attack("numbers", (1e-180, 1.0), (1.0, 1e-180), (1e180, 1e-180), (0.0, 1e-180), (1e-180, 0.0), (1e250, 1e180))
def blocks_of_different_sizes(folder: Path, sizes: tuple[float, float]) -> None:
    """The moments of two blocks are merged in a common unit."""
    rng, n = np.random.default_rng(2), 131_072
    losses = np.concatenate([rng.random(n) * sizes[0], rng.random(1000) * sizes[1]])
    result = lossctl.compute("mae", losses, np.zeros(len(losses)))
    top = max(sizes)
    scaled = losses / top
    assert result.std_error == pytest.approx(np.std(scaled, ddof=1) / math.sqrt(len(losses)) * top, rel=1e-9)


@attack("numbers")
def tiny_losses_with_tiny_weights(folder: Path) -> None:
    result = lossctl.compute("mae", np.array([1e-250, 3e-250]), np.zeros(2), weight=np.array([1e-200, 1e-200]))
    assert float(result) == pytest.approx(2e-250, rel=1e-14, abs=0.0)


@attack("numbers")
def weights_of_a_ratio(folder: Path) -> None:
    pred, target = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 5.0])
    want = float(lossctl.compute("wape", pred, target))
    assert float(lossctl.compute("wape", pred, target, weight=np.full(3, 1e-320))) == pytest.approx(want, rel=1e-14)


@attack("numbers", ("1e200", "1e200", "large"), ("1e-200", "1e-140", "small"))
def a_weight_times_a_class_weight_beyond_doubles(folder: Path, case: tuple[str, str, str]) -> None:
    weight, of_class, word = case
    (folder / "p.csv").write_text(f"a,b,t,w\n1,0,1,1\n0,1,1,{weight}\n")
    run(
        *("compute", "sparse_softmax_cross_entropy", "p.csv", "-p", "@1-2", "-t", "t", "-w", "w"),
        *("--class-weight", f"1,{of_class}"),
    ).refused("p.csv:3: column 'w': weight", f"is too {word} for a double")


@attack("numbers")
def a_perfect_row_is_not_minus_zero(folder: Path) -> None:
    negative = []
    rng = np.random.default_rng(0)
    for loss in registered().values():
        dims = dict.fromkeys((axis for spec in loss.inputs for axis in spec.kind.core), 3)
        arrays = [np.asarray(spec.kind.sample(rng, 40, dims)) for spec in loss.inputs]
        if len(arrays) == 2 and arrays[0].shape == arrays[1].shape:
            arrays[0] = arrays[1]  # perfect predictions
        try:
            values = np.asarray(loss.value(*arrays))
        except lossctl.LossctlError:
            continue
        if (np.signbit(values) & (values == 0)).any():
            negative.append(loss.name)
    assert not negative, negative


@attack("numbers")
def integers_of_a_user_beyond_doubles(folder: Path) -> None:
    (folder / "my.py").write_text("def f(pred, target):\n    return (pred * 0).astype('i8') + 2**53 + 1\n")
    np.save("p.npy", np.ones(2))
    np.save("t.npy", np.ones(2))
    run("compute", "my.py:f", "p.npy", "t.npy").refused("f: returned: integers beyond 2**53, such as 9007199254740993")


@attack("numbers")
def the_last_bin_of_a_histogram(folder: Path) -> None:
    """A long tail has a bin of its own, unless the rounded edges of the other bins contain it."""
    rng = np.random.default_rng(0)
    np.save("t.npy", np.zeros(301))
    for share in np.linspace(1.0, 3.0, 21).tolist():
        np.save("p.npy", np.concatenate([rng.random(300) * 430, [430 * share]]))
        ended = run("plot", "mae", "p.npy", "t.npy", "-f", "json")
        assert ended.code == 0, ended
        bins = json.loads(ended.out)["bins"]
        assert all(one["low"] < one["high"] for one in bins), (share, bins)
        assert sum(one["count"] for one in bins if one["of"] == "mae") == 301


def _losses(seed: int) -> np.ndarray:
    """Draw losses of any size, sign and spread."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([1, 2, 3, 10, 300]))
    shapes = (rng.normal(size=n), rng.standard_cauchy(n) ** 2, np.full(n, rng.normal()), rng.integers(-3, 3, n) * 1.0)
    with np.errstate(all="ignore"):
        moved = shapes[seed % 4] * rng.choice([-1.0, 1.0]) + rng.choice([0.0, 1.0, -1e6, 1e16])
        losses = np.clip(moved * 10.0 ** rng.choice([0, 0, 3, 100, 308, -10, -300, -320]), -1.7e308, 1.7e308)
    if seed % 7 == 0:  # they differ in the last digit
        losses[:] = losses[0]
        losses[-1] = np.nextafter(losses[0], np.inf)
    return losses


@attack("numbers", *range(20))
def bins_of_every_size(folder: Path, seed: int) -> None:
    """A bin does not end before it begins, and the bins contain all samples."""
    (folder / "my.py").write_text("def f(pred, target):\n    return pred\n")
    losses = _losses(seed)
    np.savez("p.npz", p=losses, t=losses if seed % 3 else np.zeros(len(losses)))
    words = ("my.py:f", "p.npz", "-p", "p", "-t", "t")
    for command, name, ends in (("plot", "bins", ("low", "high")), ("breakdown", "histogram", ("from", "to"))):
        assert run(command, *words).code == 0
        ended = run(command, *words, "-f", "json")
        found = json.loads(ended.out)[name]
        bins = [one for one in found if one.get("of") == found[0].get("of")]  # those of the loss come first
        pairs = [[float(one[end]) for end in ends] for one in bins]
        assert all(low < high or (low == high and command == "breakdown") for low, high in pairs), pairs
        assert sum(one.get("samples", one.get("count")) for one in bins) == len(losses)
