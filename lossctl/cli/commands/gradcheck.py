"""``lossctl gradcheck``: check gradients against finite differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lossctl.cli.array_options import ArrayOptions, check_at
from lossctl.cli.options import ComputationOptions, InputOptions, Option, OutputOptions
from lossctl.immutable import immutable
from lossctl.report import Report

if TYPE_CHECKING:
    from lossctl.core.loss import Loss
    from lossctl.engine.options import ComputeOptions
    from lossctl.gradients.result import GradCheck
    from lossctl.gradients.user_gradient import Gradient
    from lossctl.io.dataset import Dataset

HELP = """Check gradients against finite differences: of every loss, or of one on your data.

Examples:

\b
  lossctl gradcheck
  lossctl gradcheck huber:delta=50 samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl gradcheck mse --grad samples/my_losses.py:squared_objective
  lossctl gradcheck samples/network.py:loss --at samples/network.npz

Verdicts on each coordinate:

\b
  ok          right, to the digits that its precision and the loss have
  kink        the slopes from both sides differ; the gradient lies between them
  wrong       differs from the derivative by more than rounding explains
  unresolved  the loss has too few digits there, jumps, or ends; a note says which
  undefined   the loss or its slope is infinite, or the prediction is not finite
"""


@immutable
class GradcheckOptions:
    """Options of ``gradcheck``: the gradient, the points, the tolerance, and what is shown."""

    HEADING: ClassVar = "Check options"

    grad: Annotated[
        str | None,
        Option(
            "--grad",
            metavar="FILE|COLUMN|FILE.py:FUNCTION",
            help="the gradient to check, if not the gradient of the loss",
        ),
    ] = None
    reduction: Annotated[
        str,
        Option(
            "--reduction",
            metavar="none|mean|sum",
            help="the gradient in a file is of each sample's loss, their mean or their sum",
        ),
    ] = "none"
    signature: Annotated[
        str,
        Option(
            "--signature",
            metavar="auto|pred,target|target,pred|pred,dataset",
            help="arguments of FUNCTION in --grad; auto: by their names",
        ),
    ] = "auto"
    dtype: Annotated[
        str,
        Option(
            "--dtype",
            metavar="float64|float32|bfloat16|float16",
            help="precision of the function with --framework; its gradient is compared with float64",
        ),
    ] = "float64"
    second: Annotated[
        str,
        Option(
            "--second",
            metavar="exact|surrogate|off",
            help="the second derivative of an objective: of the loss, or a surrogate known by name; off: not checked",
        ),
    ] = "surrogate"
    wrt: Annotated[
        str | None,
        Option(
            "--wrt",
            metavar="pred|logits",
            help="logits: predictions are logits; the gradient is with respect to them. With --at: names, W1,b1",
        ),
    ] = None
    like: Annotated[
        str | None,
        Option("--like", metavar="LIBRARY[@VERSION]", help="judge by the definition of torch, keras, sklearn, ..."),
    ] = None
    samples: Annotated[int, Option("--samples", metavar="N", help="number of points to draw if there are no data")] = (
        2000
    )
    seed: Annotated[int, Option("--seed", metavar="N", help="seed of these points, or of --at")] = 0
    rtol: Annotated[
        float | None, Option("--rtol", metavar="X", help="allowed difference, relative to the scale of a sample (1e-6)")
    ] = None
    top: Annotated[int, Option("--top", metavar="N", help="number of worst coordinates to show")] = 5
    sweep: Annotated[bool, Option("--sweep", help="show the error against the step size, at the worst coordinate")] = (
        False
    )
    save_numeric: Annotated[
        str | None, Option("--save-numeric", metavar="FILE", help="write the numeric gradient to a .npy or .csv file")
    ] = None


def gradcheck(
    losses: Annotated[str | None, typer.Argument(metavar="[LOSS[,LOSS...]]", help="default: every loss")] = None,
    preds: Annotated[str | None, typer.Argument(metavar="[PREDS]", help="default: random points")] = None,
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    check: GradcheckOptions,
    arrays: ArrayOptions,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Check gradients."""
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, save_array, style_of
    from lossctl.cli.settings import compute_options, execution_config
    from lossctl.errors import UsageError
    from lossctl.gradients.block_check import RTOL
    from lossctl.gradients.check_run import check_on, check_points
    from lossctl.gradients.step_sweep import sweep_steps
    from lossctl.io.byte_stream import read_once
    from lossctl.report.gradcheck import gradcheck_report

    style_of(output)
    if arrays.at is not None:
        return check_at(arrays, check, losses, (preds, targets), (data, how, output)), output
    arrays.refuse()
    workers = execution_config(how, output)
    whole = format_of(output, checks=True) == "jsonl" or check.save_numeric is not None
    _refuse(check, preds, targets, how.framework)
    bound, options, notes = _bound(losses, check, how, compute_options(how, data))
    if len(bound) > 1 and (check.grad is not None or check.save_numeric is not None):
        raise UsageError("--grad and --save-numeric belong to a single loss")
    gradient = _function(check, bound[0], how.framework)
    if preds is None and check.grad is not None and gradient is None:
        raise UsageError("--grad FILE: add PREDS and TARGETS, the points at which the gradient was computed")
    rtol = RTOL if check.rtol is None else check.rtol
    results: list[GradCheck] = []
    opened: list[Dataset] = []
    for loss in bound:
        if preds is None:
            drawn = check_points(
                loss,
                samples=check.samples,
                seed=check.seed,
                gradient=gradient,
                second=check.second,
                rtol=rtol,
                dtype=check.dtype,
                whole=whole,
                said=check.reduction,
            )
            results += drawn
            continue
        check_stdin([preds, targets])
        grad_file = check.grad if gradient is None else None

        def make(loss: Loss = loss, grad: str | None = grad_file) -> Dataset:
            if opened and any(path is not None and read_once(path) for path in (preds, targets)):
                raise UsageError(
                    "stdin and pipes can be read only once, and this check reads the data again: name a file"
                )
            opened.append(open_data([loss], preds, targets, data, grad=grad))
            return opened[-1]

        results += check_on(
            make,
            loss,
            gradient=gradient,
            second=check.second,
            reduction=check.reduction if grad_file is not None else "none",
            options=options,
            rtol=rtol,
            dtype=check.dtype,
            whole=whole,
            said=check.reduction,
            workers=workers,
        )
    if whole and any(result.numeric is None for result in results):
        raise UsageError(
            "samples of more than 128 numbers are checked along directions, and have no row per coordinate; for their "
            "numeric gradient use: lossctl grad --numeric"
        )
    if check.save_numeric is not None:
        assert results[0].numeric is not None
        save_array(results[0].numeric, check.save_numeric)
    sweep = sweep_steps(bound[0], results[0]) if check.sweep else None
    data_read = opened[-1] if opened else None
    report = gradcheck_report(results, data_read, top=check.top, sweep=sweep)
    return replace(report, notes=[*notes, *report.notes]), output


def _bound(
    losses: str | None, check: GradcheckOptions, how: ComputationOptions, options: ComputeOptions
) -> tuple[list[Loss], ComputeOptions, list[str]]:
    """Return the losses to check, the options of their computation, and notes about them."""
    from lossctl.cli.loss_arguments import bind
    from lossctl.core.registry import registered
    from lossctl.gradients.check_run import from_logits
    from lossctl.gradients.user_loss import without_reduction

    notes: list[str] = []
    if check.like is not None:
        bound, options, notes = _like(check.like, losses, how, options)
    elif losses is None:
        bound = list(registered().values())
    else:  # With --grad the framework is that of FUNCTION.
        bound = bind(losses, how.param, None if check.grad else how.framework)
    if check.wrt == "logits":
        bound = [from_logits(loss) for loss in bound]
    if check.grad is None:
        bound = [without_reduction(loss, check.reduction) for loss in bound]
    return bound, options, notes


def _like(
    library: str, text: str | None, how: ComputationOptions, options: ComputeOptions
) -> tuple[list[Loss], ComputeOptions, list[str]]:
    """Return a loss by the convention of a library, its options, and the note that names its departures.

    Raises:
        UsageError: the library has no such function, or there is no single loss.
    """
    from lossctl.cli.loss_arguments import split_specs
    from lossctl.conventions.like import single_like
    from lossctl.errors import UsageError

    specs = split_specs(text or "")
    if text is None or len(specs) > 1:
        raise UsageError("--like belongs to a single loss")
    like = single_like(":".join([specs[0], *how.param]), library)
    like.check(weighted=False, class_weighted=bool(options.class_weight))
    settings = like.settings(options.class_weight, options.ignore_index)
    note = like.note(weighted=True, class_weighted=bool(options.class_weight))
    return [like.loss(options.class_weight)], replace(options, **settings), [note]


def _refuse(check: GradcheckOptions, preds: str | None, targets: str | None, framework: str | None) -> None:
    """Check that options are in their ranges and do not contradict each other.

    Raises:
        UsageError: the check fails.
    """
    from lossctl.cli.settings import check_range
    from lossctl.core.validation import check_choice
    from lossctl.errors import UsageError
    from lossctl.frameworks import DTYPES
    from lossctl.gradients.gradcheck import REDUCTIONS
    from lossctl.gradients.gradient_arguments import SIGNATURES
    from lossctl.gradients.second_derivative import SECOND
    from lossctl.io.byte_stream import read_once

    check_choice("--dtype", check.dtype, DTYPES)
    if check.dtype != "float64" and framework is None:
        raise UsageError(f"--dtype {check.dtype} is the precision of a function of tensors: add --framework")
    check_choice("--reduction", check.reduction, REDUCTIONS)
    check_choice("--signature", check.signature, SIGNATURES)
    check_choice("--second", check.second, SECOND)
    check_choice("--wrt", check.wrt or "pred", ("pred", "logits"))
    check_range("--samples", check.samples, 1)
    check_range("--seed", check.seed, 0)
    check_range("--top", check.top, 0)
    if check.rtol is not None and not 0 < check.rtol < 1:
        raise UsageError(f"--rtol {check.rtol}: between 0 and 1")
    if check.reduction == "mean" and any(path is not None and read_once(path) for path in (preds, targets)):
        raise UsageError(
            "--reduction mean needs the data twice, and stdin and pipes can be read only once: name a file"
        )


def _function(check: GradcheckOptions, loss: Loss, framework: str | None) -> Gradient | None:
    """Return the gradient function of ``--grad FILE.py:FUNCTION``; None if --grad is absent, a file or a column."""
    if check.grad is not None and framework is not None:
        from lossctl.core.registry import get_loss
        from lossctl.gradients.gradcheck import gradient_of_tensors

        return gradient_of_tensors(get_loss(check.grad, framework), check.signature, check.grad, loss, check.dtype)
    if check.grad is None or ".py:" not in check.grad:
        return None
    from lossctl.core.user_functions import load_function
    from lossctl.gradients.user_gradient import Gradient

    return Gradient(load_function(check.grad), check.signature, check.grad, loss)
