"""A network in PyTorch whose activation has a backward pass by hand; run as a script, it writes torch_network.npz."""

from pathlib import Path

import numpy as np
import torch
from torch import nn


class Softsign(torch.autograd.Function):
    """x / (1 + |x|), with a backward pass that forgets a square."""

    @staticmethod
    def forward(ctx, x):
        """Return the activation of each number."""
        ctx.save_for_backward(x)
        return x / (1 + x.abs())

    @staticmethod
    def backward(ctx, upstream):
        """Return upstream / (1 + |x|), where upstream / (1 + |x|)² is right."""
        (x,) = ctx.saved_tensors
        return upstream / (1 + x.abs())


class Network(nn.Module):
    """Two layers."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x, labels):
        """Return the mean cross-entropy of a batch."""
        return nn.functional.cross_entropy(self.out(Softsign.apply(self.hidden(x))), labels)


if __name__ == "__main__":
    torch.manual_seed(0)
    state = {name: tensor.numpy() for name, tensor in Network().state_dict().items()}
    batch = {"x": np.random.default_rng(0).standard_normal((16, 4)), "labels": np.arange(16) % 3}
    np.savez(Path(__file__).with_name("torch_network.npz"), **state, **batch)
