"""How a loss is declared: one function, and what its signature cannot say.

``@loss`` takes a kernel (its positional parameters are the inputs, their annotation a kind; its
keyword-only parameters are hyperparameters) and makes a :class:`Loss`, from which everything else
comes: the catalogue, help, checks, completion, tests, benchmarks and gradient checks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss, MeanTransform, Thunk, Violations
from lossctl.core.parameters import Param, Value
from lossctl.core.signature import Signature

# What a declaration needs is imported from here.
__all__ = [
    "Loss",
    "MeanTransform",
    "Param",
    "Thunk",
    "Value",
    "Violations",
    "from_function",
    "loss",
    "validate_signature",
]


def loss(
    *,
    formula: str = "",
    reference: str = "",
    aliases: Sequence[str] = (),
    differences: Sequence[str] = (),
    pitfalls: Sequence[str] = (),
    relative_accuracy: str = "",
    from_logits: str = "",
    finish: MeanTransform | None = None,
    denominator: Callable[..., Array] | None = None,
    batch_coupled: bool = False,
    validate: Callable[..., Violations] | None = None,
    propagates_nonfinite: bool = False,
) -> Callable[[Callable[..., Any]], Loss]:
    """Declare the kernel below as a loss.

    The kernel takes its inputs positionally, ``(n,)`` or ``(n, *core)`` float64 and read-only, and its
    hyperparameters by keyword. It returns the per-sample loss ``(n,)`` and a thunk for the gradient
    with respect to its first input; a user's own may return the loss alone, or the gradient as an array.

    Args:
        formula: the definition in plain text.
        see: the reference.
        aliases: other names.
        differs: who defines it otherwise, one line each.
        pitfalls: what people get wrong, one line each.
        relative: where value and gradient are accurate relative to themselves.
        from_logits: the name of the same loss with logits for predictions.
        finish: what is done to the mean (rmse: the square root).
        denominator: per-sample amounts, of the inputs, that the sum is divided by instead of n.
        coupled: samples of a batch depend on each other, so that it cannot be computed in blocks.
        refuse: what is wrong with inputs that are each in their domain (a length beyond another's
            axis): of the inputs, parameters and ``tolerance``, for each cause whose, which elements, why.
        exposes: a NaN or an infinity in any input makes the loss NaN or infinite, so that finite losses
            prove finite inputs: a fifth or more of the time of a loss as cheap as mse.

    >>> import numpy as np
    >>> from lossctl import Real, loss
    >>> @loss(formula="|r|³;  r = pred − target")
    ... def cubic(pred: Real, target: Real):
    ...     '''The cube of the distance.'''
    ...     r = pred - target
    ...     return np.abs(r) ** 3, lambda: 3 * r * np.abs(r)
    >>> cubic.gradient([2.0], [0.0]).tolist()
    [12.0]
    """

    def declare(kernel: Callable[..., Any]) -> Loss:
        return Loss(
            kernel.__name__,
            kernel,
            Signature(kernel),
            _family(kernel),
            formula=formula,
            reference=reference,
            aliases=tuple(aliases),
            differences=tuple(differences),
            pitfalls=tuple(pitfalls),
            relative_accuracy=relative_accuracy,
            from_logits=from_logits,
            finish=finish,
            denominator=denominator,
            batch_coupled=batch_coupled,
            validate=validate,
            propagates_nonfinite=propagates_nonfinite,
        )

    return declare


def from_function(kernel: Callable[..., Any]) -> Loss:
    """A loss from a plain function: inputs without a kind are Real, keyword-only arguments parameters.

    Raises:
        UsageError: a signature that no loss can have.
    """
    return validate_signature(Loss(kernel.__name__, kernel, Signature(kernel), _family(kernel)))


def validate_signature(made: Loss) -> Loss:
    """The loss itself, once its signature has been read.

    Raises:
        UsageError: a signature that no loss can have.
    """
    assert made.inputs
    return made


def _family(kernel: Callable[..., Any]) -> str:
    return kernel.__module__.rpartition(".")[2]
