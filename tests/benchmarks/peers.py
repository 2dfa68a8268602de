"""lossctl against its peers on arrays in memory: ``python tests/benchmarks/peers.py [cpu] [ROWS] [LOSS …]``.

Install the libraries with ``pip install 'lossctl[peers]'``; missing ones are left out. All run in one process, on the
same arrays, alternating; times are medians of five rounds. lossctl runs as with ``-q`` (the value alone) and with all
results of the table; torch and JAX use as many threads as lossctl. JAX compiles the expression of NumPy, torch.compile
that of torch, before the first round. Rows of ten classes count as ten samples. With ``cpu`` the figures are the least
CPU time of all threads, for a machine with other load.
"""

from __future__ import annotations

import importlib
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as lossctl sets it
os.environ.setdefault("KERAS_BACKEND", "numpy")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import lossctl
from lossctl.engine.executors.base import cores
from lossctl.engine.executors.threads import Threads
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import plan_loss
from lossctl.engine.run import summarize
from lossctl.io.dataset import from_arrays

ROWS = 20_000_000
CLASSES = 10
ROUNDS = 5

# Of each loss: its inputs, the loss in whole-array NumPy, and what the peers call it (p, t: arrays of each
# one's own kind). "x" are real numbers, "u" probabilities, "b" 0 and 1, "s" signs; of rows "Z" logits,
# "U" probabilities, "V" other probabilities, "L" labels.
LOSSES: dict[str, dict[str, str]] = {
    "mse": {
        "inputs": "xy",
        "numpy": "((p - t) ** 2).mean()",
        "torch": "F.mse_loss(p, t)",
        "numexpr": "sum((p - t) ** 2)",
        "sklearn": "mean_squared_error(t, p)",
        "keras": "mean_squared_error(t, p)",
    },
    "rmse": {
        "inputs": "xy",
        "numpy": "np.sqrt(((p - t) ** 2).mean())",
        "torch": "F.mse_loss(p, t).sqrt()",
        "numexpr": "sum((p - t) ** 2)",
        "sklearn": "root_mean_squared_error(t, p)",
    },
    "mae": {
        "inputs": "xy",
        "numpy": "np.abs(p - t).mean()",
        "torch": "F.l1_loss(p, t)",
        "numexpr": "sum(abs(p - t))",
        "sklearn": "mean_absolute_error(t, p)",
        "keras": "mean_absolute_error(t, p)",
    },
    "huber": {
        "inputs": "xy",
        "numpy": "(lambda r: np.where(np.abs(r) <= 1, 0.5 * r * r, np.abs(r) - 0.5).mean())(p - t)",
        "torch": "F.huber_loss(p, t)",
        "numexpr": "sum(where(abs(p - t) <= 1, 0.5 * (p - t) ** 2, abs(p - t) - 0.5))",
        "keras": "huber(t, p)",
    },
    "pseudo_huber": {
        "inputs": "xy",
        "numpy": "(np.sqrt(1 + (p - t) ** 2) - 1).mean()",
        "torch": "((1 + (p - t) ** 2).sqrt() - 1).mean()",
        "numexpr": "sum(sqrt(1 + (p - t) ** 2) - 1)",
    },
    "hinge": {
        "inputs": "xs",
        "numpy": "np.maximum(0, 1 - t * p).mean()",
        "torch": "(1 - t * p).clamp(min=0).mean()",
        "numexpr": "sum(where(t * p < 1, 1 - t * p, 0))",
        "sklearn": "hinge_loss(t, p)",
        "keras": "hinge(t, p)",
    },
    "squared_hinge": {
        "inputs": "xs",
        "numpy": "(np.maximum(0, 1 - t * p) ** 2).mean()",
        "torch": "((1 - t * p).clamp(min=0) ** 2).mean()",
        "numexpr": "sum(where(t * p < 1, (1 - t * p) ** 2, 0))",
        "keras": "squared_hinge(t, p)",
    },
    "bce": {
        "inputs": "ub",
        "numpy": "-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()",
        "torch": "F.binary_cross_entropy(p, t)",
        "numexpr": "sum(t * log(p) + (1 - t) * log1p(-p))",
        "sklearn": "log_loss(t, p)",
        "keras": "binary_crossentropy(t, p)",
    },
    "bce_with_logits": {
        "inputs": "xb",
        "numpy": "(np.maximum(p, 0) - p * t + np.log1p(np.exp(-np.abs(p)))).mean()",
        "torch": "F.binary_cross_entropy_with_logits(p, t)",
        "numexpr": "sum(where(p > 0, p, 0) - p * t + log1p(exp(-abs(p))))",
        "keras": "binary_crossentropy(t, p, from_logits=True)",
    },
    "categorical_cross_entropy": {
        "inputs": "UV",
        "numpy": "-(t * np.log(p)).sum(axis=1).mean()",
        "torch": "-(t * p.log()).sum(dim=1).mean()",
        "numexpr": "sum(t * log(p))",
        "keras": "categorical_crossentropy(t, p)",
    },
    "sparse_categorical_cross_entropy": {
        "inputs": "UL",
        "numpy": "-np.log(p[np.arange(len(t)), t]).mean()",
        "torch": "F.nll_loss(p.log(), t)",
        "keras": "sparse_categorical_crossentropy(t, p)",
    },
    "softmax_cross_entropy": {
        "inputs": "ZV",
        "numpy": "(lambda z: (np.log(np.exp(z).sum(1)) - (t * z).sum(1)).mean())(p - p.max(1, keepdims=True))",
        "torch": "F.cross_entropy(p, t)",
        "keras": "categorical_crossentropy(t, p, from_logits=True)",
    },
    "sparse_softmax_cross_entropy": {
        "inputs": "ZL",
        "numpy": "(lambda z: (np.log(np.exp(z).sum(1)) - z[np.arange(len(t)), t]).mean())(p - p.max(1, keepdims=True))",
        "torch": "F.cross_entropy(p, t)",
        "keras": "sparse_categorical_crossentropy(t, p, from_logits=True)",
    },
    "nll": {
        "inputs": "NL",
        "numpy": "-p[np.arange(len(t)), t].mean()",
        "torch": "F.nll_loss(p, t)",
    },
    "kl_divergence": {
        "inputs": "UV",
        "numpy": "(t * np.log(t / p)).sum(axis=1).mean()",
        "torch": "F.kl_div(p.log(), t, reduction='batchmean')",
        "numexpr": "sum(t * log(t / p))",
        "keras": "kl_divergence(t, p)",
    },
}


def drawn(kind: str, rows: int, dtype: type[np.floating]) -> np.ndarray:
    """One input, the same at every call."""
    rng = np.random.default_rng(ord(kind))
    n = rows // CLASSES
    makers: dict[str, Callable[[], np.ndarray]] = {
        "x": lambda: rng.standard_normal(rows, dtype),
        "y": lambda: rng.standard_normal(rows, dtype),
        "u": lambda: rng.uniform(0.01, 0.99, rows).astype(dtype),
        "b": lambda: (rng.random(rows) < 0.4).astype(dtype),
        "s": lambda: rng.choice(np.array([-1, 1], dtype), rows),
        "Z": lambda: rng.standard_normal((n, CLASSES), dtype),
        "L": lambda: rng.integers(0, CLASSES, n),
    }
    if kind in makers:
        return makers[kind]()
    weight = rng.standard_exponential((n, CLASSES), dtype) + dtype(1e-3)
    shares = weight / weight.sum(axis=1, keepdims=True)
    return np.log(shares) if kind == "N" else shares


def ours(name: str, p: np.ndarray, t: np.ndarray, *, detail: bool, threads: int) -> float:
    """The value, from the engine."""
    data, options = from_arrays({"pred": p, "target": t}), ComputeOptions(detail=detail)
    loss = lossctl.get_loss(name)
    with Threads(threads) as executor:
        return summarize(data, [plan_loss(loss, data, options)], options, executor)[0][0].mean


def rivals(entry: dict[str, str], p: np.ndarray, t: np.ndarray) -> dict[str, Callable[[], object]]:
    """Everybody else's call, the arrays already in the form that it takes."""
    calls: dict[str, Callable[[], object]] = {"numpy": partial(_call, entry["numpy"], {"np": np, "p": p, "t": t})}
    if torch := _module("torch"):
        torch.set_num_threads(cores())
        tensors = {"p": torch.from_numpy(p), "t": torch.from_numpy(t)}
        calls["torch"] = partial(_call, entry["torch"], {"F": torch.nn.functional, **tensors})
        calls["compiled"] = torch.compile(_function(entry["torch"], {"F": torch.nn.functional}), dynamic=False)
        calls["compiled"] = partial(calls["compiled"], *tensors.values())
    if jax := _module("jax"):
        jax.config.update("jax_enable_x64", True)
        jitted = jax.jit(_function(entry["numpy"], {"np": jax.numpy}))
        arrays = [jax.numpy.asarray(a) for a in (p, t)]
        calls["jax"] = lambda: jitted(*arrays).block_until_ready()
    if (numexpr := _module("numexpr")) and "numexpr" in entry:
        numexpr.set_num_threads(cores())
        calls["numexpr"] = partial(numexpr.evaluate, entry["numexpr"], local_dict={"p": p, "t": t})
    if (metrics := _module("sklearn.metrics")) and "sklearn" in entry:
        calls["sklearn"] = partial(_call, entry["sklearn"], {**vars(metrics), "p": p, "t": t})
    if (keras := _module("keras.losses")) and "keras" in entry:
        calls["keras"] = partial(_call, f"{entry['keras']}.mean()", {**vars(keras), "p": p, "t": t})
    return calls


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _call(expression: str, names: dict[str, Any]) -> object:
    return eval(expression, dict(names))  # noqa: S307 - expressions of this file


def _function(expression: str, names: dict[str, Any]) -> Callable[..., Any]:
    """Return the function of p and t that an expression is, for a compiler to trace."""
    return eval(f"lambda p, t: {expression}", dict(names))  # type: ignore[no-any-return]  # noqa: S307 - as above


def _measured(calls: dict[str, Callable[[], object]], *, cpu: bool) -> dict[str, float]:
    for call in calls.values():  # compiles, and makes the pages of the arrays present
        call()
    clock, summary = (time.process_time, min) if cpu else (time.perf_counter, statistics.median)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = clock()
            call()
            times[name].append(clock() - start)
    return {name: summary(taken) for name, taken in times.items()}


def main() -> None:
    """Print a line a loss and precision: milliseconds of lossctl -q, and the others as multiples of it."""
    warnings.simplefilter("ignore")
    words = sys.argv[1:]
    cpu = words[:1] == ["cpu"]
    words = words[cpu:]
    rows = int(float(words[0])) if words else ROWS
    names = words[1:] or list(LOSSES)
    others = ("with table", "1 thread", "numpy", "torch", "compiled", "jax", "numexpr", "sklearn", "keras")
    clock = "CPU times" if cpu else "times"
    print(f"{rows:,} samples, {cores()} threads, NumPy {np.__version__}; {clock} as multiples of lossctl -q\n")
    print(f"{'':34}{'-q, ms':>8}" + "".join(f"{name:>12}" for name in others))
    for name in names:
        entry = LOSSES[name]
        for dtype in (np.float64, np.float32):
            p, t = (drawn(kind, rows, dtype) for kind in entry["inputs"])
            calls = {
                "-q": partial(ours, name, p, t, detail=False, threads=cores()),
                "with table": partial(ours, name, p, t, detail=True, threads=cores()),
                "1 thread": partial(ours, name, p, t, detail=False, threads=1),
                **rivals(entry, p, t),
            }
            took = _measured(calls, cpu=cpu)
            base = took["-q"]
            cells = [f"{took[other] / base:11.2f}x" if other in took else f"{'':12}" for other in others]
            print(f"{name + ' ' + dtype.__name__:34}{base * 1e3:8.1f}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
