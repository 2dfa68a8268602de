"""Conventions of losses of masks."""

from __future__ import annotations

from lossctl.conventions.kernels import lovasz_of_all_classes, padded_dice
from lossctl.conventions.record import kornia

ROWS = (
    kornia(
        "dice_loss",
        "dice:smooth=0",
        "kornia.losses.dice_loss(pred.log(), target[:, 1].long())",
        reads="logits (n, k, height, width), of which it takes a softmax,",
        kernel=padded_dice,
        mode="all classes of an image are one mask, average='micro'",
        says=("adds 1e-8 to the denominator alone",),
    ),
    kornia("lovasz_hinge_loss", "lovasz_hinge", "kornia.losses.lovasz_hinge_loss(pred[:, None], target)"),
    kornia(
        "lovasz_softmax_loss",
        "lovasz_softmax",
        "kornia.losses.lovasz_softmax_loss(pred.transpose(1, 2).log()[..., None], target[..., None])",
        reads="logits (n, k, height, width), of which it takes a softmax,",
        kernel=lovasz_of_all_classes,
        says=("averages over all classes, also those that do not occur in an image",),
    ),
)
