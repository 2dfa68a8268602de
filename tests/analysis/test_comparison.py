"""``lossctl compare``: every figure against SciPy, NumPy or a direct formula, and the exit codes for CI."""

from __future__ import annotations

import csv
import io
import json
import math
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RunCommand, RunJson
from scipy import stats

import lossctl
from lossctl import get_loss
from lossctl.analysis import bootstrap, inference
from lossctl.analysis.comparison import Comparison, compare_models
from lossctl.cli.parsing import with_values
from lossctl.engine import run
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.executors.threads import Threads
from lossctl.engine.options import ComputeOptions
from lossctl.io import spool
from lossctl.io.dataset import from_arrays

COMMAND = "compare"  # of the lines below
ROOT = Path(__file__).parents[2]
ONE = "samples/diabetes.csv -p ridge -p forest -t target"
N = 400


def drawn(seed: int = 3, n: int = N) -> dict[str, np.ndarray]:
    """Targets, predictions of three models (the third is worse), and weights."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    return {
        "target": target,
        "pred": target + rng.normal(size=n),
        "pred 2": target + rng.normal(size=n),
        "pred 3": target + 1.3 * rng.normal(size=n),
        "weight": rng.uniform(0.5, 4.0, n),
    }


def judge(name: str, data: dict[str, np.ndarray], models: int = 3, **how: Any) -> Comparison:
    (found,) = compare_models(
        from_arrays(data), [get_loss(name)], models, how.pop("options", ComputeOptions()), ExecutionConfig(), **how
    )
    return found


def without(data: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in data.items() if name not in names}


# --- Figures ---------------------------------------------------------------------------------------


def test_scores_and_differences_of_plain_losses() -> None:
    """Value, standard error, paired t and Wilcoxon tests agree with SciPy, wins and ties with a count."""
    data = without(drawn(), "weight")
    found = judge("mse", data, resamples=200)
    losses = np.array([(data[f"pred{i}"] - data["target"]) ** 2 for i in ("", " 2", " 3")])
    for i, (score, pred) in enumerate(zip(found.scores, ("pred", "pred 2", "pred 3"), strict=True)):
        assert score.value == float(lossctl.compute("mse", data[pred], data["target"]))
        assert score.std_error == pytest.approx(stats.sem(losses[i]), rel=1e-12)
        assert score.wins == np.mean(losses.argmin(axis=0) == i)
    for difference, own in zip(found.differences, losses[1:], strict=True):
        apart = own - losses[0]
        assert difference.value == pytest.approx(apart.mean(), rel=1e-12)
        assert difference.std_error == pytest.approx(stats.sem(apart), rel=1e-12)
        assert difference.p_t == pytest.approx(stats.ttest_rel(own, losses[0]).pvalue, rel=1e-9)
        assert difference.p_wilcoxon == pytest.approx(stats.wilcoxon(own, losses[0]).pvalue, rel=1e-12)
        assert difference.better == np.mean(own < losses[0])
        assert difference.worse == np.mean(own > losses[0])
    assert found.ties == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("name", ["mse", "rmse", "wape", "weighted mse", "weighted rmse"])
@pytest.mark.slow
def test_standard_errors_by_the_jackknife(name: str) -> None:
    """Standard errors of ratios, weighted means and square roots agree with the jackknife."""
    data = drawn(n=3000)
    loss = name.rsplit(maxsplit=1)[-1]
    if "weighted" not in name:
        data = without(data, "weight")
    found = judge(loss, data, models=2, resamples=200)
    weights = data.get("weight", np.ones(3000))

    def value(pred: np.ndarray, keep: np.ndarray) -> float:
        off = (data["target"] - pred)[keep]
        part = np.abs(off) if loss == "wape" else off**2
        share = np.abs(data["target"][keep]) if loss == "wape" else 1.0
        mean = (part * weights[keep]).sum() / (share * weights[keep]).sum()
        return float(math.sqrt(mean) if loss == "rmse" else mean)

    every = np.ones(3000, bool)
    left = []
    for i in range(3000):
        keep = every.copy()
        keep[i] = False
        left.append((value(data["pred"], keep), value(data["pred 2"], keep)))
    one, two = np.array(left).T
    n = len(one)
    spread = [math.sqrt((n - 1) / n * ((x - x.mean()) ** 2).sum()) for x in (one, two, two - one)]
    assert found.scores[0].value == pytest.approx(value(data["pred"], every), rel=1e-13)
    assert found.differences[0].value == pytest.approx(
        value(data["pred 2"], every) - value(data["pred"], every), rel=1e-11
    )
    assert [found.scores[0].std_error, found.scores[1].std_error, found.differences[0].std_error] == pytest.approx(
        spread, rel=5e-3
    )


@pytest.mark.parametrize("n", [30, 60])
def test_the_interval_is_that_of_scipy(n: int) -> None:
    """Percentiles of a skewed difference with 50,000 resamples; the tolerance covers their random error."""
    rng = np.random.default_rng(0)
    data = {"target": np.zeros(n), "pred": rng.normal(size=n), "pred 2": rng.lognormal(0.0, 0.8, n)}
    found = judge("mse", data, models=2, resamples=50_000).differences[0]
    apart = data["pred 2"] ** 2 - data["pred"] ** 2
    theirs = theirs_of((apart,), np.mean, apart)
    assert [found.low, found.high] == pytest.approx(theirs, rel=0.02)
    plain = stats.bootstrap((apart,), np.mean, n_resamples=50_000, method="percentile", rng=1).confidence_interval
    assert found.high != pytest.approx(plain.high, rel=0.02)  # so that it is the expanded one that is compared


@pytest.mark.parametrize(("loss", "n"), [("mse", 2), ("mae", 5), ("mse", 19)])
def test_the_interval_of_few_samples_is_that_of_the_t_test(loss: str, n: int) -> None:
    data = without(drawn(n=n), "weight")
    errors = [np.abs(data[name] - data["target"]) ** (2 if loss == "mse" else 1) for name in ("pred 2", "pred")]
    theirs = stats.ttest_rel(*errors).confidence_interval(0.95)
    difference = judge(loss, data, models=2).differences[0]
    assert [difference.low, difference.high] == pytest.approx([theirs.low, theirs.high], rel=1e-10)


def theirs_of(columns: tuple[np.ndarray, ...], statistic: Any, influence: np.ndarray) -> list[float]:
    """SciPy's percentile interval, expanded to the quantiles of t with the estimated degrees of freedom."""
    n = len(influence)
    freedom = min(n - 1, 2 * n / (stats.kurtosis(influence, fisher=False) - 1))
    level = 2 * stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, freedom)) - 1
    found = stats.bootstrap(
        columns,
        statistic,
        paired=len(columns) > 1,
        n_resamples=50_000,
        vectorized=True,
        method="percentile",
        confidence_level=level,
        rng=1,
    )
    return [found.confidence_interval.low, found.confidence_interval.high]


def test_the_freedom_of_a_variance() -> None:
    """Degrees of freedom: n − 1 for normal numbers, 1 or 2 if one number dominates; kurtosis from SciPy."""
    rng = np.random.default_rng(0)
    for n, draw in ((50, rng.lognormal), (400, rng.normal), (3, rng.normal)):
        x = draw(size=n)
        u = (x - x.mean()) / np.sqrt(((x - x.mean()) ** 2).sum())
        wanted = min(n - 1, 2 * n / (stats.kurtosis(x, fisher=False) - 1))
        assert bootstrap.degrees_of_freedom(float((u**4).sum()), n) == pytest.approx(wanted, rel=1e-12)
    assert bootstrap.degrees_of_freedom(0.5, 2) == 1.0
    assert bootstrap.degrees_of_freedom(1 / 400, 400) == 399.0


@pytest.mark.parametrize("name", ["rmse", "wape"])
@pytest.mark.slow
def test_the_interval_of_ratios_and_roots(name: str) -> None:
    """Intervals of ratios and roots agree with SciPy's bootstrap of pairs."""
    data = drawn(n=80)
    found = judge(name, data, models=2, resamples=30_000).differences[0]
    columns = (data["pred"], data["pred 2"], data["target"], data["weight"])

    def statistic(a: np.ndarray, b: np.ndarray, t: np.ndarray, w: np.ndarray, axis: int = -1) -> np.ndarray:
        def value(pred: np.ndarray) -> np.ndarray:
            if name == "wape":
                return np.asarray((w * np.abs(pred - t)).sum(axis) / (w * np.abs(t)).sum(axis))
            return np.asarray(np.sqrt((w * (pred - t) ** 2).sum(axis) / w.sum(axis)))

        return np.asarray(value(b) - value(a))

    low, high = theirs_of(columns, statistic, left_out(columns, statistic))
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.03 * (high - low))


def left_out(columns: tuple[np.ndarray, ...], statistic: Any) -> np.ndarray:
    """Return the influence of each sample: the change if it is left out."""
    every = np.arange(len(columns[0]))
    return np.array([-statistic(*(c[every != i] for c in columns)) for i in every])


def test_denominators_of_their_own() -> None:
    """If the denominator of a ratio depends on the predictions, each model has its denominator."""
    data = without(drawn(n=80), "weight", "pred 3")
    relative = replace(get_loss("mae"), denominator=lambda pred, target: np.abs(pred))
    (found,) = compare_models(from_arrays(data), [relative], 2, ComputeOptions(), ExecutionConfig(), resamples=30_000)
    columns = (data["pred"], data["pred 2"], data["target"])

    def statistic(a: np.ndarray, b: np.ndarray, t: np.ndarray, axis: int = -1) -> np.ndarray:
        one, two = (np.abs(pred - t).sum(axis) / np.abs(pred).sum(axis) for pred in (a, b))
        return np.asarray(two - one)

    low, high = theirs_of(columns, statistic, left_out(columns, statistic))
    (own,) = found.differences
    assert own.value == pytest.approx(float(statistic(*columns)), rel=1e-12)
    assert [own.low, own.high] == pytest.approx([low, high], abs=0.03 * (high - low))


@pytest.mark.slow
def test_groups_of_samples_vary_as_samples_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit groups of samples are resampled; the interval agrees within the accuracy of groups."""
    for name, data in (("mse", without(drawn(n=12_000), "weight")), ("rmse", drawn(n=12_000))):
        whole = judge(name, data, resamples=3000)
        with monkeypatch.context() as patched:
            patched.setattr(inference, "MAX_RESAMPLED_ROWS", 4000)
            patched.setattr(bootstrap, "MAX_RESAMPLED_ROWS", 4000)
            grouped = judge(name, data, resamples=3000)
        for a, b in zip(whole.differences, grouped.differences, strict=True):
            assert a.low is not None
            assert a.high is not None
            assert [b.low, b.high] == pytest.approx([a.low, a.high], abs=0.05 * (a.high - a.low))
            assert a != b


def test_ranks_of_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit Wilcoxon's test uses a random subset of the samples of all records."""
    data = without(drawn(n=5000), "weight")
    monkeypatch.setattr(spool, "ROWS", 300)
    monkeypatch.setattr(run, "BLOCK", 256)
    seen: list[np.ndarray] = []
    wilcoxon = stats.wilcoxon
    monkeypatch.setattr(inference, "MAX_RANKED_ROWS", 1200)

    def watched(apart: np.ndarray) -> Any:
        seen.append(apart)
        return wilcoxon(apart)

    monkeypatch.setattr(stats, "wilcoxon", watched)
    judge("mse", data, models=2, resamples=100)
    whole = (data["pred 2"] - data["target"]) ** 2 - (data["pred"] - data["target"]) ** 2
    (ranked,) = seen
    assert len(ranked) == len(set(ranked.tolist())) == 1200
    rows = np.flatnonzero(np.isin(whole, ranked))
    assert len(rows) == 1200
    assert np.histogram(rows, 5, (0, 5000))[0] == pytest.approx(np.full(5, 240), abs=60)


def test_the_same_whatever_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and the size of records change no digit of an interval; another seed does."""
    data = drawn()
    first = judge("mse", data, resamples=1000)
    assert judge("mse", data, resamples=1000).differences == first.differences
    (one,) = compare_models(
        from_arrays(data), [get_loss("mse")], 3, ComputeOptions(), ExecutionConfig(1), resamples=1000
    )
    assert one.differences == first.differences
    assert judge("mse", data, resamples=1000, seed=1).differences[0].low != first.differences[0].low
    monkeypatch.setattr(spool, "ROWS", 7)
    for a, b in zip(judge("mse", data, resamples=1000).differences, first.differences, strict=True):
        assert [a.low, a.high] == pytest.approx([b.low, b.high], rel=1e-12)


def test_resamples_are_uniform_draws() -> None:
    """A resample draws n of n rows uniformly with replacement, also if it is drawn in pieces."""
    n = 70_000
    marks = np.zeros(n)
    marks[-7000:] = 1.0
    with Threads(2) as executor:
        ones, tenth = bootstrap.bootstrap_sums([np.ones(n), marks], 300, 0, executor)
    assert set(ones.tolist()) == {float(n)}
    assert tenth.mean() == pytest.approx(7000, abs=5 * math.sqrt(6300 / 300))
    assert tenth.std() == pytest.approx(math.sqrt(6300), rel=0.2)
    assert len(set(tenth.tolist())) > 150


@pytest.mark.parametrize("n", [1, 2, 7, 61, 128])
@pytest.mark.slow
def test_every_row_is_drawn_as_often(n: int) -> None:
    """The counts of rows have binomial variances and covariances, also across the border of two pieces."""
    draws = 10_000
    with Threads(2) as executor:
        counts = np.array(bootstrap.bootstrap_sums(list(np.eye(n)), draws, 0, executor))
    assert (counts.sum(axis=0) == n).all()
    spread = math.sqrt((n - 1) / n / draws)
    assert counts.mean(axis=1) == pytest.approx(np.ones(n), abs=5 * spread)
    off = np.cov(counts) if n > 1 else np.zeros((1, 1))
    wanted = np.eye(n) - 1 / n
    assert off == pytest.approx(wanted, abs=0.1)


# --- Samples that do not count -------------------------------------------------------------------------


def test_samples_that_one_model_lacks_are_left_out_of_all(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,t,w\n1,2,0,1\nnan,2,0,1\n3,nan,0,1\n4,5,0,1\n9,9,0,0\n2,2,1,2\n")
    code, out, err = run_command(f"mae {tmp_path}/a.csv -p a -p b -t t -w w --nan skip -f json")
    document = json.loads(out)
    assert (code, document["count"], document["left_out"]) == (0, 3, 2)
    first, second = document["models"]
    assert (first["value"], second["value"]) == (7 / 4, 9 / 4)
    assert (first["wins"], second["wins"], first["ties"]) == (2 / 3, 0.0, pytest.approx(1 / 3))
    assert "2 samples left out for all models: at least one model has no loss there" in err


def test_elements_that_one_model_lacks() -> None:
    """A sample with missing elements in one model is left out of the pairs."""
    pred = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
    data = {"pred": pred, "pred 2": np.nan_to_num(pred, nan=4.0) + 1, "target": np.zeros((3, 2))}
    found = judge("mae", data, models=2, resamples=100, options=ComputeOptions("skip"))
    assert (found.samples, found.left_out) == (2, 1)
    assert [score.value for score in found.scores] == [3.5, 4.5]


def test_a_gap_elsewhere_changes_no_loss() -> None:
    """Models with equal predictions on a sample tie on it, if elements are missing in another sample too."""
    rng = np.random.default_rng(0)
    pred, target = rng.normal(size=(2, 200, 9))
    gaps = pred.copy()
    gaps[7, 3] = np.nan
    found = judge("mse", {"pred": pred, "pred 2": gaps, "target": target}, models=2, options=ComputeOptions("skip"))
    assert (found.samples, found.left_out, found.ties) == (199, 1, 1.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_standard_error_of_clusters(weighted: bool) -> None:
    """The sandwich over clusters, G/(G − 1)·Σ(Σ w(d − mean))²/(Σw)², with t of G − 1 degrees of freedom."""
    data = without(drawn(), *([] if weighted else ["weight"]))
    doc = np.random.default_rng(1).integers(0, 25, N) * 10.0
    comparison = judge("mse", {**data, "doc": doc}, cluster_by="doc", resamples=200, top=0)
    w = data.get("weight", np.ones(N))
    d = (data["pred 2"] - data["target"]) ** 2 - (data["pred"] - data["target"]) ** 2
    mean = np.average(d, weights=w)
    sums = [(w * (d - mean))[doc == name].sum() for name in np.unique(doc)]
    error = math.sqrt(25 / 24 * np.square(sums).sum()) / w.sum()
    difference = comparison.differences[0]
    assert (comparison.samples, comparison.clusters) == (N, 25)
    assert difference.value == pytest.approx(mean)
    assert difference.std_error == pytest.approx(error)
    assert difference.p_t == pytest.approx(2 * stats.t.sf(abs(mean / error), 24))
    assert (difference.p_wilcoxon, difference.p_mcnemar) == (None, None)
    assert (difference.low, difference.high) == pytest.approx(stats.t.interval(0.95, 24, mean, error))


def test_a_cluster_of_each_sample_changes_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "BLOCK", 64)  # clusters of several blocks
    data = {**drawn(), "doc": np.random.default_rng(0).permutation(N) * 1.0}
    for name in ("mse", "rmse", "wape"):
        alone, by_cluster = judge(name, data, top=0), judge(name, data, cluster_by="doc", top=0)
        for a, b in zip(alone.differences, by_cluster.differences, strict=True):
            assert (b.value, b.std_error) == pytest.approx((a.value, a.std_error))
            assert b.p_t == pytest.approx(a.p_t)


def test_clusters_on_the_command_line(run_json: RunJson, run_command: RunCommand, tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    rng = np.random.default_rng(0)
    rows = [f"d{i % 30},{i % 2},{t},{t + rng.normal()},{t + rng.normal()}" for i, t in enumerate(rng.normal(size=300))]
    file.write_text("doc,half,y,a,b\n" + "\n".join(rows) + "\n")
    line = f"mse,mae {file} -p a -p b -t y --cluster-by doc --resamples 200"
    document = run_json(f"{line} --by half --top 1 --columns half")
    assert (document["count"], document["clusters"]) == (300, 30)
    assert [[key for key in row if key in ("half", "doc")] for row in document["apart:mse"]] == [["half"]]
    _, out, _ = run_command(line)
    assert out.startswith("300 samples in 30 clusters of doc")
    assert "of the paired t test between clusters" in out
    assert "p ranks" not in out
    file.write_text("doc,y,a,b\nd,1,2,3\nd,2,3,5\n")
    assert run_command(f"mse {file} -p a -p b -t y --cluster-by doc") == (
        2,
        "",
        "lossctl: --cluster-by: every sample is in one cluster: an interval needs several\n",
    )


def test_holm_by_enumeration() -> None:
    """Holm's method is the closed test with Bonferroni's for each subset of the hypotheses."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 6):
        p = rng.choice([0.001, 0.01, 0.02, 0.02, 0.3, 0.9], n).tolist()
        subsets = [[i for i in range(n) if mask >> i & 1] for mask in range(1, 2**n)]
        closed = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in range(n)]
        assert inference.holm(p) == pytest.approx(closed, rel=1e-15)


def test_several_losses_have_an_adjusted_p_value(run_json: RunJson, run_command: RunCommand) -> None:
    models = run_json(f"mse,mae {ONE}")["models"]
    first, second = (m["p_t"] for m in models if m["p_t"] is not None)
    assert [m["p_holm"] for m in models if m["p_t"] is not None] == inference.holm([first, second])
    _, out, _ = run_command(f"mse,mae {ONE}")
    assert "p Holm: of the 2 t tests together" in out
    assert "Holm" not in run_command(f"mse {ONE}")[1]


def test_the_exact_test_of_mcnemar(run_command: RunCommand, tmp_path: Path) -> None:
    """Losses of 0 and 1: the p-value by enumeration of the binomial distribution; none for weights or other losses."""
    rng = np.random.default_rng(2)
    data = {"target": rng.integers(0, 2, 40) * 1.0, "pred": rng.random(40), "pred 2": rng.random(40)}
    (own,) = judge("zero_one", data, models=2, resamples=100).differences
    only_second, only_first = round(own.better * 40), round(own.worse * 40)
    n, least = only_second + only_first, min(only_second, only_first)
    assert own.p_mcnemar == pytest.approx(
        min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n), rel=1e-12
    )
    assert judge("brier", data, models=2, resamples=100).differences[0].p_mcnemar is None
    weighed = judge("zero_one", {**data, "weight": np.ones(40) * 2}, models=2, resamples=100)
    assert weighed.differences[0].p_mcnemar is None
    rows = np.column_stack([data["pred"], data["pred 2"], data["target"]]).tolist()
    (tmp_path / "a.csv").write_text("a,b,t\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows))
    for loss, shown in (("zero_one", True), ("brier", False), ("zero_one,brier", False)):
        code, out, _ = run_command(f"{loss} {tmp_path}/a.csv -p a -p b -t t --top 0")
        assert (code, "p McNemar" in out, "McNemar's exact test" in out, "p ranks" in out) == (
            0,
            shown,
            shown,
            not shown,
        )


def test_the_gate_says_what_was_shown(run_command: RunCommand, tmp_path: Path) -> None:
    """An unclear difference is not called "not worse"; a worse group is named."""
    rng = np.random.default_rng(1)
    target = rng.normal(size=60)
    rows = zip(target, target + 1.0, target + rng.choice([-1.1, 1.1, 0.9], 60), target + 1.0, strict=True)
    lines = [",".join(map(repr, map(float, row))) for row in rows]
    (tmp_path / "a.csv").write_text("\n".join(["t,a,b,c", *lines]) + "\n")
    line = f"mse {tmp_path}/a.csv -t t"
    for words, text in (
        ("-p a -p c --fail-if-worse", "ok: mse: c has the same loss as a on every sample"),
        ("-p a -p t --fail-if-worse", "ok: mse: t is better than a"),
        (
            "-p a -p b --fail-if-worse 0.07",
            "ok: mse: b is not shown to be worse than a by more than 0.07: 95 % interval",
        ),
        ("-p a -p b --fail-if-worse 1", "ok: mse: b is not worse than a by more than 1: 95 % interval"),
    ):
        code, out, _ = run_command(f"{line} {words}")
        assert (code, text in out) == (0, True), out
    groups = "".join(f"0,1,{0.9 if i % 2 else 1.2 + i / 100},{'az'[i % 2]}\n" for i in range(30))
    (tmp_path / "b.csv").write_text("t,a,b,g\n" + groups)
    code, out, _ = run_command(f"mse {tmp_path}/b.csv -t t -p a -p b --by g --fail-if-worse 0.5")
    assert (code, "not judged: groups; mse of b is worse where g is a\n" in out) == (0, True), out


@pytest.mark.parametrize("n", [5, 20, 148])
def test_a_difference_that_can_be_shown_is_found_in_four_of_five_data_sets(n: int) -> None:
    """The power of the t test comes from the noncentral t distribution of SciPy; Bloom's formula is close to it."""
    error = 1.7 / math.sqrt(n)
    noncentrality = inference.detectable_difference(error, n) / error
    limit = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(limit, n - 1, noncentrality) + stats.nct.cdf(-limit, n - 1, noncentrality)
    assert power == pytest.approx(0.8, abs=0.02)


def test_the_smallest_difference_is_shown_for_each_loss_and_model(run_json: RunJson, run_command: RunCommand) -> None:
    line = "mse samples/diabetes.csv -p ridge -p forest -t target --top 0"
    (model,) = run_json(line)["models"][1:]
    quantiles = stats.t.ppf(0.975, 147) + stats.t.ppf(0.8, 147)
    assert model["detectable"] == pytest.approx(quantiles * model["difference_std_error"], rel=1e-12)
    shown = "smallest difference that 148 samples can show, 80 % power at 5 %: "
    assert f"{shown}424\n" in run_command(line)[1]
    assert f"{shown}mse 424, mae 3.57\n" in run_command(line.replace("mse", "mse,mae"))[1]
    assert shown not in run_command("mse samples/diabetes.csv -p ridge -p ridge -t target --top 0")[1]


def test_infinite_losses(run_command: RunCommand, tmp_path: Path) -> None:
    """With infinite losses there is no interval and no test, but wins; --fail-if-worse fails."""
    (tmp_path / "a.csv").write_text("a,b,c,t\n0.9,0,0,1\n0.1,0.2,0.2,0\n0.5,0.4,0.4,1\n")
    code, out, err = run_command(f"bce {tmp_path}/a.csv -p a -p b -t t -f json --fail-if-worse")
    first, second = json.loads(out)["models"]
    assert code == 1
    assert (second["value"], second["difference"], second["low"], second["p_t"]) == ("Infinity", "Infinity", None, None)
    assert (first["wins"], second["wins"]) == (1.0, 0.0)
    assert "bce is infinite: there is no interval" in err
    assert "lossctl: bce: the difference of b to a is inf" in err
    code, _, err = run_command(f"bce {tmp_path}/a.csv -p b -p c -t t --fail-if-worse")
    assert code == 1  # inf less inf is NaN, which always fails
    assert "is nan" in err


def test_models_that_are_the_same(run_json: RunJson) -> None:
    """Equal models: difference 0, interval of length 0, no test, all ties."""
    pair = "samples/cancer_probs.csv samples/cancer_probs.npy samples/cancer_targets.csv"
    first, second = run_json(f"bce {pair} --fail-if-worse")["models"]
    assert first["ties"] == 1.0
    assert [second[key] for key in ("difference", "low", "high", "p_t", "p_wilcoxon")] == [0, 0, 0, None, None]
    assert [second["better"], second["worse"]] == [0, 0]
    assert second["verdict"] == "equal"


# --- Which files and columns --------------------------------------------------------------------------


@pytest.mark.slow
def test_columns_files_and_pipes_are_the_same(run_json: RunJson, tmp_path: Path) -> None:
    """Three files, one file with --pred for each model, two files, stdin and arrays give the same result."""
    with (ROOT / "samples/diabetes.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("ridge", "forest", "target"):
        (tmp_path / f"{name}.csv").write_text("\n".join([name, *(row[name] for row in rows)]) + "\n")
        np.save(tmp_path / f"{name}.npy", np.array([float(row[name]) for row in rows]))
    files = run_json(f"mse {tmp_path}/ridge.csv {tmp_path}/forest.csv {tmp_path}/target.csv")
    ways = [
        run_json(f"mse {ONE}"),
        run_json(f"mse samples/diabetes.csv {tmp_path}/target.csv -p ridge -p forest"),
        run_json(f"mse {tmp_path}/ridge.npy {tmp_path}/forest.npy {tmp_path}/target.npy"),
    ]
    command = [
        sys.executable,
        "-m",
        "lossctl",
        "compare",
        "mse",
        "-",
        *shlex.split("-p ridge -p forest -t target -f json"),
    ]
    with (ROOT / "samples/diabetes.csv").open() as file:
        ways.append(json.loads(subprocess.run(command, stdin=file, capture_output=True, text=True, check=True).stdout))
    for way in ways:
        for a, b in zip(way["models"], files["models"], strict=True):
            assert {**a, "model": ""} == {**b, "model": ""}
    assert [row["model"] for row in files["models"]] == ["ridge", "forest"]
    assert [row["model"] for row in ways[0]["models"]] == ["ridge", "forest"]


def test_models_of_several_columns(run_json: RunJson, tmp_path: Path) -> None:
    """Each --pred is one model, and a glob selects the class columns of a model."""
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(2, 50, 3)), rng.integers(0, 3, 50)
    with (tmp_path / "a.csv").open("w") as file:
        file.write("a0,a1,a2,b0,b1,b2,y\n")
        for i in range(50):
            file.write(",".join(map(repr, [*logits[0, i].tolist(), *logits[1, i].tolist(), int(labels[i])])) + "\n")
    rows = run_json(f"cross_entropy {tmp_path}/a.csv -p 'a?' -p 'b?' -t y")["models"]
    for row, own in zip(rows, logits, strict=True):
        assert row["value"] == pytest.approx(get_loss("cross_entropy").value(own, labels).mean(), rel=1e-13)


def test_each_model_has_its_own_further_inputs(run_json: RunJson, tmp_path: Path) -> None:
    """Variances come from the file of each model; a column in TARGETS is used for all models."""
    (tmp_path / "a.csv").write_text("p,var\n1,1\n2,4\n")
    (tmp_path / "b.csv").write_text("p,var\n1,2\n2,8\n")
    (tmp_path / "t.csv").write_text("t,v\n0,3\n0,3\n")
    line = f"gaussian_nll {tmp_path}/a.csv {tmp_path}/b.csv {tmp_path}/t.csv -p p -t t"
    nll = get_loss("gaussian_nll")
    values = [row["value"] for row in run_json(f"{line} --input var=var")["models"]]
    assert values == pytest.approx([nll.value([1, 2], [0, 0], v).mean() for v in ([1, 4], [2, 8])])
    values = [row["value"] for row in run_json(f"{line} --input var=v")["models"]]
    assert values == pytest.approx([nll.value([1, 2], [0, 0], [3, 3]).mean()] * 2)


def test_keys_are_compared_in_every_file(run_command: RunCommand, tmp_path: Path) -> None:
    for name, ids in (("a", "xy"), ("b", "yx"), ("c", "xy")):
        (tmp_path / f"{name}.csv").write_text(f"id,p\n{ids[0]},1\n{ids[1]},2\n")
    line = f"mae {tmp_path}/a.csv {tmp_path}/%s.csv {tmp_path}/c.csv -p p -t p --on id"
    assert run_command(line % "a")[0] == 0
    code, out, err = run_command(line % "b")
    assert (code, out) == (2, "")
    assert "not the same sample" in err
    assert "b.csv:2" in err


def test_where_models_differ_most(run_json: RunJson) -> None:
    """Samples by the largest difference of losses, with prediction and loss of each model."""
    document = run_json(f"mse {ONE} --top 4 --columns id")
    data = np.genfromtxt(ROOT / "samples/diabetes.csv", delimiter=",", names=True, dtype=None, encoding=None)
    losses = [(data[name] - data["target"]) ** 2 for name in ("ridge", "forest")]
    order = np.argsort(-np.abs(losses[0] - losses[1]), kind="stable")[:4]
    for row, i in zip(document["apart"], order.tolist(), strict=True):
        assert row == {
            "sample": i,
            "file": "samples/diabetes.csv",
            "line": i + 2,
            "id": str(data["id"][i]),
            "pred:ridge": data["ridge"][i],
            "pred:forest": data["forest"][i],
            "target": data["target"][i],
            "loss:ridge": losses[0][i],
            "loss:forest": losses[1][i],
        }
    assert "apart" not in run_json(f"mse {ONE} --top 0")


# --- The gate -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ("-p target -p forest --fail-if-worse", 1),
        ("--fail-if-worse -p target -p forest", 1),
        ("-p target -p forest --fail-if-worse 2000", 1),
        ("-p target -p forest --fail-if-worse=2000", 1),
        ("-p target -p forest --fail-if-worse mse=2000", 1),
        ("-p target -p forest --fail-if-worse 4000", 0),
        ("-p forest -p target --fail-if-worse", 0),
        ("-p ridge -p forest --fail-if-worse", 0),
        ("-p ridge -p forest -p ridge --fail-if-worse", 0),
        ("-p target -p target -p forest --fail-if-worse", 1),
    ],
)
def test_the_gate(run_command: RunCommand, options: str, code: int) -> None:
    """--fail-if-worse fails if the interval of a later model is above 0, or above X; any place on the line."""
    done, out, err = run_command(f"mse samples/diabetes.csv -t target {options}")
    assert done == code
    assert out
    assert ("is worse than target" in err) == bool(code)


def test_the_gate_before_the_files(run_command: RunCommand) -> None:
    """A file after --fail-if-worse is not taken as its value."""
    assert run_command("--fail-if-worse mse samples/diabetes.csv -p ridge -p forest -t target")[0] == 0
    pair = "samples/cancer_probs.csv samples/cancer_probs.npy samples/cancer_targets.csv"
    assert run_command(f"bce --fail-if-worse {pair}")[0] == 0
    assert with_values(["--x", "--", "--x", "a"], {"--x"}) == ["--x=", "--", "--x", "a"]
    assert with_values(["--x", "nan", "--x", "1e-3", "--x", "٣"], {"--x"}) == [
        "--x=",
        "nan",
        "--x",
        "1e-3",
        "--x=",
        "٣",
    ]


def test_the_gate_of_several_losses(run_command: RunCommand) -> None:
    line = "mse,mae samples/diabetes.csv -p target -p forest -t target"
    code, _, err = run_command(f"{line} --fail-if-worse")
    assert (code, err.count("is worse than")) == (1, 2)
    code, _, err = run_command(f"{line} --fail-if-worse mae=1")
    assert (code, err.count("is worse than")) == (1, 1)
    assert "lossctl: mae: forest is worse than target by more than 1: " in err
    code, out, err = run_command(f"{line} --fail-if-worse 1")
    assert (code, out) == (2, "")
    assert "which loss? write mse=1" in err


def test_the_gate_is_quiet_but_told(run_command: RunCommand) -> None:
    code, out, err = run_command("mae samples/diabetes.csv -p target -p forest -t target --fail-if-worse -q")
    assert (code, len(out.splitlines())) == (1, 1)
    assert err.startswith("lossctl: mae: forest is worse than target: 46.0191, 95 % interval ")


# --- People and mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("mse samples/diabetes.csv -p ridge -t target", "compare needs at least two sets of predictions"),
        (
            "mse samples/diabetes_preds.csv samples/diabetes_targets.csv",
            "compare needs at least two sets of predictions",
        ),
        (f"mse {ONE} --resamples 5", "--resamples 5: at least 100"),
        (f"mse {ONE} --fail-if-worse -1", "--fail-if-worse -1: at least 0"),
        (f"mse {ONE} --fail-if-worse mae=1", "mae is not computed"),
        (f"mse {ONE} --columns nope", "there is no column 'nope'"),
        ("mse", "compare needs at least two sets of predictions"),
        ("samples/diabetes.csv -p ridge -p forest -t target", "is a file: the loss comes first"),
        ("mse samples/diabetes_preds.csv samples/cancer_targets.csv samples/diabetes_targets.csv", "190 rows"),
    ],
)
def test_mistakes(run_command: RunCommand, line: str, told: str) -> None:
    code, out, err = run_command(line)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_one_sample_tells_nothing(run_command: RunCommand, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,t\n1,2,0\n")
    code, out, err = run_command(f"mae {tmp_path}/a.csv -p a -p b -t t -f csv")
    (_, row) = csv.DictReader(io.StringIO(out))
    assert (code, row["difference"], row["low"], row["p_t"]) == (0, "1.0", "", "")
    assert "1 sample is too few" in err
    assert run_command(f"mae {tmp_path}/a.csv -p a -p b -t t --fail-if-worse")[:2] == (2, "")


@pytest.mark.parametrize("form", ["table", "markdown", "csv", "tsv", "json", "jsonl", "value"])
def test_every_format(run_command: RunCommand, form: str) -> None:
    code, out, _ = run_command(f"mse,rmse {ONE} -f {form}")
    assert code == 0
    assert len(out.splitlines()) >= 2
    assert "np." not in out
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(out)))
        assert [(row["loss"], row["model"]) for row in rows] == [
            *[("mse", "ridge"), ("mse", "forest"), ("rmse", "ridge"), ("rmse", "forest")]
        ]
        assert rows[0]["difference"] == ""
        assert float(rows[1]["difference"]) == pytest.approx(float(rows[1]["value"]) - float(rows[0]["value"]))


def test_what_models_are_called(run_json: RunJson, tmp_path: Path) -> None:
    """Names of models are as short as possible, but different."""
    files = ["a.csv", "b.csv", "b.v2.csv", "sub/a.csv"]
    (tmp_path / "sub").mkdir()
    for name in (*files, "t.csv"):
        (tmp_path / name).write_text("x\n1\n2\n")

    def called(*models: str) -> list[str]:
        paths = " ".join(f"{tmp_path}/{name}" for name in (*models, "t.csv"))
        return [row["model"] for row in run_json(f"mse {paths}")["models"]]

    assert called("a.csv", "b.csv") == ["a", "b"]
    assert called("b.csv", "b.v2.csv") == ["b.csv", "b.v2.csv"]
    assert called("a.csv", "sub/a.csv") == [f"{tmp_path}/a.csv", f"{tmp_path}/sub/a.csv"]


def test_a_group_is_compared_as_a_file_of_its_samples(
    tmp_path: Path, run_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With blocks that cut groups, each row of the table of groups is the comparison of the samples of the group."""
    lines = (Path(__file__).parents[2] / "samples" / "diabetes.csv").read_text().splitlines()
    monkeypatch.setattr("lossctl.engine.run.BLOCK", 64)
    rows = run_json(f"mse,mae {ONE} --by group")["groups"]
    assert [(row["loss"], row["group"], row["samples"]) for row in rows] == [
        *(("mse", "a", 85), ("mse", "b", 63), ("mae", "a", 85), ("mae", "b", 63)),
    ]
    for row in rows:
        (tmp_path / "part.csv").write_text(
            "\n".join([lines[0], *(x for x in lines if f",{row['group']}," in x)]) + "\n"
        )
        (_, part) = run_json(f"{row['loss']} {tmp_path}/part.csv -p ridge -p forest -t target")["models"]
        for name in ("difference", "low", "high", "verdict"):
            assert row[name] == part[name]


def test_a_model_has_the_name_that_it_was_given(tmp_path: Path, run_json: RunJson, run_command: RunCommand) -> None:
    for name in ("v1.csv", "v2.csv", "a=b.csv", "t.csv"):
        (tmp_path / name).write_text("x\n1\n2\n")
    files = [f"{tmp_path}/{name}" for name in ("v1.csv", "v2.csv", "a=b.csv")]
    document = run_json(f"mse baseline={files[0]} {files[1]} {files[2]} {tmp_path}/t.csv")
    assert [row["model"] for row in document["models"]] == ["baseline", "v2", "a=b"]
    code, _, err = run_command(f"mse same={files[0]} same={files[1]} {tmp_path}/t.csv")
    assert (code, err) == (2, "lossctl: two models have the same name: same, same\n")


def test_scipy_is_for_this_command_alone() -> None:
    """Other commands do not import SciPy."""
    code = (
        "import sys\nfrom lossctl.cli.app import main\n"
        "main(['breakdown', 'mse', 'samples/diabetes.csv', '-p', 'ridge', '-t', 'target', '-q'])\n"
        "main(['--help'])\nprint([m for m in ('scipy', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
