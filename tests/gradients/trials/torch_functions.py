"""Trials: PyTorch's losses and their backward, as functions of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from gradients.trials import truths
from gradients.trials.record import DATA, right, wrong

from lossctl import Label, Logits, Positive, Probabilities, Probability, Real, Sign
from lossctl.core.array_kinds import Direction, HardMask, Mask, Vector
from lossctl.core.input_kinds import Count


def torched(function: Callable[..., Any], dtype: str = "float64") -> Callable[..., Any]:
    """A function of tensors as one of arrays: it gives the loss of each sample, autograd the gradient."""

    @wraps(function)
    def of_arrays(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        x, *others = (torch.tensor(np.array(a)).to(getattr(torch, dtype)) for a in arrays)
        x.requires_grad_()
        with torch.enable_grad():  # torch's gradcheck calls this where it is off
            loss = function(x, *others)
            each, total = loss if isinstance(loss, tuple) else (loss, loss.sum())
            total.backward()
        wide = torch.float32 if dtype == "bfloat16" else getattr(torch, dtype)
        return each.detach().to(wide).numpy(), x.grad.to(wide).numpy()

    return of_arrays


def in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, in float32."""
    return torched(function, "float32")


def in_bfloat16(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same, in bfloat16."""
    return torched(function, "bfloat16")


# --- right ---


@right(truths.square, "real", needs="torch")
@torched
def torch_mse(pred: Real, target: Real):
    import torch.nn.functional as F  # noqa: N812

    return F.mse_loss(pred, target, reduction="none")


@right(truths.absolute, "real_ties", needs="torch", mistake="ties")
@torched
def torch_l1(pred: Real, target: Real):
    return (pred - target).abs()


@right(truths.HUBER_2, "real", needs="torch")
@torched
def torch_huber(pred: Real, target: Real):
    import torch.nn.functional as F  # noqa: N812

    return F.huber_loss(pred, target, reduction="none", delta=2.0)


@right(truths.smooth_l1, "real", needs="torch")
@torched
def torch_smooth_l1(pred: Real, target: Real):
    import torch.nn.functional as F  # noqa: N812

    return F.smooth_l1_loss(pred, target, reduction="none", beta=0.5)


@right(truths.log_cosh, "real", needs="torch", mistake="digits", loses_digits=True)
@torched
def torch_log_cosh(pred: Real, target: Real):
    import torch

    return torch.log(torch.cosh(pred - target))


@right(truths.gaussian, "real_var", needs="torch", drawn=False)
@torched
def torch_gaussian_nll(pred: Real, target: Real, var: Real):
    import torch.nn.functional as F  # noqa: N812

    return F.gaussian_nll_loss(pred, target, var, reduction="none")


@right(truths.bce, "probability", needs="torch")
@torched
def torch_bce(pred: Probability, target: Probability):
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy(pred, target, reduction="none")


@right(truths.bce_logits, "logit", needs="torch", mistake="cancels")
@torched
def torch_bce_with_logits(pred: Real, target: Probability):
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(pred, target, reduction="none")


@right(truths.bce_logits, "logit_soft", needs="torch", mistake="cancels")
@torched
def torch_bce_with_logits_soft(pred: Real, target: Probability):
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(pred, target, reduction="none")


@right(truths.bce_pos_weight, "logit", needs="torch", mistake="cancels")
@torched
def torch_bce_pos_weight(pred: Real, target: Probability):
    import torch
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(
        pred, target, reduction="none", pos_weight=torch.tensor(3.0, dtype=pred.dtype)
    )


@right(truths.logistic, "margin", needs="torch", mistake="cancels", loses_digits=True)
@torched
def torch_soft_margin(pred: Real, y: Sign):
    import torch

    return torch.log(1 + torch.exp(-y * pred))


@right(truths.cross_entropy, "logits", needs="torch", mistake="cancels", loses_digits=True)
@torched
def torch_cross_entropy(pred: Logits, target: Label):
    import torch.nn.functional as F  # noqa: N812

    return F.cross_entropy(pred, target.long(), reduction="none")


@right(truths.cross_entropy_smooth, "logits", needs="torch", mistake="cancels")
@torched
def torch_label_smoothing(pred: Logits, target: Label):
    import torch.nn.functional as F  # noqa: N812

    return F.cross_entropy(pred, target.long(), reduction="none", label_smoothing=0.1)


@right(truths.cross_entropy_weighted, "logits", needs="torch", mistake="cancels", loses_digits=True)
@torched
def torch_class_weight(pred: Logits, target: Label):
    import torch
    import torch.nn.functional as F  # noqa: N812

    weight = torch.tensor([0.5, 1.0, 2.0, 4.0, 1.0], dtype=pred.dtype)
    return F.cross_entropy(pred, target.long(), weight=weight, reduction="none")


@right(truths.softmax_focal, "logits", needs="torch", mistake="digits", loses_digits=True)
@torched
def torch_softmax_focal(pred: Logits, target: Label):
    import torch
    import torch.nn.functional as F  # noqa: N812

    ce = F.cross_entropy(pred, target.long(), reduction="none")
    return (1 - torch.exp(-ce)) ** 2 * ce


@right(truths.kl_logits, "logits_soft", needs="torch", mistake="cancels", loses_digits=True)
@torched
def torch_distillation(pred: Logits, target: Probabilities):
    import torch.nn.functional as F  # noqa: N812

    return F.kl_div(F.log_softmax(pred, dim=1), target, reduction="none").sum(dim=1)


@right(truths.poisson_log, "log_count", needs="torch", mistake="cancels")
@torched
def torch_poisson(pred: Real, target: Count):
    import torch.nn.functional as F  # noqa: N812

    return F.poisson_nll_loss(pred, target, log_input=True, reduction="none")


@right(truths.cosine, "vectors", needs="torch", mistake="digits", loses_digits=True)
@torched
def torch_cosine(a: Direction, b: Direction):
    import torch.nn.functional as F  # noqa: N812

    return 1 - F.cosine_similarity(a, b, dim=1)


@right(truths.euclidean, "vectors", needs="torch")
@torched
def torch_distance(a: Vector, b: Vector):
    import torch

    return torch.linalg.vector_norm(a - b, dim=1)


@right(truths.dice, "masks", needs="torch", mistake="digits", loses_digits=True)
@torched
def torch_dice(p: Mask, t: HardMask):
    return 1 - (2 * (p * t).sum(1) + 1) / (p.sum(1) + t.sum(1) + 1)


@right(truths.infonce, "pairs", needs="torch", mistake="digits", loses_digits=True, coupled=True, drawn=False)
@torched
def torch_infonce(a: Direction, b: Direction):
    import torch
    import torch.nn.functional as F  # noqa: N812

    s = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.1
    return F.cross_entropy(s, torch.arange(len(a)), reduction="none")


# --- right, with few digits ---


@right(truths.square, "real", needs="torch", mistake="float32", loses_digits=True)
@in_float32
def torch_mse_float32(pred: Real, target: Real):
    return (pred - target) ** 2


@right(truths.bce_logits, "logit", needs="torch", mistake="float32", loses_digits=True)
@in_float32
def torch_bce_with_logits_float32(pred: Real, target: Probability):
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(pred, target, reduction="none")


@right(truths.cross_entropy, "logits", needs="torch", mistake="float32", loses_digits=True)
@in_float32
def torch_cross_entropy_float32(pred: Logits, target: Label):
    import torch.nn.functional as F  # noqa: N812

    return F.cross_entropy(pred, target.long(), reduction="none")


@right(truths.HUBER_2, "real", needs="torch", mistake="float32", loses_digits=True)
@in_float32
def torch_huber_float32(pred: Real, target: Real):
    import torch.nn.functional as F  # noqa: N812

    return F.huber_loss(pred, target, reduction="none", delta=2.0)


@right(truths.bce_logits, "logit", needs="torch", mistake="bfloat16", loses_digits=True, drawn=False)
@in_bfloat16
def torch_bce_with_logits_bfloat16(pred: Real, target: Probability):
    import torch.nn.functional as F  # noqa: N812

    return F.binary_cross_entropy_with_logits(pred, target, reduction="none")


# --- wrong ---


@wrong(truths.square, "real", "1/n", r"1/n|\bn\b|mean|number of samples", needs="torch")
@torched
def torch_mse_backward_of_mean(pred: Real, target: Real):
    loss = (pred - target) ** 2
    return loss, loss.mean()


@wrong(truths.cross_entropy, "logits", "1/n", r"1/n|\bn\b|mean|number of samples", needs="torch")
@torched
def torch_cross_entropy_backward_of_mean(pred: Logits, target: Label):
    import torch.nn.functional as F  # noqa: N812

    loss = F.cross_entropy(pred, target.long(), reduction="none")
    return loss, loss.mean()


@wrong(truths.square, "real", "scaled", r"65536|2\^|power|scale", needs="torch")
@torched
def torch_mse_not_unscaled(pred: Real, target: Real):
    loss = (pred - target) ** 2
    return loss, 65536 * loss.sum()


@wrong(truths.softmax_focal, "logits", "detached", "", needs="torch")
@torched
def torch_softmax_focal_detached(pred: Logits, target: Label):
    import torch
    import torch.nn.functional as F  # noqa: N812

    ce = F.cross_entropy(pred, target.long(), reduction="none")
    return (1 - torch.exp(-ce)).detach() ** 2 * ce


@wrong(truths.cosine, "vectors", "detached", "", needs="torch")
@torched
def torch_cosine_detached_norm(a: Direction, b: Direction):
    return 1 - (a * b).sum(1) / (a.norm(dim=1).detach() * b.norm(dim=1))


@wrong(truths.BCE_CLIP_2, "probability", "straight through", r"clip|flat|zero", needs="torch", seen_at=("trained",))
@torched
def torch_bce_clip_straight_through(pred: Probability, target: Probability):
    q = pred + (pred.clamp(0.01, 0.99) - pred).detach()
    return -target * q.log() - (1 - target) * (1 - q).log()


@wrong(truths.bce_logits, "logit", "sign", "sign", needs="torch")
@torched
def torch_custom_backward_sign(pred: Real, target: Probability):
    import torch

    class Bce(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, t):
            ctx.save_for_backward(x, t)
            return torch.logaddexp(torch.zeros_like(x), x) - t * x

        @staticmethod
        def backward(ctx, up):
            x, t = ctx.saved_tensors
            return up * (t - torch.sigmoid(x)), None

    return Bce.apply(pred, target)


@wrong(truths.HUBER, "real", "factor", r"0\.5|half|\b2\b", needs="torch", seen_at=(DATA,))
@torched
def torch_custom_backward_huber(pred: Real, target: Real):
    import torch

    class Huber(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, t):
            r = x - t
            ctx.save_for_backward(r)
            return torch.where(r.abs() <= 1, 0.5 * r * r, r.abs() - 0.5)

        @staticmethod
        def backward(ctx, up):
            (r,) = ctx.saved_tensors
            return up * torch.where(r.abs() <= 1, r, 0.5 * r.sign()), None

    return Huber.apply(pred, target)


@wrong(truths.absolute, "real_ties", "NaN", r"nan|not a number|undefined", needs="torch")
@torched
def torch_sqrt_of_square(pred: Real, target: Real):
    return ((pred - target) ** 2).sqrt()


@wrong(truths.poisson, "count", "no grad", r"\b1\b|constant|offset", needs="torch")
@torched
def torch_poisson_log_detached(pred: Positive, target: Count):
    import torch

    return pred.detach() - target * torch.log(pred)


@wrong(truths.cross_entropy_warm, "logits", "temperature", r"temperature|0\.25|\b4\b", needs="torch")
@torched
def torch_distillation_t_square(pred: Logits, target: Label):
    import torch.nn.functional as F  # noqa: N812

    loss = F.cross_entropy(pred / 4.0, target.long(), reduction="none")
    return loss, 4.0**2 * loss.sum()
