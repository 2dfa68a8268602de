"""``--where``, ``--clip`` and ``--ignore-index`` of single elements, against NumPy on the rows that count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from lossctl.cli.app import main

Run: TypeAlias = Callable[[str], tuple[int, str, str]]

FILES = {
    "a.csv": "p,y,split,year,w\n1,2,test,2023,1\n3,0,train,2023,2\n5,4,test,2024,4\n9,3,dev,2024,1\n",
    "p.csv": "p\n1\n3\n5\n9\n",
    "t.csv": "t\n2\n0\n4\n3\n",
    "bad.csv": "p,y,split\n0.5,1,test\n7,1,train\n0.25,0,test\n",
    "sure.csv": "p,y\n1,1\n0,1\n.7,0\n0,0\n",
    "m_p.csv": ".1,.7,.2\n.9,.6,.8\n.4,.3,.5\n",
    "m_t.csv": "0,-1,1\n1,1,-1\n-1,-1,1\n",
}


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
        ("mape a.csv -p p -t y --where y!=0", np.mean([0.5, 0.25, 2.0])),  # 0 is outside the domain of mape
        ("mape p.csv t.csv --where t!=0", np.mean([0.5, 0.25, 2.0])),
        ("mape p.csv t.csv --where target!=0 --header", np.mean([0.5, 0.25, 2.0])),
        ("mae a.csv -p p -t y --where split==test", 1.0),
        ("mae a.csv -p p -t y --where split!=test", 4.5),
        ("mae a.csv -p p -t y --where year>=2024", 3.5),
        ("mae a.csv -p p -t y --where year=='2024'", 3.5),
        ("mae a.csv -p p -t y -w w --where year<2024", (1 + 2 * 3) / 3),
        ("rmse a.csv -p p -t y --where pred<=5", np.sqrt((1 + 9 + 1) / 3)),
        ("bce bad.csv -p p -t y --where split==test", -np.log(0.5 * 0.75) / 2),
        ("bce sure.csv -p p -t y --clip 1e-15", 8.93569),
        ("bce sure.csv -p p -t y --clip 1e-7", 4.33052),
        ("bce m_p.csv m_t.csv --ignore-index -1", 0.604826),
        ("mae p.csv t.csv --ignore-index 0", (1 + 1 + 6) / 3),
    ],
)
def test_value(run: Run, line: str, expected: float) -> None:
    code, out, err = run(f"compute {line} -q")
    assert code == 0, err
    assert float(out) == pytest.approx(expected, rel=1e-6)


def test_what_is_left_out_or_clipped_is_said(run: Run) -> None:
    assert "2 elements left out of mae by --where" in run("compute mae a.csv -p p -t y --where split==test")[2]
    for command in ("compute", "breakdown"):
        assert "clipped to [1e-07, 1 − 1e-07]" in run(f"{command} bce sure.csv -p p -t y --clip 1e-7")[1]
    assert '"clip": 1e-07' in run("compute bce sure.csv -p p -t y --clip 1e-7 -f json")[1]


def test_rows_of_other_commands(run: Run) -> None:
    code, out, err = run("grad mae a.csv -p p -t y --where split==test")
    assert code == 0, err
    assert [float(x) for x in out.split()[1:]] == [-1.0, 0.0, 1.0, 0.0]
    code, out, err = run("breakdown mae a.csv -p p -t y --where split==test --by year -f csv")
    assert code == 0, err
    assert [line.split(",")[:2] for line in out.splitlines()[1:]] == [["2023", "1"], ["2024", "1"]]
    code, out, err = run("compare mae a.csv -p p -p w -t y --where split==test -f csv")
    assert code == 0, err


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mae a.csv -p p -t y --where y", "COLUMN==CONSTANT"),
        ("mae a.csv -p p -t y --where split<test", "for texts == and !="),
        ("mae a.csv -p p -t y --where nope==1", "nope"),
        ("mae a.csv -p p -t y --where split==1", "a.csv:2: column 'split': not a number: 'test'"),
        ("mae a.csv -p p -t y --where year==7", "no sample is left"),
        ("mae a.csv -p p -t y --clip 1e-7", "--clip: the inputs of mae have no predicted probabilities"),
        ("bce sure.csv -p p -t y --clip 0.5", "above 0 and below 0.5"),
        ("bce bad.csv -p p -t y --clip 1e-3", "7 is not a probability"),
    ],
)
def test_refused(run: Run, line: str, part: str) -> None:
    code, out, err = run(f"compute {line}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert part in err
