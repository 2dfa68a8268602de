"""Small inputs of public reports with the right value, or the words of the error that says what to type."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main

NAMED = "prob_cat,prob_dog,prob_bird,prob_horse\n0.7,0.1,0.1,0.1\n0.2,0.5,0.2,0.1\n"
MASKED = {"p.txt": ".1 .7 .2\n.9 .6 .8\n.4 .3 .5\n", "t.txt": "0 -1 1\n1 1 -1\n-1 -1 1\n"}
EVENTS = {"a.csv": "p,y,w\n.9,1,1.2\n.2,0,.8\n.7,1,-.3\n.4,0,1.1\n.1,1,-.1\n"}
CLIPPED = {"a.csv": "p,y\n1,1\n0,1\n.7,0\n0,0\n"}
QUANTILES = {"a.csv": "q0.1,q0.5,q0.9,y\n90,120,160,150\n10,14,25,9\n"}
COX = {"a.csv": "log_hz,time,event\n.1,5,1\n.3,5,1\n-.2,7,0\n.8,2,1\n.5,7,1\n-.4,9,0\n"}
POS = {"z.txt": ".3 -1.2 2\n1.1 .4 -.3\n-.5 .8 .2\n", "y.txt": "1 0 1\n0 1 0\n1 1 0\n"}
ID = {"p.csv": "id,pred\n3,0.3\n1,0.1\n2,0.2\n", "t.csv": "id,target\n1,0.1\n2,0.2\n3,0.6\n"}

# files, the words after `lossctl compute`, and the value
VALUES: dict[str, tuple[Mapping[str, str], str, float]] = {
    "shuffled files are joined by their key": (ID, "mae p.csv t.csv --join id", 0.1),
    "a missing value in text": (
        {"a.csv": "p,t\n1,2\nNA,3\n5,2\n"},
        "mse a.csv -p p -t t --na-values NA --nan skip",
        5.0,
    ),
    "the sum of an array of rows is that of its elements": (
        {"p.txt": "1 2\n3 4\n", "t.txt": "0 0\n0 0\n"},
        "mse p.txt t.txt --reduction sum",
        30.0,
    ),
    "weights of 1e-320": ({"a.csv": "p,t,w\n1,0,1e-320\n3,0,1e-320\n"}, "mse a.csv -p p -t t -w w", 5.0),
    "three quantiles": (QUANTILES, "quantile:tau=0.1,0.5,0.9 a.csv -p q0.1,q0.5,q0.9 -t y", 4.5),
    "a weight of the positives for each label": (POS, "bce_with_logits:pos_weight=1,3,9 z.txt y.txt", 0.925138),
    "missing elements are marked by -1": (MASKED, "bce p.txt t.txt --ignore-index -1", 0.604826),
    "negative weights of events": (EVENTS, "bce a.csv -p p -t y -w w --allow-negative-weights", 0.196146),
    "a zero of the target left out": (
        {"a.csv": "p,y\n1,0\n110,100\n90,100\n"},
        "mape a.csv -p p -t y --where y!=0",
        0.1,
    ),
    "a leaderboard's clip": (CLIPPED, "bce a.csv -p p -t y --clip 1e-15", 8.93569),
    "the clip of Keras": (CLIPPED, "bce a.csv -p p -t y --clip 1e-7", 4.33052),
    "names of classes with a header": (
        {"p.csv": "dog,cat\n1,0\n0,1\n", "t.csv": "y\ndog\ncat\n"},
        "scce p.csv t.csv --labels dog,cat --header",
        0.0,
    ),
    "lists in JSON lines": (
        {"a.jsonl": '{"probs": [0.1, 0.9], "label": 1}\n{"probs": [0.5, 0.5], "label": 0}\n'},
        "scce a.jsonl -p probs -t label",
        0.3992539,
    ),
    "columns that are called pred and target": ({"a.csv": "pred,target\n1,2\n3,5\n"}, "mse a.csv", 2.5),
    "two columns in one word": ({"a.csv": "x,y,t\n.2,.8,1\n.6,.4,0\n"}, "scce a.csv -p x,y -t t", 0.366984),
    "a header of R": ({"a.csv": '"pred","target"\n"1",1,2\n"2",3,5\n'}, "mse a.csv", 2.5),
    "a header of np.savetxt": ({"a.csv": "# pred,target\n1,2\n3,5\n"}, "mse a.csv", 2.5),
    "truth values": ({"a.csv": "pred,target\n0.9,True\n0.1,False\n"}, "bce a.csv", 0.1053605),
    "thousands": ({"a.csv": 'pred,target\n"1,001",1000\n5,5\n'}, "mse a.csv --thousands ,", 0.5),
    "a blank last line": ({"a.csv": "pred,target\n1,2\n3,5\n\n"}, "mse a.csv", 2.5),
    "ties of Cox by Breslow": (
        COX,
        "cox a.csv -p log_hz -t time --input event=event --reduction sum",
        4.942946,
    ),
    "ties of Cox by Efron": (
        COX,
        "cox:ties=efron a.csv -p log_hz -t time --input event=event --reduction sum",
        4.695150,
    ),
    "labels in another order than the columns with their names": (
        {"p.csv": NAMED, "t.csv": "y\ncat\ndog\n"},
        "scce p.csv t.csv --labels bird,cat,dog,horse",
        0.5249111,
    ),
    "one file twice": ({"a.txt": "1\n2\n"}, "mse a.txt a.txt", 0.0),
    "the sum of no element": (
        {"a.csv": "p,t\n0.3,-1\n0.4,-1\n"},
        "bce a.csv -p p -t t --ignore-index -1 --reduction sum",
        0.0,
    ),
    "a function whose second parameter is called pred": (
        {"f.py": "def loss(t, pred):\n    return 2 * abs(t - pred)\n", "a.csv": "pred,target\n1,2\n3,5\n"},
        "f.py:loss a.csv",
        3.0,
    ),
    "a file that imports its neighbour": (
        {
            "nextdoor_of_f.py": "K = 3\n",
            "f.py": "from nextdoor_of_f import K\n\ndef loss(pred, target):\n    return K * abs(pred - target)\n",
            "a.csv": "pred,target\n1,2\n3,5\n",
        },
        "f.py:loss a.csv",
        4.5,
    ),
    "soft targets of a focal loss": ({"p.txt": "0 0\n", "t.txt": "0.5 0.5\n"}, "softmax_focal p.txt t.txt", 0.1732868),
    "poly1 of soft targets": ({"p.txt": "0 0\n", "t.txt": "0.5 0.5\n"}, "poly1_softmax p.txt t.txt", 1.1931472),
    "smoothing of probabilities": (
        {"p.txt": "0.5 0.5\n", "t.txt": "1 0\n"},
        "cce:label_smoothing=0.1 p.txt t.txt",
        0.6931472,
    ),
    "the ranked probability score of a class": (
        {"p.txt": "0.2 0.3 0.5\n", "t.txt": "0 0 1\n"},
        "ranked_probability_score p.txt t.txt",
        0.29,
    ),
    "a score of several classes": (
        {"p.txt": "0.2 0.3 0.5\n", "t.txt": "0 0 1\n"},
        "multiclass_brier p.txt t.txt",
        0.38,
    ),
}

# files, the words after `lossctl compute`, and words of the error
ERRORS: dict[str, tuple[Mapping[str, str], str, str]] = {
    "shuffled files with a key": (ID, "mae p.csv t.csv", "--join id matches the rows"),
    "an option of text for arrays": ({"a.txt": "1\n", "p.npy": ""}, "mse p.npy p.npy --na-values NA", "--na-values"),
    "an axis of classes, and none": (
        {"p.txt": "1\n"},
        "mse p.txt p.txt --class-axis 1",
        "--class-axis",
    ),
    "a key twice in JSON": ({"a.ndjson": '{"p": 1, "p": 2, "t": 0}\n'}, "mse a.ndjson -p p -t t", "twice"),
    "a spreadsheet": ({"a.xlsx": "x"}, "mse a.xlsx", "spreadsheets are not read: save the sheet as CSV"),
    "a pickle": ({"a.pkl": "x"}, "mse a.pkl", "a pickle runs code"),
    "a zero of the target": ({"a.csv": "p,y\n1,0\n110,100\n"}, "mape a.csv -p p -t y", "--where"),
    "a metric": ({"a.csv": "p,y\n1,0\n"}, "auc a.csv -p p -t y", "auc"),
    "a mask of a user's loss": (
        {
            "f.py": "import numpy as np\n\ndef loss(pred, target):\n"
            "    return np.ma.masked_greater(abs(pred - target), 1.5)\n",
            "a.csv": "pred,target\n1,2\n3,5\n",
        },
        "f.py:loss a.csv",
        "mask",
    ),
    "hidden data in a folder": ({"d/.part.csv": "1\n", "d/part.csv": "1\n"}, "mse d d", "hidden file"),
    "shards that are off by one": (
        {"p/part-0.txt": "1\n", "p/part-1.txt": "1\n", "t/part-1.txt": "1\n", "t/part-2.txt": "1\n"},
        "mse p t",
        "their numbers differ",
    ),
    "names of columns that do not match": (
        {"p.csv": "a,b\n1,2\n", "t.csv": "c,d\n1,2\n"},
        "mse p.csv t.csv",
        "say -p a,b -t c,d",
    ),
    "a key alone": ({"p.csv": "id,x\n1,2\n2,3\n", "t.csv": "id,y\n1,2\n2,3\n"}, "mse p.csv t.csv", "-p"),
    "dollars": ({"a.csv": "p,y\n$1,0\n$2,1\n"}, "mse a.csv -p p -t y", "$"),
}


def run(files: Mapping[str, str], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.chdir(folder)
    for name, text in files.items():
        if name.endswith(".npy"):
            np.save(name, np.arange(3.0))
        else:
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
    return main(["compute", *shlex.split(words), "-q"])


@pytest.mark.parametrize("case", VALUES)
def test_the_right_value(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files, words, value = VALUES[case]
    code = run(files, words, tmp_path, monkeypatch)
    out, err = capsys.readouterr()
    assert code == 0, err
    assert np.mean([float(line) for line in out.split()]) == pytest.approx(value, rel=2e-6, abs=1e-9)


@pytest.mark.parametrize("case", ERRORS)
def test_the_error_says_what_to_type(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files, words, message = ERRORS[case]
    code = run(files, words, tmp_path, monkeypatch)
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err
