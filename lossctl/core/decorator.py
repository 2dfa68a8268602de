"""The decorator ``@loss``, which declares a function as a loss.

``@loss`` takes a kernel and makes a :class:`Loss`. The positional parameters of the kernel are the inputs, annotated
with their kinds; its keyword-only parameters are hyperparameters. The catalogue, help, checks, completion, tests,
benchmarks and gradient checks all derive from the :class:`Loss`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

from lossctl.core.arrays import Array
from lossctl.core.domain import Violations
from lossctl.core.loss import Loss, MeanTransform, Thunk
from lossctl.core.parameters import Param, Value
from lossctl.core.signature import Signature
from lossctl.core.user_kernel import instantiate, kernel_name

# Modules that declare losses import these names from here.
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


@overload
def loss(kernel: Callable[..., Any], /) -> Loss: ...


@overload
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
    neutral: tuple[float, float] | None = None,
    counts_items: bool = False,
    takes_exposure: bool = False,
    training_scale: Callable[[Array], float] | None = None,
) -> Callable[[Callable[..., Any]], Loss]: ...


def loss(
    kernel: Callable[..., Any] | None = None,
    /,
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
    neutral: tuple[float, float] | None = None,
    counts_items: bool = False,
    takes_exposure: bool = False,
    training_scale: Callable[[Array], float] | None = None,
) -> Loss | Callable[[Callable[..., Any]], Loss]:
    """Declare a kernel as a loss: ``@loss``, or ``@loss(formula="…")``.

    The kernel takes its inputs positionally, as read-only float64 of shape ``(n,)`` or ``(n, *core)``, and its
    hyperparameters by keyword. It returns the per-sample losses ``(n,)`` and a function without arguments that
    returns the gradient with respect to the first input, in the shape of that input. The kernel of a user may return
    the losses alone, or the gradient as an array.

    Args:
        kernel: the function, if the decorator is used without arguments.
        formula: the definition in plain text.
        reference: where the definition is published.
        aliases: other names of the loss.
        differences: definitions of other libraries that differ, one line each.
        pitfalls: common mistakes, one line each.
        relative_accuracy: where the relative error of value and gradient is small.
        from_logits: the name of the same loss with logits as predictions.
        finish: a function applied to the mean (rmse: the square root); None for none.
        denominator: called with the inputs and the parameters; returns the ``(n,)`` amounts whose sum
            divides the sum of the losses. None: divide by n.
        batch_coupled: the samples of a batch depend on each other, so the loss cannot be computed in blocks.
        validate: checks across inputs, such as a length that exceeds the axis of another input. Called with the
            inputs, the parameters and ``tolerance``; yields (input name, mask of invalid elements, function that
            returns the message for one element).
        propagates_nonfinite: the loss is NaN or infinite whenever an input is. The engine then skips the finiteness
            check of the inputs when all losses are finite, which saves at least a fifth of the time of a loss as
            cheap as mse.
        neutral: for losses of masks, the prediction and the target of a pixel that adds nothing to the loss; with them
            pixels can be left out. Default None: they cannot.
        counts_items: for losses of lists, each item counts once in the mean over lists of different lengths, as in
            CatBoost. Default False: each list counts once.
        takes_exposure: the target may be counted over an exposure, an input of this name: then the loss is that of
            target/exposure, with the exposure as weight. Default False.
        training_scale: for losses with an input ``scale``, its value from the differences of a training series to the
            values a season before. Default None: the scale is given.

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
            kernel_name(kernel),
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
            neutral=neutral,
            counts_items=counts_items,
            takes_exposure=takes_exposure,
            training_scale=training_scale,
        )

    return declare if kernel is None else declare(kernel)


def from_function(kernel: Callable[..., Any]) -> Loss:
    """Make a loss of a plain function.

    Args:
        kernel: as for ``loss``. Positional parameters without a kind are Real; keyword-only ones are hyperparameters.

    Raises:
        UsageError: the signature is not that of a loss.
    """
    kernel = instantiate(kernel)
    return validate_signature(Loss(kernel_name(kernel), kernel, Signature(kernel), _family(kernel)))


def validate_signature(loss: Loss) -> Loss:
    """Read the signature of a loss, to raise its errors now, and return the loss.

    Raises:
        UsageError: the signature is not that of a loss.
    """
    assert loss.inputs
    return loss


def _family(kernel: Callable[..., Any]) -> str:
    return str(getattr(kernel, "__module__", "")).rpartition(".")[2]
