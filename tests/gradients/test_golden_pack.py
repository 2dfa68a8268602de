"""Golden packs: a check without lossctl passes right kernels and fails wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossctl
from lossctl.gradients.golden_pack import write_golden_pack
from lossctl.gradients.rounding import PRECISIONS, round_to

Array = np.ndarray[Any, np.dtype[Any]]


def kernel(logits: Array, labels: Array, dtype: str) -> dict[str, Array]:
    """Return value and gradient of cross entropy, computed in float32 or wider and rounded once."""
    z = logits.astype(np.float64 if dtype == "float64" else np.float32)
    n = np.arange(len(z))
    shifted = z - z.max(axis=1, keepdims=True)
    e = np.exp(shifted)
    total = e.sum(axis=1)
    grad = e / total[:, None]
    grad[n, labels] -= 1
    outputs = {"value": np.log(total) - shifted[n, labels], "grad": grad}
    return {name: round_to(a.astype(float), PRECISIONS[dtype]) for name, a in outputs.items()}


def failures(folder: Path, dtype: str, factor: float = 1.0) -> list[str]:
    """Return the groups and outputs that fail, as somebody without lossctl would find them."""
    bad = []
    for group in json.loads((folder / "manifest.json").read_text())["groups"]:
        load = {path.stem: np.load(path) for path in (folder / group).glob("*.npy")}
        for name, out in kernel(load["pred"], load["target"], dtype).items():
            if not (np.abs(factor * out - load[name]) <= load[f"{name}_bound"]).all():
                bad.append(f"{group}/{name}")
    return bad


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_right_kernels_pass(dtype: str, tmp_path: Path) -> None:
    pack = write_golden_pack(lossctl.get_loss("cross_entropy"), dtype, str(tmp_path / "pack"))
    assert list(pack.groups) == ["ordinary", "confident", "extreme", "ties", "masked"]
    assert failures(tmp_path / "pack", dtype) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_error_of_0_1_percent_fails(dtype: str, tmp_path: Path) -> None:
    write_golden_pack(lossctl.get_loss("cross_entropy"), dtype, str(tmp_path / "pack"))
    bad = failures(tmp_path / "pack", dtype, 0.999)
    assert {"ordinary/value", "ordinary/grad", "confident/value", "masked/grad"} <= set(bad)


def test_inputs_are_numbers_of_the_precision(tmp_path: Path) -> None:
    write_golden_pack(lossctl.get_loss("huber"), "bfloat16", str(tmp_path / "pack"))
    for path in (tmp_path / "pack").rglob("pred.npy"):
        pred = np.load(path)
        assert pred.dtype == np.float32
        assert (round_to(pred.astype(float), PRECISIONS["bfloat16"]) == pred).all()


def test_a_tie_allows_every_subgradient(tmp_path: Path) -> None:
    write_golden_pack(lossctl.get_loss("mae"), "float32", str(tmp_path / "pack"))
    ties = tmp_path / "pack" / "ties"
    exact, bound = np.load(ties / "grad.npy"), np.load(ties / "grad_bound.npy")
    assert (np.abs(1.0 - exact) <= bound).all()
    assert (np.abs(-1.0 - exact) <= bound).all()


def test_the_folder_must_be_new_or_empty(tmp_path: Path) -> None:
    loss = lossctl.get_loss("mse")
    (tmp_path / "empty").mkdir()
    write_golden_pack(loss, "float32", str(tmp_path / "empty"))
    before = sorted(p.name for p in tmp_path.rglob("*"))
    for folder in ("empty", "absent/pack"):
        with pytest.raises(lossctl.UsageError, match="-o"):
            write_golden_pack(loss, "float32", str(tmp_path / folder))
    assert sorted(p.name for p in tmp_path.rglob("*")) == before  # no temporary folder is left


@pytest.mark.slow
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_every_loss_has_a_pack(dtype: str, tmp_path: Path) -> None:
    from lossctl.core.registry import registered

    for loss in registered().values():
        if not loss.batch_coupled and loss.denominator is None:
            pack = write_golden_pack(loss, dtype, str(tmp_path / loss.name))
            assert "ordinary" in pack.groups, loss.name
