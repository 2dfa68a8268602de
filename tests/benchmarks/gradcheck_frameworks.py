"""Gradients of PyTorch and optax against the registered losses: ``python tests/benchmarks/gradcheck_frameworks.py``.

It needs an interpreter that has torch, jax and optax, with this checkout on PYTHONPATH. Arguments: ``--seeds N``
(default 20), and names of losses (default: all). For each loss, precision and seed, on drawn points and on data of a
trained model, the framework's gradient must pass, as it is and stored as float64; 0.999 of it must be called wrong,
or the report must say that the precision cannot show it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
import optax
import torch
import torch.nn.functional as F  # noqa: N812

import lossctl
from lossctl.core.registry import as_loss
from lossctl.errors import LossctlError
from lossctl.gradients.sampling import sample_points

jax.config.update("jax_enable_x64", True)

Array = npt.NDArray[Any]
Inputs = dict[str, Array]
SAMPLES, CLASSES, IGNORED = 200, 5, -100
PRECISIONS = ("float64", "float32", "bfloat16", "float16")
UNSEEN = "cannot show"


@dataclass(frozen=True)
class Case:
    """A loss that a framework has too.

    Attributes:
        framework: torch or optax.
        loss: the registered loss.
        call: function of the predictions and the other inputs; what it returns is summed.
        options: options of gradcheck. Default: none.
        whole: names of inputs of whole numbers, which no precision rounds. Default: none.
    """

    framework: str
    loss: str
    call: Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    whole: tuple[str, ...] = ()


def indices(target: Any) -> Any:
    """The indices of the classes that a row has, filled up with −1, as torch's multilabel_margin takes them."""
    k = target.shape[1]
    order = torch.argsort(-target, dim=1, stable=True)
    return torch.where(torch.arange(k) < target.sum(1, keepdim=True), order, -1)


def ctc_torch(pred: Any, target: Any, input_lengths: Any, target_lengths: Any) -> Any:
    return F.ctc_loss(pred.transpose(0, 1), target, input_lengths, target_lengths, reduction="none")


NONE: dict[str, Any] = {"reduction": "none"}
CLASS = ("target",)
TORCH = [
    ("mse", lambda pred, target: F.mse_loss(pred, target, **NONE), ()),
    ("mae", lambda pred, target: F.l1_loss(pred, target, **NONE), ()),
    ("huber", lambda pred, target: F.huber_loss(pred, target, **NONE), ()),
    ("huber:delta=0.3", lambda pred, target: F.huber_loss(pred, target, delta=0.3, **NONE), ()),
    ("smooth_l1", lambda pred, target: F.smooth_l1_loss(pred, target, **NONE), ()),
    (
        "poisson_nll",
        lambda pred, target: F.poisson_nll_loss(pred, target, log_input=False, eps=0.0, **NONE),
        (),
    ),
    ("poisson_nll_log_rate", lambda pred, target: F.poisson_nll_loss(pred, target, **NONE), ()),
    ("gaussian_nll", lambda pred, target, var: F.gaussian_nll_loss(pred, target, var, eps=1e-30, **NONE), ()),
    ("kl_divergence_log_input", lambda pred, target: F.kl_div(pred, target, **NONE), ()),
    ("kl_divergence_log_target", lambda pred, target: F.kl_div(pred, target, log_target=True, **NONE), ()),
    ("bce", lambda pred, target: F.binary_cross_entropy(pred, target, **NONE), ()),
    ("bce_with_logits", lambda pred, target: F.binary_cross_entropy_with_logits(pred, target, **NONE), ()),
    (
        "bce_with_logits:pos_weight=3",
        lambda pred, target: F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(3.0), **NONE),
        (),
    ),
    ("soft_margin", lambda pred, target: F.soft_margin_loss(pred, target, **NONE), ()),
    ("hinge_embedding", lambda pred, target: F.hinge_embedding_loss(pred, target, **NONE), ()),
    ("margin_ranking", lambda pred, x2, target: F.margin_ranking_loss(pred, x2, target, **NONE), ()),
    ("cosine_embedding", lambda pred, x2, target: F.cosine_embedding_loss(pred, x2, target, **NONE), ()),
    ("cosine_distance", lambda pred, target: 1 - F.cosine_similarity(pred, target), ()),
    (
        "triplet",
        lambda pred, target, negative: F.triplet_margin_loss(pred, target, negative, eps=0.0, **NONE),
        (),
    ),
    ("multi_margin", lambda pred, target: F.multi_margin_loss(pred, target, **NONE), CLASS),
    ("multilabel_margin", lambda pred, target: F.multilabel_margin_loss(pred, indices(target), **NONE), CLASS),
    ("multilabel_soft_margin", lambda pred, target: F.multilabel_soft_margin_loss(pred, target, **NONE), ()),
    ("nll", lambda pred, target: F.nll_loss(pred, target, **NONE), CLASS),
    ("sparse_softmax_cross_entropy", lambda pred, target: F.cross_entropy(pred, target, **NONE), CLASS),
    (
        "sparse_softmax_cross_entropy:label_smoothing=0.1",
        lambda pred, target: F.cross_entropy(pred, target, label_smoothing=0.1, **NONE),
        CLASS,
    ),
    ("softmax_cross_entropy", lambda pred, target: F.cross_entropy(pred, target, **NONE), ()),
    ("ctc", ctc_torch, ("target", "input_lengths", "target_lengths")),
]
OPTAX = [
    ("mse", optax.losses.squared_error, ()),
    ("half_squared_error", optax.losses.l2_loss, ()),
    ("huber", optax.losses.huber_loss, ()),
    ("log_cosh", optax.losses.log_cosh, ()),
    ("bce_with_logits", optax.losses.sigmoid_binary_cross_entropy, ()),
    ("hinge", optax.losses.hinge_loss, ()),
    ("perceptron", optax.losses.perceptron_loss, ()),
    (
        "focal_with_logits:alpha=0.25",
        lambda pred, target: optax.losses.sigmoid_focal_loss(pred, target, alpha=0.25),
        (),
    ),
    ("softmax_cross_entropy", optax.losses.softmax_cross_entropy, ()),
    (
        "sparse_softmax_cross_entropy",
        optax.losses.softmax_cross_entropy_with_integer_labels,
        CLASS,
    ),
    (
        "poly1_softmax",
        lambda pred, target: optax.losses.poly_loss_cross_entropy(
            pred, jax.nn.one_hot(target, pred.shape[1], dtype=pred.dtype), epsilon=1.0
        ),
        CLASS,
    ),
    ("crammer_singer", optax.losses.multiclass_hinge_loss, CLASS),
    ("crammer_singer:margin=0", optax.losses.multiclass_perceptron_loss, CLASS),
    (
        "sparsemax",
        jax.vmap(optax.losses.multiclass_sparsemax_loss),
        CLASS,
    ),
    ("kl_divergence_log_input", optax.losses.kl_divergence, ()),
    ("kl_divergence_log_target", optax.losses.kl_divergence_with_log_targets, ()),
    ("cosine_distance", optax.losses.cosine_distance, ()),
    (
        "triplet",
        lambda pred, target, negative: optax.losses.triplet_margin_loss(pred, target, negative, eps=0.0),
        (),
    ),
    (
        "softmax_ranking",
        lambda pred, target: optax.losses.ranking_softmax_loss(pred, target, reduce_fn=None),
        (),
    ),
]
CASES = [Case("torch", loss, call, whole=whole) for loss, call, whole in TORCH]
CASES += [Case("optax", loss, call, whole=whole) for loss, call, whole in OPTAX]
CASES.append(
    Case(
        "torch",
        "sparse_softmax_cross_entropy",
        lambda pred, target: F.cross_entropy(pred, target, ignore_index=IGNORED, **NONE),
        {"ignore_index": IGNORED},
        CLASS,
    )
)


def rounded(x: Array, precision: str) -> Array:
    """Return the numbers of a precision that are the nearest to x, as float64."""
    return torch.from_numpy(np.array(x, float)).to(getattr(torch, precision)).double().numpy()


def drawn(case: Case, seed: int) -> Inputs:
    """Return points as gradcheck draws them, apart from corners where the frameworks have a definition of their own."""
    loss = as_loss(case.loss)
    names = [i.name for i in loss.inputs]
    if loss.name == "ctc":
        return sequences(seed)
    arrays = sample_points(loss, SAMPLES, seed, CLASSES, ordinary=True)
    return dict(zip(names, arrays, strict=True))


def trained(case: Case, seed: int) -> Inputs:
    """Return data of a trained model: residuals of 1 %, logits of standard deviation 8, mostly the right class."""
    inputs, rng = drawn(case, seed), np.random.default_rng(seed)
    kinds = {i.name: type(i.kind).__name__ for i in as_loss(case.loss).inputs}
    pred, target = inputs["pred"], inputs["target"]
    if "ctc" in case.loss:
        return sequences(seed, 8.0)
    if kinds["pred"] in ("Kind", "AboveKind") and kinds["target"] == kinds["pred"]:
        return inputs | {"pred": target * (1 + 0.01 * rng.normal(size=pred.shape))}
    if kinds["pred"] == "Kind" and kinds["target"] in ("SignKind", "ProbabilityKind"):
        return inputs | {"pred": np.abs(8 * rng.normal(size=pred.shape)) * np.where(target > 0.5, 1, -1)}
    if kinds["pred"] in ("LogitsKind", "LogProbabilitiesKind", "ArrayKind") and pred.ndim == 2:
        z = 8 * rng.normal(size=pred.shape)
        if kinds["target"] == "LabelKind":
            right = rng.random(len(z)) < 0.9
            inputs["target"] = np.where(right, z.argmax(1), target)
        return inputs | {"pred": log_softmax(z) if kinds["pred"] == "LogProbabilitiesKind" else z}
    if kinds["pred"] == "DirectionKind":
        other = "x2" if "x2" in inputs else "target"
        return inputs | {"pred": inputs[other] * (1 + 0.01 * rng.normal(size=pred.shape))}
    if kinds["pred"] == "ProbabilityKind":
        return inputs | {"pred": 1 / (1 + np.exp(-8 * rng.normal(size=pred.shape)))}
    return inputs


def log_softmax(z: Array) -> Array:
    z = z - z.max(axis=-1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


def sequences(seed: int, spread: float = 1.0, frames: int = 12) -> Inputs:
    rng = np.random.default_rng(seed)
    pred = log_softmax(spread * rng.normal(size=(20, frames, CLASSES)))
    return {
        "pred": pred,
        "target": rng.integers(1, CLASSES, (20, 4)).astype(float),
        "input_lengths": rng.integers(9, frames + 1, 20).astype(float),
        "target_lengths": rng.integers(1, 5, 20).astype(float),
    }


def in_precision(case: Case, inputs: Inputs, precision: str) -> Inputs:
    """Return the inputs rounded; probabilities and lengths that round to an edge of their domain become ordinary."""
    result = {k: x if k in case.whole else rounded(x, precision) for k, x in inputs.items()}
    if case.loss == "bce":
        p = result["pred"]
        result["pred"] = np.where((p < 1e-6) | (p > 1 - 1e-6), 0.5, p)
    if case.loss == "poisson_nll":  # torch's gradient is NaN at a rate of 0
        result["pred"] = np.maximum(result["pred"], 2.0**-10)
    if case.loss == "gaussian_nll":
        result["var"] = np.maximum(result["var"], 2.0**-10)
    if case.options:
        result["target"] = np.where(np.arange(len(result["target"])) % 3 == 1, IGNORED, result["target"])
    return result


def gradient(case: Case, inputs: Inputs, precision: str) -> Array:
    """Return the framework's gradient as float64."""
    if case.framework == "torch":
        dtype = getattr(torch, precision)
        tensors = {
            k: torch.from_numpy(x.copy()).to(torch.int64 if k in case.whole else dtype) for k, x in inputs.items()
        }
        pred = tensors["pred"].requires_grad_()
        case.call(**tensors).sum().backward()
        return pred.grad.double().numpy()
    arrays = {k: jax.numpy.asarray(x, "int32" if k in case.whole else precision) for k, x in inputs.items()}
    pred = arrays.pop("pred")
    return np.asarray(jax.grad(lambda p: case.call(p, *arrays.values()).sum())(pred)).astype(np.float64)


def stored(g: Array, precision: str) -> Array:
    """Return numbers of a precision in an array of its type; bfloat16, which numpy lacks, as float32."""
    return g.astype("float32" if precision == "bfloat16" else precision)


def verdict(case: Case, inputs: Inputs, g: Array) -> tuple[str, Any]:
    others = {k: x for k, x in inputs.items() if k not in ("pred", "target")}
    try:
        result = lossctl.gradcheck(
            case.loss, inputs["pred"], inputs["target"], grad=g, inputs=others, threads=1, **case.options
        )
    except LossctlError as error:
        return "refused", error
    said = UNSEEN in " ".join((result.method or "", *result.notes))
    outcome = "ok" if result.passed else "wrong" if result.counts["wrong"] else "unresolved"
    return ("unseen" if outcome == "ok" and said else outcome), result


def trials(case: Case, seeds: int) -> Iterator[tuple[str, str, str, str, Any]]:
    """Yield the precision, the data, the gradient's name, the outcome and the result."""
    for precision in PRECISIONS:
        for name, data in (("drawn", drawn), ("trained", trained)):
            for seed in range(seeds):
                inputs = in_precision(case, data(case, seed), precision)
                try:
                    g = gradient(case, inputs, precision)
                except (RuntimeError, NotImplementedError) as error:
                    yield precision, name, "right", "absent", error
                    break
                for what, array in (
                    ("right", stored(g, precision)),
                    ("right as float64", g),
                    ("0.999", 0.999 * g),
                    ("0.999 rounded", stored(rounded(0.999 * g, precision), precision)),
                ):
                    yield precision, name, what, *verdict(case, inputs, array)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("losses", nargs="*")
    chosen = parser.parse_args()
    total: Counter[tuple[str, str, str]] = Counter()
    for case in CASES:
        if chosen.losses and case.loss not in chosen.losses:
            continue
        odd: dict[tuple[str, ...], tuple[int, Any]] = {}
        for precision, data, what, outcome, result in trials(case, chosen.seeds):
            total[precision, what, outcome] += 1
            fine = outcome in (("ok", "unseen") if what.startswith("right") else ("wrong", "unseen"))
            if not fine:
                key = precision, data, what, outcome
                odd[key] = odd.get(key, (0, None))[0] + 1, result
        label = f"{case.framework} {case.loss}{' ignored labels' if case.options else ''}"
        print(f"{label}: {'as expected' if not odd else ''}", flush=True)
        for key, (count, result) in odd.items():
            shown = str(result) if isinstance(result, Exception) else [str(c) for c in result.worst_coordinates(1)]
            print("   ", *key, f"x{count}", str(shown)[:300], flush=True)
    print()
    for key, count in sorted(total.items()):
        print(f"{key[0]:9} {key[1]:17} {key[2]:10} {count}")


if __name__ == "__main__":
    main()
