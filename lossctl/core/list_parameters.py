"""Parameters with one value for each column of the predictions: ``quantile:tau=0.1,0.5,0.9``.

A kernel takes the values as a further input, one for each element, so that whatever selects elements selects their
values too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lossctl.core.arrays import Array, Dims
from lossctl.core.kind import Kind
from lossctl.core.loss import Loss
from lossctl.core.parameters import Parameter
from lossctl.core.signature import Input, Signature
from lossctl.immutable import immutable


@immutable
class ListKind(Kind):
    """The values of a parameter, which are valid."""

    values: tuple[float, ...] = ()

    def sample(self, rng: np.random.Generator, n: int, dims: Dims) -> Array:
        return rng.choice(self.values, n)


@immutable(eq=False)
class ListSignature(Signature):
    """The signature of a kernel, with the lists after its inputs.

    Attributes:
        loss: the loss whose lists they are.
        lists: the lists as inputs.
    """

    loss: Loss
    lists: tuple[Input, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        return (*super().inputs, *self.lists)

    @property
    def kernel_order(self) -> tuple[int, ...]:
        order = super().kernel_order
        return (*order, *range(len(order), len(order) + len(self.lists)))


class ListKernel:
    """A kernel, or another function of the inputs and the parameters, that takes lists after its inputs."""

    def __init__(self, function: Callable[..., Any], names: tuple[str, ...]) -> None:
        self.function, self.names = function, names
        self.__module__, self.__doc__ = function.__module__, function.__doc__

    def __call__(self, *arrays: Array, **params: Any) -> Any:
        """Call the function with the last arrays as the parameters of these names."""
        count = len(arrays) - len(self.names)
        return self.function(*arrays[:count], **params | dict(zip(self.names, arrays[count:], strict=True)))


def lists_of(loss: Loss) -> Mapping[str, tuple[float, ...]]:
    """Return the values of the parameters that are lists, by name."""
    return {name: value for name, value in loss.params.items() if isinstance(value, tuple)}


def with_list_inputs(loss: Loss) -> Loss:
    """Return the loss with its lists as inputs, the last ones; the loss itself if it has none, or has them already.

    >>> from lossctl import get_loss
    >>> loss = with_list_inputs(get_loss("quantile:tau=0.1,0.9"))
    >>> [i.name for i in loss.inputs]
    ['pred', 'target', 'tau']
    >>> loss.evaluate(np.zeros(2), np.ones(2), np.array([0.1, 0.9]))[0].tolist()
    [0.1, 0.9]
    """
    lists = lists_of(loss)
    if not lists or isinstance(loss.signature, ListSignature):
        return loss
    parameters = {p.name: p for p in loss.parameters}
    inputs = tuple(Input(name, _kind(parameters[name], values)) for name, values in lists.items())
    names = tuple(lists)

    def wrapped(function: Callable[..., Any] | None) -> ListKernel | None:
        return None if function is None else ListKernel(function, names)

    return replace(
        loss,
        kernel=ListKernel(loss.kernel, names),
        signature=ListSignature(loss.signature.kernel, loss, inputs),
        denominator=wrapped(loss.denominator),
        validate=wrapped(loss.validate),
    )


def single_valued(loss: Loss) -> list[Loss]:
    """Return the losses of the single values of its lists: one loss for each column, or the loss itself.

    >>> from lossctl import get_loss
    >>> single_valued(get_loss("quantile:tau=0.1,0.9"))
    [<loss quantile:tau=0.1>, <loss quantile:tau=0.9>]
    """
    lists = lists_of(loss)
    if not lists:
        return [loss]
    return [loss.bind(**dict(zip(lists, values, strict=True))) for values in zip(*lists.values(), strict=False)]


def _kind(parameter: Parameter, values: tuple[float, ...]) -> ListKind:
    return ListKind("List", parameter.expects, parameter.domain, values=values)
