"""Masks on the command line: --reduction batch, --class-axis, --labels and --ignore-index of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from lossctl.cli.app import main

Run: TypeAlias = Callable[[str], tuple[int, str, str]]

RNG = np.random.default_rng(5)
PRED = RNG.random((3, 2, 4, 4))
LABELS = RNG.integers(0, 2, (3, 4, 4)).astype(np.uint8)


def dice(p: np.ndarray, t: np.ndarray) -> float:
    return float(1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    void = LABELS.copy()
    void[1, 2, 3] = 255
    arrays: dict[str, np.ndarray] = {
        "p": PRED,
        "labels": LABELS,
        "void": void,
        "one": PRED[:, 1],
        "bytes": LABELS * np.uint8(255),
    }
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    np.save("w.npy", np.ones((3, 4, 4)))
    np.save("images.npy", np.ones(3))

    def command(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return command


def value(result: tuple[int, str, str]) -> float:
    assert result[0] == 0, result
    return float(result[1])


def test_the_batch_as_one_image(run: Run) -> None:
    whole = dice(PRED[:, 1], LABELS)
    assert value(run("compute dice one.npy labels.npy -q --reduction batch")) == pytest.approx(whole, rel=1e-14)
    channels = np.mean([dice(PRED[:, c], np.equal(LABELS, c)) for c in (0, 1)])
    line = "compute dice p.npy labels.npy -q --reduction batch"
    for axis in (1, -3):
        assert value(run(f"{line} --class-axis {axis}")) == pytest.approx(channels, rel=1e-14)
    assert value(run(f"{line} --class-axis 1 -w w.npy")) == pytest.approx(channels, rel=1e-14)
    kept = np.not_equal(np.arange(48), 16 + 11).reshape(3, 4, 4)
    channels = np.mean([dice(PRED[:, c][kept], np.equal(LABELS, c)[kept]) for c in (0, 1)])
    line = "compute dice p.npy void.npy -q --reduction batch --class-axis 1 --ignore-index 255"
    assert value(run(line)) == pytest.approx(channels, rel=1e-14)
    assert " · batch" in run("compute dice one.npy labels.npy --reduction batch")[1]


def test_masks_of_bytes_by_labels(run: Run) -> None:
    line = "compute dice,lovasz_hinge one.npy bytes.npy -q"
    assert run(f"{line} --labels 0,255")[1] == run(line.replace("bytes", "labels"))[1]


def test_gradients_of_channels_are_written_and_checked(run: Run) -> None:
    line = "dice p.npy void.npy --class-axis 1 --ignore-index 255"
    assert run(f"grad {line} -o g.npy")[0] == 0
    assert np.load("g.npy").shape == PRED.shape
    assert not np.load("g.npy")[1, :, 2, 3].any()
    for command in (f"gradcheck {line} --grad g.npy", f"verify {line} --grad g.npy"):
        assert run(command)[0] == 0
    np.save("g.npy", np.load("g.npy") * np.array([1.0, 2.0])[:, None, None])
    for command in (f"gradcheck {line} --grad g.npy", f"verify {line} --grad g.npy"):
        assert run(command)[0] == 1


def test_a_missing_pixel_makes_its_channel_nan(run: Run) -> None:
    pred = PRED.copy()
    pred[2, 0, 1, 1] = np.nan
    np.save("nan.npy", pred)
    assert run("grad dice nan.npy labels.npy --class-axis 1 --nan propagate -o g.npy")[0] == 0
    missing = np.isnan(np.load("g.npy"))
    assert missing.any()
    assert missing[2, 0, 1, 1]
    assert not missing[:2].any()
    assert not missing[2, 1].any()


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("dice one.npy bytes.npy", "bytes.npy: element [0, 0, 0]: 255 is not a probability, from 0 to 1; for a mask"),
        ("dice one.npy bytes.npy --reduction batch", "bytes.npy: element [0, 0, 0]: 255 is not a probability"),
        ("dice p.npy void.npy --class-axis 1", "void.npy: element [1, 2, 3]: label 255 is not a class: 2 channels"),
        ("mse one.npy labels.npy --reduction batch", "takes losses of images, such as dice; mse is none"),
        ("dice one.npy labels.npy --reduction batch -w images.npy", "the batch is one image: give one for each pixel"),
        ("lovasz_hinge one.npy labels.npy -w w.npy", "a number for each pixel, where lovasz_hinge takes one for each"),
    ],
)
def test_what_is_refused(run: Run, line: str, error: str) -> None:
    code, out, err = run(f"compute {line}")
    assert (code, out) == (2, "")
    assert error in err
