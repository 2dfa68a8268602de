"""The record of a convention: how a function of another library departs from a registered loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from lossctl.conventions.steps import Normalize, Single, Step
from lossctl.core.arrays import Array
from lossctl.core.loss import Thunk
from lossctl.immutable import immutable

Kernel: TypeAlias = Callable[..., tuple[Array, Thunk]]


@immutable
class Library:
    """A library whose functions have conventions.

    Attributes:
        name: the name in ``--like``.
        package: the distribution that has the version.
        version: the version with which the rows were measured.
        single: whether it computes in single precision unless it is told otherwise.
        single_targets: whether it stores targets and weights in single precision.
        to_double: whether it is configured for double precision, which is not its default.
    """

    name: str
    package: str
    version: str
    single: bool = False
    single_targets: bool = False
    to_double: bool = False


@immutable(kw_only=True)
class Convention:
    """The definition of a function of a library, as departures from a registered loss.

    Attributes:
        library: the library.
        function: the name of the function, or of the metric of a booster.
        loss: the spec of the registered loss.
        call: the expression that gives the number, of ``pred``, ``target`` and the other inputs by name.
        since, before: the first version with this convention, and the first without it; "" if all have it.
        reads: what the function takes as predictions if it is not what the loss takes, such as ``log(pred)``.
        steps: changes of the inputs, in order, before the kernel.
        kernel: a kernel in the place of the registered one, if the departure is no change of the inputs.
        mode: what an argument of the function decides, with the loss that computes the other case.
        says: what the kernel, or what no other field says, does otherwise.
        factor: the number that multiplies the loss.
        offset: the number that is added to it then.
        per_class: whether the mean divides by the number of classes as well.
        reduction: the default reduction of the library: mean, sum or none.
        weights: what divides the sum of weighted losses: ``sum`` (of the weights), ``count``, or "" if the function
            takes no weights of samples.
        class_weights: "" if the function takes none; ``label``: each row has the weight of its label, and the sum is
            divided by the sum of these weights.
        inside: the kernel with class weights within the sum over the classes, called with ``class_weight``; None if
            class weights are factors of rows.
        ignored: the label that is left out by default.
        per_column: whether the root is taken of each column and the roots are averaged.
        all_pairs: whether predictions (n, 1) and targets (n,) give n·n losses without an error.
        empty: the value where no element is left: ``NaN``, ``0``, or "" for an error.
    """

    library: Library
    function: str
    loss: str
    call: str
    since: str = ""
    before: str = ""
    reads: str = ""
    steps: tuple[Step, ...] = ()
    kernel: Kernel | None = None
    mode: str = ""
    says: tuple[str, ...] = ()
    factor: float = 1.0
    offset: float = 0.0
    per_class: bool = False
    reduction: str = "mean"
    weights: str = ""
    class_weights: str = ""
    inside: Kernel | None = None
    ignored: int | None = None
    per_column: bool = False
    all_pairs: bool = False
    empty: str = ""

    @property
    def title(self) -> str:
        """The library and its function, with the versions if not all have this convention."""
        versions = f" from {self.since}" if self.since else ""
        versions += f" before {self.before}" if self.before else ""
        return f"{self.library.name} {self.function}{versions}"

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The changes of the inputs, the rounding to single precision first."""
        if self.library.single or self.library.single_targets:
            return (Single(targets_only=not self.library.single), *self.steps)
        return self.steps

    def settings(self, class_weight: Sequence[float] = ()) -> dict[str, Any]:
        """Return the options of the engine that this convention sets, by name.

        Args:
            class_weight: weights of the classes. If the kernel applies them, the engine must not.
        """
        inside = bool(class_weight) and self.inside is not None
        return {
            "weight_divisor": "count" if self.weights == "count" else "sum",
            "class_weight": () if inside else tuple(class_weight),
        }

    @property
    def in_double(self) -> Convention:
        """The convention with inputs in double precision, where the default of the library is single."""
        return replace(self, library=replace(self.library, single=False, to_double=self.library.single))

    @property
    def normalizes(self) -> bool:
        """Whether rows of probabilities need not sum to 1."""
        return any(isinstance(step, Normalize) for step in self.steps) or "leaves rows as they are" in self.says

    @property
    def departures(self) -> tuple[str, ...]:
        """Each way in which the number differs from the registered loss, without weights and labels to ignore."""
        texts = [step.says for step in self.all_steps]
        texts += self.says
        if self.factor != 1.0:
            texts.append(f"is {_factor(self.factor)}")
        if self.offset:
            texts.append(f"adds {self.offset:g}")
        if self.per_class:
            texts.append("divides the mean by the number of classes, too")
        if self.per_column:
            texts.append("takes the root for each column, and averages the roots")
        if self.reduction == "sum":
            texts.append("is the sum")
        if self.library.to_double and texts:
            texts.append("computes in double precision")
        return tuple(texts)

    @property
    def rules(self) -> tuple[str, ...]:
        """What the function does with reductions, weights, labels to ignore and shapes."""
        texts = []
        if self.reads:
            texts.append(f"takes {self.reads} as predictions")
        if self.reduction == "none":
            texts.append("returns one loss per sample; the mean is taken here")
        if self.weights:
            divisor = "their sum" if self.weights == "sum" else "the count"
            texts.append(f"divides the weighted sum by {divisor}")
        if self.class_weights or self.inside:
            by = "the sum of the weights of the labels" if self.class_weights else "the count"
            where = ", which are within the sum over the classes" if self.inside else ""
            texts.append(f"with class weights{where}: divides by {by}")
        if self.ignored is not None:
            texts.append(f"leaves out targets of {self.ignored}, in the denominator, too")
        if self.all_pairs:
            texts.append("(n, 1) against (n,) gives the mean over all pairs")
        if self.empty:
            texts.append(f"is {self.empty} where nothing is left")
        return tuple(texts)


def _factor(factor: float) -> str:
    named = {0.5: "half of it", 2.0: "twice it", 100.0: "in per cent: 100 times it", -1.0: "its negative"}
    return named.get(factor, f"{factor:g} times it")


def rows_of(library: Library, **defaults: Any) -> Callable[..., Convention]:
    """Return a function (function, loss, call, **fields) that makes the rows of a library."""

    def row(function: str, loss: str, call: str, /, **fields: Any) -> Convention:
        return Convention(library=library, function=function, loss=loss, call=call, **{**defaults, **fields})

    return row


TORCH = Library("torch", "torch", "2.13.0")
KERAS = Library("keras", "keras", "3.15.1", single=True)
TENSORFLOW = Library("tensorflow", "tensorflow", "2.20", single=True)
SKLEARN = Library("sklearn", "scikit-learn", "1.9.1")
OPTAX = Library("optax", "optax", "0.2.8", single=True)
JAX = Library("jax", "jax", "0.10.2", single=True)
XGBOOST = Library("xgboost", "xgboost", "3.2.0", single=True)
LIGHTGBM = Library("lightgbm", "lightgbm", "4.7.0", single_targets=True)
CATBOOST = Library("catboost", "catboost", "1.2.10", single_targets=True)
STATSMODELS = Library("statsmodels", "statsmodels", "0.15.0")
KORNIA = Library("kornia", "kornia", "0.9.0")
TORCHMETRICS = Library("torchmetrics", "torchmetrics", "1.9.0")
SCORINGRULES = Library("scoringrules", "scoringrules", "0.10.0")
TRL = Library("trl", "trl", "0.12.2")

torch = rows_of(TORCH)
keras = rows_of(KERAS, weights="count")
tensorflow = rows_of(TENSORFLOW)
sklearn = rows_of(SKLEARN, weights="sum")
optax = rows_of(OPTAX, reduction="none")
jax = rows_of(JAX, reduction="none")
xgboost = rows_of(XGBOOST, weights="sum")
lightgbm = rows_of(LIGHTGBM, weights="sum")
catboost = rows_of(CATBOOST, weights="sum")
statsmodels = rows_of(STATSMODELS)
kornia = rows_of(KORNIA)
torchmetrics = rows_of(TORCHMETRICS)
scoringrules = rows_of(SCORINGRULES, reduction="none")
trl = rows_of(TRL)
