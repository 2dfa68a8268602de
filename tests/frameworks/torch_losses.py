"""Losses in PyTorch, right and wrong; wrong ones are called ``bad_…``."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from cases import CASES, Case, case
from torch import nn

# --- functions of torch.nn.functional, as they are called in training code ---


@case("torch", "real")
def mse(pred, target):
    return F.mse_loss(pred, target, reduction="none")


@case("torch", "real", coupled=True)
def mse_mean(pred, target):
    return F.mse_loss(pred, target)


@case("torch", "real")
def l1(pred, target):
    return (pred - target).abs()


@case("torch", "real", coupled=True)
def rmse(pred, target):
    return torch.sqrt(F.mse_loss(pred, target) + 1e-6)


@case("torch", "real")
def huber(pred, target, delta=1.0):
    return F.huber_loss(pred, target, reduction="none", delta=delta)


@case("torch", "real")
def smooth_l1(pred, target):
    return F.smooth_l1_loss(pred, target, reduction="none", beta=0.5)


@case("torch", "real")
def log_cosh(pred, target):
    r = pred - target
    return r + F.softplus(-2.0 * r) - 0.6931471805599453


@case("torch", "real")
def quantile(pred, target, tau=0.9):
    r = target - pred
    return torch.maximum(tau * r, (tau - 1) * r)


@case("torch", "real_var")
def gaussian_nll(pred, target, var):
    return F.gaussian_nll_loss(pred, target, var, reduction="none")


@case("torch", "logit")
def bce_with_logits(pred, target):
    return F.binary_cross_entropy_with_logits(pred, target, reduction="none")


@case("torch", "logit", coupled=True)
def bce_pos_weight(pred, target):
    return F.binary_cross_entropy_with_logits(pred, target, pos_weight=torch.tensor(3.0))


@case("torch", "probability")
def bce(pred, target):
    return F.binary_cross_entropy(pred, target, reduction="none")


@case("torch", "logit")
def sigmoid_focal(inputs, targets, alpha=0.25, gamma=2.0):
    # as torchvision.ops.sigmoid_focal_loss
    p = torch.sigmoid(inputs)
    ce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    p_t = p * targets + (1 - p) * (1 - targets)
    loss = ce * ((1 - p_t) ** gamma)
    return (alpha * targets + (1 - alpha) * (1 - targets)) * loss


@case("torch", "logits")
def cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")


@case("torch", "logits", coupled=True)
def cross_entropy_mean(logits, labels):
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


@case("torch", "logits")
def nll_of_log_softmax(logits, labels):
    return F.nll_loss(F.log_softmax(logits, dim=-1), labels, reduction="none")


@case("torch", "logits")
def softmax_focal(logits, labels, gamma=2.0):
    log_p = F.log_softmax(logits, dim=-1).gather(1, labels[:, None]).squeeze(1)
    return -((1 - log_p.exp()) ** gamma) * log_p


@case("torch", "logits")
def label_smoothing_by_hand(logits, labels, smoothing=0.1):
    log_p = F.log_softmax(logits, dim=-1)
    nll = -log_p.gather(dim=-1, index=labels.unsqueeze(1)).squeeze(1)
    return (1.0 - smoothing) * nll - smoothing * log_p.mean(dim=-1)


@case("torch", "logits_soft")
def distillation(student, teacher, temperature=2.0):
    log_p = F.log_softmax(student / temperature, dim=-1)
    return F.kl_div(log_p, teacher, reduction="none").sum(-1) * temperature**2


@case("torch", "logits", only=("float64", "float32"))  # PyTorch has it in no half precision
def multi_margin(logits, labels):
    return F.multi_margin_loss(logits, labels, reduction="none")


@case("torch", "log_count")
def poisson(pred, target):
    return F.poisson_nll_loss(pred, target, log_input=True, reduction="none")


@case("torch", "margin")
def soft_margin(pred, target):
    return F.soft_margin_loss(pred, target, reduction="none")


@case("torch", "masks")
def soft_dice(probs, mask, smooth=1.0):
    overlap = (probs * mask).sum(dim=1)
    return 1 - (2 * overlap + smooth) / (probs.sum(dim=1) + mask.sum(dim=1) + smooth)


@case("torch", "masks", coupled=True)
def dice_of_batch(probs, mask):
    p, t = probs.flatten(), mask.flatten()
    return 1 - (2 * (p * t).sum() + 1.0) / (p.sum() + t.sum() + 1.0)


@case("torch", "vectors")
def cosine(a, b):
    return 1 - F.cosine_similarity(a, b, dim=1)


@case("torch", "triplets")
def triplet(anchor, positive, negative):
    return F.triplet_margin_loss(anchor, positive, negative, margin=1.0, reduction="none")


@case("torch", "pairs", coupled=True)
def info_nce(a, b, temperature=0.5):
    a, b = F.normalize(a, dim=1), F.normalize(b, dim=1)
    return F.cross_entropy(a @ b.T / temperature, torch.arange(len(a)))


# --- modules and functions with their own backward ---


@case("torch", "logits")
class WeightedCrossEntropy(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.register_buffer("weight", torch.tensor([0.5, 1.0, 2.0, 4.0, 1.0]))
        self.scale = scale

    def forward(self, input, target):  # noqa: A002 - as in torch.nn
        return self.scale * F.cross_entropy(input, target, weight=self.weight, reduction="none")


@case("torch", "real")
class Charbonnier(nn.Module):
    def __init__(self, eps: float = 0.1):
        super().__init__()
        self.eps = eps

    def forward(self, pred, target):
        return torch.sqrt((pred - target) ** 2 + self.eps**2)


@case("torch", "real")
class HuberFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t, delta=1.0):
        r = x - t
        ctx.save_for_backward(r)
        ctx.delta = delta
        return torch.where(r.abs() <= delta, 0.5 * r * r, delta * (r.abs() - 0.5 * delta))

    @staticmethod
    def backward(ctx, up):
        (r,) = ctx.saved_tensors
        return up * r.clamp(-ctx.delta, ctx.delta), None, None


@case("torch", "logits")
class FusedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(logits, labels):
        return torch.logsumexp(logits, dim=1) - logits.gather(1, labels[:, None]).squeeze(1)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, up):
        logits, labels = ctx.saved_tensors
        p = torch.softmax(logits, dim=1)
        return up[:, None] * (p - F.one_hot(labels, logits.shape[1])), None


CASES["torch_instance"] = Case("torch_instance", "torch", nn.CrossEntropyLoss(reduction="none"), "logits", right=True)
CASES["torch_module_mean"] = Case("torch_module_mean", "torch", nn.SmoothL1Loss(), "real", right=True, coupled=True)


# --- wrong ---


@case("torch", "real", right=False)
def bad_half_detached(pred, target):
    return (pred.detach() - target) * (pred - target)


@case("torch", "logits", right=False)
def bad_focal_weight_detached(logits, labels):
    ce = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-ce)).detach() ** 2 * ce


@case("torch", "vectors", right=False)
def bad_norm_detached(a, b):
    return 1 - (a * b).sum(1) / (a.norm(dim=1).detach() * b.norm(dim=1))


@case("torch", "probability", right=False)
def bad_straight_through_clip(pred, target):
    q = pred + (pred.clamp(0.2, 0.8) - pred).detach()
    return -target * q.log() - (1 - target) * (1 - q).log()


@case("torch", "real", right=False)
def bad_numpy_detour(pred, target):
    return torch.from_numpy((pred.detach().numpy() - target.numpy()) ** 2) + 0 * pred


@case("torch", "real", right=False)
class BadUpstreamIgnored(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t):
        ctx.save_for_backward(x, t)
        return (x - t) ** 2

    @staticmethod
    def backward(ctx, up):
        x, t = ctx.saved_tensors
        return 2 * (x - t), None


@case("torch", "logits", right=False)
class BadFirstUpstream(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        ctx.save_for_backward(logits, labels)
        return F.cross_entropy(logits, labels, reduction="none")

    @staticmethod
    def backward(ctx, up):
        logits, labels = ctx.saved_tensors
        return up[0] * (torch.softmax(logits, 1) - F.one_hot(labels, logits.shape[1])), None


@case("torch", "logits", right=False, coupled=True)
class BadMeanTwice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        ctx.save_for_backward(logits, labels)
        return F.cross_entropy(logits, labels)

    @staticmethod
    def backward(ctx, up):
        logits, labels = ctx.saved_tensors
        n = len(labels)
        return up * (torch.softmax(logits, 1) - F.one_hot(labels, logits.shape[1])) / n / n, None


@case("torch", "logit", right=False)
class BadSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t):
        ctx.save_for_backward(x, t)
        return F.softplus(x) - t * x

    @staticmethod
    def backward(ctx, up):
        x, t = ctx.saved_tensors
        return up * (t - torch.sigmoid(x)), None


@case("torch", "real", right=False)
class BadHuberBranch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t):
        r = x - t
        ctx.save_for_backward(r)
        return torch.where(r.abs() <= 1, 0.5 * r * r, r.abs() - 0.5)

    @staticmethod
    def backward(ctx, up):
        (r,) = ctx.saved_tensors
        return up * torch.where(r.abs() <= 1, r, 0.5 * r.sign()), None


@case("torch", "logits", right=False)
class BadSavedOverwritten(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, labels):
        shifted = logits - logits.max(dim=1, keepdim=True).values
        value = shifted.exp().sum(1).log() - shifted.gather(1, labels[:, None]).squeeze(1)
        ctx.p, ctx.labels = shifted, labels
        shifted.exp_()  # never divided by its sum
        return value

    @staticmethod
    def backward(ctx, up):
        return up[:, None] * (ctx.p - F.one_hot(ctx.labels, ctx.p.shape[1])), None


@case("torch", "real", right=False, coupled=True)
def bad_mean_with_stopped_denominator(pred, target):
    r = pred - target
    return (r * r).sum() / r.abs().sum().detach()
