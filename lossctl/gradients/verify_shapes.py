"""Whether the outputs of a kernel fit the inputs, the loss and the reduction."""

from __future__ import annotations

from lossctl.engine.plan import LossPlan, check_unweighted_gradient
from lossctl.errors import DataError, UsageError
from lossctl.io.dataset import BASELINE, GIVEN_GRADIENT, GIVEN_VALUE, UPSTREAM, Dataset

# What messages call the outputs.
NAMES = {GIVEN_VALUE: "value", GIVEN_GRADIENT: "gradient", UPSTREAM: "upstream", BASELINE: "baseline"}


def check_outputs(data: Dataset, plan: LossPlan, reduced: bool, reduction: str) -> str:
    """Check the shapes of the outputs; return the role that the baseline is of.

    Args:
        data: the data set.
        plan: the loss and its inputs.
        reduced: whether a reduced value is checked.
        reduction: ``none``, ``mean`` or ``sum``.

    Raises:
        UsageError: there is nothing to check, or the reduction does not fit the loss.
        DataError: a shape does not fit.
    """
    loss, roles = plan.loss, data.places
    if GIVEN_VALUE not in roles and GIVEN_GRADIENT not in roles and not reduced:
        raise UsageError("nothing to check: give the values (--value), the gradient (--grad), or both")
    if reduction == "none" and loss.finish is not None:
        raise UsageError(f"{loss.name} is no mean of values of its samples: say --reduction mean")
    if loss.denominator is not None and GIVEN_GRADIENT in roles:
        raise UsageError(f"{loss.name} divides by what depends on the data: its gradient is not compared")
    if reduction == "sum" and (loss.finish or loss.denominator):
        raise UsageError(f"{loss.name} is no plain mean: it has no sum")
    if loss.batch_coupled and UPSTREAM in roles:
        raise UsageError(f"{loss.name}: samples depend on each other, and --upstream belongs to independent ones")
    check_unweighted_gradient(loss, data, reduction)
    shapes = {GIVEN_GRADIENT: data.row_shape("pred"), GIVEN_VALUE: plan.loop}
    for role, shape in shapes.items():
        if role in roles and data.row_shape(role) != shape:
            there = _shape(data.row_shape(role))
            what = "one number for each prediction" if role == GIVEN_GRADIENT else "one number for each loss"
            raise DataError(f"{NAMES[role]} has shape {there}, and {_shape(shape)} is {what}")
    if UPSTREAM in roles and data.row_shape(UPSTREAM) not in ((), plan.loop):
        there = _shape(data.row_shape(UPSTREAM))
        raise DataError(f"upstream has shape {there}, and {_shape(plan.loop)} is one number for each loss")
    if BASELINE not in roles:
        return GIVEN_GRADIENT
    fitting = [role for role, shape in shapes.items() if role in roles and data.row_shape(BASELINE) == shape]
    if len(fitting) != 1:
        why = "fits the value and the gradient: check one of them" if fitting else "fits neither value nor gradient"
        raise DataError(f"baseline has shape {_shape(data.row_shape(BASELINE))}, which {why}")
    return fitting[0]


def _shape(row: tuple[int, ...]) -> str:
    return f"(n, {', '.join(map(str, row))})" if row else "(n,)"
