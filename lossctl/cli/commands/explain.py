"""``lossctl explain``: which definition gives a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossctl.cli.options import InputOptions, OutputOptions, expand_option_groups
from lossctl.report import Report

if TYPE_CHECKING:
    import numpy.typing as npt

    from lossctl.io.dataset import Dataset

HELP = """Say which definition of a loss gives a number, or is a function: library, clip, reduction, factor, mistake.

Examples:

\b
  lossctl explain 0.158185 samples/cancer.csv -p prob -t label
  lossctl explain 44.7083 samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl explain 0.158185 samples/cancer.csv -p prob -t label --loss bce
  lossctl explain samples/my_losses.py:asym
"""


@expand_option_groups
def explain(
    values: Annotated[
        str,
        typer.Argument(
            metavar="VALUE[,VALUE...]|FUNCTION", help="the number, with all digits known; or FILE.py:FUNCTION"
        ),
    ],
    preds: Annotated[str | None, typer.Argument(metavar="[PREDS]", help="a file, or - for stdin")] = None,
    targets: Annotated[
        str | None, typer.Argument(metavar="[TARGETS]", help="a file; without it, targets are columns of PREDS")
    ] = None,
    *,
    data: InputOptions,
    losses: Annotated[
        str | None,
        typer.Option("--loss", metavar="LOSS[,LOSS...]", help="search these losses only, with three departures"),
    ] = None,
    class_weight: Annotated[
        str | None,
        typer.Option("--class-weight", metavar="W,W,...", help="one weight per class, in the order of the classes"),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", metavar="COLUMN|FILE", help="the document, query or batch of each sample")
    ] = None,
    framework: Annotated[
        str | None,
        typer.Option(
            "--framework", metavar="torch|jax|tensorflow", help="FUNCTION takes tensors; default: by its package"
        ),
    ] = None,
    output: OutputOptions,
) -> tuple[Report, OutputOptions]:
    """Explain a number, or a function."""
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.settings import parse_class_weight, split_commas
    from lossctl.core.registry import get_loss
    from lossctl.explanation.entry import explain as search
    from lossctl.explanation.number import read_number
    from lossctl.report.explain import explain_report

    style_of(output)
    format_of(output)
    if preds is None:
        return _of_function(values, framework), output
    names = split_commas(losses)
    bound = [get_loss(name) for name in names]
    numbers = split_commas(values)
    for number in numbers:
        read_number(number)
    check_stdin([preds, targets])
    reading = bound[:1] or [get_loss(_loss_of_labels(data.labels))]
    opened = open_data(reading, preds, targets, data, shown=[groups] if groups is not None else [])
    arrays = read_all(opened)
    further = {role: x for role, x in arrays.items() if role in reading[0].roles[1:] and role != "target"}
    explanations = [
        search(
            number,
            arrays["pred"],
            arrays["target"],
            loss=names,
            weight=arrays.get("weight"),
            class_weight=parse_class_weight(class_weight),
            groups=arrays.get(f"column {groups}"),
            inputs=further,
        )
        for number in numbers
    ]
    return explain_report(explanations, opened.names, deeper=bool(names)), output


def _of_function(spec: str, framework: str | None) -> Report:
    from lossctl.errors import UsageError
    from lossctl.explanation.function import explain_function, load
    from lossctl.report.explain import function_report

    if ":" not in spec:
        raise UsageError("explain needs VALUE and PREDS, or FILE.py:FUNCTION; see: lossctl explain --help")
    return function_report(explain_function(load(spec, framework)), spec)


def _loss_of_labels(labels: str | None) -> str:
    """Return a loss that takes these labels, so that targets are read as such."""
    if labels is None:
        return "mse"
    return "bce" if labels.count(",") == 1 else "sparse_softmax_cross_entropy"


def read_all(data: Dataset) -> dict[str, npt.NDArray[Any]]:
    """Read all rows of all inputs.

    Returns:
        an array (rows, ...) by role.

    Raises:
        DataError: the keys of a row differ.
    """
    import numpy as np

    from lossctl.errors import DataError

    parts: dict[str, list[Any]] = {role: [] for role in data.places}
    for part in data.row_ranges(1 << 20):
        for role, place in data.places.items():
            parts[role].append(part.sources[place.source].reader()(part.start, part.stop)[place.field].copy())
    arrays = {role: np.concatenate(chunks) for role, chunks in parts.items()}
    for here, there in data.keys:
        differs = arrays[here] != arrays[there]
        if differs.any():
            row = int(differs.argmax())
            raise DataError(f"{data.locate(here, row)}: not the same sample as {data.locate(there, row)}")
    return arrays
