"""Verdicts of ``lossctl verify`` on the values and gradients of PyTorch and optax, in four precisions.

``python tests/benchmarks/verify_frameworks.py [SEEDS] [LOSS …]``

The inputs, the losses and the groups of points are those of ``gradcheck_frameworks.py``. The upstream gradient is
random, and 0 at the samples that the group ``masked`` leaves out; the group ``mean`` has the mean, and its gradient.
Then both outputs are multiplied by 0.999, in the same precision. A right output that does not pass is a false alarm. A
wrong one that is not called wrong is missed, except where less than half of its numbers can show an error of 0.1 %.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from gradcheck_frameworks import GROUPS, PRECISIONS, TABLES, Arrays, points

import lossctl
from lossctl.core.registry import as_loss
from lossctl.gradients.verify_result import Verification

# PyTorch adds 1e-12 to the squared norms, which float64 shows; in float16 their products underflow.
OTHER_FORMULA = {("cosine_embedding_loss", "float64"), ("cosine_embedding_loss", "float16")}
Array = np.ndarray[Any, np.dtype[Any]]


def torch_outputs(call: str, arrays: Arrays, precision: str, upstream: Array | None) -> tuple[Arrays, Array, Array]:
    """Return the inputs as rounded and the upstream gradient, in float64; the values; their gradient."""
    import torch

    torch.set_num_threads(1)
    dtype = getattr(torch, precision)
    given = {k: torch.tensor(a).to(dtype) if a.dtype.kind == "f" else torch.tensor(a).long() for k, a in arrays.items()}
    pred = given["pred"].requires_grad_(True)

    def indices(flags: Any) -> Any:
        return torch.where(flags > 0, torch.arange(flags.shape[1]) + 1, 0).sort(descending=True)[0] - 1

    losses = eval(call, {"F": torch.nn.functional, "torch": torch, "indices": indices, **given})  # noqa: S307
    rows = losses if losses.ndim == 1 else losses.sum(tuple(range(1, losses.ndim)))
    if upstream is None:
        value = rows.mean()
        value.backward()
    else:
        value, given["upstream"] = rows, torch.tensor(upstream).to(dtype)
        value.backward(given["upstream"])
    back = {k: t.detach().double().numpy() for k, t in given.items()}
    return back, value.detach().double().numpy(), pred.grad.double().numpy()


def optax_outputs(call: str, arrays: Arrays, precision: str, upstream: Array | None) -> tuple[Arrays, Array, Array]:
    """Return the same of optax."""
    import jax
    from optax import losses as o

    jax.config.update("jax_enable_x64", True)
    given = {k: jax.numpy.asarray(a, precision if a.dtype.kind == "f" else "int32") for k, a in arrays.items()}

    def function(pred: Any) -> Any:
        losses = eval(call, {"o": o, "jax": jax, **given, "pred": pred})  # noqa: S307
        rows = losses.reshape(losses.shape[0], -1).sum(1)
        return rows.mean() if upstream is None else rows

    value, backward = jax.vjp(function, given["pred"])
    after = jax.numpy.ones_like(value) if upstream is None else jax.numpy.asarray(upstream, precision)
    grad = backward(after)[0]
    if upstream is not None:
        given["upstream"] = after
    back = {k: np.asarray(a, np.float64) for k, a in given.items()}
    return back, np.asarray(value, np.float64), np.asarray(grad, np.float64)


FRAMEWORKS = {"torch": torch_outputs, "optax": optax_outputs}


@dataclass(frozen=True)
class Outcome:
    """What verify said on one output, right and times 0.999: the texts are empty if it was as it should be."""

    name: str
    precision: str
    alarm: str
    missed: str
    visible: bool
    worst: float


def outcomes(framework: str, name: str, seeds: int) -> Iterator[Outcome]:
    """Yield the outcomes of one loss."""
    spec, call = TABLES[framework][name]
    for group in GROUPS:
        for seed in range(seeds):
            arrays = points(as_loss(spec), group, seed)
            mask = arrays.pop("weight", None)
            n = len(arrays["pred"])
            upstream = None if group == "mean" else np.random.default_rng(seed).normal(size=n)
            if upstream is not None and mask is not None:
                upstream = upstream * mask
            for precision in PRECISIONS:
                if (name, precision) in OTHER_FORMULA:
                    continue
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        outputs = FRAMEWORKS[framework](call, arrays, precision, upstream)
                except (NotImplementedError, TypeError):  # some losses are not implemented in every precision
                    continue
                yield from _outcomes(f"{framework} {name}, {group} {seed}", spec, precision, outputs)


def _outcomes(label: str, spec: str, precision: str, outputs: tuple[Arrays, Array, Array]) -> Iterator[Outcome]:
    data, value, grad = outputs
    options: dict[str, Any] = {"dtype": precision, "threads": 1, "reduction": "none" if value.ndim else "mean"}
    if value.ndim:  # what PyTorch has no number for in float16 is no right gradient
        known = ~np.isnan(grad.reshape(len(grad), -1)).any(axis=1) & ~np.isnan(value)
        data, value, grad = {k: a[known] for k, a in data.items()}, value[known], grad[known]
        options["upstream"] = data.pop("upstream")
    pred, target = data.pop("pred"), data.pop("target")
    for role, output in (("value", value), ("grad", grad)):
        if not np.isfinite(output).all() and not value.ndim:
            continue

        def run(numbers: Array, role: str = role) -> Verification:
            return lossctl.verify(spec, pred, target, inputs=data, **options | {role: numbers})

        name = f"{label}, {precision}, {role}"
        try:
            right = run(output)
        except lossctl.LossctlError as error:
            yield Outcome(name, precision, f"refused: {error}", "", True, 0.0)
            continue
        good = right.arrays[0].verdict in ("exact", f"as right as {precision} allows")
        wrong = run(_scaled(output, precision)).arrays[0]
        missed = "" if wrong.verdict == "wrong" else repr(wrong)[:300]
        visible = right.arrays[0].visible >= 0.5
        yield Outcome(name, precision, "" if good else repr(right), missed, visible, right.arrays[0].worst)


def _scaled(output: Array, precision: str) -> Array:
    """Return the output times 0.999, rounded to the precision."""
    import ml_dtypes

    dtype = {"bfloat16": ml_dtypes.bfloat16}.get(precision, np.dtype(precision if precision != "bfloat16" else "f4"))
    return np.asarray((output * 0.999).astype(dtype).astype(np.float64))


def _all_outcomes(seeds: int, one: tuple[str, str]) -> list[Outcome]:
    return list(outcomes(*one, seeds))


def main(argv: list[str]) -> None:
    """Print the number of false alarms and of missed errors for each precision, and their names."""
    seeds = int(argv.pop(0)) if argv and argv[0].isdigit() else 2
    chosen = [(f, name) for f, table in TABLES.items() for name in table if not argv or name in argv or f in argv]
    found: list[Outcome] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for part in pool.map(partial(_all_outcomes, seeds), chosen):
            found += part
            for o in part:
                if o.alarm:
                    print(f"\nfalse alarm: {o.name}\n{o.alarm}", flush=True)
                if o.missed and o.visible:
                    print(f"\nmissed: {o.name}\n{o.missed}", flush=True)
    print(f"{len(chosen)} losses, {seeds} seeds, {len(found)} outputs")
    print(f"{'precision':10} {'outputs':>8} {'false alarms':>13} {'0.999 missed':>13} {'not visible':>12} {'worst':>8}")
    for precision in PRECISIONS:
        of = [o for o in found if o.precision == precision]
        alarms, passed = sum(bool(o.alarm) for o in of), [o for o in of if o.missed]
        missed = sum(o.visible for o in passed)
        worst = max((o.worst for o in of if not o.alarm), default=0.0)
        print(f"{precision:10} {len(of):8} {alarms:13} {missed:13} {len(passed) - missed:12} {worst:8.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
