"""Wide rows: right ones pass along random directions, and a wrong coordinate is found among thousands."""

from __future__ import annotations

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Probabilities

RNG = np.random.default_rng(0)
N, K = 40, 300
Z, Y = RNG.normal(size=(N, K)), RNG.integers(0, K, N)


def cross_entropy(z, y):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    s = e.sum(axis=1)
    g = e / s[:, None]
    rows = np.arange(len(z))
    g[rows, y] -= 1
    return np.log(s) + z.max(axis=1) - z[rows, y], g


def spoilt(spoil):
    def loss(z: Logits, y: Label):
        value, g = cross_entropy(z, y)
        spoil(g, y)
        return value, g

    return loss


def times(g, y, factor=0.5):
    g *= factor


def one_column(g, y):
    g[:, 217] *= 1.001


def the_target_forgotten(g, y):
    g[np.arange(len(g)), y] += 1


def test_a_right_gradient_passes_and_says_how() -> None:
    result = lossctl.gradcheck(spoilt(lambda g, y: None), Z, Y)
    assert result
    assert result.method == "8 random directions in each sample, and coordinates of some wrong samples one by one"
    assert result.checked == 8 * N


@pytest.mark.parametrize("spoil", [times, one_column, the_target_forgotten])
@pytest.mark.slow
def test_a_wrong_one_fails_and_its_coordinates_are_found(spoil) -> None:
    result = lossctl.gradcheck(spoilt(spoil), Z, Y)
    assert result.counts["wrong"] > 0
    worst = result.worst_coordinates(20)
    assert worst
    if spoil is one_column:
        assert {w.index for w in worst} == {217}
        assert all(abs(w.given / w.numeric - 1.001) < 1e-6 for w in worst)


def test_one_wrong_coordinate_of_one_sample() -> None:
    labels = np.where(np.arange(N) == 7, 299, Y % 299)

    def one(g, y):
        g[y == 299, 123] += 1e-4

    result = lossctl.gradcheck(spoilt(one), Z, labels)
    assert [(w.row, w.index) for w in result.worst_coordinates(5)] == [(7, 123)]


def test_rows_of_probabilities_stay_inside() -> None:
    def entropy(p: Probabilities, t: Probabilities):
        assert ((p >= 0) & (p <= 1)).all()
        return -(t * np.log(p)).sum(axis=1), -t / p

    p = np.exp(Z)
    p /= p.sum(axis=1, keepdims=True)
    assert lossctl.gradcheck(entropy, p, np.eye(K)[Y])


def test_kinks_of_single_coordinates_are_no_false_alarm() -> None:
    def relu(z: Logits, y: Label):
        return np.maximum(z, 0).sum(axis=1), (z > 0).astype(float)

    assert lossctl.gradcheck(relu, Z, Y)


def test_kinks_of_one_sample_are_a_subgradient_together() -> None:
    z = RNG.normal(size=(40, 4))
    z[::4, 1] = z[::4].max(axis=1)
    z[::4, 0] = z[::4, 1]

    def largest(share):
        def loss(z: Logits, y: Label):
            top = z == z.max(axis=1, keepdims=True)
            return z.max(axis=1), share(top)

        return loss

    labels = np.zeros(40)
    assert lossctl.gradcheck(largest(lambda top: top / top.sum(axis=1, keepdims=True)), z, labels)
    ones = lossctl.gradcheck(largest(lambda top: top.astype(float)), z, labels)
    assert not ones
    assert "together they are none" in ones.notes[0]


def test_wide_rows_have_no_row_per_coordinate(tmp_path, capsys, monkeypatch) -> None:
    from lossctl.cli.app import main

    monkeypatch.chdir(tmp_path)
    np.save("z.npy", Z)
    np.save("y.npy", Y)
    for options in (["-f", "jsonl"], ["--save-numeric", "numeric.npy"]):
        assert main(["gradcheck", "sparse_softmax_cross_entropy", "z.npy", "y.npy", *options]) == 2
        assert "lossctl grad --numeric" in capsys.readouterr().err
