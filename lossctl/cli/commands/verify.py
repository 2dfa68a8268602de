"""``lossctl verify``: judge the outputs of a kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from lossctl.cli.options import ComputationOptions, InputOptions, Option, OutputOptions
from lossctl.immutable import immutable
from lossctl.report import Report

if TYPE_CHECKING:
    from lossctl.core.loss import Loss
    from lossctl.gradients.verify_run import ReducedValue
    from lossctl.io.dataset import Dataset

HELP = """Judge values and a gradient that a kernel computed, without a tolerance.

An error is measured in ε(dtype) times the terms that the formula sums; lossctl's own losses are right to 1e-14 of them.
With weights, a value includes its weight, as in PyTorch and Keras.

Examples:

\b
  lossctl verify ce samples/digits_logits.npy samples/digits_labels.npy --grad samples/digits_kernel_grad.npy
  lossctl verify mse samples/diabetes_preds.npy samples/diabetes_targets.npy --value 3106.345 --reduction mean
  lossctl verify --golden cross_entropy --dtype bfloat16 -o pack/

Verdicts on each output:

\b
  exact                     every number is the exact one, rounded
  as right as DTYPE allows  every error is within 8 ε·terms of its dtype
  right to N digits         a number typed with N digits, to the last of them
  loses digits              more than that, as rounding or a narrower type does
  wrong                     more than rounding explains: exit 1
"""


@immutable
class VerifyOptions:
    """Options of ``verify``: the outputs and how they were computed."""

    HEADING: ClassVar = "Verify options"

    value: Annotated[
        str | None,
        Option("--value", metavar="FILE|COLUMN|NUMBER", help="the loss of each sample; with --reduction one number"),
    ] = None
    grad: Annotated[
        str | None, Option("--grad", metavar="FILE|COLUMN", help="the gradient with respect to the predictions")
    ] = None
    dtype: Annotated[
        str | None,
        Option(
            "--dtype",
            metavar="bfloat16|float16|float32|float64",
            help="precision of the kernel, if not that of the file, or seen in its numbers",
        ),
    ] = None
    reduction: Annotated[
        str, Option("--reduction", metavar="none|mean|sum", help="what the value and the gradient are of")
    ] = "none"
    upstream: Annotated[
        str | None,
        Option(
            "--upstream",
            metavar="FILE|COLUMN|NUMBER",
            help="the gradient is of sum(upstream * loss); with --reduction one number",
        ),
    ] = None
    baseline: Annotated[
        str | None,
        Option("--baseline", metavar="FILE|NUMBER", help="the same output of another implementation, to compare with"),
    ] = None
    strict: Annotated[bool, Option("--strict", help="exit 1 also if digits are lost")] = False
    top: Annotated[int, Option("--top", metavar="N", help="number of worst numbers to show")] = 5
    golden: Annotated[
        str | None,
        Option("--golden", metavar="LOSS", help="write inputs, exact outputs and bounds to the folder -o, for a CI"),
    ] = None


def verify(
    losses: Annotated[str | None, typer.Argument(metavar="[LOSS]", help="NAME[:PARAM=VALUE]...")] = None,
    preds: Annotated[str | None, typer.Argument(metavar="[PREDS]", help="a file")] = None,
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    check: VerifyOptions,
    data: InputOptions,
    how: ComputationOptions,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Judge the outputs of a kernel."""
    from lossctl.cli.loss_arguments import bind
    from lossctl.cli.open_dataset import open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.settings import check_range, compute_options, execution_config
    from lossctl.core.validation import check_choice
    from lossctl.errors import UsageError
    from lossctl.gradients.verify_run import DTYPES, REDUCTIONS, verify_on
    from lossctl.io.dataset import BASELINE, GIVEN_VALUE, UPSTREAM
    from lossctl.report.verify import verify_report

    if check.dtype is not None:
        check_choice("--dtype", check.dtype, DTYPES)
    if check.golden is not None:
        return _golden(check, losses, how, output)
    style_of(output)
    format_of(output, checks=True)
    check_choice("--reduction", check.reduction, REDUCTIONS)
    check_range("--top", check.top, 0)
    if losses is None or preds is None:
        raise UsageError("verify needs LOSS and PREDS, and --value or --grad; or --golden LOSS; see: verify --help")
    bound = bind(losses, how.param, how.framework)
    if len(bound) > 1:
        raise UsageError("verify takes a single loss")
    _refuse_pipes([preds, targets, check.value, check.grad, check.upstream, check.baseline])
    named = {GIVEN_VALUE: check.value, UPSTREAM: check.upstream, BASELINE: check.baseline}
    reduced, scale = None, 1.0
    if check.reduction != "none":
        scale = 1.0 if check.upstream is None else _number("--upstream", check.upstream, data).given
        reduced = _reduced(check, data)
        named = {BASELINE: check.baseline if check.value is None or check.grad is not None else None}
    outputs = {role: name for role, name in named.items() if name is not None}
    opened: list[Dataset] = []

    def make(loss: Loss = bound[0]) -> Dataset:
        opened.append(open_data([loss], preds, targets, data, grad=check.grad, outputs=outputs))
        return opened[-1]

    result = verify_on(
        make,
        bound[0],
        reduced=reduced,
        upstream=scale,
        dtype=check.dtype,
        reduction=check.reduction,
        strict=check.strict,
        options=compute_options(how, data),
        workers=execution_config(how, output),
    )
    return verify_report(result, opened[0], top=check.top), output


def _refuse_pipes(paths: list[str | None]) -> None:
    """Refuse stdin and pipes.

    Raises:
        UsageError: a path can be read only once.
    """
    from lossctl.errors import UsageError
    from lossctl.io.byte_stream import read_once

    if any(path is not None and read_once(path) for path in paths):
        raise UsageError("verify reads its data more than once, and stdin and pipes can be read only once: name a file")


def _reduced(check: VerifyOptions, data: InputOptions) -> ReducedValue | None:
    """Return the reduced value of --value, with that of --baseline if there is no gradient to compare it with."""
    if check.value is None:
        return None
    value = _number("--value", check.value, data)
    if check.baseline is None or check.grad is not None:
        return value
    return replace(value, baseline=_number("--baseline", check.baseline, data).given)


def _number(option: str, text: str, data: InputOptions) -> ReducedValue:
    """Read one number: written in the option, or the only one of a file.

    Raises:
        UsageError: it is neither a number nor a file.
        DataError: the file does not hold one number.
    """
    import numpy as np

    from lossctl.cli.open_dataset import read_number
    from lossctl.errors import UsageError, quoted
    from lossctl.gradients.rounding import precision_of_number
    from lossctl.gradients.verify_run import ReducedValue
    from lossctl.io.formats import suffix_of
    from lossctl.io.text_grammar import NUMBER, CellError, Dialect

    if NUMBER.fullmatch(text):
        dialect = Dialect(None)
        try:
            (value,), (rounding,) = dialect.numbers([text]).tolist(), dialect.rounding_units([text]).tolist()
        except CellError as error:
            raise UsageError(f"{option} {error.cause}") from None
        reduced = ReducedValue(value, rounding, typed=text)
        if reduced.rounding or reduced.digits < 15:
            return reduced
        # All digits are there: a float32 number shows as one.
        return replace(reduced, precision=precision_of_number(np.array(value)))
    if suffix_of(text) is None and "/" not in text:
        raise UsageError(f"{option} {quoted(text)}: with a reduction it is a number, or a file of one number")
    array = read_number(text, data)
    return ReducedValue(float(array), precision=precision_of_number(array))


def _golden(
    check: VerifyOptions, losses: str | None, how: ComputationOptions, output: OutputOptions
) -> tuple[Report, OutputOptions]:
    """Write the golden pack to the folder of ``-o``."""
    from lossctl.cli.loss_arguments import bind
    from lossctl.errors import UsageError
    from lossctl.gradients.golden_pack import write_golden_pack
    from lossctl.report.verify import golden_report

    assert check.golden is not None
    if losses is not None or check.value is not None or check.grad is not None:
        raise UsageError("--golden LOSS writes files for a check elsewhere: leave out LOSS, PREDS, --value and --grad")
    if output.output is None:
        raise UsageError("--golden: say -o FOLDER, which is new or empty")
    bound = bind(check.golden, how.param, how.framework)
    if len(bound) > 1:
        raise UsageError("--golden takes a single loss")
    pack = write_golden_pack(bound[0], check.dtype or "float32", output.output)
    return golden_report(pack), replace(output, outputs=[])
