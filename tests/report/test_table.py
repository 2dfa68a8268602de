"""Tables on a terminal: no row is wider than the terminal, and no number is cut or folded."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.cells import cell_len

from lossctl.cli.app import main
from lossctl.render import Style
from lossctl.render.layout import lay_out
from lossctl.render.table import table
from lossctl.report import Column, Report, Table

ROOT = Path(__file__).parents[2]
PAIR = "samples/diabetes_preds.csv samples/diabetes_targets.csv"
CANCER = "samples/cancer_margins.csv samples/cancer_names.csv --labels benign,malignant"
LONG = ["a_model_with_a_name_of_forty_characters_" + c for c in "ab"]
COMMANDS = [
    f"compute mse,rmse,huber:delta=50,quantile:tau=0.9 {PAIR}",
    "compute bce samples/cancer.csv -p prob -t label",
    f"breakdown mse {PAIR}",
    f"breakdown rmse {PAIR} --top 3 --bottom",
    f"breakdown hinge {CANCER}",
    "breakdown huber samples/diabetes.csv -p ridge -t target --by group",
    "breakdown bce samples/cancer.csv -p prob -t label --top 5 --columns id,diagnosis,logit",
    "breakdown cross_entropy samples/digits_logits.npy samples/digits_labels.npy",
    f"breakdown mse {PAIR} --all",
    "compare mse,mae samples/diabetes.csv -p ridge -p forest -t target",
    "compare bce samples/cancer_probs.csv samples/cancer_probs.npy samples/cancer_targets.csv",
    f"gradcheck samples/my_losses.py:wrong_grad {PAIR}",
    "gradcheck huber,hinge,quantile:tau=0.123456789",
    f"gradcheck mse {PAIR} --sweep",
    "gradcheck samples/network.py:loss --at samples/network.npz",
    "verify ce samples/digits_logits.npy samples/digits_labels.npy --grad samples/digits_kernel_grad.npy",
    "list",
    "info huber:delta=0.5",
    "info rmse",
    "compute mse long.csv -p {0} -t target",
    "compute long.py:{0} long.csv -p {0} -t target",
    "breakdown mse long.csv -p {0} -t target",
    "breakdown mse long.csv -p {0} -t target --by name",
    "breakdown mse long.csv -p {0} -t target --top 3 --columns name",
    "compare mse long.csv -p {0} -p {1} -t target",
    "compare long.py:{0},mse long.csv -p {0} -p {1} -t target",
    "gradcheck long.py:{0} long.csv -p {0} -t target",
    "gradcheck long.py:{0},mse",
]


@pytest.fixture
def at_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str, int], list[str]]:
    """Run a command as on a terminal of this width; return the lines of stdout."""
    rows = "".join(f"{i}.{i}25,{-1.5 * i},{i * i},the_group_of_a_name_that_is_long_{i % 2}\n" for i in range(1, 9))
    (tmp_path / "long.csv").write_text(f"{LONG[0]},{LONG[1]},target,name\n{rows}")
    (tmp_path / "long.py").write_text(f"def {LONG[0]}(pred, target):\n    return (pred - target) ** 2, pred - target\n")
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)

    def run(line: str, width: int) -> list[str]:
        monkeypatch.setattr("lossctl.cli.output.style_of", lambda output: Style(width))
        assert main(shlex.split(line.format(*LONG))) in (0, 1), capsys.readouterr().err
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize("line", COMMANDS)
def test_no_row_wraps_at_80_columns(line: str, at_width: Callable[[str, int], list[str]]) -> None:
    """No line is longer than 80 cells, and a row that starts below a rule ends on the same line."""
    lines = at_width(line, 80)
    assert max(map(cell_len, lines)) <= 80
    for i, drawn in enumerate(lines):
        if set(drawn) == {"─"}:
            body = lines[i + 1 : [*lines[i:], ""].index("") + i]
            assert body
            # A folded row would leave lines that lack the first cell, which is to the left of the second column.
            assert all(row[: max(len(row.split()[0]) + 6, 12)].strip() for row in body)


DRAW: dict[str, Callable[[Random], object]] = {
    "text": lambda r: "".join(r.choices("ab/: é界", k=r.randint(1, 50))),
    "number": lambda r: r.choice([0, r.randint(-(10**9), 10**9), r.gauss(0, 1) * 10.0 ** r.randint(-300, 300)]),
    "count": lambda r: r.choice([0, r.randint(0, 10**6)]),
    "share": lambda r: r.random(),
    "bar": lambda r: r.random(),
    "verdict": lambda r: r.choice(["ok", "FAIL"]),
}


@pytest.mark.parametrize("seed", range(200))
def test_rows_fit_whatever_the_cells(seed: int) -> None:
    """Rows of any cells fit; a number that is shown is the number to at least three digits, on one line."""
    r = Random(seed)  # noqa: S311 - cells to try
    kinds, width = ["text", *r.choices([*DRAW], k=r.randint(0, 8))], r.randint(20, 130)
    columns = [Column(f"{kind} {i}", kind, minor=bool(i % 2)) for i, kind in enumerate(kinds)]
    rows: list[Any] = [tuple(DRAW[kind](r) for kind in kinds) for _ in range(r.randint(1, 4))]
    layout = lay_out(Table("t", columns, rows), rows, Style(width))
    assert layout.columns[0].place == 0
    assert layout.width <= width
    for row in rows:
        for shown in layout.columns:
            text, cell = shown.text(row[shown.place]), row[shown.place]
            assert cell_len(text) <= shown.width
            if shown.column.kind == "number":
                assert float(text) == pytest.approx(float(cell), rel=5.1e-3)
            if shown.column.kind == "count":
                assert text == str(cell)


def shown(columns: list[Column], rows: list[tuple[object, ...]], width: int | None, **style: object) -> str:
    return "".join(table(Report("t/1", [Table("t", columns, rows)]), Style(width, **style)))  # type: ignore[arg-type]


ORDER = [
    Column("loss", "text"),
    Column("wrong", "count"),
    Column("line", "text"),
    Column("worst relative error"),
    Column("least", minor=True),
    Column("bar", "bar", label=""),
]
ROWS = [("a_loss_of_a_name", 0, "folder/file.csv:10", 1.23456789, 9.87654321, 1.0)]


def test_what_gives_way_first() -> None:
    """Bars, then counts that are 0, then paths that repeat, then digits, then a minor column: the hint names them."""
    assert "bars" not in shown(ORDER, ROWS, 90)
    steps = ["bars", "wrong (all 0)", "folder/file.csv of line", "digits after", "least", "the middle of loss"]
    texts = [" ".join(shown(ORDER, ROWS, width).split()) for width in range(80, 20, -1)]
    hints = [text.partition("not shown at")[2] for text in texts]
    first = [next((i for i, hint in enumerate(hints) if step in hint), None) for step in steps]
    assert None not in first
    assert first == sorted(first)  # type: ignore[type-var]


def test_off_a_terminal_nothing_gives_way() -> None:
    text = shown(ORDER, ROWS, None)
    assert "not shown" not in text
    assert "folder/file.csv:10" in text
    assert "1.23457" in text


def test_a_precision_that_was_asked_for_does_not_give_way() -> None:
    assert "1.23456789" in shown(ORDER, ROWS, 40, precision=9, exact_digits=True)
    assert "1.23456789" not in shown(ORDER, ROWS, 40, precision=9)


@pytest.mark.parametrize(
    ("cell", "code"),
    [("FAIL", "31"), ("wrong", "31"), ("worse", "31"), ("ok", "32"), ("better", "32"), ("unclear", None)],
)
def test_verdicts_have_a_colour(cell: str, code: str | None) -> None:
    columns = [Column("loss", "text"), Column("verdict", "verdict")]
    text = shown(columns, [(cell, cell)], 80, color=True)
    codes = re.findall(rf"\x1b\[(?:1;)?(\d+)m{cell}", text)
    assert codes == ([code] if code else [])
