"""``--training``: the scale of mase and rmsse from the past of each series, against a plain computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main

RNG = np.random.default_rng(1)
SERIES = {name: np.cumsum(RNG.normal(size=40)) for name in ("b", "a")}
FORECAST = {name: y[30:] + RNG.normal(size=10) for name, y in SERIES.items()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    past = "".join(f"{name},{t},{y!r}\n" for name in SERIES for t, y in enumerate(SERIES[name][:30].tolist()))
    Path("train.csv").write_text("id,t,y\n" + past)
    pairs = {name: zip(FORECAST[name].tolist(), SERIES[name][30:].tolist(), strict=True) for name in SERIES}
    Path("f.csv").write_text("id,p,y\n" + "".join(f"{name},{p!r},{y!r}\n" for name in pairs for p, y in pairs[name]))
    Path("one.csv").write_text("y\n" + "".join(f"{y!r}\n" for y in SERIES["b"][:30].tolist()))
    Path("holes.csv").write_text("y\n1\nNA\n2\n")
    Path("flat.csv").write_text("id,y\nb,1\nb,1\na,1\na,2\n")
    return tmp_path


def scale(name: str, season: int) -> np.ndarray:
    past = SERIES[name][:30]
    return past[season:] - past[:-season]


@pytest.mark.parametrize("season", [1, 7])
def test_the_scale_is_that_of_the_naive_forecast(season: int, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"f.csv -p p -t y --group id --training train.csv --season {season} -q"
    error = {name: FORECAST[name] - SERIES[name][30:] for name in SERIES}
    of_mase = [np.abs(error[n]).mean() / np.abs(scale(n, season)).mean() for n in SERIES]
    of_rmsse = [np.sqrt((error[n] ** 2).mean() / (scale(n, season) ** 2).mean()) for n in SERIES]
    for loss, expected in (("mase", of_mase), ("rmsse", of_rmsse)):
        assert main(["compute", loss, *line.split(), "--reduction", "group"]) == 0
        assert float(capsys.readouterr().out) == pytest.approx(np.mean(expected), rel=1e-13)
    assert main(["breakdown", "mase", *line.split(), "--all", "--sort", "row"]) == 0
    assert [float(x) for x in capsys.readouterr().out.split()] == pytest.approx(of_mase, rel=1e-13)
    assert main(["grad", "mase", *line.split()]) == 0
    slopes = [float(x) for x in capsys.readouterr().out.split()]
    assert slopes[:10] == pytest.approx(np.sign(error["b"]) / np.abs(scale("b", season)).mean(), rel=1e-13)


def test_one_series(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["compute", "mase", "f.csv", "-p", "p", "-t", "y", "--where", "id==b", "--training", "one.csv", "-q"]) == 0
    )
    expected = np.abs(FORECAST["b"] - SERIES["b"][30:]).mean() / np.abs(scale("b", 1)).mean()
    assert float(capsys.readouterr().out) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mse f.csv -p p -t y --training one.csv", "mse takes no scale of a training series"),
        ("mase,rmsse f.csv -p p -t y --training one.csv", "mase and rmsse have different scales"),
        ("mase f.csv -p p -t y --training one.csv --input scale=p", "leave out one"),
        ("mase f.csv -p p -t y --training train.csv", "column 'id' names 2 series: add --group id"),
        ("mase f.csv -p p -t y --training one.csv --season 30", "one.csv has 30 values: a season of 30 needs more"),
        ("mase f.csv -p p -t y --training one.csv --season 0", "--season"),
        ("mase f.csv -p p -t y --season 7", "--season belongs to --training"),
        ("mase f.csv -p p -t y --group id --training flat.csv", "series b: the error of the naive forecast is 0"),
        ("mase f.csv -p @2 -t @3 --group id --training train.csv", "in the column that -t names; it has 't', 'y'"),
        ("mase f.csv -p p -t y --training absent.csv", "absent.csv"),
        ("mase f.csv -p p -t y --training holes.csv --na-values NA", "holes.csv has a NaN"),
    ],
)
def test_refused(line: str, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", *line.split()]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert part in err
    assert err.count("\n") == 1
