"""``--group``: lists of any length against the kernel on each list, and means over groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

import lossctl
from lossctl.cli.app import main

Run: TypeAlias = Callable[[str], tuple[int, str, str]]

RANK = "qid,score,rel\n1,0.9,2\n1,0.3,1\n1,0.7,0\n2,-0.2,0\n2,0.5,1\n2,0.1,2\n2,0.4,0\n"
RNG = np.random.default_rng(11)
GROUPS = RNG.integers(0, 40, 300)
PRED, TARGET = RNG.normal(size=300), RNG.integers(0, 4, 300).astype(float)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rank.csv").write_text(RANK)
    (tmp_path / "p.csv").write_text("qid,score\n1,0.9\n2,-0.2\n1,0.3\n2,0.5\n")
    (tmp_path / "t.csv").write_text("qid,rel\n1,2\n2,0\n1,1\n2,1\n")
    (tmp_path / "moved.csv").write_text("qid,rel\n1,2\n1,1\n2,0\n2,1\n")
    rows = (f"g{g},{p!r},{t!r}\n" for g, p, t in zip(GROUPS, PRED.tolist(), TARGET.tolist(), strict=True))
    (tmp_path / "mixed.csv").write_text("g,p,t\n" + "".join(rows))
    np.savez(tmp_path / "mixed.npz", g=GROUPS, p=PRED, t=TARGET)

    def command(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return command


def value(told: tuple[int, str, str]) -> float:
    assert told[0] == 0, told[2]
    return float(told[1])


def of_lists(loss: str) -> np.ndarray:
    """The value of each list by itself, and its length."""
    lists = [(PRED[g == GROUPS][None], TARGET[g == GROUPS][None]) for g in np.unique(GROUPS)]
    return np.array([(float(lossctl.get_loss(loss).evaluate(p, t)[0][0]), p.size) for p, t in lists])


@pytest.mark.parametrize(("loss", "expected"), [("ranknet", 0.661705), ("listnet", 1.229567), ("query_rmse", 0.813868)])
def test_lists_of_three_and_four(run: Run, loss: str, expected: float) -> None:
    assert value(run(f"compute {loss} rank.csv -p score -t rel --group qid -q")) == pytest.approx(expected, abs=5e-7)


def test_the_table_names_the_lists(run: Run) -> None:
    out = run("compute ranknet rank.csv -p score -t rel --group qid")[1]
    assert "2 samples" in out
    assert "0.649547   0.673862           1" in out


@pytest.mark.parametrize("file", ["mixed.csv", "mixed.npz"])
@pytest.mark.parametrize("loss", ["ranknet", "listmle", "softmax_ranking"])
def test_lists_in_any_order(run: Run, loss: str, file: str) -> None:
    lists = of_lists(loss)
    assert min(lists[:, 1]) == 1  # a list of one item counts, among others
    mean = value(run(f"compute {loss} {file} -p p -t t --group g -q"))
    assert mean == pytest.approx(lists[:, 0].mean(), rel=1e-13)


def test_items_or_lists_count_once(run: Run) -> None:
    lists = of_lists("query_mae")
    by_items = value(run("compute query_mae mixed.csv -p p -t t --group g -q"))
    by_lists = value(run("compute query_mae mixed.csv -p p -t t --group g -q --reduction group"))
    assert by_items == pytest.approx(np.average(lists[:, 0], weights=lists[:, 1]), rel=1e-13)
    assert by_lists == pytest.approx(lists[:, 0].mean(), rel=1e-13)


def test_the_mean_over_groups_of_their_means(run: Run) -> None:
    squares = (PRED - TARGET) ** 2
    means = [squares[g == GROUPS].mean() for g in np.unique(GROUPS)]
    line = "compute mse mixed.csv -p p -t t --group g -q"
    assert value(run(f"{line} --reduction group")) == pytest.approx(np.mean(means), rel=1e-13)
    assert value(run(line)) == pytest.approx(squares.mean(), rel=1e-13)
    out = run("compute mse mixed.csv -p p -t t --group g --reduction group -f csv")[1].splitlines()[1].split(",")
    assert float(out[3]) == pytest.approx(np.std(means, ddof=1) / np.sqrt(len(means)), rel=1e-9)


def test_the_mean_of_roots(run: Run) -> None:
    squares = (PRED - TARGET) ** 2
    roots = [np.sqrt(squares[g == GROUPS].mean()) for g in np.unique(GROUPS)]
    line = "compute rmse mixed.csv -p p -t t --group g --reduction group -q"
    assert value(run(line)) == pytest.approx(np.mean(roots), rel=1e-13)


def test_two_files_with_the_group_in_both(run: Run) -> None:
    expected = np.mean([np.log1p(np.exp(-0.6)), np.log1p(np.exp(-0.7))])
    assert value(run("compute ranknet p.csv t.csv -p score -t rel --group qid -q")) == pytest.approx(expected)
    code, _, err = run("compute ranknet p.csv moved.csv -p score -t rel --group qid")
    assert code == 2
    assert "not the same sample" in err


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ranknet rank.csv -p score -t rel", "--group COLUMN"),
        ("mse rank.csv -p score -t rel --reduction group", "--reduction group needs --group COLUMN"),
        ("mse rank.csv -p score -t rel --group nope", "nope"),
        (
            "ranknet rank.csv -p score -t rel --group qid -w rel",
            ": 1 where rank.csv:2: column 'rel' has 2, in one",
        ),
        ("mse rank.csv -p score -t rel --group qid --where rel>9", "--where leaves no row"),
        ("listnet rank.csv -p qid,score -t rel --group qid", "pred has several columns"),
    ],
)
def test_refused(run: Run, line: str, part: str) -> None:
    code, out, err = run(f"compute {line}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert part in err


def test_a_label_that_is_none_is_found_in_the_file(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "labels.npz", g=np.array([1, 1, 2]), p=np.array([0.1, 0.2, 0.3]), t=np.array([1, 2, 0]))
    code, out, err = run("compute bce labels.npz -p p -t t --group g --labels 1,2")
    assert (code, out) == (2, "")
    assert "row 2" in err
    assert "0 is not one of --labels 1,2" in err


def test_an_item_outside_the_domain_is_found_in_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("g,p,t\na,1,0\nb,2,1\na,3,-1\nb,1,2\n")
    err = run("compute softmax_ranking bad.csv -p p -t t --group g")[2]
    assert "bad.csv:4: column 't': -1 is not" in err


WEIGHT = RNG.uniform(0.5, 2.0, 300)


@pytest.fixture
def weighted(run: Run, tmp_path: Path) -> Run:
    """A file with weights, one for each item and one for each group, and a second model."""
    np.savez(
        tmp_path / "w.npz", g=GROUPS, p=PRED, q=PRED[::-1], t=TARGET, w=WEIGHT, v=1.0 + GROUPS % 3, side=GROUPS % 2
    )
    return run


def test_weights_of_items_and_of_lists(weighted: Run) -> None:
    squares = (PRED - TARGET) ** 2
    line = "w.npz -p p -t t --group g -q"
    assert value(weighted(f"compute mse {line} -w w")) == pytest.approx(np.average(squares, weights=WEIGHT), rel=1e-13)
    means = [np.average(squares[g == GROUPS], weights=WEIGHT[g == GROUPS]) for g in np.unique(GROUPS)]
    assert value(weighted(f"compute mse {line} -w w --reduction group")) == pytest.approx(np.mean(means), rel=1e-13)
    of_lists_ = of_lists("ranknet")[:, 0]
    expected = np.average(of_lists_, weights=1.0 + np.unique(GROUPS) % 3)
    assert value(weighted(f"compute ranknet {line} -w v")) == pytest.approx(expected, rel=1e-13)


def test_rows_that_do_not_count(weighted: Run) -> None:
    kept = TARGET != 0
    values = [
        float(lossctl.get_loss("ranknet").evaluate(PRED[rows][None], TARGET[rows][None])[0][0])
        for rows in (kept & (g == GROUPS) for g in np.unique(GROUPS[kept]))
    ]
    answer = weighted("compute ranknet w.npz -p p -t t --group g --where t!=0 -q")
    assert value(answer) == pytest.approx(np.mean(values), rel=1e-13)


def test_an_item_left_out_does_not_make_its_group_count_less(run: Run, tmp_path: Path) -> None:
    (tmp_path / "nan.csv").write_text("g,p,t\na,1,0\na,nan,0\nb,3,0\nb,1,0\n")
    answer = run("compute mse nan.csv -p p -t t --group g --reduction group --nan skip -q")
    assert value(answer) == (1 + 5) / 2


def test_breakdown_of_lists(weighted: Run) -> None:
    code, out, err = weighted("breakdown ranknet w.npz -p p -t t --group g --columns side --all -f csv")
    assert code == 0, err
    rows = [line.split(",") for line in out.splitlines()]
    assert rows[0] == ["sample", "g", "side", "loss", "share"]
    table = {int(row[1]): float(row[3]) for row in rows[1:]}
    expected = dict(zip(np.unique(GROUPS).tolist(), of_lists("ranknet")[:, 0].tolist(), strict=True))
    assert table == pytest.approx(expected, rel=1e-13)
    assert all(int(row[2]) == int(row[1]) % 2 for row in rows[1:])
    out = weighted("breakdown mse w.npz -p p -t t --group g --by side --sort row -f csv")[1].splitlines()
    squares = (PRED - TARGET) ** 2
    means = [float(line.split(",")[3]) for line in out[1:]]
    assert means == pytest.approx([squares[side == GROUPS % 2].mean() for side in (0, 1)], rel=1e-13)
    assert weighted("breakdown mse w.npz -p p -t t --group g --by t")[0] == 2  # two values in one group


def test_comparison_of_lists(weighted: Run) -> None:
    code, out, err = weighted("compare ranknet w.npz -p p -p q -t t --group g -f json")
    assert code == 0, err
    first = of_lists("ranknet")[:, 0]
    lists = [(PRED[::-1][g == GROUPS][None], TARGET[g == GROUPS][None]) for g in np.unique(GROUPS)]
    second = np.array([float(lossctl.get_loss("ranknet").evaluate(p, t)[0][0]) for p, t in lists])
    difference = json.loads(out)["models"][1]
    assert difference["difference"] == pytest.approx(np.mean(second - first), rel=1e-12)
    paired = np.std(second - first, ddof=1) / np.sqrt(len(first))
    assert difference["difference_std_error"] == pytest.approx(paired, rel=1e-9)


@pytest.mark.parametrize("case", ["ranknet mean", "mse mean", "mse none", "rmse mean"])
def test_gradient_of_lists(weighted: Run, case: str) -> None:
    loss, reduction = case.split()
    code, out, err = weighted(f"grad {loss} w.npz -p p -t t --group g --reduction {reduction} -f value")
    assert code == 0, err
    gradient = np.array([float(line) for line in out.split()])
    if loss == "ranknet":
        expected = np.zeros(300)
        kernel = lossctl.get_loss(loss)
        for g in np.unique(GROUPS):
            rows = g == GROUPS
            thunk = kernel.evaluate(PRED[rows][None], TARGET[rows][None])[1]
            assert thunk is not None
            expected[rows] = thunk()[0] / len(np.unique(GROUPS))
    else:
        expected = 2 * (PRED - TARGET) / (300 if reduction == "mean" else 1)
        if loss == "rmse":
            expected /= 2 * np.sqrt(np.mean((PRED - TARGET) ** 2))
    assert gradient == pytest.approx(expected, rel=1e-12)


def test_gradient_of_rows_that_do_not_count(weighted: Run) -> None:
    out = weighted("grad mse w.npz -p p -t t --group g --where t!=0 --reduction sum -w w -f value")[1]
    expected = np.where(TARGET != 0, 2 * WEIGHT * (PRED - TARGET), 0.0)
    assert [float(line) for line in out.split()] == pytest.approx(expected.tolist(), rel=1e-12)
