"""Class weights and the ignored label, for every loss whose targets are classes."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss, registered
from lossctl.engine import run
from lossctl.engine.block import weights_of
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions, classes_of
from lossctl.errors import DataError, UsageError
from lossctl.gradients.gradient_rows import spool_gradient
from lossctl.io.dataset import from_arrays

N, K = 12, 4
RNG = np.random.default_rng(5)
LOGITS, LABELS = np.round(RNG.normal(0, 2, (N, K)), 3), RNG.integers(0, K, N)
LOGITS[0], LABELS[:4] = [1.0, -0.5, 0.25, 2.0], [0, 1, 2, 3]
WEIGHTS = (0.5, 1.0, 2.0, 3.0)
OF_LABELS = [loss for loss in registered().values() if (found := classes_of(loss)) and found[1].name == "Label"]
OF_ROWS = [loss for loss in registered().values() if (found := classes_of(loss)) and found[1].name != "Label"]
TORCH_LOGITS = [[1.5, -0.5, 0.25], [0.5, 2.0, -1.0], [0.0, 0.125, -3.0], [2.0, 1.0, 1.5], [-1.0, 0.5, 0.75]]


LABELS_OF_TORCH = np.array([0, 2, 1, -100, 2])


@pytest.mark.parametrize("loss", ["ce", "nll"])
@pytest.mark.parametrize(
    ("options", "want"),
    [
        # torch 2.13.0, float64: F.cross_entropy(z, y, weight=[0.5, 2, 1], ignore_index=-100), and F.nll_loss
        # of its log_softmax; without weight; with weight, without the sample -100, and with ignore_index=1
        ({"class_weight": (0.5, 2.0, 1.0), "ignore_index": -100}, 1.1995060408208693),
        ({"ignore_index": -100}, 1.229520643785114),
        ({"class_weight": (0.5, 2.0, 1.0), "ignore_index": 1}, 1.6345744411136796),
    ],
)
def test_torchs_figures(loss: str, options: dict[str, Any], want: float) -> None:
    z = np.array(TORCH_LOGITS)
    pred = z if loss == "ce" else z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    keep = (-100 if options["ignore_index"] == -100 else 0) <= LABELS_OF_TORCH
    assert float(lossctl.compute(loss, pred[keep], LABELS_OF_TORCH[keep], **options)) == pytest.approx(want, rel=1e-14)


def drawn(loss: Loss) -> list[np.ndarray]:
    """Random predictions of the kind that the loss takes, and targets."""
    dims = {"classes": K}
    return [i.kind.sample(np.random.default_rng(3), N, dims) for i in loss.inputs]


@pytest.mark.parametrize("loss", OF_LABELS, ids=lambda loss: loss.name)
def test_a_weight_for_each_class_is_one_for_each_sample(loss: Loss) -> None:
    """Class weights multiply the weights of samples, and the mean divides by the sum of the products."""
    pred, target = drawn(loss)
    own = RNG.uniform(0.5, 2, N)
    got = lossctl.compute(loss, pred, target, weight=own, class_weight=WEIGHTS)
    want = lossctl.compute(loss, pred, target, weight=own * np.array(WEIGHTS)[target.astype(int)])
    assert float(got) == float(want)
    assert got.denominator == want.denominator


@pytest.mark.parametrize("loss", OF_LABELS, ids=lambda loss: loss.name)
def test_a_label_to_ignore_leaves_its_samples_out(loss: Loss) -> None:
    pred, target = drawn(loss)
    target[[2, 7]] = -100
    got = lossctl.compute(loss, pred, target, ignore_index=-100)
    want = lossctl.compute(loss, np.delete(pred, [2, 7], 0), np.delete(target, [2, 7]))
    assert (float(got), got.count, got.ignored, got.denominator) == (float(want), N - 2, 2, float(N - 2))


@pytest.mark.parametrize("loss", OF_ROWS, ids=lambda loss: loss.name)
def test_a_row_of_classes_weighs_what_its_classes_do(loss: Loss) -> None:
    pred, target = drawn(loss)
    got = lossctl.compute(loss, pred, target, class_weight=WEIGHTS)
    rows = np.exp(target) if loss.inputs[1].kind.name == "LogProbabilities" else target
    want = lossctl.compute(loss, pred, target, weight=rows @ np.array(WEIGHTS))
    assert float(got) == pytest.approx(float(want), rel=1e-13, nan_ok=False) or math.isinf(float(want))


def test_one_hot_rows_weigh_as_their_labels() -> None:
    """Rows and labels give the same mean here; torch divides by n for rows and by the weights for labels."""
    rows = lossctl.compute("softmax_cross_entropy", LOGITS, np.eye(K)[LABELS], class_weight=WEIGHTS)
    assert float(rows) == float(lossctl.compute("ce", LOGITS, LABELS, class_weight=WEIGHTS))


def test_the_memory_order_of_rows_moves_no_digit() -> None:
    rows = RNG.dirichlet(np.ones(K), 50)
    np.testing.assert_array_equal(weights_of(np.asfortranarray(rows), WEIGHTS), weights_of(rows, WEIGHTS))


def test_a_class_without_weight_exempts_its_samples() -> None:
    """A class weight of 0 removes the samples of the class, also if their loss is infinite."""
    pred = np.array([[1.0, 0.0], [0.25, 0.75]])
    got = lossctl.compute("sparse_categorical_cross_entropy", pred, [1, 0], class_weight=(2.0, 0.0))
    assert float(got) == pytest.approx(math.log(4))
    assert got.count == 1


def test_labels_that_are_no_class_stay_errors() -> None:
    for label in (-1, K, 0.5, math.nan):
        target = LABELS.astype(float)
        target[5] = label
        with pytest.raises(DataError, match=r"target\[5\]"):
            lossctl.compute("ce", LOGITS, target, class_weight=WEIGHTS, ignore_index=-100)


def test_everything_ignored_is_an_error() -> None:
    with pytest.raises(DataError, match=r"no sample is left: every sample is left out"):
        lossctl.compute("ce", LOGITS, np.full(N, -100), ignore_index=-100)


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        ("ce", {"class_weight": (1.0, 2.0)}, "class_weight: 2 weights for 4 classes"),
        ("ce", {"class_weight": (1.0, 2.0, -1.0, 1.0)}, "finite, at least 0"),
        ("ce", {"class_weight": (1.0, 2.0, math.nan, 1.0)}, "finite, at least 0"),
        ("ce", {"class_weight": (0.0, 0.0, 0.0, 0.0)}, "not all 0"),
        ("mse", {"class_weight": (1.0, 2.0)}, "mse has no column for each class"),
        ("cce", {"ignore_index": 1}, "a target of categorical_cross_entropy is an array"),
    ],
)
def test_options_that_do_not_fit_are_told(loss: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        lossctl.compute(loss, LOGITS, LABELS if loss == "ce" else LOGITS, **options)


@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_and_threads_do_not_matter(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    labels = np.where(LABELS == 2, -1, LABELS)
    want = lossctl.compute("ce", LOGITS, labels, class_weight=WEIGHTS, ignore_index=-1)
    monkeypatch.setattr(run, "BLOCK", 8)
    got = lossctl.compute("ce", LOGITS, labels, class_weight=WEIGHTS, ignore_index=-1, threads=threads)
    assert (float(got), got.ignored) == (pytest.approx(float(want), rel=1e-15), want.ignored)


def test_a_gradient_of_the_mean_has_the_weights_in_it() -> None:
    """The command gradcheck accepts what grad writes with --reduction mean."""
    data = from_arrays({"pred": LOGITS, "target": np.where(LABELS == 2, -1, LABELS)})
    options = ComputeOptions(class_weight=WEIGHTS, ignore_index=-1)
    (g,) = spool_gradient(data, get_loss("ce"), options, "mean", workers=ExecutionConfig(1)).chunks()
    assert not g[LABELS == 2].any()
    labels = np.where(LABELS == 2, -1, LABELS)
    given: dict[str, Any] = {"class_weight": WEIGHTS, "ignore_index": -1, "reduction": "mean"}
    assert lossctl.gradcheck("ce", LOGITS, labels, g, **given)
    assert not lossctl.gradcheck("ce", LOGITS, labels, g, ignore_index=-1, reduction="mean")


def test_the_command_line(tmp_path: Path) -> None:
    """The output shows the denominator and the number of samples left out."""
    np.save(tmp_path / "z.npy", np.array(TORCH_LOGITS))
    np.save(tmp_path / "y.npy", LABELS_OF_TORCH)
    words = ["compute", "ce", "z.npy", "y.npy", "--class-weight", "0.5,2,1", "--ignore-index", "-100"]
    done = subprocess.run(
        [sys.executable, "-m", "lossctl", *words], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True
    )
    assert "4 samples" in done.stdout
    assert "denominator 4.5" in done.stdout
    assert "1.19951" in done.stdout
    assert done.stderr == "note: 1 element left out of sparse_softmax_cross_entropy by --ignore-index\n"


NO_CLASS = "label -100 is not a class: 3 columns are classes 0 to 2"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--class-weight 0.5,x,1", "--class-weight '0.5,x,1': 'x' is not a number; numbers and commas"),
        ("--class-weight 0.5,2", "--class-weight: 2 weights for 3 classes"),
        ("--labels 0,1,2 --ignore-index -100", "--ignore-index -100: with --labels it is from 0 to 2"),
        ("--ignore-index 7", f"y.npy: row 3: {NO_CLASS}; --ignore-index -100 leaves such samples out"),
    ],
)
@pytest.mark.slow
def test_the_command_line_refuses(tmp_path: Path, words: str, message: str) -> None:
    np.save(tmp_path / "z.npy", np.array(TORCH_LOGITS))
    np.save(tmp_path / "y.npy", LABELS_OF_TORCH)
    command = [sys.executable, "-m", "lossctl", "compute", "ce", "z.npy", "y.npy", *words.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"lossctl: {message}\n")
