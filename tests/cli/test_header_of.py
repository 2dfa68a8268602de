"""``--header-of``: one file with a header and one without, where the first rows do not say which."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossctl.cli.app import main


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.csv").write_text("2020\n1\n2\n", encoding="utf-8")
    Path("t.csv").write_text("1\n4\n", encoding="utf-8")
    Path("names.csv").write_text("dog,1\n0.25,0.75\n", encoding="utf-8")
    Path("label.csv").write_text("1\n", encoding="utf-8")
    Path("p.jsonl").write_text('{"p": 1}\n', encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("mse p.csv t.csv --header-of p.csv", 2.0),
        ("mse p.csv t.csv --header-of p.csv --no-header", 2.0),
        ("scce names.csv label.csv --header-of names.csv", 0.28768207245178096),
        ("scce names.csv label.csv --header-of names.csv --no-header", 0.28768207245178096),
    ],
)
def test_a_header_of_one_file(line: str, value: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", "-q", *line.split()]) == 0
    assert float(capsys.readouterr().out) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("scce names.csv label.csv", "or --header-of FILE if only one file has one"),
        ("mse p.csv t.csv --header-of q.csv", "--header-of 'q.csv': no such input; there are p.csv, t.csv"),
        ("mse p.csv t.csv --header-of p.csv --header", "--header says that every file has a header"),
        ("mse p.jsonl t.csv --header-of p.jsonl", "--header-of has no effect on p.jsonl"),
    ],
)
def test_a_header_that_cannot_be(line: str, error: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert error in err
