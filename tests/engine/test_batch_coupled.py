"""Losses whose samples depend on each other: accuracy, evaluation as one batch, memory limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle
import pytest

import lossctl
from lossctl.cli.app import main
from lossctl.core.arrays import Array
from lossctl.core.registry import get_loss, registered
from lossctl.engine import memory, run
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.run import compute_losses
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import from_arrays
from lossctl.losses.numerics import cosine

BOUND = 1e-14


def vectors(seed: int, n: int = 6) -> list[Array]:
    """Two batches of vectors of any length; some pairs are almost parallel."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n, 3)) * 10.0 ** rng.uniform(-150, 150, (2, n, 1))
    x[0] = y[0] * (1 + 1e-9 * rng.normal(size=3)) * 1e-3
    return [x, y]


def test_every_batch_coupled_loss_is_compared_with_its_formula() -> None:
    """losses/test_losses.py leaves out these losses; this file and losses/test_segmentation.py test them."""
    coupled = {loss.name for loss in registered().values() if loss.batch_coupled}
    compared = {"infonce", "supervised_ntxent", "circle", "cox", "multiclass_generalized_dice"}
    assert coupled == compared, "compare the loss with its formula in this file"


@pytest.mark.parametrize("temperature", [0.07, 1.0, 37.0])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.slow
def test_infonce_agrees_with_fifty_digits(seed: int, temperature: float) -> None:
    """The sum over a batch, and its derivative with respect to some coordinates."""
    loss, batch = get_loss("infonce").bind(temperature=temperature), vectors(seed, 4)
    want, magnitude = oracle.value("infonce", batch, loss.params)
    assert oracle.error(float(loss.value(*batch).sum()), want, magnitude) <= BOUND
    got = loss.gradient(*batch).ravel()
    at = oracle.some(len(got))
    for value, slope in zip(got[at], oracle.slopes("infonce", batch, loss.params, at), strict=True):
        assert oracle.error(float(value), slope.left, slope.magnitude) <= BOUND


@pytest.mark.parametrize(
    "spec",
    [
        *("supervised_ntxent", "supervised_ntxent:temperature=1", "supervised_ntxent:temperature=37"),
        *("circle", "circle:margin=0", "circle:gamma=1:margin=1", "circle:gamma=1e-3", "circle:gamma=1000"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.slow
def test_groups_agree_with_fifty_digits(seed: int, spec: str) -> None:
    """Groups of three, two and one; two samples all but parallel, of one group or of two.

    Each seed takes a quarter of the coordinates.
    """
    loss = get_loss(spec)
    batch = [np.concatenate(vectors(seed, 3)), np.array([0.0, 0.0, 1.0, seed % 2, 1.0, 7.0])]
    want, magnitude = oracle.value(loss.name, batch, loss.params)
    assert oracle.error(float(loss.value(*batch).sum()), want, magnitude) <= BOUND
    got = loss.gradient(*batch).ravel()
    at = list(range(seed, len(got), 4))
    for value, slope in zip(got[at], oracle.slopes(loss.name, batch, loss.params, at), strict=True):
        assert oracle.error(float(value), slope.left, slope.magnitude) <= BOUND


@pytest.mark.parametrize("name", ["supervised_ntxent", "circle"])
def test_a_group_alone_has_nothing_to_be_told_from(name: str) -> None:
    """The loss is 0 if there is no other group, or if the group has one sample."""
    loss, x = get_loss(name), np.concatenate(vectors(2, 2))
    for groups in (np.zeros(4), np.arange(4.0)):
        assert not loss.value(x, groups).any()
        assert not loss.gradient(x, groups).any()


@pytest.mark.parametrize("name", ["supervised_ntxent", "circle"])
def test_groups_in_pieces_are_those_of_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [vectors(3, 11)[0], np.arange(11.0) % 3]
    loss = get_loss(name)
    value, gradient = loss.value(*batch), loss.gradient(*batch)
    monkeypatch.setattr(cosine, "_PIECE", 22)
    np.testing.assert_allclose(loss.value(*batch), value, rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(*batch), gradient, rtol=1e-9)


@pytest.mark.parametrize("spec", ["cox", "cox:ties=efron", "cox:mean=events"])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_cox_agrees_with_fifty_digits(seed: int, spec: str) -> None:
    """Risks from equal to 150 decades apart, equal and different times, with and without censoring."""
    rng, loss = np.random.default_rng(seed), get_loss(spec)
    pred = rng.normal(size=7) * 10.0 ** rng.uniform(-3, 3)
    pred = rng.choice([-1.0, 1.0], 7) * 10.0 ** rng.uniform(-150, 150, 7) if seed in (3, 4) else pred
    batch = [np.round(pred) if seed % 2 else pred, rng.integers(0, 1 + seed, 7) * 1.0, rng.integers(0, 2, 7) * 1.0]
    want, magnitude = oracle.value("cox", batch, loss.params)
    assert oracle.error(float(loss.value(*batch).sum()), want, magnitude) <= BOUND
    for value, slope in zip(loss.gradient(*batch), oracle.slopes("cox", batch, loss.params), strict=True):
        assert oracle.error(float(value), slope.left, slope.magnitude) <= BOUND


def test_cox_of_many_keeps_its_digits() -> None:
    """A sum over a hundred thousand equal risks: terms of 1/n, 1/(n − 1) and so on."""
    n = 100_000
    value = get_loss("cox").value(np.full(n, 0.3), np.arange(n, dtype=float), np.ones(n))
    np.testing.assert_allclose(value, np.log(np.arange(n, 0.0, -1.0)), rtol=1e-15)


def test_infonce_is_torchs_cross_entropy_of_cosines() -> None:
    """The value of torch 2.13.0: F.cross_entropy(F.normalize(x) @ F.normalize(y).T / 0.5, torch.arange(3))."""
    x = [[1.0, 2.0, -1.0], [0.5, -1.0, 3.0], [-2.0, 0.25, 1.0]]
    y = [[2.0, 1.0, 0.0], [0.0, -1.0, 1.0], [1.0, 1.0, 1.0]]
    assert float(lossctl.compute("infonce:temperature=0.5", x, y)) == pytest.approx(0.7540183729848704, rel=1e-14)


def test_pieces_of_the_similarities_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = vectors(3, 11)
    loss = get_loss("infonce")
    value, gradient = loss.value(*batch), loss.gradient(*batch)
    monkeypatch.setattr(cosine, "_PIECE", 22)
    np.testing.assert_allclose(loss.value(*batch), value, rtol=1e-13)
    np.testing.assert_allclose(loss.gradient(*batch), gradient, rtol=1e-9)


def test_a_batch_is_not_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In blocks of two rows each sample would be compared with one other sample, not with ten."""
    batch = vectors(4, 11)
    want = get_loss("infonce").value(*batch).mean()
    monkeypatch.setattr(run, "BLOCK", 6)
    assert float(lossctl.compute("infonce", *batch)) == pytest.approx(float(want), rel=1e-14)


def test_a_sample_without_weight_is_not_among_the_others() -> None:
    batch = vectors(5, 7)
    kept = [a[:6] for a in batch]
    weight = [1.0] * 6 + [0.0]
    assert float(lossctl.compute("infonce", *batch, weight=weight)) == float(lossctl.compute("infonce", *kept))


def test_the_order_of_a_batch_does_not_matter() -> None:
    batch = vectors(6, 9)
    order = np.random.default_rng(0).permutation(9)
    loss = get_loss("infonce")
    np.testing.assert_allclose(loss.value(*(a[order] for a in batch)), loss.value(*batch)[order], rtol=1e-13)


def test_what_does_not_fit_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An array of 80 GB in a sparse file; the error comes before anything is read."""
    header = {"descr": "<f8", "fortran_order": False, "shape": (10_000_000, 1000)}
    for name in ("x.npy", "y.npy"):
        with open(tmp_path / name, "wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + 80_000_000_000)
    monkeypatch.setattr(memory, "_free", lambda: 16_000_000_000)
    shape = (10_000_000, 1000)
    x, y = (np.memmap(tmp_path / name, "<f8", "r", 128, shape) for name in ("x.npy", "y.npy"))
    with pytest.raises(DataError, match=r"^infonce: 10,000,000 samples are one batch, and need 960.0 GB of memory"):
        lossctl.compute("infonce", x, y)


def test_where_the_system_does_not_tell_its_memory_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MEMINFO", Path("/nowhere"))
    lossctl.compute("infonce", *vectors(0))


def test_a_batch_is_asked_for_alone() -> None:
    data = from_arrays(dict(zip(("pred", "target"), vectors(0), strict=True)))
    both = [get_loss("infonce"), get_loss("cosine_distance")]
    with pytest.raises(UsageError, match="infonce: samples depend on each other"):
        compute_losses(data, both, ComputeOptions(), "mean", ExecutionConfig(1))


@pytest.mark.slow
def test_every_gradient_of_a_batch_is_checked_coordinate_by_coordinate() -> None:
    found = lossctl.gradcheck("infonce", samples=20_000)
    assert found
    assert (found.samples, found.counts["ok"]) == (20, 100)
    assert found.method == "every coordinate of the batch, one by one"


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (0.5, "is 0.5 at every sample: a factor of 2 is missing"),
        (-1.0, "is -1 at every sample: the sign is wrong"),
        (20.0, "is 20 at every sample: n = 20: it was multiplied by the number of samples"),
        (0.05, "is 0.05 at every sample: 1/n: it is the gradient of the mean over n = 20; say --reduction mean"),
    ],
)
@pytest.mark.slow
def test_a_factor_is_named(factor: float, words: str) -> None:
    found = lossctl.gradcheck("infonce", grad=lambda x, y: factor * get_loss("infonce").gradient(x, y))
    assert found.hint == f"given ÷ numeric {words}"


@pytest.mark.parametrize("command", ["grad cox", "gradcheck cox --grad g"])
def test_the_gradient_of_a_weighted_batch_is_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row i is the derivative of all losses by prediction i, so the weight of a sample cannot be applied to it."""
    path = tmp_path / "x.csv"
    path.write_text("p,t,e,w,g\n1,2,1,1,0\n0,1,1,3,0\n0.5,3,1,1,0\n")
    name, loss, *rest = command.split()
    words = [name, loss, str(path), "-p", "p", "-t", "t", "--input", "event=e", "-w", "w", "--reduction", "mean"]
    assert main([*words, *rest]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "the gradient of a weighted mean is not that of each times its weight" in err


def test_differences_of_a_batch_are_not_taken_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_text("p,t,e\n1,2,1\n0,1,1\n")
    words = ["grad", "cox", f"{tmp_path}/x.csv", "-p", "p", "-t", "t", "--input", "event=e"]
    assert main([*words, "--numeric"]) == 2
    assert "--numeric moves one at a time" in capsys.readouterr().err
    assert main(words) == 0


def test_a_wrong_gradient_of_a_batch_is_seen() -> None:
    """The wrong gradient lacks the projection orthogonal to the vector."""
    x, y = vectors(1)
    x, y = (a / np.abs(a).max(axis=1, keepdims=True) for a in (x, y))
    wrong = get_loss("infonce").gradient(x, y) + 1e-3 * x
    assert not lossctl.gradcheck("infonce", x, y, grad=wrong)
