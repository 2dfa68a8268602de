"""What newcomers type: each line is answered by its cure, and files that may be in another order by a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main

FILES = {
    "p.csv": ",forecast\n0,1\n1,2\n2,3\n",
    "t.csv": ",actual\n2,3\n0,1\n1,2\n",
    "day_p.csv": "day,forecast\nmon,1\ntue,2\n",
    "day_t.csv": "day,actual\ntue,2\nmon,1\n",
    "labels.csv": "prob,label\n0.9,2\n0.2,1\n",
    "german.csv": "a;b\n2.557,87;2.492,84\n",
    "money.csv": ',sales,forecast\n0,"1,200","1,300"\n',
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).write_text(text)
    np.savez("params.npz", W1=np.ones((2, 2)), b1=np.ones(2))
    Path("net.py").write_text("def loss(params, X, y):\n    return 0.0\n")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("compute mse|p.csv|t.csv|-p||-t|actual", "--pred '': an empty name; a column without a name is @1"),
        ("compute mse|p.csv|t.csv|-p|forecast|-t|actual|--join|", "--join '': an empty name"),
        ("compute mse|p.csv|t.csv|-p|forecast|-t|actual|--join|:inner", "--join '': an empty name"),
        ("compute mse|p.csv|t.csv|-p|forecast|-t|actual|--on|", "--on '': an empty name"),
        ("breakdown mse|p.csv|t.csv|-p|forecast|-t|actual|--columns|", "--columns '': an empty name"),
        ("compute mse|p.csv|t.csv|-p|forecast|-t|actual|--strict", "--join @1 matches them"),
        ("compute bce|labels.csv|-p|prob|-t|label", "add --labels 1,2"),
        ("compute mse|german.csv|-d|;|--decimal|,|-p|a|-t|b", "marks of thousands want --thousands ."),
        ("compute mse|german.csv|-d|;|-p|a|-t|b", "a decimal comma wants --decimal , and marks of thousands want"),
        ("compute mse|money.csv|--thousands|,|--na-values|", "the first name is empty, as pandas writes an index"),
        ("compute mse|money.csv|sales|forecast", "-p and -t name columns"),
        ("rmse|p.csv|t.csv", "rmse is a loss: lossctl compute rmse PREDS TARGETS"),
        ("gradcheck net.py:loss|--at|params.npz", "--input NAME=FILE.npy adds one"),
        ("verify mse|p.csv|t.csv|--group|g", "no option --group: it belongs to compute, breakdown, compare, grad"),
        ("explain 0.5|p.csv|t.csv|--clip|1e-7", "no option --clip: it belongs to compute, breakdown"),
        ("compute huber|p.csv|t.csv|--delta|1", "it is a parameter of the loss: write huber:delta=VALUE"),
    ],
)
def test_the_cure_is_named(line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, *words = line.split("|")
    assert main([*first.split(), *words]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert part in err


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ("p.csv t.csv", "the first column, without a name, of p.csv and t.csv differs in row 0, 0 and 2: if it names"),
        ("day_p.csv day_t.csv", "column 'day' of day_p.csv and day_t.csv differs in row 0, 'mon' and 'tue'"),
    ],
)
def test_another_order_is_noted_and_mended(files: str, note: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["compute", "mse", *files.split(), "-p", "forecast", "-t", "actual"]
    assert main([*line, "-f", "csv"]) == 0
    assert note in capsys.readouterr().err
    assert main([*line, "-q", "--join", "@1"]) == 0
    assert float(capsys.readouterr().out) == 0.0


def test_an_index_that_is_the_same_is_not_noted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", "mse", "p.csv", "p.csv", "-p", "forecast", "-t", "forecast"]) == 0
    assert "differs" not in capsys.readouterr().err
