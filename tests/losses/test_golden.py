"""Values and gradients of every loss against those of other libraries for the same inputs (tests/losses/golden)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden import figures

import lossctl
from lossctl.core.kind import has_class_axis
from lossctl.core.registry import registered

GOLDEN = figures()
# Losses that no library has that can be installed, and why: none so far.
WITHOUT: dict[str, str] = {}


def name_of(record: dict[str, Any]) -> str:
    """Return the name of the loss of a record, without parameters."""
    return str(record["loss"].partition(":")[0])


def records_with(key: str) -> Any:
    """Parametrise over the records that have a value for ``key``."""
    chosen = [r for r in GOLDEN if r.get(key) is not None]
    ids = [f"{GOLDEN.index(r)}-{r['loss']}-{r['library']}" for r in chosen]
    return pytest.mark.parametrize("record", chosen, ids=ids)


def arrays(record: dict[str, Any]) -> list[np.ndarray]:
    """Return the inputs in the order of the loss; labels are integers, other inputs float64."""
    return [np.asarray(x) for x in record["inputs"]]


def named(record: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs as keywords of ``compute``."""
    given = dict(zip(lossctl.get_loss(record["loss"]).roles, arrays(record), strict=True))
    further = {name: given.pop(name) for name in list(given) if name not in ("pred", "target")}
    return given | {"inputs": further}


@records_with("value")
def test_value(record: dict[str, Any]) -> None:
    """``compute`` returns the mean of the library, with weights if the record has weights."""
    weight = np.asarray(record["weight"]) if "weight" in record else None
    classes = any(has_class_axis(spec.kind.core) for spec in lossctl.get_loss(record["loss"]).inputs)
    axis = -1 if classes else None
    got = float(lossctl.compute(record["loss"], **named(record), weight=weight, class_axis=axis))
    np.testing.assert_allclose(got, record["value"], rtol=record["rtol"], err_msg=record["call"])


@records_with("per_sample")
def test_per_sample(record: dict[str, Any]) -> None:
    """The kernel returns the loss of each sample that the library returns."""
    got = lossctl.get_loss(record["loss"]).value(*arrays(record))
    np.testing.assert_allclose(got, record["per_sample"], rtol=record["rtol"], err_msg=record["each"])


@records_with("gradient")
def test_gradient(record: dict[str, Any]) -> None:
    """The kernel returns the gradient that the library returns."""
    got = lossctl.get_loss(record["loss"]).gradient(*arrays(record))
    np.testing.assert_allclose(got, record["gradient"], rtol=record["rtol"], err_msg=record["each"])


@pytest.mark.parametrize("name", registered())
def test_every_loss_has_a_figure(name: str) -> None:
    """Each loss has a record; a loss with parameters has one with other values than the defaults."""
    specs = [r["loss"] for r in GOLDEN if name_of(r) == name]
    assert bool(specs) != (name in WITHOUT), "add a case to its family in golden/ and run make_golden.py"
    if any(r["params"] for r in GOLDEN if name_of(r) == name):
        assert any(":" in spec for spec in specs)


def test_every_record_names_its_source() -> None:
    """Each record names the library, its version and the call."""
    for record in GOLDEN:
        assert record["library"]
        assert record["version"]
        assert all(name in record["call"] for name in record["names"])
        assert np.isfinite(record["value"])
