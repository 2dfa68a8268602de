"""Losses in PyTorch, for ``lossctl gradcheck samples/torch_losses.py:… --framework torch``."""

import torch
import torch.nn.functional as F  # noqa: N812


def focal(logits, labels, gamma=2.0):
    """Return the focal loss of each sample."""
    ce = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-ce)) ** gamma * ce


class CrossEntropy(torch.autograd.Function):
    """A cross-entropy with a backward pass that forgets one term, as a wrong one of a fused kernel does."""

    @staticmethod
    def forward(ctx, logits, labels):
        """Return the loss of each sample."""
        ctx.save_for_backward(logits, labels)
        return F.cross_entropy(logits, labels, reduction="none")

    @staticmethod
    def backward(ctx, upstream):
        """Return upstream · softmax: the 1 of the label is not subtracted."""
        logits, _ = ctx.saved_tensors
        return upstream[:, None] * torch.softmax(logits, dim=1), None
