"""Losses of masks with a weight for each pixel; a pixel of weight 0 does not count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.core.array_kinds import PIXEL_WEIGHT, PIXEL_WEIGHTS
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss, Thunk
from lossctl.core.signature import Input, Signature
from lossctl.immutable import immutable


@immutable(eq=False)
class PixelSignature(Signature):
    """The signature of a kernel, with weights of pixels after its inputs.

    Attributes:
        loss: the loss without these weights.
    """

    loss: Loss

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (*self.loss.inputs, Input(PIXEL_WEIGHT, PIXEL_WEIGHTS))

    @property
    def kernel_order(self) -> tuple[int, ...]:
        order = super().kernel_order
        return (*order, len(order))


class PixelKernel:
    """A kernel that takes weights of pixels after its inputs, and leaves out pixels of weight 0.

    Args:
        loss: a loss with ``neutral`` values, which replace the inputs where the weight is 0.
    """

    def __init__(self, loss: Loss) -> None:
        assert loss.neutral is not None
        self.function, self.neutral, self.weighted = loss.kernel, loss.neutral, bool(loss.signature.optional)
        self.__module__, self.__doc__ = loss.kernel.__module__, loss.kernel.__doc__

    def __call__(self, pred: Array, target: Array, weight: Array, **params: Any) -> tuple[Array, Thunk]:
        """Return the losses and their gradient, which is 0 where the weight is 0."""
        out = weight == 0.0
        target = np.where(out, self.neutral[1], target)
        outside = out[..., None] if pred.ndim > out.ndim else out
        pred = np.where(outside, self.neutral[0], pred)
        values, gradient = self.function(pred, target, *([weight] if self.weighted else []), **params)
        return values, lambda: np.where(outside, 0.0, gradient())


def with_pixel_weights(loss: Loss) -> Loss:
    """Return a loss that has ``neutral`` values with weights of pixels as its last input.

    >>> from lossctl import get_loss
    >>> loss = with_pixel_weights(get_loss("dice:smooth=0"))
    >>> [i.name for i in loss.inputs]
    ['pred', 'target', 'pixel weight']
    >>> pred, target = np.array([[1.0, 0.5, 1.0]]), np.array([[1.0, 1.0, 0.0]])
    >>> loss.evaluate(pred, target, np.array([[1.0, 2.0, 0.0]]))[0].round(12).tolist()
    [0.2]
    """
    return replace(loss, kernel=PixelKernel(loss), signature=PixelSignature(loss.signature.kernel, loss))
