"""Names that mean something in other libraries give that library's number, or the loss that has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main

Run: TypeAlias = Callable[[str], tuple[int, str, str]]

FILES = {
    "k.csv": ".70,.20,.10\n.10,.80,.10\n.20,.20,.60\n.50,.30,.20\n.25,.25,.50\n.60,.30,.10\n",
    "onehot.csv": "1,0,0\n0,1,0\n0,0,1\n0,1,0\n0,0,1\n1,0,0\n",
    "labels.csv": "0\n1\n2\n1\n2\n0\n",
    "events.csv": "1\n0\n1\n1\n0\n1\n",
    "times.csv": "10\n20\n30\n40\n50\n60\n",
    "log_times.csv": "2.1\n3.2\n3.3\n3.9\n3.8\n4.2\n",
    "hazards.csv": "0.1\n1.2\n3.3\n0.9\n0.8\n1.2\n",
    "log_hazards.csv": "-0.1\n1.2\n0.3\n-0.9\n-0.8\n1.2\n",
    "rank.csv": "qid,score,rel\n1,0.9,2\n1,0.3,1\n1,0.7,0\n2,-0.2,0\n2,0.5,1\n2,0.1,2\n2,0.4,0\n",
}
# scikit-learn 1.9.1 log_loss and torch 2.13.0 cross_entropy of the same arrays.
LOG_LOSS, CROSS_ENTROPY = 0.5830982879451342, 0.8733813621238417


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)

    def command(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("log_loss k.csv onehot.csv", LOG_LOSS),
        ("log_loss k.csv labels.csv", LOG_LOSS),
        ("logloss k.csv onehot.csv", LOG_LOSS),
        (
            "log_loss k.csv events.csv -p @1",
            float(lossctl.compute("bce", [0.7, 0.1, 0.2, 0.5, 0.25, 0.6], [1, 0, 1, 1, 0, 1])),
        ),
        ("cross_entropy k.csv onehot.csv", CROSS_ENTROPY),
        ("cross_entropy k.csv labels.csv", CROSS_ENTROPY),
    ],
)
def test_the_name_of_a_function_gives_its_number(run: Run, line: str, expected: float) -> None:
    code, out, err = run(f"compute {line} -q")
    assert code == 0, err
    assert float(out) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("command", ["compute", "breakdown", "grad", "gradcheck"])
def test_every_command_takes_the_same_loss(run: Run, command: str) -> None:
    texts = []
    for name in ("log_loss", "cce"):
        code, out, err = run(f"{command} {name} k.csv onehot.csv")
        assert code == 0, err
        texts.append(out)
    assert texts[0] == texts[1]


def test_compare_and_python_take_the_same_loss(run: Run) -> None:
    code, out, err = run("compare log_loss k.csv k.csv onehot.csv -f csv")
    assert code == 0, err
    assert "0.583098" in out
    rows = [[float(x) for x in line.split(",")] for line in FILES["k.csv"].split()]
    assert float(lossctl.compute("log_loss", rows, np.eye(3)[[0, 1, 2, 1, 2, 0]])) == pytest.approx(LOG_LOSS)


@pytest.mark.parametrize(
    ("line", "twin"),
    [
        ("ce k.csv onehot.csv", "softmax_cross_entropy"),
        ("scce k.csv onehot.csv", "categorical_cross_entropy"),
        ("cce k.csv labels.csv", "sparse_categorical_cross_entropy"),
        ("bce k.csv labels.csv", "sparse_categorical_cross_entropy"),
        ("bce_with_logits k.csv labels.csv", "sparse_softmax_cross_entropy"),
        ("ntxent k.csv onehot.csv", "supervised_ntxent"),
        ("ranknet rank.csv -p score -t rel", "--group COLUMN"),
    ],
)
def test_an_error_names_the_loss_or_option(run: Run, line: str, twin: str) -> None:
    code, out, err = run(f"compute {line}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert twin in err


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("bce k.csv onehot.csv", "for classes, categorical_cross_entropy"),
        ("cox hazards.csv times.csv --input event=events.csv", "cox takes log hazards"),
        ("aft times.csv times.csv --input upper=times.csv", "aft takes logs of times"),
    ],
)
def test_a_probable_mistake_is_said(run: Run, line: str, note: str) -> None:
    assert note in run(f"compute {line}")[2]
    code, out, err = run(f"compute {line} --strict")
    assert (code, out) == (2, "")
    assert note in err


@pytest.mark.parametrize(
    "line",
    [
        "cox log_hazards.csv times.csv --input event=events.csv",
        "aft log_times.csv times.csv --input upper=times.csv",
    ],
)
def test_logarithms_are_no_mistake(run: Run, line: str) -> None:
    assert run(f"compute {line} --strict")[0] == 0


def test_advice_needs_three_rows(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(".7,.2,.1\n.1,.8,.1\n.2,.2,.6\n")
    (tmp_path / "t.csv").write_text("1,0,0\n0,1,0\n0,0,1\n")
    assert "categorical_cross_entropy" in run("compute bce p.csv t.csv")[2]


def test_ntxent_of_simclr_is_supervised_ntxent_of_both_views() -> None:
    """optax.losses.ntxent of 2n vectors is the mean over them; the pair of each is its group."""
    rng = np.random.default_rng(4)
    views = rng.normal(size=(2, 5, 3))
    z = np.concatenate(list(views))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    s = z @ z.T / 0.5
    np.fill_diagonal(s, -np.inf)
    partner = np.roll(np.arange(10), 5)
    expected = np.mean(np.log(np.exp(s).sum(axis=1)) - s[np.arange(10), partner])
    got = lossctl.compute("supervised_ntxent:temperature=0.5", np.concatenate(list(views)), np.tile(np.arange(5), 2))
    assert float(got) == pytest.approx(expected, rel=1e-13)
