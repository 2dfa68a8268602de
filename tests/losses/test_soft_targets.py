"""Losses of labels that also take rows over the classes: one-hot, or probabilities."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from mpmath import mp  # type: ignore[import-untyped]
from oracle import ORACLE

import lossctl

Z = np.array([[0.5, -1.2, 2.0], [1.1, 0.4, -0.3]])
P = np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True)
SOFT = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
LABELS = np.array([2, 0])
ONE_HOT = np.eye(3)[LABELS]
SPECS = ["softmax_focal", "poly1_softmax:epsilon=2", "crammer_singer", "multiclass_brier", "ranked_probability_score"]


def predictions(spec: str) -> np.ndarray:
    """Return logits or probabilities, as the loss takes them."""
    return P if spec in ("multiclass_brier", "ranked_probability_score") else Z


@pytest.mark.parametrize(
    ("spec", "target", "value"),
    [
        ("softmax_focal", SOFT, 1.1348019976392647),  # keras 3.15.1 categorical_focal_crossentropy, alpha=1
        ("poly1_softmax:epsilon=2", SOFT, 2.772813722430536),  # optax 0.2.8 poly_loss_cross_entropy
        ("crammer_singer", ONE_HOT, 0.15),  # keras 3.15.1 categorical_hinge
        ("ranked_probability_score", ONE_HOT, 0.1382682887467144),  # scoringrules 0.10 rps_score
        ("multiclass_brier", SOFT, np.sum((P - SOFT) ** 2) / 2),
    ],
)
def test_values_of_other_libraries(spec: str, target: np.ndarray, value: float) -> None:
    """The mean agrees with other libraries."""
    assert float(lossctl.compute(spec, predictions(spec), target)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("spec", SPECS)
def test_one_hot_is_a_label(spec: str) -> None:
    """A one-hot row has the loss and the gradient of its label."""
    loss = lossctl.get_loss(spec)
    pred = predictions(spec) + (np.array([[0.0], [0.0]]) if spec[0] in "mr" else np.array([[50.0, 0.0, 0.0]]))
    np.testing.assert_allclose(loss.value(pred, ONE_HOT), loss.value(pred, LABELS), rtol=1e-14)
    np.testing.assert_allclose(loss.gradient(pred, ONE_HOT), loss.gradient(pred, LABELS), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("spec", SPECS[:3])
def test_a_row_is_the_mean_over_its_classes(spec: str) -> None:
    """The loss of probabilities is the mean of the losses of the labels, at 50 digits, also where p is nearly 1."""
    loss, pred = lossctl.get_loss(spec), np.array([[40.0, 0.0, -3.0], [1.0, 1.0, -2.0]])
    with mp.workdps(60):
        exact = [
            mp.fsum(
                mp.mpf(t) * mp.fsum(ORACLE[loss.name].terms(list(map(mp.mpf, z)), y, **loss.params))
                for y, t in enumerate(row)
            )
            for z, row in zip(pred, SOFT, strict=True)
        ]
    np.testing.assert_allclose(loss.value(pred, SOFT), [float(x) for x in exact], rtol=1e-14)
    assert lossctl.gradcheck(spec, predictions(spec), SOFT).passed


def test_a_class_that_cannot_be() -> None:
    """A logit of −inf costs nothing if its target is 0."""
    pred, target = np.array([[0.0, -np.inf, 1.0]]), np.array([[0.5, 0.0, 0.5]])
    for spec in SPECS[:2]:
        assert np.isfinite(lossctl.get_loss(spec).value(pred, target)).all()


def test_pickle() -> None:
    """A worker gets the loss with rows as targets."""
    loss = lossctl.get_loss("softmax_focal:gamma=3").for_rows([(3,), (3,)])
    again = pickle.loads(pickle.dumps(loss))  # noqa: S301
    assert (again.inputs[1].kind.name, again.spec) == ("Probabilities", "softmax_focal:gamma=3")


def test_rows_are_checked() -> None:
    """Rows of targets are probabilities."""
    with pytest.raises(lossctl.DataError, match=r"target\[0\]: the row sums to 2, not to 1"):
        lossctl.compute("softmax_focal", Z, np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("power", [-3.0, -1.0, 0.0])
def test_tweedie_of_negative_power(power: float) -> None:
    """At extreme ratios no power overflows alone; power 0 is the squared error."""
    pred, target = np.array([1e-100, 1e60, 2.0, 2.0, 1.0]), np.array([1e60, 1e-100, 2.0, 2.0 + 1e-9, 0.0])
    got = lossctl.get_loss(f"tweedie_deviance:power={power}").value(pred, target)
    with mp.workdps(200):
        exact = [
            float(mp.fsum(ORACLE["tweedie_deviance"].terms(mp.mpf(p), mp.mpf(t), power=mp.mpf(power))))
            for p, t in zip(pred, target, strict=True)
        ]
    np.testing.assert_allclose(got, exact, rtol=1e-14, atol=1e-150)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("accuracy", "'accuracy' is a metric, not a mean of losses: it is 1 − zero_one; the nearest loss is zero_one"),
        (
            "AUC",
            "'AUC' is a metric, not a mean of losses: it ranks the pairs of a whole set; the nearest loss is ranknet",
        ),
        ("bleu", "'bleu' is a metric, not a mean of losses: it compares texts; no loss is like it"),
        ("xyzzy", "unknown loss 'xyzzy'; see: lossctl list"),
    ],
)
def test_names_of_metrics(name: str, answer: str) -> None:
    """A metric is answered with the nearest loss; no unrelated name is suggested."""
    with pytest.raises(lossctl.UsageError) as error:
        lossctl.get_loss(name)
    assert str(error.value) == answer


def test_nearest_losses_exist() -> None:
    """The table of metrics names losses, and no loss is in it."""
    from lossctl.core.metrics import _METRICS, metric_hint

    assert all(lossctl.get_loss(loss) for _, _, loss in _METRICS if loss)
    assert not any(metric_hint(name) for name in lossctl.list_losses())
