"""The value of a loss for all weights, block sizes, numbers of threads and input formats."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossctl
from lossctl.core.registry import get_loss
from lossctl.engine import run
from lossctl.engine.accumulate import Summary, WeightedMoments
from lossctl.engine.block import Block
from lossctl.engine.evaluate import evaluate_block
from lossctl.engine.exact_sum import exact, exact_sum, ratio, rounded
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.executors.threads import Threads
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import LossPlan, plan_loss
from lossctl.engine.run import map_blocks
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import from_arrays

finite = st.floats(-1e300, 1e300)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of eight numbers: a hundred rows cross many borders of blocks and tasks."""
    monkeypatch.setattr(run, "BLOCK", 8)
    monkeypatch.setattr(run, "TASK_BLOCKS", 2)


# --- sums ---


@given(st.lists(finite, max_size=50))
@pytest.mark.slow
def test_exact_sums_are_exact(values: list[float]) -> None:
    assert rounded(sum(map(exact, values))) == pytest.approx(float(sum(map(Fraction, values))), abs=0.0, rel=0.0)


@given(st.lists(finite, min_size=1, max_size=30), st.integers(1, 10**6))
def test_a_quotient_is_rounded_once(values: list[float], n: int) -> None:
    assert ratio(sum(map(exact, values)), exact(float(n))) == float(sum(map(Fraction, values)) / n)


def test_a_sum_beyond_every_double_has_a_mean() -> None:
    values = np.full(3, 1.5e308)
    assert ratio(exact_sum(values), exact(3.0)) == 1.5e308
    assert rounded(exact_sum(values)) == math.inf
    assert rounded(exact_sum(-values)) == -math.inf


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.1, 10)), min_size=2, max_size=40), st.integers(1, 39))
def test_the_spread_of_parts_is_that_of_the_whole(pairs: list[tuple[float, float]], at: int) -> None:
    """Second moments merged from parts equal those computed at once."""
    lost, share = np.array(pairs).T

    def spread(part: slice) -> WeightedMoments:
        a, w = lost[part], share[part]
        off = a - a.sum() / w.sum() * w
        return WeightedMoments(len(a), a.sum(), w.sum(), (off * off).sum(), (off * w).sum(), (w * w).sum())

    at = min(at, len(pairs) - 1)
    merged, whole = spread(slice(0, at)) + spread(slice(at, None)), spread(slice(None))
    scale = max(1e-6, float(np.abs(lost).max()))
    for merge, direct in (
        (merged.error_of_mean(), whole.error_of_mean()),
        (merged.error_of_sum(), whole.error_of_sum()),
    ):
        assert merge == pytest.approx(direct, rel=1e-9, abs=1e-7 * scale)


def test_the_spread_keeps_its_digits_beside_a_large_mean() -> None:
    """For losses of 1e9 ± 1e-3, Σx² − (Σx)²/n would give a variance of 0 or below."""
    rng = np.random.default_rng(0)
    pred = np.sqrt(1e9 + 1e-3 * rng.normal(size=100_000))
    result = lossctl.compute("mse", pred, np.zeros_like(pred))
    assert result.std_error == pytest.approx(np.std(pred * pred - 1e9, ddof=1) / math.sqrt(100_000), rel=1e-6)


# --- values ---


def test_a_plain_mean_with_its_standard_error_and_extremes() -> None:
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 200_001))
    squares = (pred - target) ** 2
    result = lossctl.compute("mse", pred, target)
    assert float(result) == pytest.approx(math.fsum(squares) / 200_001, rel=1e-15)
    assert result.std_error == pytest.approx(squares.std(ddof=1) / math.sqrt(200_001), rel=1e-12)
    assert (result.min, result.argmin) == (squares.min(), squares.argmin())
    assert (result.max, result.argmax) == (squares.max(), squares.argmax())
    assert (result.count, result.elements, result.denominator) == (200_001, 200_001, 200_001.0)
    assert result.top_share == pytest.approx(squares.max() / squares.sum())


def test_a_sum_adds_every_element_and_has_the_error_of_a_sum() -> None:
    rng = np.random.default_rng(1)
    pred, target = rng.normal(size=(2, 50, 3))
    squares = (pred - target) ** 2
    result = lossctl.compute("mse", pred, target, reduction="sum")
    assert float(result) == pytest.approx(math.fsum(squares.ravel()), rel=1e-15)
    assert result.denominator is None
    assert result.std_error == pytest.approx(squares.sum(axis=1).std(ddof=1) * math.sqrt(50))


def test_samples_of_several_elements_are_the_unit_of_the_standard_error() -> None:
    rng = np.random.default_rng(2)
    pred, target = rng.normal(size=(2, 40, 2, 3))
    means = np.abs(pred - target).mean(axis=(1, 2))
    result = lossctl.compute("mae", pred, target)
    assert float(result) == pytest.approx(means.mean())
    assert result.std_error == pytest.approx(means.std(ddof=1) / math.sqrt(40))
    assert (result.argmax, result.max) == (means.argmax(), pytest.approx(means.max()))
    assert (result.count, result.elements) == (40, 240)


@pytest.mark.parametrize("per_element", [False, True])
def test_weights_divide_by_their_sum(small_blocks: None, per_element: bool) -> None:
    rng = np.random.default_rng(3)
    pred, target = rng.normal(size=(2, 60, 3))
    weight = rng.random((60, 3) if per_element else 60) * (rng.random((60, 3) if per_element else 60) > 0.3)
    full = weight if per_element else np.repeat(weight[:, None], 3, axis=1)
    squares = (pred - target) ** 2
    result = lossctl.compute("mse", pred, target, weight=weight)
    assert float(result) == pytest.approx((full * squares).sum() / full.sum())
    assert result.denominator == pytest.approx(full.sum())
    assert result.elements == np.count_nonzero(full)
    assert result.count == np.count_nonzero(full.sum(axis=1))
    lost, share = (full * squares).sum(axis=1), full.sum(axis=1)
    n = result.count
    off = (lost - float(result) * share)[share > 0]
    assert result.std_error == pytest.approx(math.sqrt((off**2).sum() * n / (n - 1)) / share.sum())
    with np.errstate(invalid="ignore"):
        means = lost / share
    assert (result.argmax, result.max) == (np.nanargmax(means), pytest.approx(np.nanmax(means)))
    assert result.argmin == np.nanargmin(means)
    total = lossctl.compute("mse", pred, target, weight=weight, reduction="sum")
    assert float(total) == pytest.approx((full * squares).sum())


def test_a_zero_weight_exempts_a_sample_from_everything() -> None:
    """With weight 0 a sample may be NaN, infinite or outside the domain."""
    result = lossctl.compute("bce", [0.5, 7.0, math.nan, 0.0], [1.0, 1.0, 1.0, 1.0], weight=[2.0, 0.0, 0.0, 0.0])
    assert float(result) == pytest.approx(math.log(2))
    assert (result.count, result.infinite, result.missing) == (1, 0, 0)


def test_one_sample_has_no_standard_error() -> None:
    assert lossctl.compute("mse", [2.0], [1.0]).std_error is None


def test_rmse_is_the_root_of_the_mean_over_everything_and_its_error_goes_through_the_root() -> None:
    rng = np.random.default_rng(4)
    pred, target = rng.normal(size=(2, 100, 2))
    mse, rmse = (lossctl.compute(name, pred, target) for name in ("mse", "rmse"))
    assert float(rmse) == math.sqrt(float(mse))
    assert mse.std_error is not None
    assert rmse.std_error == pytest.approx(mse.std_error / (2 * float(rmse)))
    assert mse.max is not None
    assert (rmse.max, rmse.per_sample) == (math.sqrt(mse.max), "r²")
    with pytest.raises(UsageError, match="no sum"):
        lossctl.compute("rmse", pred, target, reduction="sum")
    assert lossctl.compute("rmse", [1.0, 2.0], [1.0, 2.0]).std_error == 0.0


def test_a_ratio_divides_by_its_own_denominator(small_blocks: None) -> None:
    """As in wape: Σ|r| / Σ|t|, with the standard error of a ratio."""
    wape = lossctl.loss(denominator=lambda _pred, target: np.abs(target))(lambda pred, target: np.abs(pred - target))
    rng = np.random.default_rng(5)
    pred, target = rng.normal(size=(2, 90))
    result = lossctl.compute(wape, pred, target)
    assert float(result) == pytest.approx(np.abs(pred - target).sum() / np.abs(target).sum())
    off = np.abs(pred - target) - float(result) * np.abs(target)
    assert result.std_error == pytest.approx(math.sqrt((off**2).sum() * 90 / 89) / np.abs(target).sum())
    with pytest.raises(DataError, match="denominator is 0"):
        lossctl.compute(wape, [1.0], [0.0])


def test_a_coupled_loss_sees_the_whole_batch(small_blocks: None) -> None:
    centred = lossctl.loss(batch_coupled=True)(lambda pred, target: (pred - pred.mean() - target) ** 2)
    pred = np.arange(100.0)
    assert float(lossctl.compute(centred, pred, np.zeros(100))) == pytest.approx(pred.var())


def test_an_infinite_loss_is_counted_and_not_clipped() -> None:
    result = lossctl.compute("bce", [0.5, 0.0, 0.0, 0.9], [1.0, 1.0, 1.0, 1.0])
    assert float(result) == math.inf
    assert (result.infinite, result.argmax, result.std_error) == (2, 1, None)


def test_a_loss_that_overflows_only_as_a_sum_has_a_finite_mean() -> None:
    pred = np.full(4, 1.3e154)
    assert float(lossctl.compute("mse", pred, np.zeros(4))) == 1.3e154**2


def test_minus_zero_reads_zero() -> None:
    result = lossctl.compute("nll", [[-0.0, -np.inf]], [0])
    assert str(float(result)) == str(result.min) == str(result.max) == "0.0"


# --- missing values ---


def test_nan_is_an_error_that_names_the_first(small_blocks: None) -> None:
    pred = np.arange(100.0)
    pred[[55, 70]] = np.nan
    with pytest.raises(DataError, match=r"^pred\[55\]: nan"):
        lossctl.compute("mse", pred, np.zeros(100))


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_bad_row_is_told_whatever_the_threads(small_blocks: None, threads: int) -> None:
    target = np.zeros(400)
    target[[333, 90]] = np.inf
    pred = np.zeros(400)
    pred[350] = np.nan
    with pytest.raises(DataError, match=r"^target\[90\]: inf"):
        lossctl.compute("mse", pred, target, threads=threads)


def test_nan_can_be_skipped_element_by_element(small_blocks: None) -> None:
    rng = np.random.default_rng(6)
    pred, target = rng.normal(size=(2, 50, 3))
    pred[3] = np.nan
    target[10, 1] = np.nan
    squares = (pred - target) ** 2
    result = lossctl.compute("mse", pred, target, nan="skip")
    assert float(result) == pytest.approx(np.nanmean(squares))
    assert (result.count, result.elements, result.missing) == (49, 146, 4)


def test_nan_can_be_let_through(small_blocks: None) -> None:
    pred = np.arange(50.0)
    pred[20] = np.nan
    result = lossctl.compute("mse", pred, np.zeros(50), nan="propagate")
    assert math.isnan(float(result))
    assert (result.missing, result.count, result.max) == (1, 49, 49.0**2)


def test_a_row_with_a_nan_is_skipped_whole() -> None:
    pred = [[0.5, 0.5], [np.nan, 1.0], [0.25, 0.75]]
    result = lossctl.compute("scce", pred, [0, 0, 1], nan="skip")
    assert float(result) == pytest.approx((math.log(2) - math.log(0.75)) / 2)


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(DataError, match="NaN"):
        lossctl.compute("mse", [np.nan], [1.0], nan="skip")
    with pytest.raises(DataError, match="weight of every sample is 0"):
        lossctl.compute("mse", [1.0], [1.0], weight=[0.0])


# --- shapes ---


def test_a_column_is_the_same_as_a_vector() -> None:
    pred = np.arange(5.0)
    assert float(lossctl.compute("mse", pred[:, None], pred + 1)) == 1.0


@pytest.mark.parametrize(
    ("pred", "target"),
    [((5, 2), (5,)), ((5,), (5, 2)), ((5, 2), (5, 3)), ((5, 2, 2), (5, 2)), ((1,), (5,)), ((5, 1, 2), (5, 2))],
)
def test_nothing_else_is_broadcast(pred: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"broadcast|every row"):
        lossctl.compute("mse", np.zeros(pred), np.zeros(target))


def test_classes_of_images_are_on_the_axis_that_is_named(small_blocks: None) -> None:
    rng = np.random.default_rng(7)
    logits, labels = rng.normal(size=(20, 3, 2, 2)), rng.integers(0, 3, (20, 2, 2))
    rows = np.moveaxis(logits, 1, -1).reshape(-1, 3)
    flat = lossctl.get_loss("ce").value(rows, labels.ravel()).reshape(20, 4)
    for axis in (1, -3):
        result = lossctl.compute("ce", logits, labels, class_axis=axis)
        assert float(result) == pytest.approx(flat.mean())
        assert (result.count, result.elements) == (20, 80)
        assert result.argmax == flat.mean(axis=1).argmax()
    with pytest.raises(UsageError, match="class_axis"):
        lossctl.compute("ce", logits, labels)
    for axis in (4, -5):
        with pytest.raises(UsageError, match="class_axis"):
            lossctl.compute("ce", logits, labels, class_axis=axis)
    with pytest.raises(DataError, match="pred has 3 rows, target has 20 rows"):  # 20 classes of 3 samples
        lossctl.compute("ce", logits, labels, class_axis=0)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", ">i4", "f2", ">f4", "<f8", "g"])
def test_every_real_dtype_is_taken_as_float64(dtype: str) -> None:
    pred = np.array([0, 1, 1, 0], dtype=dtype)
    assert float(lossctl.compute("mse", pred, np.array([1.0, 1.0, 1.0, 0.0]))) == 0.25


def test_numbers_that_would_change_are_refused() -> None:
    with pytest.raises(DataError, match=r"^pred\[1\]: 9007199254740993 is beyond 2\*\*53"):
        lossctl.compute("mse", np.array([1, 2**53 + 1]), np.zeros(2))
    assert float(lossctl.compute("mae", np.array([1, 2**60]), np.zeros(2))) == (2**60 + 1) / 2
    with pytest.raises(DataError, match="more digits"):
        lossctl.compute("mse", np.array([np.longdouble(1) / 3]), np.zeros(1))


# --- the same digits ---


@pytest.mark.parametrize("spec", ["mse", "pseudo_huber", "bce_with_logits", "ce"])
def test_digits_depend_on_neither_threads_nor_tasks_nor_company(monkeypatch: pytest.MonkeyPatch, spec: str) -> None:
    rng = np.random.default_rng(8)
    pred = rng.normal(size=(100_003, 10)) * 3 if spec == "ce" else rng.normal(size=100_003) * 3
    target = rng.integers(0, 10 if spec == "ce" else 2, 100_003)
    first = lossctl.compute(spec, pred, target, threads=1)
    for threads, task_blocks in ((1, 1), (2, 3), (5, 1), (5, 64)):
        monkeypatch.setattr(run, "TASK_BLOCKS", task_blocks)
        assert lossctl.compute(spec, pred, target, threads=threads) == first


def _run(*args: str, stdin: bytes | None = None) -> str:
    done = subprocess.run([sys.executable, "-m", "lossctl", *args], input=stdin, capture_output=True, check=True)
    return done.stdout.decode()


@pytest.mark.slow
def test_digits_are_the_same_from_every_format_and_a_pipe(tmp_path: Path) -> None:
    """NPY in both memory and byte orders, CSV, TXT, stdin; one thread and five; one loss and several."""
    rng = np.random.default_rng(9)
    z, y = rng.normal(size=(20_011, 4)) * 5, rng.integers(0, 4, 20_011)
    t = np.eye(4)[y]
    np.save(tmp_path / "z.npy", z)
    np.save(tmp_path / "f.npy", np.asfortranarray(z))
    np.save(tmp_path / "b.npy", z.astype(">f8"))
    np.save(tmp_path / "t.npy", t.astype(np.uint8))
    np.savetxt(tmp_path / "z.csv", z, delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "z.txt", z)
    np.savetxt(tmp_path / "t.csv", t, delimiter=",", fmt="%d")
    npy, csv, target = (str(tmp_path / name) for name in ("z.npy", "z.csv", "t.npy"))
    one = _run("compute", "softmax_ce", npy, target, "-f", "json").split('"losses"')[1]
    for args, stdin in (
        ((csv, target, "--threads", "5"), None),
        ((str(tmp_path / "z.txt"), str(tmp_path / "t.csv")), None),
        ((str(tmp_path / "f.npy"), str(tmp_path / "t.csv")), None),
        ((str(tmp_path / "b.npy"), target, "--threads", "1"), None),
        (("-", target), Path(csv).read_bytes()),
        ((npy, "-", "--input-format", "npy"), Path(target).read_bytes()),
    ):
        assert _run("compute", "softmax_ce", *args, "-f", "json", stdin=stdin).split('"losses"')[1] == one
    values = _run("compute", "mse,softmax_ce,mae", npy, target, "-q").splitlines()
    assert values[1] == _run("compute", "softmax_ce", csv, target, "-q").strip()


def test_parts_add_up_to_the_whole_exactly() -> None:
    """Merging summaries of blocks in any grouping gives the exact sums."""
    rng = np.random.default_rng(10)
    parts = [
        replace(Summary(elements=1, samples=1), total=exact(float(v)), weight=exact(1.0)) for v in rng.normal(size=40)
    ]
    left = reduce(add, parts, Summary())
    pairs = reduce(add, [reduce(add, parts[i : i + 7]) for i in range(0, 40, 7)])
    assert (left.total, left.weight, left.elements) == (pairs.total, pairs.weight, pairs.elements)


def test_unknown_words_are_refused() -> None:
    for wrong in ({"reduction": "median"}, {"nan": "drop"}):
        with pytest.raises(UsageError, match="one of"):
            lossctl.compute("mse", [1.0], [1.0], **wrong)


def test_several_losses_read_the_data_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The number of bytes read is the size of the file, for any number of losses."""
    import os

    from lossctl.cli.app import main

    np.save(tmp_path / "p.npy", np.arange(50_000.0))
    read = []
    real = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, buffers, at: read.append(len(buffers[0])) or real(fd, buffers, at))
    path = str(tmp_path / "p.npy")
    assert main(["compute", "mse,mae,huber,pseudo_huber", path, path, "-q", "-p", "@1", "-t", "@1"]) == 0
    assert sum(read[1:]) == 50_000 * 8  # the header is the first


def test_a_loss_is_bound_to_its_parameters() -> None:
    bound = get_loss("huber:delta=2").bind(delta=0.5)
    assert (bound.spec, bound.params) == ("huber:delta=0.5", {"delta": 0.5})


@pytest.mark.parametrize("classes", [3, 10, 50, 200, 2000])
@pytest.mark.parametrize("how", ["weights", "nan", "bytes", "columns", "lone"])
def test_a_normalised_row_has_the_same_digits_whatever_is_beside_it(
    how: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sum of a row must not depend on the memory layout of the block."""
    rng = np.random.default_rng(classes)
    pred, target = rng.random((2, 40, classes))
    loss = get_loss("categorical_cross_entropy")

    def values(options: ComputeOptions, **arrays: np.ndarray) -> np.ndarray:
        data = from_arrays(arrays)
        job = plan_loss(loss, data, options)
        return np.concatenate([found for (found,) in map_blocks(data, [job], options, _values, Threads(1))])

    options = ComputeOptions(normalize=True)
    truth = values(options, pred=pred, target=target)
    kept = np.arange(40) % 7 != 3
    if how == "weights":
        np.testing.assert_array_equal(values(options, pred=pred, target=target, weight=kept * 1.0), truth[kept])
    elif how == "nan":
        holes = np.where(kept[:, None], pred, np.nan)
        np.testing.assert_array_equal(values(replace(options, nan="skip"), pred=holes, target=target), truth[kept])
    elif how == "bytes":
        swapped = np.asfortranarray(pred).astype(">f8")
        np.testing.assert_array_equal(values(options, pred=swapped, target=target), truth)
    elif how == "columns":
        np.testing.assert_array_equal(values(options, pred=np.asfortranarray(pred), target=target), truth)
    else:
        monkeypatch.setattr(run, "BLOCK", 13 * classes)  # 13, 13, 13 rows, and one
        np.testing.assert_array_equal(values(options, pred=pred, target=target), truth)


def _values(block: Block, job: LossPlan) -> np.ndarray:
    return evaluate_block(block, job).values.copy()


# --- profiles ---


def test_losses_with_the_same_inputs_share_a_profile(small_blocks: None) -> None:
    """A profile is added up over all blocks, computed once for equal inputs, and changes no result."""
    rng = np.random.default_rng(0)
    data = from_arrays({"pred": rng.normal(size=100), "target": rng.choice([-1.0, 1.0], 100)})
    losses = [get_loss(name) for name in ("mse", "hinge", "mae")]
    profiled = set()

    def count_rows(block: Block, plan: LossPlan) -> int:
        profiled.add(plan.loss.name)
        return block.count

    options, workers = ComputeOptions(), ExecutionConfig(2)
    computed = run.compute_losses(data, losses, options, "mean", workers, profile=count_rows)
    assert computed.profiles == [100, 100, 100]
    assert profiled == {"mse", "hinge"}
    plain = run.compute_losses(data, losses, options, "mean", workers)
    assert (plain.results, plain.profiles) == (computed.results, [])
