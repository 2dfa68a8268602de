"""``plot``: curves against the loss, drawings against the curve, histograms against the data."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossctl import get_loss
from lossctl.analysis.curves import axis_of, curve_of, kinks
from lossctl.analysis.histograms import plot_data
from lossctl.cli.app import main
from lossctl.core.registry import registered
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError
from lossctl.io import dataset
from lossctl.render import Style
from lossctl.render.charts import draw
from lossctl.report import Bars, Drawing, Grid, Intervals, Panel

ROOT = Path(__file__).parents[2]
WITHOUT = {
    *("ctc", "lovasz_hinge", "lovasz_softmax", "dice", "squared_dice", "jaccard", "tversky", "focal_tversky"),
    *("cosine_distance", "cosine_embedding", "triplet", "infonce", "ranknet", "listnet", "listmle", "crps_ensemble"),
    *("softmax_ranking", "cox", "query_rmse", "query_mae", "supervised_ntxent", "circle"),
    *("query_cross_entropy", "multiclass_generalized_dice", "bits_per_unit", "orpo", "perplexity"),
}


@pytest.fixture
def run_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(ROOT)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(args)
        return code, *capsys.readouterr()

    return run


# --- curves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", registered())
def test_every_loss_has_a_curve_or_says_that_it_has_none(name: str) -> None:
    loss = get_loss(name)
    if name in WITHOUT:
        with pytest.raises(UsageError, match=f"^{name} has no curve: "):
            curve_of(loss)
        return
    curve, axis = curve_of(loss), axis_of(loss)
    assert np.isfinite(curve.value).mean() > 0.9
    # The same numbers as by hand, checked as any input is.
    inside = curve.x[np.isfinite(curve.value)][5:-5:20]
    again = loss.value(*axis.inputs(inside))
    assert np.array_equal(again, np.interp(inside, curve.x, curve.value))


def alone(name: str) -> bool:
    """Return whether only one number changes along the curve, not the other classes of a row."""
    axis = axis_of(get_loss(name))
    return axis.place is None or axis.name.startswith("logit")


@pytest.mark.parametrize("name", [name for name in registered() if name not in WITHOUT and alone(name)])
def test_the_gradient_is_the_slope_of_the_curve(name: str) -> None:
    """The gradient is the slope of the curve, between kinks and away from the limits of the domain."""
    loss = get_loss(name)
    axis, curve = axis_of(loss), curve_of(loss)
    assert curve.gradient is not None
    h = 1e-6
    x = curve.x[2:-2]
    slope = (loss.evaluate(*axis.inputs(x + h))[0] - loss.evaluate(*axis.inputs(x - h))[0]) / (2 * h)
    smooth = np.isfinite(slope) & (np.abs(slope) < 1e3)
    for kink in kinks(loss):
        smooth &= np.abs(x - kink) > 2e-6
    off = np.abs(slope - curve.gradient[2:-2]) / np.maximum(np.abs(slope), 1.0)
    # A few points may lie on a kink without a jump of the gradient that can be seen, or on a jump of the loss.
    assert (off[smooth] > 1e-4).sum() <= 2, (x[smooth][off[smooth] > 1e-4], smooth.sum())


@pytest.mark.parametrize(
    ("spec", "axis"),
    [
        ("mse", "residual"),
        ("huber:delta=3", "residual"),
        ("mape", "prediction, at target 1"),
        ("hinge", "margin"),
        ("bce", "probability, at target 1"),
        ("bce_with_logits", "logit, at target 1"),
        ("cross_entropy", "logit of true class; others 0"),
        ("nll", "probability of the true class"),
        ("kl_divergence", "probability of the true class"),
    ],
)
def test_what_a_curve_is_drawn_against(spec: str, axis: str) -> None:
    assert axis_of(get_loss(spec)).name == axis


def test_a_parameter_widens_the_axis() -> None:
    """The axis is wide enough to show a change of the formula at a parameter."""
    assert axis_of(get_loss("huber")).default == (-3.0, 3.0)
    assert axis_of(get_loss("huber:delta=10")).default == (-15.0, 15.0)


@pytest.mark.parametrize(
    ("spec", "where"),
    [
        *[("mse", []), ("huber", []), ("mae", [0.0]), ("hinge", [1.0]), ("hinge:margin=0.3", [0.3])],
        *[("quantile:tau=0.9", [0.0]), ("epsilon_insensitive:epsilon=0.5", [-0.5, 0.5]), ("mape", [1.0]), ("bce", [])],
    ],
)
def test_kinks(spec: str, where: list[float]) -> None:
    assert kinks(get_loss(spec)) == pytest.approx(where, abs=1e-5)


# --- drawings ----------------------------------------------------------------------------------------


def drawn(rows: Sequence[Sequence[Drawing]], style: Style) -> list[str]:
    return [line.plain for line in draw(rows, style)]


def dots(text: str) -> int:
    return sum((ord(c) - 0x2800).bit_count() for c in text if "\u2800" <= c <= "\u28ff")


def test_a_line_goes_from_corner_to_corner() -> None:
    panel = Panel("t", "x", [0.0, 1.0], [("", [0.0, 1.0])], (0.0, 1.0), 4)
    lines = list(drawn([[panel]], Style(width=40)))
    assert lines[0] == "   t"
    assert lines[1].startswith("1 │")
    assert "⡠" in lines[1][-1:] or dots(lines[1][-1]) > 0  # the last value is on the last dot
    assert dots(lines[4][3]) > 0
    assert lines[4].startswith("0 │")
    assert lines[-1].split() == ["0", "x", "1"]
    assert {len(line) for line in lines[1:2]} == {40}


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=40),
    st.integers(20, 200),
    st.booleans(),
)
def test_any_curve_is_drawn_in_the_width(y: list[float], width: int, plain: bool) -> None:
    panel = Panel("title", "label", [float(i) for i in range(len(y))], [("a", y), ("b", y[::-1])], (-1.0, 2.0), 6)
    lines = list(drawn([[panel, panel]], Style(width=width, ascii=plain)))
    assert max(map(len, lines)) <= width
    assert not plain or "".join(lines).isascii()


def test_what_is_not_finite_is_not_drawn() -> None:
    empty = Panel("t", "x", [0.0, 1.0, 2.0], [("", [math.nan] * 3)], (0.0, 1.0))
    assert dots("".join(drawn([[empty]], Style(width=40)))) == 0
    part = Panel("t", "x", [0.0, 1.0, 2.0], [("", [1.0, 1.0, math.nan])], (0.0, 1.0))
    top = list(drawn([[part]], Style(width=43)))[1]
    assert 18 <= sum(dots(c) > 0 for c in top) <= 21


def test_panels_wrap_where_there_is_no_room() -> None:
    panel = Panel("title", "x", [0.0, 1.0], [("", [0.0, 1.0])], (0.0, 1.0), 3)
    for width, across in ((60, 1), (80, 2), (120, 3)):
        lines = list(drawn([[panel] * 3], Style(width=width)))
        assert lines[0].count("title") == across
        assert "".join(lines).count("title") == 3


def test_bars_are_as_long_as_counts() -> None:
    lines = list(drawn([[Bars("losses", "", [0.0, 1.0, 2.0, 3.0], [0, 50, 100])]], Style(width=80)))
    none, half, full = (line.count("█") for line in lines[1:])
    assert none == 0
    assert full == pytest.approx(2 * half, abs=1)
    assert [line.split()[-1] for line in lines[1:]] == ["0", "50", "100"]
    tiny = list(drawn([[Bars("t", "", [0.0, 1.0, 2.0], [1, 10**9])]], Style(width=80, ascii=True)))
    assert tiny[1].count("#") == 1  # one sample is not nothing


def test_darker_cells_have_more_samples() -> None:
    counts = [[0] * 20 for _ in range(15)]
    counts[0][0], counts[14][19], counts[7][7] = 1, 1000, 100
    lines = list(drawn([[Grid("samples", "t", "p", [*range(21)], [*range(16)], counts)]], Style(width=80)))
    assert lines[2].endswith("█")
    assert lines[16].partition("│")[2].strip() in "░▒"
    assert "".join(lines[2:17]).count("▓") == 1


# --- the command -------------------------------------------------------------------------------------


def test_points_are_the_curve(run_command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run_command("plot", "huber:delta=0.5,mae", "--range", "-2,1.5", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, err) == (0, "")
    for spec in ("huber:delta=0.5", "mae"):
        mine = [row for row in rows if row["loss"] == spec]
        x, value, slope = (np.array([float(row[name]) for row in mine]) for name in ("x", "value", "gradient"))
        assert (x[0], x[-1]) == (-2.0, 1.5)
        assert np.array_equal(value, get_loss(spec).value(x, 0 * x))
        assert np.array_equal(slope, get_loss(spec).gradient(x, 0 * x))
    document = json.loads(run_command("plot", "huber:delta=0.5,mae", "--range", "-2,1.5", "-f", "json")[1])
    assert document["schema"] == "lossctl.plot/1"
    assert [p["x"] for p in document["points"]] == [float(row["x"]) for row in rows]
    assert len(run_command("plot", "mae", "-f", "jsonl")[1].splitlines()) == len(document["points"]) / 2


def test_losses_of_one_axis_share_a_panel(run_command: Callable[..., tuple[int, str, str]]) -> None:
    """The losses are in one panel and their gradients in a panel beside it; a mark names each curve."""
    code, out, err = run_command("plot", "huber:delta=0.5,huber:delta=2,mae")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["loss", "gradient"]
    assert lines[-1].split() == ["1", "huber:delta=0.5", "2", "huber:delta=2", "3", "mae"]
    body = "".join(line.partition("│")[2] for line in lines)
    assert all(body.count(mark) >= 4 for mark in "123")
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 23  # a screen, and the next prompt


def test_a_table_of_ten_classes_fits_a_screen(run_command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    scores = np.random.default_rng(0).normal(size=(500, 10))
    np.save(tmp_path / "z.npy", scores)
    np.save(tmp_path / "y.npy", scores.argmax(axis=1))
    _, out, _ = run_command("plot", "sparse_softmax_cross_entropy", str(tmp_path / "z.npy"), str(tmp_path / "y.npy"))
    assert len(out.splitlines()) <= 23
    assert sum("█" in line for line in out.splitlines()) >= 3


def test_losses_of_two_axes_are_two_rows(run_command: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = run_command("plot", "huber,bce")
    lines = out.splitlines()
    assert [line.split() for line in lines if "gradient" in line] == [["huber", "gradient"], ["bce", "gradient"]]
    assert len(lines) <= 24


@pytest.mark.parametrize("args", ["mae,huber", "cross_entropy", "kl_divergence", "bce", "tukey_biweight:c=9.87654321"])
def test_texts_are_whole(run_command: Callable[..., tuple[int, str, str]], args: str) -> None:
    """Titles and labels take several lines rather than lose words."""
    _, out, _ = run_command("plot", args)
    curve = curve_of(get_loss(args.partition(",")[0]))
    words = set(" ".join(out.splitlines()).split())
    assert set(curve.axis.split()) <= words
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["ctc"], "ctc has no curve: no one number says how far off a prediction is"),
        (["bce", "--range", "-1,2"], "from 0 to 1, not from -1 to 2"),
        (["mse", "--range", "2,1"], "--range '2,1': two numbers, LOW,HIGH, the lower one first"),
        (["mse", "--range", "1"], "two numbers"),
        (["mse", "--range", "0,inf"], "two numbers"),
        (["mse", "--range", "nan,1"], "two numbers"),
        (["mse", "-q"], "no single numbers"),
        (["mse", "samples/diabetes.csv", "-p", "ridge", "-t", "target", "--range", "0,1"], "--range belongs to curves"),
        (["mse", "-o", "nowhere/c.svg"], "there is no folder 'nowhere'"),
        (["mse", "-o", "c.gif"], ".svg, .png, .pdf; add --format"),
    ],
)
def test_refused_in_one_line(run_command: Callable[..., tuple[int, str, str]], args: list[str], told: str) -> None:
    code, out, err = run_command("plot", *args)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def run(*args: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "lossctl", *args],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("env", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
@pytest.mark.slow
def test_ascii_where_there_are_no_dots(env: dict[str, str]) -> None:
    for args in (("plot", "huber,mae"), ("plot", "mae", "samples/diabetes.csv", "-p", "ridge", "-t", "target")):
        drawing = run(*args, **env).replace("·", "")  # between words, which a dumb terminal can show
        assert drawing.isascii()
        assert "#" in drawing or "|" in drawing
    assert not run("plot", "huber", LANG="C.UTF-8").isascii()


def test_colour_is_not_on_a_pipe() -> None:
    assert "\x1b" not in run("plot", "huber", LANG="C.UTF-8")
    coloured = run("plot", "huber", "--color", "always", LANG="C.UTF-8")
    assert "\x1b[36m" in coloured


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
@pytest.mark.slow
def test_pictures_are_files(run_command: Callable[..., tuple[int, str, str]], tmp_path: Path, suffix: str) -> None:
    """Two runs write the same bytes, and text in an SVG is text."""
    pytest.importorskip("matplotlib")
    data = ["samples/cancer.csv", "-p", "prob", "-t", "label"]
    for args in (
        ["plot", "bce,mse"],
        ["plot", "bce,brier", *data],
        ["plot", "ce", "samples/digits_logits.npy", "samples/digits_labels.npy"],
        ["breakdown", "bce", *data],
        ["breakdown", "bce", *data, "--by", "diagnosis"],
        ["compare", "mse", "samples/diabetes.csv", "-p", "ridge", "-p", "forest", "-t", "target"],
    ):
        files = [tmp_path / f"{i}.{suffix}" for i in range(2)]
        for file in files:
            assert run_command(*args, "-o", str(file)) == (0, "", "")
        first, second = (file.read_bytes() for file in files)
        assert first == second
        assert first.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix])
        assert (
            suffix != "svg"
            or (b">forest<" if args[0] == "compare" else b"bce" if "bce" in args[1] else b"<svg") in first
        )


def test_without_matplotlib_it_says_what_to_install(
    run_command: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lossctl.render.figure.find_spec", lambda name: None)
    code, out, err = run_command("plot", "mse", "-o", str(tmp_path / "c.svg"))
    assert (code, out) == (2, "")
    assert "pip install matplotlib" in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_is_imported() -> None:
    """Other commands import neither library; matplotlib is imported for files only."""
    code = (
        "import sys\nfrom lossctl.cli.app import main\nmain(sys.argv[1:])\n"
        "print([m for m in ('plotille', 'matplotlib', 'polars', 'scipy') if m in sys.modules], file=sys.stderr)"
    )
    for args, expected in (
        (["compute", "mse", "samples/diabetes.csv", "-p", "ridge", "-t", "target"], "[]"),
        (["list"], "[]"),
        (["plot", "mse", "-f", "csv"], "[]"),
        (["plot", "mse"], "['plotille']"),
    ):
        done = subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stderr.splitlines()[-1] == expected, args


# --- pictures of data --------------------------------------------------------------------------------


def pictured(loss: str, pred: Any, target: Any, threads: int = 2) -> Any:
    data = dataset.from_arrays({"pred": pred, "target": target})
    return plot_data(data, [get_loss(name) for name in loss.split(",")], ComputeOptions(), ExecutionConfig(threads))


def test_every_sample_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histograms agree with NumPy for the same edges, for any blocks and threads."""
    rng = np.random.default_rng(1)
    pred, target = rng.normal(size=3000), rng.normal(size=3000)
    whole = pictured("mae", pred, target)
    lost = np.abs(pred - target)
    assert whole.samples == 3000
    assert np.array_equal(whole.losses[0].counts, np.histogram(lost, whole.losses[0].edges)[0])
    assert whole.losses[0].counts.sum() == 3000
    assert 8 <= len(whole.losses[0].counts) <= 20
    grid = whole.density
    assert np.array_equal(grid.counts, np.histogram2d(pred, target, [grid.pred, grid.target])[0])
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 100)
    monkeypatch.setattr("lossctl.io.spool.ROWS", 128)
    for threads in (1, 3):
        parts = pictured("mae", pred, target, threads)
        assert np.array_equal(parts.losses[0].counts, whole.losses[0].counts)
        assert np.array_equal(parts.density.counts, grid.counts)


def test_probabilities_have_a_reliability_curve() -> None:
    """Mean prediction and frequency of the event in ten bins, for probabilities and for logits of them."""
    rng = np.random.default_rng(2)
    pred = rng.random(5000)
    target = (rng.random(5000) < pred**2) * 1.0
    shown = pictured("bce,brier", pred, target)
    assert shown.density is None
    assert len(shown.losses) == 2
    assert len(shown.reliability) == 10
    for low, high, count, mean, observed in shown.reliability:
        inside = (pred >= low) & (pred < high)
        assert (count, mean) == (inside.sum(), pytest.approx(pred[inside].mean()))
        assert observed == pytest.approx(target[inside].mean())
        assert observed == pytest.approx(mean**2, abs=0.1)
    logits = pictured("bce_with_logits", np.log(pred / (1 - pred)), target)
    assert [row[2] for row in logits.reliability] == [row[2] for row in shown.reliability]


def test_signs_have_margins() -> None:
    rng = np.random.default_rng(3)
    score, sign = rng.normal(size=500), rng.choice([-1.0, 1.0], 500)
    margins = pictured("hinge", score, sign).margins
    assert 0.0 in margins.edges
    assert np.array_equal(margins.counts, np.histogram(score * sign, margins.edges)[0])


def test_few_targets_of_a_regression_are_a_density() -> None:
    """Targets of a regression with few values are numbers, not classes; both axes have one range."""
    rng = np.random.default_rng(4)
    target = rng.integers(1, 6, 300) * 1.0
    grid = pictured("mse", target + rng.normal(size=300), target).density
    assert (grid.pred[0], grid.pred[-1]) == (grid.target[0], grid.target[-1])
    (row,) = [[Grid("", "target", "prediction", grid.target, grid.pred, grid.counts.tolist(), diagonal=True)]]
    assert "· is where prediction = target" in drawn([row], Style(width=80))


def test_a_matrix_of_classes_has_their_names() -> None:
    names = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "a_name_of_forty_characters_and_a_half_nine",
    ]
    counts = np.diag(range(1, 11)).tolist()
    edges = [*map(float, range(11))]
    lines = drawn([[Grid("samples by class", "target", "prediction", edges, edges, counts, names)]], Style(width=80))
    assert [line.split()[0] for line in lines[3:12]] == names[:9]
    assert max(map(len, lines)) <= 80
    assert lines[-1].split()[-1] == "10"


def test_an_interval_contains_its_value() -> None:
    shown = Intervals("t", "x", ["a", "b"], [1.0, math.nan], [-1.0, math.nan], [3.0, math.nan], 0.0)
    lines = drawn([[shown]], Style(width=43))
    assert (lines[1].index("├"), lines[1].index("┼"), lines[1].index("●"), lines[1].index("┤")) == (2, 12, 22, 42)
    assert lines[2].split() == ["b", "┊"]
    assert drawn([[shown]], Style(width=43, ascii=True))[1].split()[1].isascii()


def test_classes_are_a_matrix() -> None:
    rng = np.random.default_rng(3)
    logits, label = rng.normal(size=(500, 4)), rng.integers(0, 4, 500)
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (logits.argmax(axis=1), label), 1)
    assert np.array_equal(pictured("cross_entropy", logits, label).density.counts, counts)


def test_a_long_tail_is_one_bar() -> None:
    """One sample with a million times the loss of the others does not put these into one bar."""
    rng = np.random.default_rng(4)
    pred = rng.normal(size=1000)
    pred[3] = 1e4
    losses = pictured("mse", pred, np.zeros(1000)).losses[0]
    assert (losses.counts > 0).sum() > 5
    assert losses.counts.sum() == 1000
    assert losses.edges[-1] == 1e8
    assert losses.edges[-2] < 20


@pytest.mark.parametrize(
    ("pred", "target"),
    [([1.0], [1.0]), ([1.0] * 5, [0.0] * 5), ([1e300, 2e300], [0.0, 1.0]), ([0.0, 1e-300], [0.0, 0.0])],
)
def test_odd_data_have_a_picture(pred: list[float], target: list[float]) -> None:
    shown = pictured("mae", pred, target)
    assert shown.losses[0].counts.sum() == len(pred)
    assert (np.diff(shown.losses[0].edges) > 0).all()


def test_what_is_infinite_is_told(run_command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run_command(
        "plot", "kl_divergence", "samples/digits_soft.npy", "samples/digits_probs.npy", "-f", "json"
    )
    assert code == 0
    document = json.loads(out)
    assert document["infinite"] == 176
    assert err == "note: infinite loss: 176 samples, not drawn\n"
    assert sum(b["count"] for b in document["bins"] if b["of"] == "kl_divergence") == 300 - 176


def test_data_as_rows(run_command: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run_command("plot", "bce", "samples/cancer.csv", "-p", "prob", "-t", "label", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert {row["of"] for row in rows} == {"bce"}
    assert sum(int(row["count"]) for row in rows) == 190
    document = json.loads(
        run_command("plot", "bce", "samples/cancer.csv", "-p", "prob", "-t", "label", "-f", "json")[1]
    )
    assert sum(row["count"] * row["observed"] for row in document["reliability"]) == pytest.approx(71)


def test_data_on_a_pipe(run_command: Callable[..., tuple[int, str, str]]) -> None:
    args = ["plot", "mae", "-", "-p", "ridge", "-t", "target"]
    with (ROOT / "samples" / "diabetes.csv").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-m", "lossctl", *args], cwd=ROOT, stdin=file, capture_output=True, text=True, check=True
        )
    _, out, _ = run_command("plot", "mae", "samples/diabetes.csv", "-p", "ridge", "-t", "target")
    assert done.stdout.splitlines()[1:] == out.splitlines()[1:]


def test_a_file_of_several_blocks_is_counted_as_it_is(
    run_command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader reuses its buffer for the next block; each block is counted before."""
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    numbers = np.random.default_rng(0).normal(size=(300, 2))
    told = []
    for save, suffix in ((np.save, "npy"), (np.savetxt, "txt")):
        paths = [str(tmp_path / f"{name}.{suffix}") for name in "pt"]
        for path, column in zip(paths, numbers.T, strict=True):
            save(path, column)
        code, out, _ = run_command("plot", "mse", *paths, "-f", "json", "--threads", "1")
        found = json.loads(out)
        told.append((code, {key: value for key, value in found.items() if key != "sources"}))
    assert told[0] == told[1]
