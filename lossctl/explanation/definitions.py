"""What may have computed a number for each sample: a loss with parameters or a clip, or the convention of a library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial

import numpy as np
import numpy.typing as npt

from lossctl.conventions.as_loss import ConventionKernel, loss_of
from lossctl.conventions.kernels import bce_plus
from lossctl.conventions.lookup import of_loss
from lossctl.conventions.record import Convention, Library
from lossctl.conventions.steps import Clip, Shift, Step
from lossctl.core.arrays import Array
from lossctl.core.kind import CLASSES
from lossctl.core.loss import Loss
from lossctl.core.parameters import Value
from lossctl.core.registry import registered
from lossctl.explanation.views import View
from lossctl.immutable import immutable

# Values of parameters that people set, by the name of the parameter.
GRID: dict[str, tuple[Value, ...]] = {
    "delta": (0.1, 0.5, 0.9, 1.345, 1.35, 1.5, 2.0, 5.0, 10.0),
    "beta": (0.1, 1.0 / 9.0, 0.5, 2.0),
    "tau": (0.01, 0.05, 0.1, 0.25, 0.75, 0.9, 0.95, 0.99),
    "gamma": (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0),
    "alpha": (None, 0.1, 0.25, 0.3, 0.5, 0.7, 0.75),
    "label_smoothing": (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
    "margin": (0.0, 0.1, 0.2, 0.3, 0.5, 2.0),
    "smooth": (0.0, 1e-7, 1e-6, 1e-5, 1e-3, 1e-2, 0.5),
    "power": (1.1, 1.2, 1.3, 1.4, 1.6, 1.7, 1.8, 1.9),
    "full": (True,),
    "p": (2,),
    "threshold": (0.0,),
    "epsilon": (0.01, 0.05, 0.2, 0.5, 2.0),
    "pos_weight": (0.5, 2.0, 3.0, 5.0, 10.0),
    "q": (0.5, 0.8, 3.0),
}
CLIPS = (
    *(1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16, 1e-20),
    *(2.0**-52, 2.0**-23, 2.0**-10),
)
# Losses with a logarithm of the predictions.
_LOGARITHMIC = ("bce", "poly1", "categorical_cross_entropy", "sparse_categorical_cross_entropy", "kl_divergence")
# Numbers that are added to a probability and are less than this are lost in its roundoff.
_LOST = 1e-13
# The numbers of samples up to which losses of a whole batch are computed.
_BATCH = 2000


@immutable(eq=False)
class Definition:
    """A loss of each sample.

    Attributes:
        loss: the loss to evaluate.
        view: the reading of the inputs.
        texts: the departures from the registered loss, without those of the view.
        cost: how many departures these count as.
        row: the convention; None for a registered loss.
        others: the further inputs by name.
        inside: whether the losses have class weights within the sum over the classes.
    """

    loss: Loss
    view: View
    texts: tuple[str, ...] = ()
    cost: int = 0
    row: Convention | None = None
    others: Mapping[str, Array] | None = None
    inside: bool = False

    @property
    def total_cost(self) -> int:
        """The number of departures with those of the view."""
        return self.cost + self.view.cost

    @cached_property
    def spec(self) -> str:
        """The loss in the syntax of the command line."""
        return self.loss.spec

    def arrays(self, rows: npt.NDArray[np.intp] | None = None) -> list[Array]:
        """Return the inputs of the loss, of the chosen rows."""
        pred, target = self.view.laid_out if rows is None else self.view.sample(rows)
        others = self.others or {}
        further = others if rows is None else {name: array[rows] for name, array in others.items()}
        named = {"pred": pred, "target": target, **further}
        return [named[role] for role in self.loss.roles]

    def values(self, rows: npt.NDArray[np.intp] | None = None) -> Array:
        """Return the losses: (n,), or (n, m) if each number of a row has a loss.

        Those of lists are in the order of their sizes. Conventions that share a loss follow one another, so that it
        is evaluated once.
        """
        evaluated, count = self.view.evaluated, len(self.view.pred) if rows is None else len(rows)
        if count not in evaluated or evaluated[count][0] is not self.loss:
            evaluated[count] = self.loss, self._evaluated(rows)
        return evaluated[count][1]

    def _evaluated(self, rows: npt.NDArray[np.intp] | None) -> Array:
        arrays = self.arrays(rows)
        if self.view.shape == "list":
            return np.concatenate([self.loss.evaluate(*(a[at] for a in arrays))[0] for at in self.view.lists])
        if self.view.shape == "element" and arrays[0].ndim == 2:
            flat = [np.broadcast_to(a[:, None] if a.ndim == 1 else a, arrays[0].shape).ravel() for a in arrays]
            return _losses(self.loss, flat).reshape(arrays[0].shape)
        return _losses(self.loss, arrays)

    def denominator(self) -> float | None:
        """Return what the sum of the losses is divided by if that is not their number."""
        if self.loss.denominator is None:
            return None
        arrays, lists = self.arrays(), self.view.lists
        blocks = [[a[at] for a in arrays] for at in lists] if lists else [arrays]
        return sum(float(self.loss.denominator(*block, **self.loss.params).sum()) for block in blocks)


def _losses(loss: Loss, arrays: Sequence[Array]) -> Array:
    """Return the losses of arrays in the layout of kernels, without the checks that kernels of users need."""
    if not loss.is_builtin or len(arrays[0]) == 1:
        return loss.evaluate(*arrays)[0]
    return np.asarray(loss.kernel(*arrays, **loss.params)[0], np.float64)


def definitions(
    view: View,
    losses: Sequence[str],
    others: Mapping[str, Array],
    most: int,
    class_weight: tuple[float, ...] = (),
    *,
    single: bool = True,
) -> Iterator[Definition]:
    """Yield the definitions for a reading of the inputs.

    Args:
        view: the reading.
        losses: names of registered losses to which the search is limited; empty for all.
        others: further inputs by name.
        most: the most departures of a definition.
        class_weight: the weights of the classes. Default: none.
        single: whether libraries compute in single precision if that is their default; otherwise in double.
    """
    if view.cost > most:
        return
    recoded = _recoded(view)
    for loss in registered().values():
        if (losses and loss.name not in losses) or not _shapes_fit(loss, view, others):
            continue
        target = next(
            (spec.kind.name for role, spec in zip(loss.roles, loss.inputs, strict=True) if role == "target"), ""
        )
        coded = recoded.get(target, view)
        mismatch = _mismatch(loss, coded)
        plain = Definition(loss, coded, mismatch, len(mismatch), None, others)
        fits = _fits(loss, coded)
        room = most - plain.total_cost
        if fits and room >= 0:
            yield plain
        if fits and room > 0:
            if view.plain:
                yield from _with_parameters(plain, room)
            yield from _clipped(plain)
        if room > (not fits):
            yield from _by_convention(plain, room, class_weight, fits=fits, single=single)


def _recoded(view: View) -> dict[str, View]:
    """Return the view with targets 0, 1 as −1, +1, or the reverse, by the kind of targets that needs it."""
    if view.shape != "element":
        return {}
    if ((view.target == 0) | (view.target == 1)).all():
        return {"Sign": replace(view, target=2.0 * view.target - 1.0)}
    if (np.abs(view.target) == 1).all():
        return {"Probability": replace(view, target=(view.target + 1.0) / 2.0)}
    return {}


@cache
def _conventions(name: str, single: bool) -> tuple[Convention, ...]:
    """Return the conventions of a loss, with inputs in single precision where that is the default, or all in double."""
    return of_loss(name) if single else tuple(row.in_double for row in of_loss(name))


@cache
def _rows_of(name: str, single: bool) -> tuple[tuple[Loss, tuple[Convention, ...]], ...]:
    """Return the losses of the conventions that change the number, each with those that compute the same."""
    shared: dict[tuple[object, ...], list[Convention]] = {}
    for row in _conventions(name, single):
        if row.departures or ":" in row.loss:
            key = (row.loss, row.all_steps, row.kernel, row.factor, row.offset, row.per_class)
            shared.setdefault(key, []).append(row)
    return tuple((loss_of(rows[0]), tuple(rows)) for rows in shared.values())


def _by_convention(
    plain: Definition, room: int, class_weight: tuple[float, ...], *, fits: bool, single: bool
) -> Iterator[Definition]:
    """Yield the conventions of libraries that change the number."""
    name = plain.loss.name
    for loss, rows in _rows_with_weights(name, class_weight, single) if class_weight else _rows_of(name, single):
        chosen = [_as_row(plain, loss, row, class_weight, fits=fits) for row in rows if fits or row.steps]
        yield from chosen
        if room > 1 and not plain.view.cost and "label_smoothing" in loss.params:
            for smoothing in GRID["label_smoothing"]:
                text = f"label_smoothing is {smoothing:g}"
                bound = loss.bind(label_smoothing=smoothing)
                yield from (replace(d, loss=bound, texts=(*d.texts, text), cost=d.cost + 1) for d in chosen)


def _as_row(
    plain: Definition, loss: Loss, row: Convention, class_weight: tuple[float, ...], *, fits: bool
) -> Definition:
    inside = bool(class_weight) and row.inside is not None
    texts = plain.texts if fits else (*plain.texts, "takes predictions outside their domain")
    named = not inside or bool(row.departures)  # weights of the user within the sum are no departure by themselves
    return replace(plain, loss=loss, texts=texts, cost=named + len(texts), row=row, inside=inside)


def _rows_with_weights(
    name: str, class_weight: tuple[float, ...], single: bool
) -> Iterator[tuple[Loss, tuple[Convention, ...]]]:
    """Yield the conventions of a loss, with class weights within the sum over the classes where they have them so."""
    for loss, rows in _rows_of(name, single):
        yield loss, tuple(row for row in rows if row.inside is None)
    for row in _conventions(name, single):
        if row.inside is not None:
            yield replace(loss_of(row, class_weight), denominator=None), (row,)


@cache
def _variants(loss: Loss) -> tuple[tuple[Loss, tuple[str, ...]], ...]:
    """Return the loss with other values of its parameters: one changed, of focal losses two; and what is changed."""
    variants: list[tuple[Loss, tuple[str, ...]]] = []
    for parameter in loss.parameters:
        for value in GRID.get(parameter.name, ()):
            if value == parameter.default or not _valid(loss, parameter.name, value):
                continue
            changed = loss.bind(**{parameter.name: value})
            text = f"{parameter.name} is {parameter.show(value)}"
            variants.append((changed, (text,)))
            if loss.name.startswith("focal") and parameter.name == "alpha":
                gammas = (gamma for gamma in GRID["gamma"] if gamma != loss.params["gamma"])
                variants += ((changed.bind(gamma=gamma), (text, f"gamma is {gamma}")) for gamma in gammas)
    return tuple(variants)


def _with_parameters(plain: Definition, room: int) -> Iterator[Definition]:
    for loss, texts in _variants(plain.loss):
        if len(texts) <= room:
            yield replace(plain, loss=loss, texts=(*plain.texts, *texts), cost=plain.cost + len(texts))
    k = plain.view.pred.shape[-1]
    if "label_smoothing" in plain.loss.params and plain.view.shape == "row" and k > 2:
        for smoothing in GRID["label_smoothing"]:  # ε/(k − 1) for each wrong class, in place of ε/k for each class
            text = f"label_smoothing is {smoothing:g}, all of it for the other classes"
            loss = plain.loss.bind(label_smoothing=smoothing * k / (k - 1))
            yield replace(plain, loss=loss, texts=(*plain.texts, text), cost=plain.cost + 1)


def _valid(loss: Loss, name: str, value: Value) -> bool:
    (parameter,) = (p for p in loss.parameters if p.name == name)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return type(value) in parameter.types
    return value in parameter.domain and (float in parameter.types or isinstance(value, int))


def _clipped(plain: Definition) -> Iterator[Definition]:
    """Yield the loss with probabilities clipped, where that changes one, or with a small number added to them."""
    if plain.loss.name not in _LOGARITHMIC:
        return
    low, high = plain.view.range_of("pred")
    for epsilon in CLIPS:
        steps: list[Step] = []
        if low < epsilon or high > 1.0 - epsilon:
            steps.append(Clip(epsilon, 1.0 - epsilon))
        if low < epsilon and high > 1.0 - epsilon:
            steps.append(Clip(epsilon, 1.0))
        if epsilon > _LOST:
            steps.append(Shift(epsilon, target=False))
        for step in steps:
            changed = _stepped(plain.loss, step)
            yield replace(plain, loss=changed, texts=(*plain.texts, step.says), cost=plain.cost + 1)


def _stepped(loss: Loss, step: Step) -> Loss:
    row = Convention(library=Library("", "", ""), function="", loss=loss.name, call="", steps=(step,))
    kernel = loss.kernel
    if isinstance(step, Shift) and loss.name == "bce":  # log(1 − p + ε), not log(1 − (p + ε))
        row, kernel = replace(row, steps=()), partial(bce_plus, epsilon=step.epsilon)
    return replace(loss, kernel=ConventionKernel(row, kernel, tuple(i.name for i in loss.inputs)))


def _mismatch(loss: Loss, view: View) -> tuple[str, ...]:
    """Return the departure of a loss that takes logits or log-probabilities and gets probabilities; () if none."""
    kind = loss.inputs[0].kind.name
    takes_logits = kind == "Logits" or loss.name.endswith("_with_logits")
    if takes_logits and view.probabilities:
        again = any("softmax" in text or "sigmoid" in text for text in view.texts)
        return () if again else ("takes the probabilities for logits",)
    if kind == "LogProbabilities" and view.range_of("pred")[1] > 0:
        return (f"takes the {'probabilities' if view.probabilities else 'scores'} for log-probabilities",)
    return ()


def _shapes_fit(loss: Loss, view: View, others: Mapping[str, Array]) -> bool:
    """Return whether the inputs of a loss have the shapes of a view."""
    if any(role not in ("pred", "target", *others) for role in loss.roles) or len(loss.inputs) < 2:
        return False
    cores = {role: spec.kind.core for role, spec in zip(loss.roles, loss.inputs, strict=True)}
    pred, target = cores["pred"], cores.get("target", ())
    if loss.batch_coupled and len(view.pred) > _BATCH:
        return False
    if view.shape == "element":
        return not any(cores.values())
    if len(pred) != 1 or len(target) > 1:
        return False
    if view.shape == "list":
        return pred == target == ("items",)
    images = pred[0].endswith("...")
    if (view.shape == "image") != images and not (images and view.shape == "row" and view.target.ndim == 2):
        return False
    if (target == ()) != (view.target.ndim == 1):
        return False
    return pred == CLASSES or images or view.plain


def _fits(loss: Loss, view: View) -> bool:
    """Return whether predictions and targets are in the domains of the inputs."""
    dims = {"classes": view.pred.shape[-1] if view.pred.ndim > 1 else 1}
    for role, spec in zip(loss.roles, loss.inputs, strict=True):
        if role not in ("pred", "target") or (role == "pred" and spec.kind.name == "LogProbabilities"):
            continue
        low, high = view.range_of(role)
        if not (low in spec.kind.domain and high in spec.kind.domain):
            return False
        array = view.pred if role == "pred" else view.target
        if spec.kind.find_violation(array[None] if view.shape == "list" else array, dims):
            return False
    return True
