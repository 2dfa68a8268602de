"""``--like LIBRARY``: the losses of a command by the conventions of a library.

Conventions are imported where they are used, because most runs need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossctl.cli.loss_arguments import bind, split_specs
from lossctl.cli.options import ComputationOptions
from lossctl.core.loss import Loss
from lossctl.engine.options import ComputeOptions
from lossctl.errors import UsageError, printable
from lossctl.immutable import immutable
from lossctl.io.dataset import Dataset

if TYPE_CHECKING:
    from lossctl.conventions.like import Like


@immutable
class RequestedLosses:
    """The losses of a command before its data are open.

    Attributes:
        losses: the losses; with ``--like`` the first that each may mean.
        likes: for each loss the conventions that it may mean; empty without ``--like``.
    """

    losses: list[Loss]
    likes: list[list[Like]]

    def resolve(self, data: Dataset, options: ComputeOptions, reduction: str = "mean") -> ResolvedLosses:
        """Return the conventions that take the shapes of the data; without ``--like`` the losses as they are.

        Raises:
            UsageError: the losses need different options.
            DataError: the shapes fit none of the conventions.
        """
        if not self.likes:
            return ResolvedLosses(self.losses, options, reduction, [])
        from lossctl.api import choose_like

        chosen = [choose_like(candidates, data, options) for candidates in self.likes]
        first, _, settings = chosen[0]
        for like, _, changed in chosen[1:]:
            if changed != settings or like.reduction(reduction) != first.reduction(reduction):
                raise UsageError(
                    f"--like: {first.row.title} and {like.row.title} reduce differently: compute each alone"
                )
        weights = {"weighted": "weight" in data.places, "class_weighted": bool(options.class_weight)}
        losses = [loss for _, loss, _ in chosen]
        return ResolvedLosses(
            losses, settings, first.reduction(reduction), [like.note(**weights) for like, _, _ in chosen]
        )

    def resolve_mean(self, data: Dataset, options: ComputeOptions, command: str) -> ResolvedLosses:
        """Return :meth:`resolve` for a command that knows means alone.

        Raises:
            UsageError: as :meth:`resolve`, or a function of the library is a sum.
        """
        chosen = self.resolve(data, options)
        if chosen.reduction == "sum":
            raise UsageError(
                f"--like: {self.likes[0][0].row.title} is a sum, and {command} shows means: leave out --like"
            )
        return chosen


@immutable
class ResolvedLosses:
    """The losses of a command by the conventions of a library.

    Attributes:
        losses: the losses.
        options: the options of the engine.
        reduction: the reduction.
        notes: how each loss departs from the registered one.
    """

    losses: list[Loss]
    options: ComputeOptions
    reduction: str
    notes: list[str]


def request_losses(text: str, how: ComputationOptions, library: str | None) -> RequestedLosses:
    """Return the losses of ``LOSS[,LOSS…]``.

    Args:
        text: the argument.
        how: the ``-P`` options, of a single loss, and the framework.
        library: the value of ``--like``; None: registered losses.

    Raises:
        UsageError: the library has no such function, or the options contradict each other.
    """
    if library is None:
        return RequestedLosses(bind(text, how.param, how.framework), [])
    if how.framework is not None:
        raise UsageError("--like computes the number of a library, --framework calls a function: give one of them")
    specs = split_specs(text)
    if how.param and len(specs) > 1:
        raise UsageError(f"-P belongs to a single loss: write {specs[0]}:{printable(how.param[0])}")
    from lossctl.conventions.like import find_like

    likes = [find_like(":".join([spec, *how.param]), library) for spec in specs]
    return RequestedLosses([candidates[0].loss() for candidates in likes], likes)


def resolve_for_curves(requested: RequestedLosses) -> ResolvedLosses:
    """Return the conventions of numbers, where one is, of which a curve is drawn without data."""
    scalar = [
        next((like for like in candidates if not any(i.kind.core for i in like.loss().inputs)), candidates[0])
        for candidates in requested.likes
    ]
    notes = [like.note(weighted=False, class_weighted=False) for like in scalar]
    return ResolvedLosses([like.loss() for like in scalar] or requested.losses, ComputeOptions(), "mean", notes)
