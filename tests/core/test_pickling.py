"""Losses survive pickling and compute the same values in another process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from draws import settings

import lossctl
from lossctl import Real, get_loss
from lossctl.core.decorator import Loss, from_function
from lossctl.core.registry import registered

SAMPLES = Path(__file__).parents[2] / "samples"
CASES = [loss.bind(**params) for loss in registered().values() for params in settings(loss)]


def cubic(pred: Real, target: Real, *, scale: float = 1.0):
    return scale * np.abs(pred - target) ** 3


@lossctl.loss(formula="r⁴")
def quartic(pred: Real, target: Real, *, scale: float = 1.0):
    return scale * (pred - target) ** 4


@pytest.mark.parametrize("loss", CASES, ids=lambda loss: loss.spec)
def test_a_registered_loss_is_its_spec(loss: Loss) -> None:
    data = pickle.dumps(loss)
    assert len(data) < 400  # its name and parameters, not its code
    again = pickle.loads(data)  # noqa: S301 - our own
    assert again.spec == loss.spec
    assert again.params == loss.params
    assert again.kernel is loss.kernel
    assert (again.formula, again.family, again.finish) == (loss.formula, loss.family, loss.finish)


@pytest.mark.parametrize(
    "loss",
    [
        from_function(cubic).bind(scale=2.0),
        quartic.bind(scale=3.0),
        get_loss(f"{SAMPLES / 'my_losses.py'}:asym:alpha=3"),
        get_loss(f"{SAMPLES / 'my_losses.py'}:cubic"),
    ],
    ids=["function", "decorated", "own file", "own file, a plain function"],
)
def test_a_users_loss_comes_back_with_its_parameters(loss: Loss) -> None:
    again = pickle.loads(pickle.dumps(loss))  # noqa: S301
    assert (again.spec, again.source, again.family, again.formula) == (
        loss.spec,
        loss.source,
        loss.family,
        loss.formula,
    )
    inputs = np.array([2.0, -1.0]), np.array([0.5, 0.0])
    np.testing.assert_array_equal(again.value(*inputs), loss.value(*inputs))


def test_another_process_in_another_directory_reads_a_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pickle contains the absolute path, even if the user wrote a relative path."""
    monkeypatch.chdir(SAMPLES)
    data = pickle.dumps(get_loss("my_losses.py:asym:alpha=3"))
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).value([2.0], [0.0])[0])"
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout.split() == [b"12.0"]


def test_a_kernel_in_place_of_a_registered_one_is_not_lost() -> None:
    """A loss with the name of a registered loss but another kernel is not unpickled as the registered one."""
    other = replace(from_function(cubic), name="mse")
    assert pickle.loads(pickle.dumps(other)).kernel is cubic  # noqa: S301


def test_what_has_no_name_cannot_travel() -> None:
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(from_function(lambda pred, target: pred - target))
