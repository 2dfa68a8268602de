"""What each argument of a user's gradient function is: predictions, targets, a data set, weights, another input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from lossctl.core.argument_names import argument_order, bare
from lossctl.core.loss import Loss
from lossctl.core.user_kernel import signature_of
from lossctl.errors import UsageError
from lossctl.immutable import immutable

# Orders of the arguments of a gradient function; auto: by their names.
SIGNATURES = ("auto", "pred,target", "target,pred", "pred,dataset")


@immutable
class Arguments:
    """The roles of the arguments of a gradient function.

    A role is ``pred``, ``target``, ``dataset``, ``weight``, ``group``, or ``input NAME``: a further input of the loss.

    Attributes:
        positional: the role of each required argument, in order.
        keywords: the role of each optional argument that gets a value, by its name.
        assumed: the names of the first two arguments if they were taken as (pred, target) without saying so; else ''.
    """

    positional: tuple[str, ...]
    keywords: Mapping[str, str] = field(default_factory=dict)
    assumed: str = ""

    @property
    def take_weights(self) -> bool:
        """Whether the function gets the sample weights."""
        return bool({"weight", "dataset"} & {*self.positional, *self.keywords.values()})

    def with_dataset(self) -> Arguments:
        """Return the same arguments with a data set in place of the targets."""
        return Arguments(("pred", "dataset", *self.positional[2:]), self.keywords)


def bind_arguments(function: Callable[..., Any], signature: str, where: str, loss: Loss) -> Arguments:
    """Find what each argument of a gradient function is: by its name, or by the signature that the user says.

    Args:
        function: the function.
        signature: one of :data:`SIGNATURES`.
        where: name of the function in error messages.
        loss: the loss whose gradient it returns.

    Raises:
        UsageError: the function takes other arguments.
    """
    names = [i.name for i in loss.inputs]
    # A loss may call its third input target (anchor, other, target): the roles of these are other words.
    roles_of_inputs = [*("pred", "target")[: len(names)], *(f"input {name}" for name in names[2:])]
    further = dict(zip(names[2:], roles_of_inputs[2:], strict=True))
    least = min(len(names), 2)
    required, optional = _parameters(function, least)
    if signature == "auto" and (not required or (len(required) >= least and set(required) <= set(names))):
        # *args takes all inputs in their order; names of the inputs of the loss say which they are.
        positional = tuple(roles_of_inputs[names.index(name)] for name in required or names)
        return Arguments(positional, {n: roles_of_inputs[names.index(n)] for n in optional if n in names})
    required = required or names
    assumed = ""
    if signature == "auto":
        order = argument_order(required)
        if order is None:
            assumed = ", ".join(required[:2])
            order = ("pred", "target")[: len(required)]
    else:
        order = tuple(signature.split(","))
    roles = [*order, *[""] * (len(required) - len(order))][: len(required)]
    for i, name in enumerate(required):
        if i >= 2 and roles[i] in ("", "weight"):
            other = _further(name, [f for f in further if further[f] not in roles])
            roles[i] = further.get(other, other)
    if len(required) < least or "" in roles:
        takes = ", ".join(required)
        raise UsageError(
            f"{where}: takes ({takes}); a gradient function takes (pred, target), (pred, target, weight) or "
            "(pred, dataset), and its parameters have defaults"
        )
    keywords = {name: further.get(name, "weight") for name in optional if name in further or _is_weight(name)}
    return Arguments(tuple(roles), keywords, assumed)


def _parameters(function: Callable[..., Any], least: int) -> tuple[list[str], list[str]]:
    """Return the names of the required positional parameters, at least `least` if there are, and of the others."""
    try:
        parameters = list(signature_of(function).parameters.values())
    except (TypeError, ValueError, NameError, SyntaxError):  # written in C, or with annotations that do not exist
        parameters = []
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in positional if p.default is p.empty]
    if len(required) < least:
        required = [p.name for p in positional][:least]
    var = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return required, [p.name for p in parameters if p.name not in required and p.kind not in var]


def _is_weight(name: str) -> bool:
    order = argument_order(["pred", name])
    return order is not None and order[1] == "weight"


def _further(name: str, left: Sequence[str]) -> str:
    """Return what an argument after the first two is: another input of the loss, the weights or the groups."""
    if name in left:
        return name
    if bare(name) == "group":
        return "group"
    if _is_weight(name):
        return "weight"
    return left[0] if left else ""
