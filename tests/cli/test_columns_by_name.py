"""Columns that no option names: matched by name, taken by name, or refused with what to type; keys are no numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.cli.column_names import bearing, bearing_some, corresponding, is_key

Told: TypeAlias = tuple[int, str, str]
Run: TypeAlias = Callable[..., Told]

FILES = {
    "house_p.csv": "Id,SalePrice\n1461,169000\n1462,187500\n1463,183000\n1464,179000\n",
    "house_t.csv": "Id,SalePrice\n1461,180500\n1462,181000\n1463,190200\n1464,172800\n",
    "price.csv": "SalePrice\n180500\n181000\n190200\n172800\n",
    "wh.csv": "width,height\n1,2\n3,4\n",
    "hw.csv": "height,width\n2.5,1.5\n4.5,3.5\n",
    "affix_p.csv": "y1_pred,y2_pred\n1,2\n3,4\n",
    "affix_t.csv": "y2_true,y1_true\n2.5,1.5\n4.5,3.5\n",
    "ab.csv": "a,b\n1,2\n3,4\n",
    "cd.csv": "c,d\n1,2\n3,5\n",
    "01.csv": "0,1\n1.5,2.5\n3.5,4.5\n",
    "shuffled_p.csv": "id,yhat\n3,1\n1,2\n2,3\n",
    "shuffled_t.csv": "id,y\n1,2\n2,3\n3,1\n",
    "rows_p.csv": "k,u,v\n0,1,4\n1,2,5\n2,4,6\n",
    "rows_t.csv": "k,u,v\n0,1.5,4\n1,2,5\n2,4,6\n",
    "names_p.csv": "who,u,v\nann,1,4\nbob,2,5\ncyd,4,6\n",
    "names_t.csv": "who,u,v\nann,1.5,4\nbob,2,5\ncyd,4,6\n",
    "city_p.csv": "zone,u,v\n7,1,4\n7,2,5\n9,4,6\n",
    "city_t.csv": "zone,u,v\n7,1.5,4\n7,2,5.5\n9,4,6\n",
    "counted_p.csv": "u,v\n1.1,4\n2.2,5\n2.9,7\n",
    "counted_t.csv": "u,v\n1,4\n2,5\n3,6\n",
    "bare_p.csv": "0,1.5\n1,2.5\n2,3.5\n",
    "bare_t.csv": "0,1\n1,2\n2,3\n",
    "scored.csv": "id,y_pred,y_true\n2,2,3\n1,3,3\n",
    "mixed.csv": "y_pred,score,y_true\n2,2,3\n1,3,3\n",
    "animals.csv": "prob_cat,prob_dog,prob_bird,prob_horse\n.7,.1,.1,.1\n.1,.6,.2,.1\n",
    "animal_names.csv": "y\ncat\ndog\n",
    "two.csv": "dog,cat\n1,0\n0.5,0.5\n",
    "two_names.csv": "y\ndog\ncat\n",
    "onehot.csv": "horse,bird,dog,cat\n0,0,0,1\n0,0,1,0\n",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a folder with FILES, after writing more files, ``name_csv=…``."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)

    def command(line: str, **more: str) -> Told:
        for name, content in more.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return command


def value(told: Told) -> float:
    code, out, err = told
    assert code == 0, err
    return float(out)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rmse house_p.csv house_t.csv --on Id", 8136.0309733923705),
        ("rmse house_p.csv house_t.csv -p SalePrice -t SalePrice", 8136.0309733923705),
        ("rmse house_p.csv price.csv -p SalePrice", 8136.0309733923705),
        ("mae wh.csv hw.csv", 0.5),
        ("mae affix_p.csv affix_t.csv", 0.5),
        ("mse ab.csv cd.csv -p a,b -t c,d", 0.25),
        ("mse ab.csv cd.csv -p a -p b -t c -t d", 0.25),
        ("mse ab.csv ab.csv", 0.0),
        ("mse wh.csv 01.csv --header", 0.25),  # numbers as names say nothing
        ("mse counted_p.csv counted_t.csv", (0.01 + 0.04 + 0.01 + 1) / 6),  # u counts, and is no key
        ("mse scored.csv", 0.5),
        ("mse scored.csv -p y_pred", 0.5),
        ("mse scored.csv scored.csv", 0.5),
        ("scce animals.csv animal_names.csv --labels bird,cat,dog,horse", -np.log(0.7 * 0.6) / 2),
        ("scce animals.csv animal_names.csv --labels bird,cat,dog,horse -p prob_*", -np.log(0.7 * 0.6) / 2),
        ("scce two.csv two_names.csv --labels dog,cat", np.log(2) / 2),
        ("cce animals.csv onehot.csv", -np.log(0.7 * 0.6) / 2),
    ],
)
def test_value(run: Run, line: str, expected: float) -> None:
    assert value(run(f"compute {line} -q")) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("rmse house_p.csv house_t.csv", ["house_p.csv: column 'Id'", "key", "--on Id", "-p SalePrice -t SalePrice"]),
        ("rmse house_p.csv price.csv", ["house_p.csv: column 'Id'", "say -p SalePrice"]),
        ("rmse price.csv house_t.csv", ["house_t.csv: column 'Id'", "no -t", "say -t SalePrice"]),
        ("mse ab.csv cd.csv", ["'a', 'b'", "'c', 'd'", "do not match", "-p a,b -t c,d"]),
        ("mse rows_p.csv rows_t.csv", ["'k' counts the rows", "--on k", "-p u,v -t u,v"]),
        ("mse names_p.csv names_t.csv", ["'who' is another text in each row", "--on who"]),
        ("mse city_p.csv city_t.csv", ["'zone' is the same in both files", "--on zone"]),
        ("mse bare_p.csv bare_t.csv --no-header", ["column '@1' counts the rows", "--on @1", "-p @2 -t @2"]),
        ("mse shuffled_p.csv shuffled_t.csv", ["shuffled_p.csv:2: column 'id'", "'3' where", "--join id", "--on"]),
        ("mse shuffled_p.csv shuffled_t.csv -p yhat -t y", ["not the same sample", "--join id", "--on"]),
        ("mse mixed.csv", ["one file: select its columns with --pred and --target"]),
        ("scce animals.csv animal_names.csv --labels bird,cat,dog,fish", ["bear names of --labels", "none is 'fish'"]),
    ],
)
def test_refused(run: Run, line: str, parts: list[str]) -> None:
    code, out, err = run(f"compute {line}")
    assert (code, out, err.count("\n")) == (2, "", 1), err
    for part in parts:
        assert part in err


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("mae wh.csv hw.csv", "hw.csv: columns are matched with those of wh.csv by name: 'width', 'height'"),
        ("mse scored.csv", "scored.csv: pred is column 'y_pred', target is column 'y_true', by name"),
        ("mse scored.csv -t y_true", "scored.csv: pred is column 'y_pred', by name"),
        ("scce animals.csv animal_names.csv --labels bird,cat,dog,horse", "in the order of --labels, by name"),
        ("mse shuffled_p.csv sorted.csv", "pred is column 'yhat', target is column 'y', by name"),
    ],
)
def test_a_choice_is_said_and_strict_refuses_it(run: Run, line: str, note: str) -> None:
    more = {"sorted_csv": "id,y\n3,1\n1,2\n2,3\n"}
    code, _, err = run(f"compute {line}", **more)
    assert code == 0
    assert f"note: {note}" in err or note in err
    code, out, err = run(f"compute {line} --strict", **more)
    assert (code, out) == (2, "")
    assert note in err


def test_arrays_by_their_keys(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", pred=[1.0, 2.0], target=[1.0, 4.0], other=[0.0, 0.0])
    assert value(run("compute mse a.npz -q")) == 2.0


def test_one_path_twice_is_two_files(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4.0))
    assert value(run("compute mse a.npy a.npy -q")) == 0.0


def test_columns_of_several_models_have_one_order(run: Run) -> None:
    code, _, err = run("compare mae wh.csv hw.csv other.csv", other_csv="height,width\n2,1.5\n5,3\n")
    assert code == 2
    assert "hw.csv: its columns are in another order than those of wh.csv: name them with -p" in err
    code, _, err = run("compare mae wh.csv hw.csv other.csv -p width,height -f json")
    assert code == 0, err


def test_keys_of_several_models(run: Run) -> None:
    """Each model is compared with the targets by the key that its file has."""
    b = "uid,user_id,yhat\n1,9,1\n2,8,2\n3,7,3\n"
    code, _, err = run("compare mae shuffled_p.csv b.csv t.csv -p yhat -t y", b_csv=b, t_csv="id,y\n3,1\n1,2\n2,3\n")
    assert code == 0, err
    code, _, err = run("compare mae b.csv shuffled_p.csv shuffled_t.csv -p yhat -t y")
    assert code == 2
    assert "shuffled_p.csv:2: column 'id': '3' where shuffled_t.csv:2" in err


@pytest.mark.parametrize("form", ["ndjson", "parquet", "csv"])
def test_every_table_has_a_head(run: Run, tmp_path: Path, form: str) -> None:
    import polars as pl

    rows = {"k": [0, 1, 2], "u": [1.0, 2.0, 4.0], "v": [4.0, 5.0, 6.5]}
    tables: dict[str, Any] = {"p": pl.DataFrame(rows), "t": pl.DataFrame(rows | {"u": [1.5, 2.0, 4.0]})}
    for name, table in tables.items():
        getattr(table, f"write_{form}")(tmp_path / f"{name}.{form}")
    code, _, err = run(f"compute mse p.{form} t.{form}")
    assert code == 2
    assert "'k' counts the rows" in err


@pytest.mark.parametrize("name", ["id", "ID", "Id", "PassengerId", "user_id", "row id", "index", "UUID", "customerID"])
def test_names_of_keys(name: str) -> None:
    assert is_key(name)


@pytest.mark.parametrize("name", ["valid", "grid", "paid", "VALID", "price_index", "width", "y", "idle", "keyboard"])
def test_names_of_numbers(name: str) -> None:
    assert not is_key(name)


@pytest.mark.parametrize(
    ("columns", "names", "order"),
    [
        (["p_a", "p_b"], ["b", "a"], [1, 0]),
        (["Cat", "Dog"], ["dog", "cat"], [1, 0]),
        (["p1", "p2", "p3"], ["3", "1", "2"], [2, 0, 1]),
        (["scatter", "dodger"], ["cat", "dog"], None),
        (["a", "b"], ["a", "b", "c"], None),
        (["", ""], ["", "a"], None),
    ],
)
def test_columns_that_bear_names(columns: list[str], names: list[str], order: list[int] | None) -> None:
    assert bearing(columns, names) == order


def test_some_names() -> None:
    assert bearing_some(["p_cat", "p_dog", "p_x"], ["cat", "dog", "bird"]) == ["cat", "dog"]
    assert bearing_some(["p0", "p1", "p2"], ["1", "2", "3"]) == []  # labels that start at 1
    assert bearing_some(["a", "b"], ["cat", "dog"]) == []


def test_corresponding_columns() -> None:
    assert corresponding(["y1_pred", "y2_pred"], ["y2", "y1"]) == [1, 0]
    assert corresponding(["lat", "lon"], ["lon true", "lat true"]) == [1, 0]
    assert corresponding(["a", "b"], ["c", "d"]) is None
