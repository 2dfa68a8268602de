"""Options of a computation that apply to every loss, and whether a loss has an input that they act on."""

from __future__ import annotations

from lossctl.core.arrays import Dims
from lossctl.core.input_kinds import LabelKind, ProbabilitiesKind
from lossctl.core.kind import CLASSES, SUM_TOLERANCE, Kind, flattens_axes, has_class_axis
from lossctl.core.loss import Loss
from lossctl.engine.where import Where
from lossctl.errors import UsageError
from lossctl.immutable import immutable


@immutable
class ComputeOptions:
    """Options of a computation that apply to every loss.

    Attributes:
        nan: how to treat samples with a NaN input: "error", "skip" or "propagate".
        tolerance: allowed deviation from 1 of the sum of a row of probabilities.
        normalize: scale rows of probabilities to sum to 1 before they are checked.
        class_axis: the axis that holds the classes, counted with the samples as axis 0; None if not given.
        class_weight: one weight for each class, or empty.
        ignore_index: the label of elements to leave out; None for no such label.
        allow_negative_weights: whether weights may be negative, as those of simulated events in physics are.
        detail: also compute the standard error and the extremes; the sum alone is faster.
        labelled: roles whose values are class codes 0, 1, 2, … produced by `--labels`.
        weight_divisor: what divides the weighted sum: "sum" (of the weights) or "count" (of the elements, those of
            weight 0 too).
        where: which rows count; None for all.
        clip: predicted probabilities below it or above 1 − clip are replaced by these; None to leave them.
    """

    nan: str = "error"
    tolerance: float = SUM_TOLERANCE
    normalize: bool = False
    class_axis: int | None = None
    class_weight: tuple[float, ...] = ()
    ignore_index: int | None = None
    allow_negative_weights: bool = False
    detail: bool = True
    labelled: frozenset[str] = frozenset()
    weight_divisor: str = "sum"
    where: Where | None = None
    clip: float | None = None

    @property
    def leaving_out(self) -> str:
        """The options that leave elements out, for notes."""
        said = [("--ignore-index", self.ignore_index is not None), ("--where", self.where is not None)]
        return " and ".join(option for option, is_set in said if is_set)


# The role of what the targets are divided by, and weighted with.
EXPOSURE = "exposure"


def check_acting(loss: Loss, options: ComputeOptions) -> None:
    """Raise UsageError if an option is given that has no effect on the inputs of the loss."""
    kinds = [spec.kind for spec in loss.inputs]
    sums = any(kind.sums_to_one for kind in kinds)
    classes = any(has_class_axis(kind.core) or flattens_axes(kind.core) for kind in kinds)
    for name, is_set, acts, lacking in (
        ("--normalize", options.normalize, sums, "no probabilities that sum to 1"),
        ("--sum-tolerance", options.tolerance != SUM_TOLERANCE, sums, "no probabilities that sum to 1"),
        ("--clip", options.clip is not None, is_probability(kinds[0]), "no predicted probabilities"),
        ("--class-axis", options.class_axis is not None, classes, "no axis of classes"),
    ):
        if is_set and not acts:
            raise UsageError(f"{name}: the inputs of {loss.name} have {lacking}")


def is_probability(kind: Kind) -> bool:
    """Return whether the numbers of a kind are probabilities, from 0 to 1."""
    return kind.domain.low == 0.0 and kind.domain.high == 1.0 and not kind.is_code


def classes_of(loss: Loss) -> tuple[str, Kind] | None:
    """Return the role and the kind of the input that holds the class of each sample; None if there is none."""
    for role, spec in zip(loss.roles, loss.inputs, strict=True):
        whole = isinstance(spec.kind, LabelKind) and not spec.kind.core
        if role == "target" and (whole or (isinstance(spec.kind, ProbabilitiesKind) and spec.kind.core == CLASSES)):
            return role, spec.kind
    return None


def check_classes(loss: Loss, dims: Dims, options: ComputeOptions) -> None:
    """Raise if --class-weight or --ignore-index does not fit the loss."""
    name, target = loss.name, classes_of(loss)
    if (
        options.ignore_index is not None
        and not (target and isinstance(target[1], LabelKind))
        and not (_has_numbers(loss) or loss.neutral)
    ):
        raise UsageError(
            f"--ignore-index {options.ignore_index}: a target of {name} is an array, of which no part can be left out; "
            "with an element-wise loss it leaves out elements"
        )
    if not options.class_weight:
        return
    if target is None or "classes" not in dims:
        kinds = [spec.kind.name for spec in loss.inputs]
        cure = ""
        if kinds[1:2] in (["Probability"], ["Sign"]):
            cure = "; for two classes give each sample the weight of its class with --weight COLUMN"
            if any(p.name == "pos_weight" for p in loss.parameters):
                cure = f"; for two classes there is {name}:pos_weight=X, the factor of class 1"
        raise UsageError(f"--class-weight: {name} has no column for each class{cure}")
    if len(options.class_weight) != dims["classes"]:
        raise UsageError(f"--class-weight: {len(options.class_weight)} weights for {dims['classes']} classes")


def _has_numbers(loss: Loss) -> bool:
    """Return whether each target is a number, which can be left out."""
    return any(role == "target" and not i.kind.core for role, i in zip(loss.roles, loss.inputs, strict=True))
