"""Numbers of real packages with arguments drawn at random: is the true definition among the cheapest?

    PYTHONPATH=. peers/bin/python tests/benchmarks/explain.py [COUNT [SEED]]
    PYTHONPATH=.:tests/conventions peers/bin/python tests/benchmarks/explain.py LIBRARY [FUNCTION ...]

A definition is true if it gives the number of the same call on other data, too. Prints how often a true one is among
the cheapest, is the only one, and how often the only one is wrong; then the same search of numbers of no definition.
With a library, such as torch or catboost, its functions that have a convention are named from calls alone.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import optax
import sklearn.metrics
import torch
from jax import numpy as jnp

from lossctl.conventions.lookup import conventions
from lossctl.core.registry import get_loss
from lossctl.errors import UsageError
from lossctl.explanation.function import explain_function, load
from lossctl.explanation.number import read_number
from lossctl.explanation.reductions import weigh
from lossctl.explanation.result import loss_in
from lossctl.explanation.search import Search
from lossctl.explanation.views import as_pair

F = torch.nn.functional
Data = dict[str, Any]
# Makes of a generator of random numbers a call, its name, and the kind of its data.
TRIALS: list[Callable[[np.random.Generator], tuple[str, str, Callable[[Data], float]]]] = []


def trial(function: Any) -> Any:
    TRIALS.append(function)
    return function


def tensor(x: Any, single: bool) -> Any:
    return torch.as_tensor(x, dtype=torch.float32 if single and x.dtype.kind == "f" else None)


@trial
def torch_binary(rng: np.random.Generator) -> Any:
    single, reduction = bool(rng.integers(2)), str(rng.choice(["mean", "sum"]))
    logits, weighted = bool(rng.integers(2)), bool(rng.integers(2))
    name = "binary_cross_entropy_with_logits" if logits else "binary_cross_entropy"

    def call(d: Data) -> float:
        weight = tensor(d["weight"], single) if weighted else None
        return getattr(F, name)(tensor(d["pred"], single), tensor(d["target"], single), weight, reduction=reduction)

    kind = "logits" if logits else str(rng.choice(["chances", "hard chances"]))
    return f"torch {name} {reduction} single={single}", kind + " weight" * weighted, call


@trial
def torch_regression(rng: np.random.Generator) -> Any:
    single, reduction = bool(rng.integers(2)), str(rng.choice(["mean", "sum"]))
    name, keywords = [("mse_loss", {}), ("l1_loss", {}), ("huber_loss", {"delta": 0.5}), ("smooth_l1_loss", {})][
        rng.integers(4)
    ]
    pairs = bool(rng.integers(2)) and name != "huber_loss"

    def call(d: Data) -> float:
        pred = tensor(d["pred"], single)
        return getattr(F, name)(
            pred[:, None] if pairs else pred, tensor(d["target"], single), reduction=reduction, **keywords
        )

    return f"torch {name} {keywords} {reduction} pairs={pairs} single={single}", "small real" if pairs else "real", call


@trial
def torch_classes(rng: np.random.Generator) -> Any:
    reduction, smoothing = str(rng.choice(["mean", "mean", "sum"])), float(rng.choice([0.0, 0.1, 0.2]))
    twice, weighted = bool(rng.integers(2)) and not smoothing, bool(rng.integers(2))

    def call(d: Data) -> float:
        z = torch.as_tensor(d["pred"])
        z = z.softmax(-1) if twice else z
        weight = torch.as_tensor(d["class_weight"]) if weighted else None
        return F.cross_entropy(z, torch.as_tensor(d["target"]), weight, reduction=reduction, label_smoothing=smoothing)

    title = f"torch cross_entropy smoothing={smoothing} {reduction} twice={twice} class weights={weighted}"
    return title, "scores" + " class" * weighted, call


@trial
def torch_nll(rng: np.random.Generator) -> Any:
    plain = bool(rng.integers(2))

    def call(d: Data) -> float:
        p = torch.as_tensor(d["pred"])
        return F.nll_loss(p if plain else p.log(), torch.as_tensor(d["target"]))

    return f"torch nll_loss of {'probabilities' if plain else 'logarithms'}", "distributions", call


@trial
def torch_kl(rng: np.random.Generator) -> Any:
    reduction = str(rng.choice(["mean", "batchmean", "sum"]))

    def call(d: Data) -> float:
        return F.kl_div(torch.as_tensor(d["pred"]).log(), torch.as_tensor(d["target"]), reduction=reduction)

    return f"torch kl_div {reduction}", "pairs of distributions", call


@trial
def keras_binary(rng: np.random.Generator) -> Any:
    smoothing, weighted = float(rng.choice([0.0, 0.1])), bool(rng.integers(2))

    def call(d: Data) -> float:
        weight = d["weight"] if weighted else None
        loss = keras.losses.BinaryCrossentropy(label_smoothing=smoothing)
        return loss(d["target"][:, None], d["pred"][:, None], sample_weight=weight)

    kind = str(rng.choice(["chances", "hard chances", "logits"])) + " weight" * weighted
    return f"keras BinaryCrossentropy smoothing={smoothing} of {kind}", kind, call


@trial
def keras_classes(rng: np.random.Generator) -> Any:
    from_logits, kind = bool(rng.integers(2)), str(rng.choice(["distributions", "hard distributions", "scores"]))

    def call(d: Data) -> float:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)(d["target"], d["pred"])

    if kind == "scores":
        from_logits = True
    return f"keras SparseCategoricalCrossentropy from_logits={from_logits} of {kind}", kind, call


@trial
def keras_regression(rng: np.random.Generator) -> Any:
    name = str(
        rng.choice(["MeanSquaredError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "LogCosh"])
    )
    reduction = str(rng.choice(["sum_over_batch_size", "sum"]))

    def call(d: Data) -> float:
        return getattr(keras.losses, name)(reduction=reduction)(d["target"][:, None], d["pred"][:, None])

    return f"keras {name} {reduction}", "positive", call


@trial
def sklearn_binary(rng: np.random.Generator) -> Any:
    weighted, normalize = bool(rng.integers(2)), bool(rng.integers(2))

    def call(d: Data) -> float:
        weight = d["weight"] if weighted else None
        return sklearn.metrics.log_loss(d["target"], d["pred"], normalize=normalize, sample_weight=weight)

    kind = str(rng.choice(["chances", "hard chances"])) + " weight" * weighted
    return f"sklearn log_loss normalize={normalize} of {kind}", kind, call


@trial
def sklearn_regression(rng: np.random.Generator) -> Any:
    name = str(
        rng.choice(
            ["root_mean_squared_error", "median_absolute_error", "max_error", "mean_absolute_percentage_error",
             "mean_squared_log_error", "mean_gamma_deviance", "mean_poisson_deviance"]
        )
    )  # fmt: skip

    def call(d: Data) -> float:
        return getattr(sklearn.metrics, name)(d["target"], d["pred"])

    return f"sklearn {name}", "positive", call


@trial
def optax_losses(rng: np.random.Generator) -> Any:
    name, kind = [
        ("l2_loss", "real"),
        ("log_cosh", "real"),
        ("sigmoid_binary_cross_entropy", "logits"),
        ("sigmoid_focal_loss", "logits"),
        ("softmax_cross_entropy_with_integer_labels", "scores"),
        ("softmax_cross_entropy_with_integer_labels", "distributions"),
    ][rng.integers(6)]
    total = bool(rng.integers(2))

    def call(d: Data) -> float:
        losses = getattr(optax.losses, name)(jnp.asarray(d["pred"]), jnp.asarray(d["target"]))
        return losses.sum() if total else losses.mean()

    return f"optax {name} {'sum' if total else 'mean'} of {kind}", kind, call


@trial
def own_numpy(rng: np.random.Generator) -> Any:
    epsilon, form = float(10.0 ** -rng.integers(4, 11)), str(rng.choice(["clip", "add", "bits"]))

    def call(d: Data) -> float:
        p, t = d["pred"], d["target"]
        if form == "add":
            return float(-np.mean(t * np.log(p + epsilon) + (1 - t) * np.log(1 - p + epsilon)))
        p = np.clip(p, epsilon, 1 - epsilon)
        value = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
        return float(value / np.log(2) if form == "bits" else value)

    return f"numpy {form} {epsilon:g}", "chances" if form == "bits" else "hard chances", call


def data_of(kind: str, rng: np.random.Generator) -> Data:
    n, k = int(rng.integers(200, 900)), int(rng.integers(3, 8))
    d: Data = {}
    if "scores" in kind or "distributions" in kind:
        d["target"] = rng.integers(0, k, n)
        z = rng.normal(0, 2, (n, k))
        z[np.arange(n), d["target"]] += 1.5
        e = np.exp(z)
        d["pred"] = z if "scores" in kind else e / e.sum(1, keepdims=True)
        if "hard" in kind:
            d["pred"][::23] = np.eye(k)[rng.integers(0, k, len(d["pred"][::23]))]
        if "pairs" in kind:
            d["target"] = rng.dirichlet(np.ones(k), n)
        d["class_weight"] = np.round(rng.uniform(0.5, 3, k), 2)
        return d
    if "chances" in kind or "logits" in kind:
        z = rng.normal(0, 2, n)
        p = 1 / (1 + np.exp(-z))
        d |= {"pred": z if "logits" in kind else p, "target": (rng.random(n) < p).astype(float)}
        if "hard" in kind:
            d["pred"][::19], d["pred"][1::19] = 0.0, 1.0
    elif kind == "positive":
        d["target"] = rng.gamma(2, 3, n) + 0.1
        d["pred"] = d["target"] * np.exp(rng.normal(0, 0.3, n))
    else:
        d["target"] = rng.normal(0, 2, n)
        d["pred"] = d["target"] + rng.normal(0, 1, n)
    d["weight"] = np.round(rng.uniform(0.2, 3, n), 2)
    return d


def explain(number: str, d: Data, kind: str, kept: int = 12) -> Any:
    pred, target = as_pair(d["pred"], d["target"])
    weight = d["weight"] if "weight" in kind else None
    classes = d["class_weight"].tolist() if "class" in kind.split() else ()
    return Search(read_number(number), pred, target, weigh(target, weight, classes)).run(kept)


def written(value: float, rng: np.random.Generator) -> str:
    digits = int(rng.choice([5, 6, 7, 8, 17]))
    return repr(float(value)) if digits == 17 else f"{float(value):.{digits}g}"


def run(count: int, seed: int) -> None:
    warnings.simplefilter("ignore")
    among = unique = wrong = 0
    seconds = []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        name, kind, call = TRIALS[i % len(TRIALS)](rng)
        d, other = data_of(kind, rng), data_of(kind, rng)
        number = written(float(call(d)), rng)
        start = time.process_time()
        explanation = explain(number, d, kind)
        seconds.append(time.process_time() - start)
        elsewhere = explain(repr(float(np.float32(call(other)))), other, kind, kept=10_000)
        texts = {text for c in elsewhere.candidates for text in (c.text, *c.names)}
        bare = {text.replace("; is in single precision", "") for text in texts}
        true = [
            c
            for c in explanation.best
            if {c.text, *c.names, c.text.replace("; is in single precision", "")} & (texts | bare)
        ]
        among += bool(true)
        unique += bool(true) and len(explanation.best) == 1
        wrong += not true and len(explanation.best) == 1 and explanation.found
        mark = (
            "unique"
            if true and len(explanation.best) == 1
            else "among"
            if true
            else "WRONG"
            if explanation.best
            else "none"
        )
        shown = explanation.best[0].text if explanation.best else "-"
        print(f"{mark:7s} {len(explanation.best)} chance {explanation.by_chance:.2g}  {name}: {number}: {shown}"[:230])
    print(
        f"{count} numbers: true among the cheapest {among / count:.0%}, unique {unique / count:.0%}, "
        f"wrong and unique {wrong}"
    )
    print(f"CPU seconds each: median {np.median(seconds):.2f}, most {max(seconds):.2f}")
    none = 0
    for i in range(20):
        rng = np.random.default_rng([seed, 1000 + i])
        kind = ["chances", "real", "scores", "positive"][i % 4]
        d = data_of(kind, rng)
        number = f"{rng.uniform(0.1, 3):.{rng.integers(5, 9)}g}"
        explanation = explain(number, d, kind)
        none += not explanation.found
        if explanation.found:
            print(f"by chance {explanation.by_chance:.2g}: {number} as {explanation.best[0].text}")
    print(f"numbers of no definition: none {none} of 20")


# Functions that are another loss without arguments: a Tweedie deviance of power 0 is mse.
WITHOUT_ARGUMENTS = {"mean_tweedie_deviance": "mse"}
MODULES = {
    "torch": "torch.nn.functional",
    "optax": "optax.losses",
    "keras": "keras.losses",
    "sklearn": "sklearn.metrics",
    "kornia": "kornia.losses",
}
# Those of other libraries are called by the expressions of their conventions.
OTHERS = ("jax", "xgboost", "lightgbm", "catboost", "statsmodels", "torchmetrics", "scoringrules", "trl")


def function_of(library: str, name: str, rows: list[Any]) -> Any:
    """Return a function of a library, for arrays."""
    if library in MODULES:
        return load(f"{MODULES[library]}:{name}", None)
    from libraries import evaluate

    booster = library in ("xgboost", "lightgbm", "catboost")
    columns = 2 if name in ("mlogloss", "multi_logloss", "MultiClass") else 1

    def call(pred: Any, target: Any) -> Any:
        if booster and (pred.ndim != columns or target.ndim != 1 or (columns == 2 and target.max() >= pred.shape[1])):
            raise ValueError("a booster has other shapes; catboost waits without end for some")
        number = evaluate(library, rows[0].call, {"pred": pred, "target": target, "weight": None})
        return np.float32(number) if library in ("xgboost", "lightgbm") else np.float64(number)  # in their precision

    return call


def name_functions(library: str, chosen: list[str]) -> None:
    """Explain each function of a library that has a convention and takes predictions and targets alone."""
    rows = [r for r in conventions() if r.library.name == library]
    named, functions = 0, [f for f in dict.fromkeys(r.function for r in rows) if not f.startswith("Half")]
    functions = chosen or functions
    for function in functions:
        losses = {r.loss.partition(":")[0] for r in rows if r.function == function}
        others = {i for loss in losses for i in get_loss(loss).roles} - {"pred", "target"}
        if others:
            print(f"-      {function}: it takes {', '.join(sorted(others))} too")
            functions = [f for f in functions if f != function]
            continue
        losses |= {WITHOUT_ARGUMENTS.get(function, "")}
        try:
            answers = explain_function(function_of(library, function, [r for r in rows if r.function == function]))
        except UsageError as error:
            print(f"-      {function}: {error}")
            functions = [f for f in functions if f != function]
            continue
        texts = [text for a in answers for text in (a.candidate.text, *a.also)]
        right = any(loss_in(text) in losses for text in texts)
        named += right
        print(
            f"{'named' if right else 'MISSED':6s} {function}: {[a.candidate.text for a in answers][:2]}"[:200],
            flush=True,
        )
    print(f"{library}: {named} of {len(functions)} functions named")


if __name__ == "__main__" and len(sys.argv) > 1 and sys.argv[1] in (*MODULES, *OTHERS):
    name_functions(sys.argv[1], sys.argv[2:])
elif __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 60, int(sys.argv[2]) if len(sys.argv) > 2 else 0)
