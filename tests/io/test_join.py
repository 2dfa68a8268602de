"""Rows matched by a key: the truth is a dictionary; keys that are missing, extra or double are named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.io import join

Run: TypeAlias = Callable[[str], tuple[int, str, str]]

RNG = np.random.default_rng(7)
N = 300
IDS = RNG.permutation(N)
VALUES = {"p": RNG.normal(size=N), "q": RNG.normal(size=N), "t": RNG.normal(size=N)}
MSE = float(np.mean((VALUES["p"] - VALUES["t"]) ** 2))


def text(name: str, ids: np.ndarray, prefix: str = "", values: np.ndarray | None = None) -> str:
    values = VALUES[name] if values is None else values
    return f"id,{name}\n" + "".join(f"{prefix}{i},{float(values[i])!r}\n" for i in ids)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, seed in (("p", 1), ("q", 2), ("t", 3)):
        ids = np.random.default_rng(seed).permutation(N)
        (tmp_path / f"{name}.csv").write_text(text(name, ids))
        (tmp_path / f"{name}_text.csv").write_text(text(name, ids, "u"))
        np.savez(tmp_path / f"{name}.npz", **{"id": ids, name: VALUES[name][ids]})

    def command(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.mark.parametrize("part", [1 << 23, 64])
@pytest.mark.parametrize(
    "files", ["p.csv t.csv", "p_text.csv t_text.csv", "p.npz t.npz -p p -t t", "p.csv t.npz -t t", "p.npz t.csv -p p"]
)
def test_the_value(run: Run, monkeypatch: pytest.MonkeyPatch, files: str, part: int) -> None:
    monkeypatch.setattr(join, "_PART", part)  # 64: the keys are joined in parts
    code, out, err = run(f"compute mse {files} --join id -q")
    assert code == 0, err
    assert float(out) == pytest.approx(MSE, rel=1e-14)


def test_every_command(run: Run, tmp_path: Path) -> None:
    assert f"{MSE:.6g}" in run("breakdown mse p.csv t.csv --join id")[1]
    code, out, err = run("compare mse p.csv q.csv t.csv --join id -f csv")
    assert code == 0, err
    assert str(MSE)[:10] in out
    assert str(float(np.mean((VALUES["q"] - VALUES["t"]) ** 2)))[:10] in out
    code, out, err = run("grad mse p.csv t.csv --join id")
    ids = np.random.default_rng(1).permutation(N)
    expected = 2 * (VALUES["p"] - VALUES["t"])[ids]
    assert np.allclose([float(line) for line in out.split()[1:]], expected, rtol=1e-14), err


def test_a_place_is_that_of_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,p\nx,0.5\ny,0.25\n")
    (tmp_path / "b.csv").write_text("id,t\ny,1\nx,7\n")
    code, _, err = run("compute bce a.csv b.csv --join id")
    assert code == 2
    assert "b.csv:3: column 't': 7 is not" in err


def test_columns_to_show(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name,p\nx,ann,0.5\ny,bob,0.25\n")
    (tmp_path / "b.csv").write_text("id,town,t\ny,oslo,1\nx,rome,0\n")
    code, out, err = run("breakdown mse a.csv b.csv -p p -t t --join id --columns id,name,town -f csv")
    assert code == 0, err
    assert "y,bob,oslo" in out
    assert "x,ann,rome" in out


@pytest.mark.parametrize(
    ("left", "right", "parts"),
    [
        ("a b c", "a c", ["1 key of p.csv is not in t.csv: 'b'", "--join id:inner leaves"]),
        ("a", "a x y z w", ["4 keys of t.csv are not in p.csv: 'x', 'y', 'z', …"]),
        ("a b", "a c", ["is not in t.csv: 'b'; 1 key of t.csv is not in p.csv: 'c'"]),
        ("a b a", "a b", ["p.csv:2: column 'id' and p.csv:4: column 'id': the key 'a' is there twice"]),
        ("a b", "b a b b", ["t.csv:2: column 'id' and t.csv:4: column 'id': the key 'b' is there 3 times"]),
        ("1 2", "1 3", ["1 key of p.csv is not in t.csv: 2"]),
    ],
)
def test_refused(run: Run, tmp_path: Path, left: str, right: str, parts: list[str]) -> None:
    for name, keys in (("p", left), ("t", right)):
        (tmp_path / f"{name}.csv").write_text(f"id,{name}\n" + "".join(f"{key},1\n" for key in keys.split()))
    code, out, err = run("compute mse p.csv t.csv --join id")
    assert (code, out, err.count("\n")) == (2, "", 1)
    for expected in parts:
        assert expected in err


def test_inner_leaves_out_and_says_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,p\n1,1\n2,2\n3,3\n")
    (tmp_path / "t.csv").write_text("id,t\n3.0,3\n1.0,2\n7.0,0\n8.0,0\n")
    code, out, err = run("compute mse p.csv t.csv --join id:inner -f csv")
    assert code == 0
    assert out.splitlines()[1].startswith("mse,mse,0.5,")
    assert "1 row of p.csv left out: another file lacks its 'id'" in err
    assert "2 rows of t.csv left out: another file lacks their 'id'" in err
    assert run("compute mse p.csv t.csv --join id:inner --strict")[0] == 2
    (tmp_path / "t.csv").write_text("id,t\n9,3\n")
    assert "no key is in all of p.csv, t.csv" in run("compute mse p.csv t.csv --join id:inner")[2]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mse p.csv -p p -t id --join id", "there is only one"),
        ("mse p.csv t.csv -p p -t t --join nope", "p.csv has no such column; it has 'id', 'p'"),
        ("mse p.csv t.csv --join id -w w.npy", "w.npy"),
        ("mse p.csv t.csv --join id --on id", "p.csv"),
    ],
)
def test_what_cannot_be_joined(run: Run, tmp_path: Path, line: str, part: str) -> None:
    np.save(tmp_path / "w.npy", np.ones(N))
    code, out, err = run(f"compute {line}")
    if code:
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert part in err


def test_large_numbers_are_no_keys(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", id=np.array([2**53 + 2, 1]), p=[1.0, 2.0])
    code, _, err = run("compute mse a.npz a.npz -p p -t p --join id")
    (tmp_path / "b.csv").write_text(f"id,t\n1,1\n{2**53 + 2},2\n")
    code, _, err = run("compute mse a.npz b.csv -p p --join id")
    assert code == 2
    assert "beyond 2**53" in err
