"""Verdicts of the gradient check on the gradients of PyTorch and optax, in four precisions.

``python tests/benchmarks/gradcheck_frameworks.py [SEEDS] [LOSS …]``

The inputs are rounded to the precision, the framework computes its gradient in it, and the check is given the rounded
inputs and the gradient. Then the gradient is multiplied by 0.999, in the same precision. A right gradient that does not
pass is a false alarm. A wrong one that passes is missed, except where the report says that this precision does not
show an error of 0.1 %, or where it rounds the wrong one to the right one. Samples with a gradient of NaN or infinity
are left out.
Each name is that of a loss of ``torch.nn.functional`` or ``optax.losses``; SEEDS is 2 by default.

==========  ======================================================================================================
group       points
==========  ======================================================================================================
ordinary    those of lossctl.gradients.ordinary_points
mean        the same; the gradient is that of the mean
confident   logits with a standard deviation of 8, nearly all labels those of the largest logit; residuals of 1 %
masked      the ordinary ones; one sample in five has the label −100 or a weight of 0, one class in ten the logit −inf
padded      the ordinary ones; the last fifth of the samples is 0 in every input, with the label −100 or a weight of 0
==========  ======================================================================================================
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from typing import Any, TypeAlias, cast

import numpy as np

import lossctl
from lossctl.core.input_kinds import LabelKind, ProbabilitiesKind
from lossctl.core.loss import Loss
from lossctl.core.registry import as_loss
from lossctl.gradients.sampling import sample_points

Arrays: TypeAlias = dict[str, np.ndarray[Any, np.dtype[Any]]]
# inputs, precision, what to do with the losses of the samples -> inputs as rounded, gradient
Framework: TypeAlias = Callable[[str, Arrays, str, str], tuple[Arrays, np.ndarray[Any, np.dtype[Any]]]]

SAMPLES, MASK = 100, -100
CLASS_WEIGHT = (0.3, 2.0, 1.0, 0.7, 1.7)
# Name of the loss in the registry, and the losses of the samples, one number or row for each.
TORCH = {
    "mse_loss": ("mse", "F.mse_loss(pred, target, reduction='none')"),
    "l1_loss": ("mae", "F.l1_loss(pred, target, reduction='none')"),
    "huber_loss": ("huber:delta=0.5", "F.huber_loss(pred, target, delta=0.5, reduction='none')"),
    "smooth_l1_loss": ("smooth_l1:beta=0.5", "F.smooth_l1_loss(pred, target, beta=0.5, reduction='none')"),
    "poisson_nll_loss": ("poisson_nll_log_rate", "F.poisson_nll_loss(pred, target, reduction='none')"),
    "poisson_nll_loss (rate)": (
        "poisson_nll",
        "F.poisson_nll_loss(pred, target, log_input=False, eps=0, reduction='none')",
    ),
    "gaussian_nll_loss": ("gaussian_nll", "F.gaussian_nll_loss(pred, target, var, reduction='none')"),
    "binary_cross_entropy": ("bce", "F.binary_cross_entropy(pred, target, reduction='none')"),
    "binary_cross_entropy_with_logits": (
        "bce_with_logits",
        "F.binary_cross_entropy_with_logits(pred, target, reduction='none')",
    ),
    "binary_cross_entropy_with_logits (pos_weight)": (
        "bce_with_logits:pos_weight=3",
        "F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(3.0), reduction='none')",
    ),
    "cross_entropy": ("sparse_softmax_cross_entropy", "F.cross_entropy(pred, target, reduction='none')"),
    "cross_entropy (class weight)": (
        "sparse_softmax_cross_entropy",
        "F.cross_entropy(pred, target, weight=class_weight, reduction='none')",
    ),
    "cross_entropy (soft)": ("softmax_cross_entropy", "F.cross_entropy(pred, target, reduction='none')"),
    "nll_loss": ("nll", "F.nll_loss(pred, target, reduction='none')"),
    "nll_loss (class weight)": ("nll", "F.nll_loss(pred, target, weight=class_weight, reduction='none')"),
    "kl_div": ("kl_divergence_log_input", "F.kl_div(pred, target, reduction='none')"),
    "kl_div (log_target)": ("kl_divergence_log_target", "F.kl_div(pred, target, log_target=True, reduction='none')"),
    "multi_margin_loss": ("multi_margin", "F.multi_margin_loss(pred, target, reduction='none')"),
    "multi_margin_loss (class weight)": (
        "multi_margin",
        "F.multi_margin_loss(pred, target, weight=class_weight, reduction='none')",
    ),
    "multi_margin_loss (p=2)": ("multi_margin:p=2", "F.multi_margin_loss(pred, target, p=2, reduction='none')"),
    "multilabel_margin_loss": (
        "multilabel_margin",
        "F.multilabel_margin_loss(pred, indices(target), reduction='none')",
    ),
    "multilabel_soft_margin_loss": (
        "multilabel_soft_margin",
        "F.multilabel_soft_margin_loss(pred, target, reduction='none')",
    ),
    "soft_margin_loss": ("soft_margin", "F.soft_margin_loss(pred, target, reduction='none')"),
    "margin_ranking_loss": (
        "margin_ranking:margin=0.5",
        "F.margin_ranking_loss(pred, x2, target, margin=0.5, reduction='none')",
    ),
    "hinge_embedding_loss": ("hinge_embedding", "F.hinge_embedding_loss(pred, target, reduction='none')"),
    "cosine_embedding_loss": ("cosine_embedding", "F.cosine_embedding_loss(pred, x2, target, reduction='none')"),
    "triplet_margin_loss": (
        "triplet",
        "F.triplet_margin_loss(pred, target, negative, eps=0, reduction='none')",
    ),
}
OPTAX = {
    "squared_error": ("mse", "o.squared_error(pred, target)"),
    "l2_loss": ("half_squared_error", "o.l2_loss(pred, target)"),
    "huber_loss": ("huber:delta=0.5", "o.huber_loss(pred, target, delta=0.5)"),
    "log_cosh": ("log_cosh", "o.log_cosh(pred, target)"),
    "cosine_distance": ("cosine_distance", "o.cosine_distance(pred, target)"),
    "sigmoid_binary_cross_entropy": ("bce_with_logits", "o.sigmoid_binary_cross_entropy(pred, target)"),
    "sigmoid_focal_loss": ("focal_with_logits:alpha=none", "o.sigmoid_focal_loss(pred, target)"),
    "hinge_loss": ("hinge", "o.hinge_loss(pred, target)"),
    "perceptron_loss": ("perceptron", "o.perceptron_loss(pred, target)"),
    "sparsemax_loss": ("smoothed_hinge:gamma=2", "o.sparsemax_loss(pred, (target + 1) / 2)"),
    "softmax_cross_entropy": ("softmax_cross_entropy", "o.softmax_cross_entropy(pred, target)"),
    "softmax_cross_entropy_with_integer_labels": (
        "sparse_softmax_cross_entropy",
        "o.softmax_cross_entropy_with_integer_labels(pred, target)",
    ),
    "safe_softmax_cross_entropy": ("softmax_cross_entropy", "o.safe_softmax_cross_entropy(pred, target)"),
    "poly_loss_cross_entropy": (
        "poly1_softmax:epsilon=2",
        "o.poly_loss_cross_entropy(pred, jax.nn.one_hot(target, pred.shape[1], dtype=pred.dtype), epsilon=2.0)",
    ),
    "kl_divergence": ("kl_divergence_log_input", "o.kl_divergence(pred, target)"),
    "kl_divergence_with_log_targets": (
        "kl_divergence_log_target",
        "o.kl_divergence_with_log_targets(pred, target)",
    ),
    "multiclass_hinge_loss": ("crammer_singer", "o.multiclass_hinge_loss(pred, target)"),
    "multiclass_perceptron_loss": ("crammer_singer:margin=0", "o.multiclass_perceptron_loss(pred, target)"),
    "multiclass_sparsemax_loss": ("sparsemax", "o.multiclass_sparsemax_loss(pred, target)"),
    "ranking_softmax_loss": ("softmax_ranking", "o.ranking_softmax_loss(pred, target, reduce_fn=None)"),
    "triplet_margin_loss": ("triplet", "o.triplet_margin_loss(pred, target, negative, eps=0)"),
}
TABLES = {"torch": TORCH, "optax": OPTAX}
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
GROUPS = ("ordinary", "mean", "confident", "masked", "padded")


# --- the frameworks ---


def _reduced(losses: Any, how: str, weight: Any, class_weight: Any) -> Any:
    """Return the sum of the losses of the samples, or their mean, weighted where the samples have class weights."""
    rows = losses.reshape(losses.shape[0], -1).sum(1)
    total = (rows if weight is None else rows * weight).sum()
    return total if how != "mean" else total / (len(rows) if class_weight is None else class_weight.sum())


def torch_gradient(call: str, arrays: Arrays, precision: str, how: str) -> tuple[Arrays, np.ndarray]:
    """Return the inputs as rounded, in float64, and the gradient of PyTorch; that of bfloat16 in float32."""
    import torch

    torch.set_num_threads(1)
    dtype = getattr(torch, precision)
    given = {k: torch.tensor(a).to(dtype) if a.dtype.kind == "f" else torch.tensor(a).long() for k, a in arrays.items()}
    pred = given["pred"].requires_grad_(True)

    def indices(flags: Any) -> Any:
        """Return the indices of the classes of a row, and −1 behind them."""
        return torch.where(flags > 0, torch.arange(flags.shape[1]) + 1, 0).sort(descending=True)[0] - 1

    class_weight = torch.tensor(CLASS_WEIGHT).to(dtype)
    names = {"F": torch.nn.functional, "torch": torch, "indices": indices, "class_weight": class_weight}
    losses = eval(call, {**names, **given})  # noqa: S307
    of_samples = class_weight[given["target"]] if "class_weight" in call else None
    _reduced(losses, how, given.get("weight"), of_samples).backward()
    grad = pred.grad.float() if precision == "bfloat16" else pred.grad
    return {k: t.detach().double().numpy() for k, t in given.items()}, grad.numpy()


def optax_gradient(call: str, arrays: Arrays, precision: str, how: str) -> tuple[Arrays, np.ndarray]:
    """Return the inputs as rounded, in float64, and the gradient of optax; that of bfloat16 in float32."""
    import jax

    jax.config.update("jax_enable_x64", True)
    given = {k: jax.numpy.asarray(a, precision if a.dtype.kind == "f" else "int32") for k, a in arrays.items()}
    grad = _compiled(call, how)(given["pred"], given)
    stored = np.asarray(grad, np.float32 if precision == "bfloat16" else precision)
    return {k: np.asarray(a, np.float64) for k, a in given.items()}, stored


@cache
def _compiled(call: str, how: str) -> Callable[..., Any]:
    import jax
    from optax import losses as o

    def function(pred: Any, given: dict[str, Any]) -> Any:
        losses = eval(call, {"o": o, "jax": jax, **given, "pred": pred})  # noqa: S307
        return _reduced(losses, how, given.get("weight"), None)

    return cast(Callable[..., Any], jax.jit(jax.grad(function)))


FRAMEWORKS: dict[str, Framework] = {"torch": torch_gradient, "optax": optax_gradient}


# --- the points ---


def points(loss: Loss, group: str, seed: int) -> Arrays:
    """Return the inputs of a loss; numbers as float64, labels as integers."""
    rng = np.random.default_rng([seed, GROUPS.index(group)])
    arrays = dict(zip(loss.roles, sample_points(loss, SAMPLES, seed, ordinary=True), strict=True))
    kinds = {role: i.kind for role, i in zip(loss.roles, loss.inputs, strict=True)}
    if group == "confident" and len(kinds) > 1:
        _make_confident(arrays, kinds, rng)
    for role, kind in kinds.items():
        if kind.name in ("Vector", "Direction"):  # the products of their squares do not overflow in float16
            arrays[role] = np.clip(arrays[role], -5.0, 5.0)
        if isinstance(kind, LabelKind):
            arrays[role] = arrays[role].astype(np.int64)
        elif kind.name == "LogProbabilities" and group != "confident":
            arrays[role] = _log_rows(2.0, arrays[role].shape, rng)
        elif type(kind) is ProbabilitiesKind:  # a row sums to 1 in every precision
            arrays[role] = rng.multinomial(64, arrays[role] / arrays[role].sum(axis=1, keepdims=True)) / 64
    if kinds["pred"].domain.low == 0.0 and not kinds["pred"].domain.high < np.inf:  # PyTorch gives NaN at a rate of 0
        arrays["pred"] = np.maximum(arrays["pred"], 0.01)
    if loss.name == "focal_with_logits":  # of soft targets optax has another formula
        arrays["target"] = np.round(arrays["target"])
    if group == "masked":
        out = rng.random(SAMPLES) < 0.2
        if kinds["pred"].name == "Logits":
            _mask_classes(loss, arrays, kinds, rng)
        arrays["weight"] = np.where(out, 0.0, 1.0)
    if group == "padded":
        _pad(loss, arrays)
    return arrays


def _pad(loss: Loss, arrays: Arrays) -> None:
    """Set the last fifth of the samples to 0, or to the first sample where the loss is not defined at 0."""
    end = slice(SAMPLES - SAMPLES // 5, SAMPLES)
    zeros = [np.zeros_like(a[:1], np.float64) for a in arrays.values()]
    for array, zero in zip(arrays.values(), zeros, strict=True):
        array[end] = array[:1] if loss.domain.invalid_mask(zeros).any() else zero
    arrays["weight"] = np.ones(SAMPLES)
    arrays["weight"][end] = 0.0


def _make_confident(arrays: Arrays, kinds: dict[str, Any], rng: np.random.Generator) -> None:
    pred, target = arrays["pred"], arrays["target"]
    of_pred, of_target = kinds["pred"].name, kinds["target"].name
    exceptions = rng.random(len(pred)) < 0.03
    z = rng.normal(0.0, 8.0, pred.shape)
    if of_pred == "LogProbabilities":
        z = _log_rows(8.0, pred.shape, rng)
    if isinstance(kinds["target"], LabelKind):
        arrays["pred"], arrays["target"] = z, z.argmax(axis=1)
        arrays["target"][exceptions] = rng.integers(0, z.shape[1], exceptions.sum())
    elif of_target == "Probabilities":
        arrays["pred"], arrays["target"] = z, np.eye(z.shape[1])[z.argmax(axis=1)]
    elif "x2" in arrays:
        arrays["pred"] = arrays["x2"] * (1.0 + 0.01 * rng.normal(size=pred.shape))
    elif of_target in ("Probability", "Sign", "ClassFlags", "ClassChances"):
        right = (z > 0) ^ (rng.random(z.shape) < 0.03)
        p = 1.0 / (1.0 + np.exp(-np.clip(z, -27.0, 27.0)))  # PyTorch divides by max(p(1 − p), 1e-12)
        arrays["pred"] = p if of_pred == "Probability" else z
        arrays["target"] = np.where(right, 1.0, -1.0 if of_target == "Sign" else 0.0)
    elif of_target == "LogProbabilities":
        arrays["pred"] = arrays["target"] = z
    else:
        arrays["pred"] = np.abs(target) if kinds["pred"].domain.low == 0 else target
        arrays["pred"] = arrays["pred"] * (1.0 + 0.01 * rng.normal(size=pred.shape))


def _log_rows(std: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return logarithms of rows of probabilities that still sum to 1 when rounded to bfloat16."""
    import ml_dtypes

    z = rng.normal(0.0, std, (100 * shape[0], shape[1]))
    z -= np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)) + z.max(axis=1, keepdims=True)
    z = z.astype(ml_dtypes.bfloat16).astype(np.float64)
    return z[np.abs(np.exp(z).sum(axis=1) - 1.0) < 5e-4][: shape[0]]


def _mask_classes(loss: Loss, arrays: Arrays, kinds: dict[str, Any], rng: np.random.Generator) -> None:
    """Set logits to −inf where the loss takes them, at classes that are not those of the target."""
    pred, target = arrays["pred"], arrays["target"]
    kept = np.eye(pred.shape[1])[target] if isinstance(kinds["target"], LabelKind) else target
    masked = np.where((kept == 0) & (rng.random(pred.shape) < 0.1), -np.inf, pred)
    if not loss.domain.invalid_mask([masked, target.astype(np.float64)]).any():
        arrays["pred"] = masked


# --- the verdicts ---


@dataclass(frozen=True)
class Outcome:
    """What the check said on one gradient, right and times 0.999.

    Attributes:
        name: framework, loss, group and precision.
        alarm: the report on the right gradient, if it did not pass.
        missed: the report on the wrong one, if it passed.
        visible: whether the report claims that an error of 0.1 % is visible.
    """

    name: str
    alarm: str
    missed: str
    visible: bool


def outcomes(framework: str, name: str, seeds: int) -> Iterator[Outcome]:
    """Yield the outcomes of one loss."""
    spec, call = TABLES[framework][name]
    loss = as_loss(spec)
    for group in GROUPS:
        for seed in range(seeds):
            arrays = points(loss, group, seed)
            summed = group in ("masked", "padded") or "class_weight" in call
            how = "mean" if group == "mean" else "sum" if summed else "none"
            for precision in PRECISIONS:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        rounded, grad = FRAMEWORKS[framework](call, arrays, precision, how)
                except (NotImplementedError, TypeError):  # some losses are not implemented in every precision
                    continue
                if how == "mean" and not np.isfinite(grad).all():  # optax gives NaN at two equal vectors
                    continue
                stored = {precision: grad}
                if precision == "bfloat16":
                    stored["bfloat16 in float64"] = grad.astype(np.float64)
                for storage, g in stored.items():
                    label = f"{framework} {name}, {group} {seed}, {storage}"
                    class_weight = CLASS_WEIGHT if "class_weight" in call else None
                    yield _outcome(label, spec, rounded, g, precision=precision, how=how, class_weight=class_weight)


def _outcome(
    label: str,
    spec: str,
    arrays: Arrays,
    grad: np.ndarray,
    *,
    precision: str,
    how: str,
    class_weight: tuple[float, ...] | None,
) -> Outcome:
    data = dict(arrays)
    pred, target, weight = data.pop("pred"), data.pop("target"), data.pop("weight", None)
    labels = isinstance(as_loss(spec).inputs[1].kind, LabelKind)
    if how != "mean":  # what PyTorch has no number for in float16 is no right gradient
        known = np.isfinite(grad.reshape(len(grad), -1)).any(axis=1)
        pred, target, grad = pred[known], target[known], grad[known]
        data, weight = {k: a[known] for k, a in data.items()}, None if weight is None else weight[known]
    options: dict[str, Any] = {"inputs": data, "reduction": how, "threads": 1, "class_weight": class_weight}
    if labels and weight is not None:  # the mask is the label
        target, options["ignore_index"] = np.where(weight == 0, float(MASK), target), MASK
    else:
        options["weight"] = weight
    try:
        right = lossctl.gradcheck(spec, pred, target, grad=grad, **options)
    except lossctl.LossctlError as error:
        return Outcome(label, f"refused: {error}", "", True)
    scaled = _scaled(grad, precision)
    if np.array_equal(scaled, grad):  # in bfloat16 0.999·g is rounded to g
        return Outcome(label, "" if right.passed else repr(right), "the same numbers", False)
    wrong = lossctl.gradcheck(spec, pred, target, grad=scaled, **options)
    return Outcome(
        label,
        "" if right.passed else repr(right),
        repr(wrong) if wrong.passed else "",
        "hide an error of" not in right.method,
    )


def _scaled(grad: np.ndarray, precision: str) -> np.ndarray:
    """Return the gradient times 0.999, rounded to the precision."""
    import ml_dtypes

    dtype = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}.get(precision, grad.dtype)
    return np.asarray((grad.astype(np.float64) * 0.999).astype(dtype).astype(grad.dtype))


def _all_outcomes(seeds: int, one: tuple[str, str]) -> list[Outcome]:
    return list(outcomes(*one, seeds))


def main(argv: list[str]) -> None:
    """Print the number of false alarms and of missed errors for each precision, and their names."""
    seeds = int(argv.pop(0)) if argv and argv[0].isdigit() else 2
    chosen = [(f, name) for f, table in TABLES.items() for name in table if not argv or name in argv]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = []
        for one, part in zip(chosen, pool.map(partial(_all_outcomes, seeds), chosen), strict=True):
            found += part
            _print_failures(part)
            print(
                f"{' '.join(one)}: {len(part)} gradients, {sum(bool(o.alarm) for o in part)} false alarms", flush=True
            )
    print(f"{len(chosen)} losses, {seeds} seeds, {len(found)} gradients")
    print(f"{'precision':20} {'gradients':>9} {'false alarms':>13} {'0.999 missed':>13} {'not visible':>18}")
    for precision in (*PRECISIONS[:3], "bfloat16 in float64", PRECISIONS[3]):
        of = [o for o in found if o.name.endswith(f", {precision}")]
        alarms, passed = sum(bool(o.alarm) for o in of), [o for o in of if o.missed]
        missed = sum(o.visible for o in passed)
        print(f"{precision:20} {len(of):9} {alarms:13} {missed:13} {len(passed) - missed:18}")


def _print_failures(part: list[Outcome]) -> None:
    for o in part:
        if o.alarm:
            print(f"\nfalse alarm: {o.name}\n{o.alarm}", flush=True)
        if o.missed and o.visible:
            print(f"\nmissed: {o.name}\n{o.missed}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
