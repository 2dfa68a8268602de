"""Random combinations of options, commands and formats, against an independent computation with NumPy."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from attacks.harness import Ended, attack, run

MARKS = {"csv": ",", "csv.gz": ",", "tsv": "\t", "txt": " "}
FORMATS = (*MARKS, "ndjson", "json", "parquet", "arrow", "npz")
NAMES = ("dog", "cat", "horse")


def _log(p: np.ndarray) -> np.ndarray:
    return -np.log(p)


def _huber(r: np.ndarray, delta: float = 0.5) -> np.ndarray:
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))


# Losses of numbers: the loss of each sample, and its derivative with respect to the prediction.
NUMBERS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "mse": (lambda p, t: (p - t) ** 2, lambda p, t: 2 * (p - t)),
    "mae": (lambda p, t: np.abs(p - t), lambda p, t: np.sign(p - t)),
    "huber:delta=0.5": (lambda p, t: _huber(p - t), lambda p, t: np.clip(p - t, -0.5, 0.5)),
    "quantile:tau=0.3": (
        lambda p, t: np.maximum(0.3 * (t - p), 0.7 * (p - t)),
        lambda p, t: np.where(p > t, 0.7, -0.3),
    ),
}
COMPARISONS: dict[str, Callable[..., np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


@dataclass
class Drawn:
    """A data set, the options of a run on it, and what they mean.

    Attributes:
        columns: the columns of the files, by name.
        losses: the loss of each sample.
        slopes: its derivative with respect to the prediction, or None for a loss of classes.
        weights: the weight of each sample, with that of its class.
        counts: whether the sample counts.
        words: the options.
        there: whether it is a row of both files; None if all are.
    """

    columns: dict[str, np.ndarray]
    losses: np.ndarray
    slopes: np.ndarray | None
    weights: np.ndarray
    counts: np.ndarray
    words: list[str] = field(default_factory=list)
    there: np.ndarray | None = None


def _of_numbers(rng: np.random.Generator, n: int, loss: str) -> Drawn:
    pred, target = np.round(rng.normal(size=n) * 1000, 2), np.round(rng.normal(size=n) * 1000, 1)
    missing = rng.random(n) < 0.1
    value, slope = NUMBERS[loss]
    drawn = Drawn({"p": pred, "t": target}, value(pred, target), slope(pred, target), np.ones(n), np.ones(n, bool))
    if rng.random() < 0.3:
        drawn.columns["p"] = np.where(missing, np.nan, pred)
        drawn.counts &= ~missing
        drawn.words += ["--nan", "skip"]
    return drawn


def _of_two_classes(rng: np.random.Generator, n: int) -> Drawn:
    pred, target = np.round(rng.random(n), 3), rng.integers(0, 2, n)
    clip, inside = rng.choice([0.0, 0.1, 0.01]), pred
    drawn = Drawn({"p": pred, "t": target}, pred, None, np.ones(n), np.ones(n, bool))
    if clip:
        drawn.words += ["--clip", str(clip)]
        inside = np.clip(pred, clip, 1 - clip)
    else:
        drawn.columns["p"] = inside = np.clip(pred, 0.001, 0.999)
    drawn.losses = _log(np.where(target == 1, inside, 1 - inside))
    if rng.random() < 0.5:
        drawn.columns["t"] = np.array(NAMES[:2])[target]
        drawn.words += ["--labels", ",".join(NAMES[:2])]
    return drawn


def _of_classes(rng: np.random.Generator, n: int) -> Drawn:
    logits, label = np.round(rng.normal(size=(n, 3)) * 2, 3), rng.integers(0, 3, n)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(n), label]
    columns: dict[str, np.ndarray] = {f"p{i}": logits[:, i] for i in range(3)} | {"t": label}
    drawn = Drawn(columns, losses, None, np.ones(n), np.ones(n, bool))
    if rng.random() < 0.5:
        of_class = np.array([0.5, 2.0, 1.25])
        drawn.words += ["--class-weight", "0.5,2,1.25"]
        drawn.weights = of_class[label]
    if rng.random() < 0.4:
        drawn.words += ["--ignore-index", "2"]
        drawn.counts &= label != 2
    elif rng.random() < 0.6:
        columns["t"] = np.array(NAMES)[label]
        drawn.words += ["--labels", ",".join(NAMES)]
    return drawn


def _add_rows_that_count(rng: np.random.Generator, drawn: Drawn) -> None:
    """Add --where, with a number or a text."""
    columns, n = drawn.columns, len(drawn.losses)
    columns["year"], columns["split"] = rng.integers(2020, 2024, n), rng.choice(["test", "train", "dev"], n)
    sign = str(rng.choice(list(COMPARISONS)))
    if sign in ("==", "!=") and rng.random() < 0.5:
        drawn.words += ["--where", f"split{sign}test"]
        drawn.counts &= COMPARISONS[sign](columns["split"], "test")
    else:
        drawn.words += ["--where", f"year{sign}2022"]
        drawn.counts &= COMPARISONS[sign](columns["year"], 2022)


@dataclass(frozen=True)
class _Style:
    """How files are written, and the options that say so."""

    form: str
    mark: str = ""
    decimal: str = "."
    thousands: str = ""
    missing: str = "nan"
    end: str = "\n"
    words: tuple[str, ...] = ()

    def write(self, path: str, columns: dict[str, np.ndarray], *, header: bool = True) -> None:
        """Write a table."""
        columns = dict(columns)
        lists = {name: column.tolist() for name, column in columns.items()}
        frame = pl.DataFrame(lists, nan_to_null=False)
        if self.form == "npz":
            several = [name for name in columns if name in ("p0", "p1", "p2")]
            rows = {"p": np.stack([columns.pop(name) for name in several], 1)} if several else {}
            np.savez(path, **rows, **columns)  # type: ignore[arg-type]
        elif self.form in ("parquet", "arrow"):
            (frame.write_parquet if self.form == "parquet" else frame.write_ipc)(path)
        elif self.form in ("ndjson", "json"):
            rows = [json.dumps(row).replace("NaN", "null") for row in frame.iter_rows(named=True)]
            Path(path).write_text("\n".join(rows) if self.form == "ndjson" else f"[{','.join(rows)}]")
        else:
            lines = [self.mark.join(map(self.cell, row)) for row in zip(*lists.values(), strict=True)]
            text = self.end.join([*([self.mark.join(columns)] if header else []), *lines, ""]).encode()
            Path(path).write_bytes(gzip.compress(text) if path.endswith("gz") else text)

    def cell(self, value: Any) -> str:
        """Write a number or a text."""
        if isinstance(value, str):
            return value
        if value != value:
            return self.missing
        digits = f"{value:{',' if self.thousands else ''}}"
        return digits.translate({ord(","): self.thousands, ord("."): self.decimal})


def _style(rng: np.random.Generator) -> _Style:
    form = str(rng.choice(FORMATS))
    if form not in MARKS:
        return _Style(form)
    mark, decimal, thousands, words = MARKS[form], ".", "", []
    if rng.random() < 0.4:
        mark, decimal, words = ";", ",", ["-d", ";", "--decimal", ","]
    if rng.random() < 0.4:
        thousands = "'"
        words += ["--thousands", "'"]
    missing = str(rng.choice(["nan", "NA", "-"]))
    words += ["--na-values", missing] if missing != "nan" else []
    return _Style(form, mark, decimal, thousands, missing, str(rng.choice(["\n", "\r\n"])), tuple(words))


def _one_file(rng: np.random.Generator, drawn: Drawn, style: _Style) -> tuple[list[str], bytes]:
    """Write one file, or shards, or stdin; return the arguments and stdin."""
    path, n = f"d.{style.form}", len(drawn.losses)
    how = rng.choice(["file", "shards", "stdin"])
    if how == "shards" and style.form not in ("npz", "json"):
        Path("d").mkdir()
        for i, rows in enumerate((slice(0, n // 3), slice(n // 3, n))):
            style.write(f"d/{i}.{style.form}", {name: column[rows] for name, column in drawn.columns.items()})
        return ["d"], b""
    style.write(path, drawn.columns)
    if how == "stdin" and style.form not in ("npz", "parquet", "arrow"):
        return ["-", "--input-format", style.form], Path(path).read_bytes()
    return [path], b""


def _two_files(rng: np.random.Generator, drawn: Drawn, style: _Style) -> list[str]:
    """Write the targets to a file of their own; return the arguments."""
    n, left, right = len(drawn.losses), f"l.{style.form}", f"r.{style.form}"
    columns = {name: column for name, column in drawn.columns.items() if name != "t"}
    key, order, how = rng.permutation(n) + 100, np.arange(n), rng.choice(["on", "join", "inner", "plain"])
    if how == "plain":
        header = bool(style.mark == "" or rng.random() < 0.5)
        style.write(left, columns)
        style.write(right, {"t": drawn.columns["t"]}, header=header)
        return [left, right, *([] if header else ["--no-header", "--header-of", left])]
    if how != "on":
        order = rng.permutation(n)[: n - 3 * (how == "inner")]
        drawn.there = np.isin(np.arange(n), order)
        drawn.counts &= drawn.there
    style.write(left, {"id": key, **columns})
    style.write(right, {"id": key[order], "t": drawn.columns["t"][order]})
    return [left, right, *(["--on", "id"] if how == "on" else ["--join", "id" + ":inner" * (how == "inner")])]


def _mean(drawn: Drawn, reduction: str, losses: np.ndarray) -> float:
    """The mean, the sum, or the mean of the means of groups, of the samples that count."""
    where = drawn.counts
    losses, weights = losses[where], drawn.weights[where]
    if reduction == "sum":
        return float(weights @ losses)
    if reduction == "group":
        groups = drawn.columns["g"][where]
        return float(np.mean([np.average(losses[groups == g], weights=weights[groups == g]) for g in set(groups)]))
    return float(np.average(losses, weights=weights))


@attack("options", *range(40))
def a_random_combination(folder: Path, seed: int) -> None:
    """Options, command, format and files are drawn; NumPy computes the result from the columns."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 40))
    loss = str(rng.choice([*NUMBERS, "bce", "sparse_softmax_cross_entropy"]))
    drawn = (
        _of_numbers(rng, n, loss)
        if loss in NUMBERS
        else _of_two_classes(rng, n)
        if loss == "bce"
        else _of_classes(rng, n)
    )
    classes = loss not in NUMBERS and loss != "bce"
    command = str(rng.choice(["compute", "compute", "compute", "breakdown", *(["grad"] if loss in NUMBERS else [])]))
    reduction = (
        str(rng.choice(["mean", "mean", "sum", *(["group"] if not classes else [])]))
        if command == "compute"
        else "mean"
    )
    if rng.random() < 0.5:
        drawn.columns["w"] = rng.integers(1, 5, n) / 4
        drawn.weights = drawn.weights * drawn.columns["w"]
        drawn.words += ["-w", "w"]
    if rng.random() < 0.5:
        _add_rows_that_count(rng, drawn)
    if reduction == "group":
        drawn.columns["g"] = rng.integers(0, 4, n)
        drawn.words += ["--group", "g"]
    style, stdin = _style(rng), b""
    while style.form == "npz" and any(column.dtype.kind == "U" for column in drawn.columns.values()):
        style = _style(rng)  # arrays hold numbers
    if rng.random() < 0.5:
        files = _two_files(rng, drawn, style)
    else:
        files, stdin = _one_file(rng, drawn, style)
    pred = "p" if not classes or style.form == "npz" else "p0,p1,p2"
    target = "@1" if "--header-of" in files else "t"
    words = [*files, "-p", pred, "-t", target, *style.words, *drawn.words, "--threads", str(rng.integers(1, 3))]
    if command == "grad":
        _check_gradient(drawn, run("grad", loss, *words, "--reduction", "mean", "-f", "value", stdin=stdin))
        return
    reductions = ["--reduction", reduction] if command == "compute" else []
    ended = run(command, loss, *words, *reductions, "-f", "json", stdin=stdin)
    assert ended.code == 0, (words, ended.err)
    document = json.loads(ended.out)
    result = document["losses"][0] if command == "compute" else document
    expected = _mean(drawn, reduction, drawn.losses)
    assert math.isclose(result["value"], expected, rel_tol=1e-12, abs_tol=1e-300), (command, words, result, expected)
    if reduction != "group":
        assert result["count"] == drawn.counts.sum(), (command, words, result)


def _check_gradient(drawn: Drawn, ended: Ended) -> None:
    """Compare the gradient of the mean, which is 0 at samples that do not count."""
    assert ended.code == 0, ended.err
    assert drawn.slopes is not None
    weights = np.where(drawn.counts, drawn.weights, 0.0)
    expected = (drawn.slopes * weights / weights.sum())[drawn.there if drawn.there is not None else ...]
    got = np.array(ended.out.split(), float)
    assert np.allclose(got, expected, rtol=1e-12, atol=0), (got, expected)
