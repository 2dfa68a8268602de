"""The second derivative of an objective: against that of the loss, or a surrogate that practice knows by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import lossctl
from lossctl import Label, Logits, Probability, Real
from lossctl.cli.app import main
from lossctl.core.input_kinds import Count
from lossctl.errors import UsageError

RNG = np.random.default_rng(0)
N, K = 200, 4
PRED, TARGET = 2 * RNG.normal(size=(2, N))
LOGITS, LABELS = 3 * RNG.normal(size=(N, K)), RNG.integers(0, K, N)
COUNTS = RNG.poisson(2.0, N) * 1.0
SOFT = RNG.random(N)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


# --- losses of a user, and their gradients ---


def log_loss(pred: Real, target: Probability):
    return np.logaddexp(0, pred) - target * pred


def absolute(pred: Real, target: Real):
    return np.abs(pred - target)


def cube(pred: Real, target: Real):
    return np.abs(pred - target) ** 3


def log_cosh(pred: Real, target: Real):
    a = np.abs(pred - target)
    return a + np.log1p(np.exp(-2 * a)) - np.log(2)


def pinball(pred: Real, target: Real):
    return np.maximum(0.9 * (target - pred), -0.1 * (target - pred))


def squared(pred: Real, target: Real):
    return (pred - target) ** 2


def poisson(pred: Real, target: Count):
    return np.exp(pred) - target * pred


def cross_entropy(pred: Logits, target: Label):
    return np.log(np.exp(pred).sum(axis=1)) - pred[np.arange(len(pred)), target.astype(int)]


def brier(pred: Real, target: Probability):
    return (sigmoid(pred) - target) ** 2, lambda: 2 * (sigmoid(pred) - target) * sigmoid(pred) * sigmoid(-pred)


def exponential_link(pred: Real, target: Real):
    return 0.5 * (np.exp(pred) - target) ** 2, lambda: (np.exp(pred) - target) * np.exp(pred)


def minus_one_hot(p, target):
    return p - np.eye(p.shape[1])[target.astype(int)]


GRADIENTS = {
    log_loss: (SOFT, lambda x, t: sigmoid(x) - t),
    "bce_with_logits": (SOFT, lambda x, t: sigmoid(x) - t),
    absolute: (TARGET, lambda x, t: np.sign(x - t)),
    "mae": (TARGET, lambda x, t: np.sign(x - t)),
    cube: (TARGET, lambda x, t: 3 * (x - t) * np.abs(x - t)),
    log_cosh: (TARGET, lambda x, t: np.tanh(x - t)),
    pinball: (TARGET, lambda x, t: np.where(t > x, -0.9, 0.1)),
    squared: (TARGET, lambda x, t: 2 * (x - t)),
    "mse": (TARGET, lambda x, t: 2 * (x - t)),
    poisson: (COUNTS, lambda x, t: np.exp(x) - t),
    cross_entropy: (LABELS, lambda x, t: minus_one_hot(softmax(x), t)),
    "sparse_softmax_cross_entropy": (LABELS, lambda x, t: minus_one_hot(softmax(x), t)),
    brier: (SOFT, lambda x, t: 2 * (sigmoid(x) - t) * sigmoid(x) * sigmoid(-x)),
    exponential_link: (TARGET, lambda x, t: (np.exp(x) - t) * np.exp(x)),
}


def check(loss, second, mode="surrogate", pred=None):
    """Check the right gradient of a loss with this second derivative, a function of (pred, target)."""
    target, gradient = GRADIENTS[loss]
    if pred is None:
        pred = LOGITS if loss in (cross_entropy, "sparse_softmax_cross_entropy") else PRED
    found = lossctl.gradcheck(
        loss, pred, target, lambda pred, target: (gradient(pred, target), second(pred, target)), second=mode
    )
    assert found.passed
    return found


def named(found):
    """Return the note that names a surrogate, if any."""
    return [note for note in found.second.notes if note.startswith("second derivative: ")]


def p_times_q(x):
    return softmax(x) * (1 - softmax(x))


SURROGATES = [
    *((loss, lambda x, _t: np.ones_like(x), "1 everywhere") for loss in (log_loss, absolute, "mae", log_cosh, pinball)),
    (absolute, lambda x, t: np.abs(x - t), "|pred − target|"),
    (poisson, lambda x, _t: np.exp(x + 0.7), "e^(pred + 0.7) of XGBoost's Poisson (max_delta_step = 0.7)"),
    (
        brier,
        lambda x, _t: 2 * (sigmoid(x) * sigmoid(-x)) ** 2,
        "Gauss-Newton of the squared error through",
    ),
    (exponential_link, lambda x, _t: np.exp(2 * x), "Gauss-Newton of the squared error through exp"),
    *(
        (loss, second, name)
        for loss in (cross_entropy, "sparse_softmax_cross_entropy")
        for second, name in (
            (lambda x, _t: 2 * p_times_q(x), "2p(1 − p) of XGBoost's softprob"),
            (
                lambda x, _t: np.maximum(2 * p_times_q(x), 1e-6),
                "2p(1 − p) of XGBoost's softprob, with a floor of",
            ),
            (lambda x, _t: K / (K - 1) * p_times_q(x), "K/(K − 1)·p(1 − p) of LightGBM's multiclass"),
            (lambda x, _t: (2 * p_times_q(x)).astype(np.float32), "2p(1 − p) of XGBoost's softprob"),
        )
    ),
]


@pytest.mark.parametrize(("loss", "second", "name"), SURROGATES)
@pytest.mark.slow
def test_a_surrogate_passes_with_its_name_unless_the_second_derivative_must_be_exact(loss, second, name) -> None:
    pred = 3 * LOGITS if "floor" in name else None
    found = check(loss, second, pred=pred)
    assert found, found
    assert f"second derivative: the surrogate {name}" in named(found)[0]
    exact = check(loss, second, "exact", pred)
    assert not exact
    assert not named(exact)
    assert check(loss, second, "off", pred).second is None


@pytest.mark.parametrize(
    "factor",
    [
        pytest.param(0.5, marks=pytest.mark.slow),
        pytest.param(2.0, marks=pytest.mark.slow),
        pytest.param(-1.0, marks=pytest.mark.slow),
        1.01,
    ],
)
@pytest.mark.parametrize(("loss", "second", "name"), SURROGATES)
@pytest.mark.slow
def test_a_surrogate_times_a_factor_is_wrong(loss, second, name, factor) -> None:
    if name.startswith("2p(1 − p)") and factor == 0.5:
        pytest.skip("half of it is the second derivative itself")
    assert not check(loss, lambda x, t: factor * second(x, t), pred=3 * LOGITS if "floor" in name else None)


EXACT = [
    (squared, lambda x, _t: 2 + 0 * x),
    ("mse", lambda x, _t: 2 + 0 * x),
    (cube, lambda x, t: 6 * np.abs(x - t)),
    (log_loss, lambda x, _t: sigmoid(x) * sigmoid(-x)),
    ("bce_with_logits", lambda x, _t: sigmoid(x) * sigmoid(-x)),
    (log_cosh, lambda x, t: 1 - np.tanh(x - t) ** 2),
    (poisson, lambda x, _t: np.exp(x)),
    (cross_entropy, lambda x, _t: p_times_q(x)),
    ("sparse_softmax_cross_entropy", lambda x, _t: p_times_q(x)),
]


@pytest.mark.parametrize(("loss", "second"), EXACT)
@pytest.mark.slow
def test_the_second_derivative_of_the_loss_passes_and_a_factor_is_named(loss, second) -> None:
    for mode in ("exact", "surrogate"):
        found = check(loss, second, mode)
        assert found
        assert not named(found)
        for factor, words in ((0.5, "0.5"), (3.0, "3"), (-1.0, "-1")):
            wrong = check(loss, lambda x, t, factor=factor: factor * second(x, t), mode)
            assert not wrong
            assert f"given ÷ numeric is {words} at every sample" in wrong.second.hint


@pytest.mark.parametrize("floor", [1e-16, 1e-6, 2.0**-23])
@pytest.mark.slow
def test_a_floor_is_told(floor) -> None:
    pred = 20 * PRED
    found = check("bce_with_logits", lambda x, _t: np.maximum(sigmoid(x) * sigmoid(-x), floor), pred=pred)
    assert found
    if floor > 1e-10:  # a smaller one is within the rounding
        assert found.second.notes == (f"second derivative: that of the loss, with a floor of {floor:.4g}",)
        assert not check("bce_with_logits", lambda x, _t: np.maximum(sigmoid(x) * sigmoid(-x), floor), "exact", pred)
    # A floor that is no usual one, or that is too high, is a mistake.
    assert not check("bce_with_logits", lambda x, _t: np.maximum(sigmoid(x) * sigmoid(-x), 0.1), pred=pred)
    assert not check("bce_with_logits", lambda x, _t: np.maximum(sigmoid(x) * sigmoid(-x), 3.7e-4), pred=pred)


MISTAKES = [
    (squared, lambda x, _t: np.ones_like(x)),
    ("mse", lambda x, _t: np.ones_like(x)),
    (cube, lambda x, t: np.abs(x - t)),
    (log_loss, lambda x, _t: sigmoid(x)),
    (log_loss, lambda x, _t: 2 * sigmoid(x) * sigmoid(-x)),  # that of XGBoost is for several classes
    (log_cosh, lambda x, t: 1 - np.abs(np.tanh(x - t))),
    (poisson, lambda x, _t: np.exp(-x)),
    (poisson, lambda x, _t: np.exp(x + 0.5)),
    (pinball, lambda x, _t: np.full_like(x, 2.0)),
    (absolute, lambda x, t: x - t),
    (cross_entropy, lambda x, _t: softmax(x) ** 2),
    (cross_entropy, lambda x, t: minus_one_hot(softmax(x), t) ** 2),
    (brier, lambda x, _t: (sigmoid(x) * sigmoid(-x)) ** 2),
    (squared, lambda x, t: x - t),
    (log_loss, lambda x, _t: np.full_like(x, np.nan)),
]


@pytest.mark.parametrize(("loss", "second"), MISTAKES)
@pytest.mark.slow
def test_what_has_no_name_is_wrong(loss, second) -> None:
    found = check(loss, second)
    assert not found
    assert not named(found)


def test_a_surrogate_that_fits_99_percent_passes_and_98_percent_does_not() -> None:
    for wrong, passes in ((2, True), (3, False)):
        found = check("mae", lambda x, _t, wrong=wrong: np.where(np.arange(len(x)) < wrong, 5.0, 1.0))
        assert bool(found) is passes
        if passes:
            assert found.second.notes[0].endswith("1 everywhere, at all but 2 coordinates")
            assert found.second.counts["unresolved"] == 2


def test_the_command_says_the_surrogate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(
        "import numpy as np\n"
        "def objective(preds, dtrain):\n"
        "    return np.sign(preds - dtrain.get_label()), np.ones_like(preds)\n"
    )
    argv = ["gradcheck", "mae", "--grad", f"{tmp_path}/own.py:objective"]
    assert main(argv) == 0
    assert "second derivative: the surrogate 1 everywhere" in capsys.readouterr().out
    assert main([*argv, "--second", "exact"]) == 1
    assert main([*argv, "--second", "off"]) == 0
    capsys.readouterr()
    assert main([*argv, "--second", "half"]) == 2
    with pytest.raises(UsageError, match="second 'half'"):
        lossctl.gradcheck("mse", second="half")
