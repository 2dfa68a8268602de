"""A convention as a loss: the registered kernel between changes of its inputs, with its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.conventions.record import Convention, Kernel
from lossctl.core.arrays import Array
from lossctl.core.loss import Loss, Thunk
from lossctl.core.registry import get_loss
from lossctl.immutable import immutable


@immutable
class ConventionKernel:
    """The kernel of a convention.

    Attributes:
        convention: the convention.
        base: the kernel of the registered loss, or the one of the convention.
        names: the names of the inputs.
        class_weight: weights of the classes within the sum over the classes, or empty.
    """

    convention: Convention
    base: Kernel
    names: tuple[str, ...]
    class_weight: tuple[float, ...] = ()

    def __call__(self, pred: Array, *others: Array, **params: Any) -> tuple[Array, Thunk]:
        """Return the losses (n,) and the function that returns their gradient."""
        backwards = []
        inputs = list(others)
        for step in self.convention.all_steps:
            pred, backward = step.pred(pred)
            backwards.append(backward)
            inputs = [step.other(name, array) for name, array in zip(self.names[1:], inputs, strict=True)]
        if self.class_weight:
            params |= {"class_weight": np.array(self.class_weight)}
        values, thunk = self.base(pred, *inputs, **params)
        factor = self.convention.factor / (pred.shape[-1] if self.convention.per_class else 1)

        def gradient() -> Array:
            slope = factor * thunk()
            for backward in reversed(backwards):
                slope = backward(slope)
            return np.asarray(slope)

        offset = self.convention.offset
        return (values if factor == 1.0 and not offset else factor * values + offset), gradient


def loss_of(convention: Convention, class_weight: Sequence[float] = (), **params: object) -> Loss:
    """Return the convention as a loss of the same name.

    Args:
        convention: the convention.
        class_weight: weights of the classes, if the convention has them within the sum over the classes.
        params: values of parameters of the loss; others are those of the convention.
    """
    loss = get_loss(convention.loss)
    base = convention.inside if class_weight and convention.inside else convention.kernel or loss.kernel
    weights = tuple(class_weight) if convention.inside else ()
    kernel = ConventionKernel(convention, base, tuple(i.name for i in loss.inputs), weights)
    kernel_loss = replace(loss, kernel=kernel, propagates_nonfinite=False)
    if weights and convention.class_weights == "label":
        kernel_loss = replace(kernel_loss, denominator=LabelWeights(weights))
    return kernel_loss.bind(**params)


@immutable
class LabelWeights:
    """The denominator of labels with class weights: the weight of each label."""

    class_weight: tuple[float, ...]

    def __call__(self, pred: Array, target: Array, **params: Any) -> Array:
        """Return the weights (n,) of the labels."""
        return np.array(self.class_weight)[target.astype(np.intp)]
