"""The oracle against closed forms and other libraries; it detects planted mistakes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from golden import figures
from mpmath import mp, mpf
from oracle import (
    ORACLE,
    EdgeError,
    Number,
    Oracle,
    always,
    error,
    gradient,
    leaves,
    never,
    oracle,
    slopes,
    some,
    value,
)
from oracle.terms import wlog

from lossctl import get_loss

HARD = {"label_smoothing": 0.0}
GOLDEN = figures()


def derivatives(name: str, inputs: Any, params: Any, only: Any = None) -> list[float]:
    """Return the gradient of a formula as doubles, without magnitudes."""
    return [float(d) for d, _ in gradient(name, inputs, params, only)]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register formulas for one test only."""

    def plant(name: str, terms: Any, **promises: Any) -> None:
        monkeypatch.setitem(ORACLE, name, Oracle(name, terms, **promises))

    return plant


@pytest.mark.parametrize(
    ("name", "inputs", "params", "expected"),
    [
        ("mse", (1e150, 0.0), {}, mpf(1e150) ** 2),
        ("huber", (2.0, 0.0), {"delta": 1.0}, 1.5),
        ("huber", (-0.5, 0.0), {"delta": 1.0}, 0.125),
        ("pseudo_huber", (0.0, 0.75), {"delta": 1.0}, 0.25),
        ("pseudo_huber", (1e-150, 0.0), {"delta": 1.0}, mpf(1e-150) ** 2 / 2),
        ("bce", (0.0, 0.0), HARD, 0.0),
        ("bce", (0.0, 1.0), HARD, math.inf),
        ("bce", (0.0, 0.0), {"label_smoothing": 0.5}, math.inf),
        ("bce_with_logits", (-800.0, 0.0), {"pos_weight": 1.0, "label_weight": 1.0} | HARD, mp.exp(-800)),
        ("bce_with_logits", (-800.0, 1.0), {"pos_weight": 3.0, "label_weight": 1.0} | HARD, 2400.0),
        ("squared_hinge", (0.5, -1.0), {"margin": 1.0}, 2.25),
        ("sparse_softmax_cross_entropy", ([1000.0, 0.0, -1000.0], 1), HARD, 1000.0),
        ("sparse_softmax_cross_entropy", ([1000.0, 0.0, -1000.0], 0), HARD, mp.exp(-1000)),
        ("sparse_softmax_cross_entropy", ([0.0, -math.inf, 0.0], 2), HARD, mp.ln2),
        ("softmax_cross_entropy", ([0.0, -math.inf, 0.0], [0.5, 0.0, 0.5]), HARD, mp.ln2),
        ("softmax_cross_entropy", ([0.0, -math.inf, 0.0], [0.5, 0.0, 0.5]), {"label_smoothing": 0.1}, math.inf),
        ("kl_divergence", ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]), {}, 0.75 * math.log(1.5) - 0.25 * math.log(2)),
        ("kl_divergence", ([1.0, 0.0], [0.5, 0.5]), {}, math.inf),
    ],
)
def test_known_values(name: str, inputs: Any, params: Any, expected: Any) -> None:
    """Closed forms, also with values below 1e-308 and with a cancellation of 300 digits."""
    got, magnitude = value(name, inputs, params)
    assert float(magnitude) >= abs(float(got))
    assert mp.almosteq(got, expected, rel_eps=1e-15)


@pytest.mark.parametrize(
    ("name", "inputs", "params", "expected"),
    [
        *(("mse", (x, 0.0), {}, [2 * x]) for x in (1e-150, -1e150, 0.0)),
        ("mse", (1e-150, 1e150), {}, [-2e150]),
        *(("pseudo_huber", (x, 0.0), {"delta": 1.0}, [x]) for x in (1e-150, 0.0)),
        *(("pseudo_huber", (x, 0.0), {"delta": 1e-150}, [1e-150]) for x in (1e150, 1e-100)),
        ("pseudo_huber", (1e-150, 0.0), {"delta": 1e150}, [1e-150]),
        ("huber", (1.0, 0.0), {"delta": 1.0}, [1.0]),
        ("squared_hinge", (1.0, 1.0), {"margin": 1.0}, [0.0]),
        ("bce", (0.0, 0.0), HARD, [1.0]),
        ("bce", (1.0, 1.0), HARD, [-1.0]),
        ("bce", (1e-150, 1.0), HARD, [-1e150]),
        ("bce_with_logits", (1e150, 0.0), {"pos_weight": 1.0, "label_weight": 1.0} | HARD, [1.0]),
        ("sparse_softmax_cross_entropy", ([0.0, 0.0, -math.inf], 1), HARD, [0.5, -0.5, 0.0]),
        ("sparse_softmax_cross_entropy", ([0.0, -700.0], 0), HARD, [-math.exp(-700.0), math.exp(-700.0)]),
        ("categorical_cross_entropy", ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]), HARD, [-0.5, -1.5, 0.0]),
        ("kl_divergence", ([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]), {}, [-0.5, -1.5, 0.0]),
    ],
)
def test_known_derivatives(name: str, inputs: Any, params: Any, expected: list[float]) -> None:
    """From 1e-150 to 1e150, at 0, at minima, where smooth pieces meet, and at the limits of a domain."""
    assert derivatives(name, inputs, params) == pytest.approx(expected, rel=1e-15, abs=0)


def records(*, coupled: bool) -> Any:
    """Parametrise over the records of batch-coupled losses, or of the other losses."""
    # A formula takes one value of a parameter, not a list.
    chosen = [r for r in GOLDEN if get_loss(r["loss"]).batch_coupled == coupled and "," not in r["loss"]]
    return pytest.mark.parametrize(
        "record", chosen, ids=[f"{i}-{r['loss']}-{r['library']}" for i, r in enumerate(chosen)]
    )


@records(coupled=True)
@pytest.mark.slow
def test_other_libraries_agree_on_batches(record: dict[str, Any]) -> None:
    """The formula of a batch-coupled loss is the sum over the batch."""
    loss, inputs = get_loss(record["loss"]), record["inputs"]
    total = float(value(loss.name, inputs, record["params"])[0])
    count = loss.denominator(*map(np.asarray, inputs)).sum() if loss.denominator else len(inputs[0])
    assert total / count == pytest.approx(record["value"], rel=record["rtol"], abs=0)
    if record["gradient"]:
        row = list(leaves(record["gradient"]))
        got = derivatives(loss.name, inputs, record["params"], at := some(len(row)))
        assert got == pytest.approx([row[j] for j in at], rel=record["rtol"], abs=0)


@records(coupled=False)
@pytest.mark.slow
def test_other_libraries_agree(record: dict[str, Any]) -> None:
    """Mean, loss per sample and gradient agree with torch, scikit-learn, scipy, optax and keras."""
    name, params = record["loss"].partition(":")[0], record["params"]
    samples = list(zip(*record["inputs"], strict=True))
    weights = record.get("weight", [1.0] * len(samples))
    if ORACLE[name].terms.__annotations__["pred"] == "Number" and isinstance(samples[0][0], list):
        weights = [w for w, (row, *_) in zip(weights, samples, strict=True) for _ in row]
        samples = [pair for rows in samples for pair in zip(*rows, strict=True)]
    got = [float(value(name, sample, params)[0]) for sample in samples]
    divisor = get_loss(name).denominator
    shares = [divisor(*(np.asarray([x]) for x in sample))[0] if divisor else 1.0 for sample in samples]
    amounts = [w * share for w, share in zip(weights, shares, strict=True)]
    mean = math.fsum(w * loss for w, loss in zip(weights, got, strict=True)) / math.fsum(amounts)
    finish = get_loss(name).finish
    assert (finish.value(mean) if finish else mean) == pytest.approx(record["value"], rel=record["rtol"], abs=0)
    if record["per_sample"]:
        assert got == pytest.approx(record["per_sample"], rel=record["rtol"], abs=0)
    if record["gradient"]:
        for sample, expected in zip(samples, record["gradient"], strict=True):
            row = list(leaves(expected))
            assert derivatives(name, sample, params, at := some(len(row))) == pytest.approx(
                [row[j] for j in at], rel=record["rtol"], abs=0
            )


def test_a_wrong_formula_is_seen(planted: Any) -> None:
    """Huber without the ½ in its linear part disagrees with torch."""

    def wrong(pred: Number, target: Number, *, delta: Number) -> list[Number]:
        a = abs(pred - target)
        return [a**2 / 2 if a <= delta else delta * (a - delta)]

    planted("huber", wrong)
    with pytest.raises(AssertionError):
        test_other_libraries_agree(next(r for r in GOLDEN if r["loss"] == "huber"))


def test_a_wrong_kernel_is_seen() -> None:
    """Half the gradient has an error of one half; a wrong bit has an error of its size."""
    (want, magnitude), *_ = gradient("mse", (3.0, 1.0), {})
    assert error(2.0, want, magnitude) == 0.5
    assert error(4.0, want, magnitude) == 0.0
    assert error(math.nextafter(4.0, 5.0), want, magnitude) == 2.0**-52
    assert error(math.nan, want, magnitude) == math.inf


def test_terms_that_cancel_set_the_scale() -> None:
    """Σ p·log(p/q) with q ≈ p is 1e-8 of its terms; with a soft target two slopes cancel."""
    total, magnitude = value("kl_divergence", ([0.5, 0.5], [0.5 + 1e-8, 0.5 - 1e-8]), {})
    assert 0 < total < 1e-7 * magnitude
    slope, magnitude = gradient("bce", (0.5, 0.5), HARD)[0]
    assert abs(slope) < 1e-80
    assert magnitude == pytest.approx(2)


def test_promised_relative_accuracy_sets_the_scale(planted: Any) -> None:
    """If a loss promises relative accuracy, the magnitude is that of the result, not of its terms."""

    def split(pred: Number) -> list[Number]:
        return [pred, 1 - pred]

    planted("split", split, relative_value=always, relative_gradient=never)
    assert value("split", (3.0,), {}) == (1, 1)
    (slope, magnitude), *_ = gradient("split", (3.0,), {})
    assert (float(slope), float(magnitude)) == (pytest.approx(0), 2)


def test_a_rounded_term_that_jumps_to_one_side_does_not_hide_the_slope() -> None:
    image = [8e-94, 1 - 2e-12, 0.0, 1e-17], [1.0, 1.0, 0.0, 1.0]
    assert derivatives("jaccard", image, {"smooth": 1.0}) == pytest.approx([-0.25, -0.25, 0.125, -0.25], rel=1e-10)


@pytest.mark.parametrize(
    ("name", "inputs", "params", "sides"),
    [
        ("mae", (1.0, 1.0), {}, (-1, 1)),
        ("hinge", (1.0, 1.0), {"margin": 1.0}, (-1, 0)),
        ("hinge", (0.0, -1.0), {"margin": 0.0}, (0, 1)),
    ],
)
def test_kinks(name: str, inputs: Any, params: Any, sides: tuple[int, int]) -> None:
    """A kink has two slopes and no gradient."""
    (slope,) = slopes(name, inputs, params)
    assert (slope.left, slope.right) == sides
    with pytest.raises(EdgeError, match="coordinate 0: slopes"):
        gradient(name, inputs, params)


def test_edges_of_a_domain(planted: Any) -> None:
    """At the limit of a domain the one-sided slope counts; √p and p·log p have none at 0."""
    planted("sqrt", lambda pred: [mp.sqrt(pred)])
    planted("plogp", lambda pred: [wlog(pred, pred)])
    planted("cubed", lambda pred: [mp.sqrt(pred) ** 3 + 2 * pred])
    planted("jump", lambda pred: [mpf(pred >= 1)])
    assert derivatives("cubed", (0.0,), {}) == [2.0]
    for name, x in (("sqrt", 0.0), ("plogp", 0.0), ("jump", 1.0)):
        with pytest.raises(EdgeError, match="slope"):
            gradient(name, (x,), {})
    with pytest.raises(EdgeError, match="loss is infinite"):
        gradient("bce", (0.0, 1.0), HARD)


def test_one_formula_a_loss() -> None:
    """A second formula of the same name is an error."""
    with pytest.raises(ValueError, match="two formulas for 'mse'"):
        oracle("mse")(lambda pred, target: [pred - target])


def test_parameters_must_all_be_given() -> None:
    """A default in a formula could hide a wrong default in the kernel."""
    with pytest.raises(TypeError, match="delta"):
        value("huber", (1.0, 0.0), {})
