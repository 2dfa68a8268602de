"""Name a function by its behaviour: its numbers on data of several kinds, each explained on two data sets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss
from lossctl.core.user_functions import load_named
from lossctl.errors import UsageError, described, is_signal, quoted
from lossctl.explanation.definitions import definitions
from lossctl.explanation.number import read_number
from lossctl.explanation.result import Candidate, loss_in
from lossctl.explanation.search import Search
from lossctl.explanation.views import as_pair, softmax, views
from lossctl.frameworks import get_framework, to_array
from lossctl.immutable import immutable

Function = Callable[[npt.NDArray[Any], npt.NDArray[Any]], Any]
_ROWS, _CLASSES = 48, 3
# Most losses of 0 and 1 are the same, so that these data are for functions that take no others.
_DECISIONS = "decisions 0/1 and 0/1"
# torch's multilabel_margin_loss takes the classes that are present as numbers, and −1 after them.
_INDICES = "rows of scores and indices of classes, then −1"


@immutable
class Answer:
    """A definition that gives the numbers of a function on both data sets of a kind.

    Attributes:
        data: the kind of the data.
        order: the order of the arguments, ``pred, target`` or ``target, pred``.
        candidate: the definition.
        also: other definitions with as few departures that give the same numbers.
        per_sample: whether the function returns an array, whose mean is explained.
    """

    data: str
    order: str
    candidate: Candidate
    also: tuple[str, ...]
    per_sample: bool


# The framework whose tensors the functions of a package take; others take arrays.
_FRAMEWORKS = {"torch": "torch", "torchmetrics": "torch", "kornia": "torch", "jax": "jax", "optax": "jax"}


def load(spec: str, framework: str | None) -> Function:
    """Return the function that a spec names, for arrays.

    Args:
        spec: ``FILE.py:FUNCTION`` or ``PACKAGE.MODULE:FUNCTION``; of a class, an instance without arguments is called.
        framework: the framework of its tensors. Default: by the package.

    Raises:
        UsageError: there is no such function.
    """
    name = _FRAMEWORKS.get(spec.partition(":")[0].partition(".")[0]) if framework is None else framework
    record = None if name is None else get_framework(name)
    value = load_named(spec)
    value = value() if isinstance(value, type) else value
    if isinstance(value, Loss):
        value = value.value
    if not callable(value):
        raise UsageError(f"{quoted(spec)} is not a function")
    if record is None:
        return lambda *arrays: _first(value(*arrays))

    def call(*arrays: npt.NDArray[Any]) -> Any:
        with record.active("float64"):
            result = _first(value(*(record.to_tensor(a, "float64") for a in arrays)))
            return record.to_numpy(result)

    return call


def _first(result: Any) -> Any:
    """Return the value of ``(value, gradient)``, or the result itself."""
    return result[0] if isinstance(result, tuple) else result


def data_sets(seed: int) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield kinds of data with predictions and targets.

    Clips and padding show at probabilities of 0 and 1. A kind that has these comes again without them, for functions
    that are infinite there.
    """
    rng = np.random.default_rng(seed)
    n, k = _ROWS + seed, _CLASSES
    real, scores = rng.normal(0, 2, n), rng.normal(0, 2, (n, k))
    ordinary = rng.uniform(0.02, 0.98, n)
    chances = ordinary.copy()
    chances[:4] = (0.0, 1.0, 1e-9, 0.0)
    hard = (rng.random(n) < 0.5).astype(float)
    hard[:4] = (1.0, 0.0, 1.0, 0.0)
    labels, rows = rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)
    certain = softmax(scores)
    certain[:3] = np.eye(k)[(labels[:3] + 1) % k]
    yield "numbers", real, real + rng.normal(0, 1.5, n)
    yield "amounts", rng.gamma(2, 2, n) + 0.1, rng.gamma(2, 2, n) + 0.1
    yield "probabilities and 0/1", chances, hard
    yield "probabilities and 0/1", ordinary, hard
    yield "logits and 0/1", real, hard
    yield "scores and −1/+1", real, 2.0 * hard - 1.0
    yield "rows of scores and labels", scores, labels
    yield "rows of probabilities and labels", certain, labels
    yield "rows of probabilities and labels", softmax(scores), labels
    yield "rows of log-probabilities and labels", np.log(softmax(scores)), labels
    yield "rows of scores and of probabilities", scores, rows
    yield "rows of probabilities", softmax(scores), rows
    yield "rows of probabilities and one-hot rows", certain, np.eye(k)[labels]
    yield "rows of probabilities and one-hot rows", softmax(scores), np.eye(k)[labels]
    yield "rows of log-probabilities and probabilities", np.log(softmax(scores)), rows
    yield "rows of scores and one-hot rows", scores, np.eye(k)[labels]
    present = scores + rng.normal(0, 2, (n, k)) > 0
    first = np.argsort(~present, axis=1, kind="stable")
    yield _INDICES, scores, np.where(np.arange(k) < present.sum(axis=1, keepdims=True), first, -1)
    yield "vectors of length 1 and groups", scores / np.linalg.norm(scores, axis=1, keepdims=True), labels
    yield _DECISIONS, (rng.random(n) < 0.6).astype(float), hard


def explain_function(function: Function) -> list[Answer]:
    """Return the definitions of a function of predictions and targets, fewest departures first.

    Args:
        function: called with arrays ``(n,)`` or ``(n, k)``; labels are whole numbers. What it cannot take, it refuses
            with an exception.

    Raises:
        UsageError: it gives no number for any of the kinds of data.
    """
    best: list[Answer] = []
    refusals: list[str] = []
    takes = False
    for order in ("pred, target", "target, pred"):
        answers: list[tuple[Answer, Trial]] = []
        unexplained: list[Trial] = []
        taken = set()
        for (data, *first), (_, *second) in zip(data_sets(0), data_sets(1), strict=True):
            if data in taken or (data == _DECISIONS and (answers or best)):
                continue
            try:
                numbers = [_number(function, order, *arrays) for arrays in (first, second)]
            except _NoNumberError as error:
                refusals.append(f"{data}: {error}")
                continue
            takes = True
            if not any(float(number) for number, _ in numbers):  # many losses are 0 on such data
                continue
            taken.add(data)
            trial = Trial(data, order, (first, second), numbers)
            answer = trial.answer()
            if answer is not None:
                answers.append((answer, trial))
            elif data != _INDICES:  # a loss of numbers takes the indices as such
                unexplained.append(trial)
        left = [_unrefuted(answer, trial, unexplained) for answer, trial in answers]
        named = sorted((answer for answer in left if answer is not None), key=lambda answer: answer.candidate.cost)
        # Fewest departures, then most kinds of data: in the wrong order few have an answer.
        if named and (not best or (named[0].candidate.cost, -len(named)) < (best[0].candidate.cost, -len(best))):
            best = named
        if best and not best[0].candidate.cost:
            break
    if not takes:
        raise UsageError(f"the function gives a number for none of the kinds of data; for {refusals[0]}")
    return best


@immutable
class Trial:
    """The numbers of a function on two data sets of a kind.

    Attributes:
        data: the kind.
        order: the order of the arguments.
        pairs: the predictions and targets of both sets.
        numbers: the number of each set, and whether it is the mean of an array.
    """

    data: str
    order: str
    pairs: tuple[list[Array], list[Array]]
    numbers: list[tuple[str, bool]]

    def answer(self, losses: Sequence[str] = ()) -> Answer | None:
        """Return the definitions with the fewest departures that give both numbers, of some losses or of all."""
        (here, per_sample), (there, _) = self.numbers
        first, second = (self._searched(*arrays) for arrays in self.pairs)
        candidates = Search(read_number(here), *first, losses=losses).run(kept=10_000).candidates
        if not candidates:
            return None
        losses = tuple(dict.fromkeys(loss_in(text) for c in candidates for text in (c.text, *c.names)))
        elsewhere = Search(read_number(there), *second, losses=losses).run(kept=10_000).candidates
        texts = {text for c in elsewhere for text in (c.text, *c.names)}
        both = [c for c in candidates if c.text in texts]
        cheapest = [c for c in both if c.cost == both[0].cost]
        if not cheapest:
            return None
        also = (*(c.text for c in cheapest[1:]), *(name for name in cheapest[0].names if name in texts))
        return Answer(self.data, self.order, cheapest[0], also, per_sample)

    def _searched(self, pred: Array, target: Array) -> tuple[Array, Array]:
        """Return the arrays as losses take them."""
        if self.data == _INDICES:
            target = (target[:, :, None] == np.arange(pred.shape[1])).any(axis=1)
        return as_pair(pred, target)

    def codes(self, loss: str) -> str:
        """Return how a loss takes the targets: ``plain``, ``recoded`` between 0/1 and −1/+1, or "" if not at all."""
        (view, *_) = views(*self._searched(*self.pairs[0]))
        plain = {d.view is view for d in definitions(view, (loss,), {}, 0) if d.row is None}
        return "" if not plain else "plain" if True in plain else "recoded"


def _unrefuted(answer: Answer, trial: Trial, unexplained: list[Trial]) -> Answer | None:
    """Return the answer without the losses that take data on which no definition gives the number of the function.

    Targets in another code refute nothing unless the answer is of targets in another code itself: the function need not
    recode them.
    """
    left = []
    for loss in dict.fromkeys(map(loss_in, (answer.candidate.text, *answer.also))):
        codes = ("plain", "recoded") if trial.codes(loss) == "recoded" else ("plain",)
        # A loss of pairs in the batch is none by chance, and keras's circle takes vectors of any length as they are.
        if get_loss(loss).batch_coupled or not any(other.codes(loss) in codes for other in unexplained):
            left.append(loss)
    if loss_in(answer.candidate.text) not in left:
        return trial.answer(left) if left else None
    return replace(answer, also=tuple(text for text in answer.also if loss_in(text) in left))


class _NoNumberError(Exception):
    """A function gives no number for some data."""


def _number(function: Function, order: str, pred: Any, target: Any) -> tuple[str, bool]:
    """Return the number of a function, and whether it is the mean of an array.

    Raises:
        _NoNumberError: it takes no such data.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(pred, target) if order == "pred, target" else function(target, pred)
            values = np.asarray(to_array(result))
    except BaseException as error:  # whatever a function raises for data that it does not take
        if is_signal(error):
            raise
        raise _NoNumberError(described(error)) from None
    if values.dtype.kind != "f" or not values.size:
        raise _NoNumberError(f"returned {type(result).__name__}")
    if not np.isfinite(values).all():
        raise _NoNumberError("returned numbers that are not finite")
    value = values.mean() if values.ndim else values[()]
    return str(value), bool(values.ndim)
