"""What a trial is, and how the functions of the other files become trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

# Where a trial is checked. The third set of points is the default of `lossctl gradcheck`: drawn, no data.
DATA, TRAINED, DRAWN = "data", "trained", "drawn"


@dataclass(frozen=True)
class Trial:
    """A function as people write it, and whether its gradient is right.

    Attributes:
        name: the name of the function.
        function: returns the loss of each sample and its gradient; with `loss`, an objective: the gradient,
            or the gradient and the second derivative.
        right: whether the gradient (and the second derivative, if there is one) is that of `truth`.
        truth: the loss of one sample at any precision, in mpmath; the inputs are numbers, lists of numbers,
            and ints for whole numbers. If `coupled`, the loss of the whole batch.
        family: which data, a key of :data:`gradients.trials.data.FAMILIES`.
        mistake: what is wrong, in a word. Of a right one: what makes it hard, if anything.
        hint: regular expression that a helpful explanation of the mistake matches; empty if there is none to expect.
        loses_digits: the gradient or the loss loses digits, by its formula or its type, so that
            ``unresolved`` is as good an answer as ``ok``.
        seen_at: the data sets at which the mistake shows.
        drawn: whether the inputs have kinds that lossctl can draw.
        loss: with an objective, the loss: a function that returns the loss of each sample, or a registered name.
        signature: arguments of an objective, as in :func:`lossctl.gradcheck`.
        surrogate: the second derivative is one of the surrogates of practice: not that of the loss, on purpose.
        coupled: the loss of a sample depends on the others.
        reduction: ``mean`` if the function returns the mean of a batch and its gradient.
        needs: a package without which the trial is skipped.
    """

    name: str
    function: Callable[..., Any]
    right: bool
    truth: Callable[..., Any]
    family: str
    mistake: str = ""
    hint: str = ""
    loses_digits: bool = False
    seen_at: tuple[str, ...] = (DATA, TRAINED)
    drawn: bool = True
    loss: Callable[..., Any] | str | None = None
    signature: str = "pred,target"
    surrogate: bool = False
    coupled: bool = False
    reduction: str = "none"
    needs: str = ""

    @property
    def installed(self) -> bool:
        """Whether what the trial needs is installed."""
        return not self.needs or find_spec(self.needs) is not None


TRIALS: dict[str, Trial] = {}


def right(truth: Callable[..., Any], family: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function a trial whose gradient is right."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        _add(Trial(_name(function), function, True, truth, family, **more))
        return function

    return decorate


def wrong(
    truth: Callable[..., Any], family: str, mistake: str, hint: str = "", **more: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make the decorated function a trial whose gradient is wrong, by a mistake that people make."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        _add(Trial(_name(function), function, False, truth, family, mistake, hint, **more))
        return function

    return decorate


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _add(trial: Trial) -> None:
    if trial.name in TRIALS:
        raise ValueError(f"two trials are called {trial.name}")
    TRIALS[trial.name] = trial
