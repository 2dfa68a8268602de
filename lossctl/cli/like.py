"""``--like LIBRARY``: the losses of a command by the conventions of a library."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.api import choose_like
from lossctl.cli.loss_arguments import split_specs
from lossctl.conventions.like import Like, find_like
from lossctl.core.loss import Loss
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError, printable
from lossctl.io.dataset import Dataset


def find_likes(text: str, params: Sequence[str], library: str, framework: str | None) -> list[list[Like]]:
    """Return, for each loss of ``LOSS[,LOSS…]``, the conventions that it may mean.

    Args:
        text: the argument.
        params: the ``-P`` options, of a single loss.
        library: the value of ``--like``.
        framework: the value of ``--framework``.

    Raises:
        UsageError: the library has no such function, or the options contradict each other.
    """
    if framework is not None:
        raise UsageError("--like computes the number of a library, --framework calls a function: give one of them")
    specs = split_specs(text)
    if params and len(specs) > 1:
        raise UsageError(f"-P belongs to a single loss: write {specs[0]}:{printable(params[0])}")
    return [find_like(":".join([spec, *params]), library) for spec in specs]


def choose_likes(
    likes: Sequence[Sequence[Like]], data: Dataset, options: ComputeOptions, reduction: str
) -> tuple[list[Loss], ComputeOptions, str, list[str]]:
    """Return the losses, options, reduction and notes of the conventions that take the shapes of the data.

    Raises:
        UsageError: the losses need different options.
    """
    chosen = [choose_like(candidates, data, options) for candidates in likes]
    first, _, settings = chosen[0]
    for like, _, changed in chosen[1:]:
        if changed != settings or like.reduction(reduction) != first.reduction(reduction):
            raise UsageError(f"--like: {first.row.title} and {like.row.title} reduce differently: compute each alone")
    return (
        [loss for _, loss, _ in chosen],
        settings,
        first.reduction(reduction),
        [
            like.note(weighted="weight" in data.places, class_weighted=bool(options.class_weight))
            for like, _, _ in chosen
        ],
    )
