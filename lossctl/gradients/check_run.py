"""Gradient checks of whole data sets and of sampled points."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from lossctl.core.arrays import Array
from lossctl.core.kind import has_class_axis
from lossctl.core.list_parameters import with_list_inputs
from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss
from lossctl.core.tensor_kernel import TensorKernel
from lossctl.core.user_kernel import source_line
from lossctl.engine.exact_sum import rounded
from lossctl.engine.executors.config import ExecutionConfig
from lossctl.engine.options import ComputeOptions
from lossctl.engine.plan import check_unweighted_gradient, for_shapes, plan_loss
from lossctl.engine.run import block_rows, map_blocks, summarize
from lossctl.errors import DataError, UsageError, counted
from lossctl.gradients.block_check import RTOL, Checker, CoupledError, LaterBlockError, ProbabilityError
from lossctl.gradients.diagnosis import diagnose
from lossctl.gradients.finish_check import with_finish
from lossctl.gradients.result import GradCheck
from lossctl.gradients.sampling import is_batch_coupled, sample_points
from lossctl.gradients.tally import CheckSummary, merged
from lossctl.gradients.tensors import drawn_coupled, with_drawn_kinds, with_kernel, with_unit_domain
from lossctl.gradients.user_gradient import Gradient
from lossctl.gradients.verdict import Reason, Verdict
from lossctl.io.arrays import ArraySource
from lossctl.io.dataset import GIVEN_GRADIENT, Dataset, FieldRef

_REASONS = {
    Reason.DIGITS: "the loss has too few digits there",
    Reason.EDGE: "the prediction is next to an edge of the domain",
    Reason.JUMP: "the loss jumps there",
    Reason.NAN: "the loss is NaN there",
    Reason.TINY: "too small against the RMS gradient to count as right or as wrong",
}
# Number of samples drawn for a loss whose samples depend on each other: of one number, and of a row of five.
_BATCH, _ROWS = 100, 20
# Number of points over twelve decades. A right gradient is called wrong at up to 2 % of them, where the loss has lost
# its digits unseen: √(1 + r²) − 1 at r = 1e-7.
_EXTREMES, _WRONG_SHARE = 300, 0.1


def from_logits(loss: Loss) -> Loss:
    """Return the loss of logits that corresponds to a loss of probabilities, with the same parameters.

    Raises:
        UsageError: there is no such loss.
    """
    if not loss.from_logits:
        raise UsageError(f"--wrt logits: {loss.name} is not a loss of probabilities with a twin from logits")
    twin = get_loss(loss.from_logits)
    return twin.bind(**{name: value for name, value in loss.params.items() if name in twin.params})


def check_points(
    loss: Loss,
    *,
    samples: int,
    seed: int,
    gradient: Gradient | None = None,
    second: str = "surrogate",
    rtol: float = RTOL,
    dtype: str = "float64",
    whole: bool = False,
    said: str = "none",
) -> list[GradCheck]:
    """Check a gradient at points drawn from the domain of the loss.

    Args:
        loss: the loss.
        samples: number of points; at most 100, or 20 rows, are drawn if samples depend on each other.
        seed: seed of their generator.
        gradient: function that returns the gradient. Default: the gradient of the loss.
        second: how its second derivative is judged: ``exact``, ``surrogate`` (the default) or ``off``.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        dtype: precision in which a function of tensors runs. Default float64.
        whole: whether to keep every verdict. Default False.
        said: reduction that the user gave for a loss that is now one of each sample. Default ``none``.
    """
    points = ""
    loss = with_list_inputs(loss)
    if loss.takes_tensors:
        loss, points = with_drawn_kinds(loss, seed)
        loss = replace(loss, batch_coupled=drawn_coupled(loss, seed))
    # The cost of a batch whose samples depend on each other is quadratic, and a small batch shows as much.
    batch = _ROWS if loss.inputs[0].kind.core else _BATCH
    count = min(samples, batch) if loss.batch_coupled else samples
    # A kernel of the registry keeps its digits over twelve decades; nobody else's gradient has to.
    ordinary = gradient is not None or not loss.is_builtin
    arrays = sample_points(loss, count, seed, ordinary=ordinary)
    if count > batch and not loss.is_builtin and is_batch_coupled(loss, arrays):
        # Directions through thousands of points all cross a kink at one of them; coordinates are checked by themselves.
        loss = replace(loss, batch_coupled=True)
        arrays = sample_points(loss, batch, seed, ordinary=ordinary)
    data = _dataset(loss, arrays)
    classes = any(has_class_axis(spec.kind.core) for spec in loss.inputs)
    options = ComputeOptions(class_axis=-1 if classes else None)  # where the kinds draw it
    results = check_on(
        lambda: data,
        loss,
        gradient=gradient,
        second=second,
        options=options,
        rtol=rtol,
        dtype=dtype,
        whole=whole,
        said=said,
    )
    if points:
        note = f"points drawn as {points}; for others give PREDS and TARGETS, or annotate the parameters"
        results[0] = replace(results[0], notes=(*results[0].notes, note))
    if ordinary and not loss.batch_coupled and not loss.takes_tensors:
        results[0] = _with_extremes(results[0], loss, gradient, options, seed)
    if loss.finish is not None:
        results[0] = with_finish(results[0], loss, rtol, seed)
    return results


def _dataset(loss: Loss, arrays: Sequence[Array]) -> Dataset:
    sources = tuple(ArraySource(role, (a,), (role,)) for role, a in zip(loss.roles, arrays, strict=True))
    return Dataset(sources, {role: FieldRef(i, 0) for i, role in enumerate(loss.roles)})


def _from_first(
    blocks: Iterable[tuple[tuple[CheckSummary, ...], ...]], first: int | None, rows: int
) -> Iterator[tuple[CheckSummary, ...]]:
    """Yield the summaries of the blocks in which samples count.

    Args:
        blocks: the summaries of each block, in the order of the rows.
        first: the row at which the block starts that was observed; None if it is of no interest.
        rows: number of rows of a block.

    Raises:
        LaterBlockError: the first block in which samples count is another one.
    """
    counting = ((i * rows, summaries) for i, (summaries,) in enumerate(blocks) if summaries)
    for number, (start, summaries) in enumerate(counting):
        if not number and first is not None and start != first:
            raise LaterBlockError(start)
        yield summaries


def _merged(blocks: Iterable[tuple[CheckSummary, ...]], loss: Loss) -> list[CheckSummary]:
    """Merge the summaries of the blocks in which samples count.

    Raises:
        DataError: there is no such block.
    """
    merged_parts = [merged(parts) for parts in zip(*blocks, strict=True)]
    if not merged_parts:
        raise DataError(f"{loss.name}: no sample is left to check: every sample is left out")
    return merged_parts


def check_on(
    data: Callable[[], Dataset],
    loss: Loss,
    *,
    gradient: Gradient | None = None,
    second: str = "surrogate",
    reduction: str = "none",
    options: ComputeOptions | None = None,
    rtol: float = RTOL,
    dtype: str = "float64",
    whole: bool = False,
    said: str = "none",
    workers: ExecutionConfig | None = None,
) -> list[GradCheck]:
    """Check a gradient at the points of a data set.

    Args:
        data: function that opens the data. It is called again if the gradient is that of the mean, if samples
            turn out to depend on each other, or if no sample of the first block counts.
        loss: the loss.
        gradient: function that returns the gradient. Default: the role ``grad`` of the data if there is one,
            otherwise the gradient of the loss.
        second: how its second derivative is judged: ``exact``, ``surrogate`` (the default) or ``off``.
        reduction: function whose gradient is given: ``none`` (the default), ``mean`` or ``sum``.
        options: options of the engine.
        rtol: allowed difference relative to the scale of a sample. Default 1e-6.
        dtype: precision in which a function of tensors runs. Default float64.
        whole: whether to keep every verdict. Default False.
        said: reduction that the user gave for a loss that is now one of each sample. Default ``none``.
        workers: configuration of the executor.

    Returns:
        The check of the gradient and, if `gradient` returns a second derivative, the check of the latter.

    Raises:
        UsageError: the data has weights and samples depend on each other.
        DataError: the gradient and the predictions differ in shape.
    """
    options, workers = options or ComputeOptions(), workers or ExecutionConfig()
    opened = data()
    if opened.places.keys() >= {*loss.roles}:
        loss = for_shapes(loss, [opened.raw_row_shape(role) for role in loss.roles])
    check_unweighted_gradient(loss, opened, reduction)
    _check_gradient_shape(opened)
    small = [loss] if gradient is None and not whole else []  # a user's function must not run in a forked worker
    factor = 1.0
    if reduction == "mean":
        plan = plan_loss(loss, opened, options)
        with workers.executor_for(opened, small) as executor:
            (summary,), _ = summarize(opened, [plan], replace(options, detail=False), executor)
        slope = loss.finish.derivative(summary.mean) if loss.finish else 1.0
        factor = rounded(summary.weight) / slope if slope else 1.0
        opened = data()
    observes = gradient is not None or GIVEN_GRADIENT in opened.places or not loss.is_builtin
    checker = Checker(gradient, factor, reduction != "none", rtol, whole, second, dtype)

    def tallies(opened: Dataset, loss: Loss) -> tuple[list[CheckSummary], Loss]:
        plan = plan_loss(loss, opened, options)
        with workers.executor_for(opened, small) as executor:
            mapped = map_blocks(opened, [plan], options, checker, executor)
            first = checker.first if observes else None
            return _merged(_from_first(mapped, first, block_rows(opened, [plan])), loss), plan.loss

    if loss.takes_tensors:
        loss = with_kernel(loss, coupled=False)
    results: list[CheckSummary] = []
    bound = loss  # with the inputs that lists of parameters and weights of pixels are
    while not results:
        try:
            results, bound = tallies(opened, loss)
        except ProbabilityError:
            loss, opened = with_unit_domain(loss), data()
        except LaterBlockError as error:
            checker, opened = replace(checker, first=error.start), data()
        except CoupledError:
            loss = with_kernel(loss, coupled=True) if loss.takes_tensors else replace(loss, batch_coupled=True)
            check_unweighted_gradient(loss, opened, reduction)
            checker, opened = replace(checker, first=0), data()  # one block
    results = _settled(results, gradient, lower=dtype != "float64" and loss.takes_tensors)
    checked: object = loss.kernel if gradient is None else gradient.function
    if isinstance(checked, TensorKernel):
        checked = checked.framework.defined_by(checked.value)
    place = None if GIVEN_GRADIENT in opened.places else source_line(checked)
    said = said if reduction == "none" else reduction
    named = list(zip(results, ("gradient", "second derivative"), strict=False))
    hints = [
        (None if t.passed else diagnose(bound, t, second=what != "gradient", reduction=said)) or (None, None)
        for t, what in named
    ]
    return [_result(loss, t, what, place, hint) for (t, what), hint in zip(named, hints, strict=True)]


def _settled(results: Sequence[CheckSummary], gradient: Gradient | None, *, lower: bool) -> list[CheckSummary]:
    """Return the summaries with what only all rows show.

    Args:
        results: that of the gradient and, if there is one, of the second derivative or of the lower precision.
        gradient: the user's function; None if there is none.
        lower: whether a function of tensors also ran in a lower precision.
    """
    first, *others = results
    first = first.without_flat()
    if gradient is not None and first.counts[Verdict.WRONG]:
        first = replace(first, notes=(*first.notes, *gradient.doubts()))
    if lower and others:
        # The gradient in float64 is the reference: if it is wrong itself, it is what the report shows.
        return [replace(others[0], notes=first.notes) if first.passed else first]
    return [first, *others]


def _check_gradient_shape(data: Dataset) -> None:
    """Raise DataError if the data hold a gradient whose shape is not that of the predictions."""
    if GIVEN_GRADIENT in data.places and data.row_shape(GIVEN_GRADIENT) != data.row_shape("pred"):
        row_shapes = [data.row_shape(role) for role in (GIVEN_GRADIENT, "pred")]
        shapes = [f"(n, {', '.join(map(str, shape))})" if shape else "(n,)" for shape in row_shapes]
        raise DataError(f"grad has shape {shapes[0]}, pred {shapes[1]}: one derivative for each prediction")


def _result(
    loss: Loss, tally: CheckSummary, what: str, place: tuple[str, int] | None, hint: tuple[str | None, str | None]
) -> GradCheck:
    whole = tally.verdicts
    return GradCheck(
        loss=loss.spec,
        name=loss.name,
        params=loss.params,
        what=what,
        samples=tally.samples,
        counts={v.name.lower(): n for v, n in zip(Verdict, tally.counts, strict=True)},
        passed=tally.passed,
        worst=tally.worst,
        worst_row=tally.worst_row,
        hint=hint[1],
        hint_code=hint[0],
        method=tally.method,
        failing=tally.failing,
        passing=tally.passing,
        verdict=whole.verdict if whole else None,
        numeric=whole.numeric if whole else None,
        error=whole.error if whole else None,
        given=tally.given,
        notes=(*tally.notes, *_notes(tally, what)),
        place=place,
    )


def _notes(tally: CheckSummary, what: str) -> list[str]:
    """Return why coordinates are unresolved, and whether anything was verified."""
    notes = [
        f"{counted(n, 'coordinate')} unresolved: {_REASONS[reason]}"
        for reason, n in zip(Reason, tally.reasons, strict=True)
        if n and reason != Reason.NONE
    ]
    if tally.checked and not tally.verified and not tally.counts[Verdict.WRONG] and not tally.notes:
        notes.append("nothing was verified: no coordinate is ok; check other points")
    elif tally.checked and not tally.moving and tally.passed and what == "gradient":
        notes.append("the gradient is 0 at every point, as it should be: these points show little; check others too")
    return notes


def _with_extremes(
    result: GradCheck, loss: Loss, gradient: Gradient | None, options: ComputeOptions, seed: int
) -> GradCheck:
    """Note the verdicts at points over twelve decades, at which formulas overflow and lose their digits.

    They are no part of the verdict, unless the function is resolved there and wrong.
    """
    data = _dataset(loss, sample_points(loss, _EXTREMES, seed))
    where = f"at {_EXTREMES} points over twelve decades"
    try:
        (other, *_) = check_on(lambda: data, loss, gradient=gradient, second="off", options=options)
    except Exception as error:  # noqa: BLE001 - what a user's function raises out of its range, such as OverflowError
        return replace(result, notes=(*result.notes, f"{where} {loss.name} raises {type(error).__name__}: {error}"))
    wrong, ok = other.counts["wrong"], other.counts["ok"]
    if not wrong and not other.counts["unresolved"]:
        return result
    counts = ", ".join(f"{n:,} {name}" for name, n in other.counts.items() if n)
    if wrong <= _WRONG_SHARE * (wrong + ok):
        return replace(result, notes=(*result.notes, f"{where}, no part of the verdict: {counts}"))
    note = f"{where}, {counts}"
    if not result.passed:
        return replace(result, notes=(*result.notes, note))
    return replace(
        result,
        passed=False,
        failing=other.failing,
        hint=other.hint,
        hint_code=other.hint_code,
        notes=(*result.notes, note),
    )
