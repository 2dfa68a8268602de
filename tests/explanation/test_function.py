"""``explain FUNCTION`` names a function by its numbers on data of several kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.errors import UsageError
from lossctl.explanation.function import Answer, explain_function, load


def of_kind(answers: list[Answer], data: str) -> Answer:
    return next(answer for answer in answers if answer.data == data)


def clipped(y_true: Any, y_pred: Any) -> Any:
    if y_pred.ndim > 1 or ((y_pred < 0) | (y_pred > 1)).any():
        raise ValueError
    p = np.clip(y_pred, 1e-6, 1 - 1e-6)
    return -np.mean(y_true * np.log(p) + (1 - y_true) * np.log(1 - p))


def half(pred: Any, target: Any) -> Any:
    if target.dtype.kind != "f" or pred.ndim > 1:
        raise ValueError
    return 0.5 * (pred - target) ** 2


@pytest.mark.slow
def test_targets_first_and_a_clip_are_seen() -> None:
    (answer,) = explain_function(clipped)
    assert answer.data == "probabilities and 0/1"
    assert answer.order == "target, pred"
    assert answer.candidate.text == "bce; clips predictions to [1e-06, 1 − 1e-06]"


@pytest.mark.slow
def test_losses_of_samples_are_averaged() -> None:
    answer = of_kind(explain_function(half), "numbers")
    assert answer.candidate.text == "half_squared_error"
    assert answer.per_sample


@pytest.mark.slow
def test_a_function_that_takes_all_data_is_named() -> None:
    """Indices of classes are numbers to it."""
    answers = explain_function(lambda p, t: (p - t) ** 2)
    assert of_kind(answers, "numbers").candidate.text == "mse"


@pytest.mark.slow
def test_a_function_of_no_definition_has_no_answer() -> None:
    def odd(pred: Any, target: Any) -> float:
        if pred.ndim > 1 or (pred < 0).any():
            raise ValueError
        return float(np.mean(np.abs(pred - target) ** 1.2345) + 0.031)

    assert explain_function(odd) == []


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import numpy as np\n"
        "def only_labels(z, y):\n"
        "    assert z.ndim == 2 and y.ndim == 1 and z.max() > 1\n"
        "    e = np.exp(z)\n"
        "    return -np.mean(np.log((e / e.sum(1, keepdims=True))[np.arange(len(y)), y])) / np.log(2)\n"
    )
    assert main(["explain", f"{path}:only_labels", "-f", "json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert (answer["data"], answer["loss"]) == ("rows of scores and labels", "sparse_softmax_cross_entropy")
    assert answer["departs"] == ["is in bits"]
    assert main(["explain", "0.5"]) == 2
    assert "explain needs VALUE and PREDS, or FILE.py:FUNCTION" in capsys.readouterr().err
    assert main(["explain", f"{path}:nothing"]) == 2
    assert "it has only_labels" in capsys.readouterr().err


@pytest.mark.slow
def test_a_function_of_decisions_alone_is_named() -> None:
    def error_rate(pred: Any, target: Any) -> float:
        assert set(np.unique(pred)) == {0.0, 1.0}
        assert target.ndim == 1
        return float((pred != target).mean())

    (answer,) = explain_function(error_rate)
    assert any(text.startswith("zero_one") for text in (answer.candidate.text, *answer.also))


@pytest.mark.slow
def test_targets_of_other_codes_refute_nothing() -> None:
    """A hinge loss takes targets 0 and 1 as they are, and is a hinge loss by those of −1 and +1."""

    def hinge(pred: Any, target: Any) -> Any:
        assert pred.ndim == 1
        return np.maximum(0.0, 1.0 - pred * target)

    assert of_kind(explain_function(hinge), "scores and −1/+1").candidate.loss == "hinge"


@pytest.mark.slow
def test_an_answer_on_some_data_is_refuted_by_other_data() -> None:
    """Where no prediction is too great, an asymmetric squared error is the squared error; it is not mse."""
    assert explain_function(lambda p, t: np.where(p > t, 2.0, 1.0) * (p - t) ** 2) == []


@pytest.mark.slow
def test_a_function_of_a_library_that_is_called_in_double_precision() -> None:
    """The sigmoid_focal_loss of optax, which mixes p_t of soft targets, by its formula."""

    def sigmoid_focal_loss(logits: Any, labels: Any) -> Any:
        assert labels.shape == logits.shape
        assert 0 <= labels.min() <= labels.max() <= 1
        p = 1 / (1 + np.exp(-logits))
        missed = p * (1 - labels) + (1 - p) * labels
        return missed**2 * (np.logaddexp(0, logits) - logits * labels)

    answers = explain_function(sigmoid_focal_loss)
    assert of_kind(answers, "logits and 0/1").candidate.text == "focal_with_logits; alpha is none"
    assert of_kind(answers, "rows of scores and of probabilities").candidate.text == (
        "focal_with_logits:alpha=none of optax sigmoid_focal_loss; weighs soft targets by (1 − p_t)^gamma; "
        "computes in double precision"
    )


@pytest.mark.slow
def test_an_equal_loss_that_other_data_refute_is_left_out() -> None:
    """Of −1 and +1 soft_margin is bce_with_logits, which is a common loss; of 0 and 1 the function is neither."""

    def soft_margin(x: Any, y: Any) -> Any:
        assert x.shape == y.shape
        return np.logaddexp(0, -x * y).mean()

    (answer,) = explain_function(soft_margin)
    assert answer.candidate.text == "soft_margin"
    assert not any("bce" in text for text in answer.also)


@pytest.mark.slow
def test_numbers_of_0_are_no_evidence() -> None:
    """The categorical hinge loss of keras takes any shape, targets first; the sums over 48 classes make it 0."""

    def categorical_hinge(t: Any, p: Any) -> Any:
        assert t.shape == p.shape
        right, wrong = (t * p).sum(-1), ((1 - t) * p).max(-1)
        return np.float32(np.maximum(0.0, wrong - right + 1.0).mean())

    answers = explain_function(categorical_hinge)
    assert {answer.order for answer in answers} == {"target, pred"}
    assert {answer.candidate.loss for answer in answers} == {"crammer_singer"}


@pytest.mark.slow
def test_a_loss_of_pairs_of_vectors_is_named() -> None:
    """The circle loss of keras, which takes vectors as they are; those of length 1 are taken so here, too."""

    def circle(groups: Any, x: Any) -> float:
        assert x.ndim == 2
        assert groups.ndim == 1
        assert groups.dtype.kind == "i"
        d = 1.0 - x @ x.T
        same = groups[:, None] == groups
        likes = np.exp(80.0 * np.maximum(d + 0.4, 0) * (d - 0.4)) * (same & ~np.eye(len(x), dtype=bool))
        unlikes = np.exp(80.0 * np.maximum(1.4 - d, 0) * (0.6 - d)) * ~same
        return float(np.log1p(likes.sum(1) * unlikes.sum(1)).mean())

    assert of_kind(explain_function(circle), "vectors of length 1 and groups").candidate.loss == "circle"


@pytest.mark.slow
def test_a_function_that_is_infinite_at_0_is_named_by_other_probabilities() -> None:
    def entropy(p: Any, t: Any) -> Any:
        assert p.shape == t.shape == (len(p),)
        assert set(t) == {0.0, 1.0}
        return -(t * np.log(p) + (1 - t) * np.log(1 - p))

    def of_labels(p: Any, y: Any) -> Any:
        return -np.log(np.clip(p[np.arange(len(y)), y], 1e-5, None))

    assert of_kind(explain_function(entropy), "probabilities and 0/1").candidate.text == "bce"
    clip = "sparse_categorical_cross_entropy; clips predictions to [1e-05, 1]"
    labels = of_kind(explain_function(of_labels), "rows of probabilities and labels")
    assert clip in (labels.candidate.text, *labels.also)


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 3\n")
    with pytest.raises(UsageError, match="is not a function"):
        load(f"{path}:x", None)
