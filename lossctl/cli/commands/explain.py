"""``lossctl explain``: which definition gives a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossctl.cli.options import InputOptions, OutputOptions
from lossctl.report import Report

if TYPE_CHECKING:
    import numpy.typing as npt

    from lossctl.engine.where import Where
    from lossctl.explanation.probe import Probe
    from lossctl.io.dataset import Dataset

HELP = """Say which definition of a loss gives a number, or is a function: library, clip, reduction, factor, mistake.

Examples:

\b
  lossctl explain 0.158185 samples/cancer.csv -p prob -t label
  lossctl explain 44.7083 samples/diabetes_preds.csv samples/diabetes_targets.csv
  lossctl explain 0.158185 samples/cancer.csv -p prob -t label --loss bce
  lossctl explain samples/my_losses.py:cubic
"""


def explain(
    values: Annotated[
        str,
        typer.Argument(
            metavar="VALUE[,VALUE...]|FILE|FUNCTION",
            help="the number, with all digits known; a file of the loss of each sample; or FILE.py:FUNCTION",
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
    class_axis: Annotated[
        int | None,
        typer.Option("--class-axis", metavar="N", help="the axis of the classes, from 0, of more than two axes"),
    ] = None,
    groups: Annotated[
        str | None, typer.Option("--groups", metavar="COLUMN|FILE", help="the document, query or batch of each sample")
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(
            "--lengths", metavar="COLUMN|FILE", help="the lengths of sequences, padded or one after the other"
        ),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option("--probe", metavar="FILE.csv", help="write rows on which the definitions that are left differ"),
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
    from lossctl.cli.data_files import column_role, is_file
    from lossctl.cli.open_dataset import check_stdin, open_data
    from lossctl.cli.output import format_of, style_of
    from lossctl.cli.settings import parse_class_weight, split_commas
    from lossctl.core.registry import get_loss
    from lossctl.engine.masks import channels_first
    from lossctl.engine.where import parse_where
    from lossctl.explanation.entry import explain_value as search
    from lossctl.explanation.entry import make_search
    from lossctl.explanation.joint import narrow
    from lossctl.explanation.number import read_number
    from lossctl.explanation.per_sample import explain_samples
    from lossctl.explanation.probe import make_probe
    from lossctl.report.explain import explain_report

    style_of(output)
    format_of(output)
    if preds is None:
        return _of_function(values, framework), output
    names = split_commas(losses)
    bound = [get_loss(name) for name in names]
    of_samples = values if is_file(values) else None
    numbers = [] if of_samples else split_commas(values)
    for number in numbers:
        read_number(number)
    check_stdin([preds, targets])
    reading = bound[:1] or [get_loss(_loss_of_labels(data.labels))]
    columns = [
        name for name in (groups, of_samples, lengths) if name is not None and (name != lengths or not is_file(name))
    ]
    opened = open_data(reading, preds, targets, data, shown=columns)
    arrays, left_out = read_all(opened, parse_where(data.where) if data.where is not None else None)
    options: dict[str, Any] = {
        "loss": names,
        "weight": arrays.get("weight"),
        "class_weight": parse_class_weight(class_weight),
        "groups": arrays.get(column_role(groups or "")),
        "lengths": _lengths(lengths, arrays, data),
        "class_axis": class_axis,
        "inputs": {role: x for role, x in arrays.items() if role in reading[0].roles[1:] and role != "target"},
    }
    pair = arrays["pred"], arrays["target"]
    if class_axis is not None:
        channels_first("pred", pair[0].shape[1:], class_axis)
    if of_samples:
        losses_of_samples = _numbers(arrays[column_role(of_samples)], of_samples)
        explanations = [explain_samples(losses_of_samples, make_search(*pair, **options), of_samples)]
    else:
        explanations = narrow([search(number, *pair, **options) for number in numbers])
    report = explain_report(explanations, opened.names, deeper=bool(names))
    if probe is not None:
        report = _with_probe(report, make_probe(explanations[0], make_search(*pair, **options)), probe)
    return replace(report, notes=[*([left_out] if left_out else []), *report.notes]), output


def _lengths(name: str | None, arrays: Mapping[str, npt.NDArray[Any]], data: InputOptions) -> npt.NDArray[Any] | None:
    """Return the lengths from a column, or from a file, which may have another number of rows than the data."""
    from lossctl.cli.data_files import column_role, is_file
    from lossctl.cli.open_dataset import read_numbers
    from lossctl.errors import UsageError

    if name is None:
        return None
    if not is_file(name):
        return _numbers(arrays[column_role(name)], name)
    if data.where is not None:
        raise UsageError("--where leaves out rows, of which the lengths of a file know nothing")
    return read_numbers(name, data)


def _numbers(cells: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return cells as numbers.

    Raises:
        DataError: one is no number.
    """
    import numpy as np

    from lossctl.errors import DataError

    try:
        return np.asarray(cells, np.float64).reshape(len(cells), -1)[:, 0]
    except ValueError as error:
        raise DataError(f"{name}: {error}") from None


def _with_probe(report: Report, probe: Probe | None, path: str) -> Report:
    """Write the rows of a probe, and add what each definition gives on them."""
    from lossctl.cli.output_file import write_file
    from lossctl.report.explain import probe_table

    if probe is None:
        return replace(
            report, notes=[*report.notes, f"{path} is not written: no two definitions are left to tell apart"]
        )
    write_file(path, lambda file: file.writelines([probe.csv.encode()]), "--probe")
    preds, targets = (",".join(names) for names in probe.columns)
    ask = f"compute your number on {path}, then: lossctl explain VALUE {path} -p {preds} -t {targets}"
    return replace(report, tables=[*report.tables, probe_table(probe, path)], notes=[*report.notes, ask])


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


def read_all(data: Dataset, where: Where | None) -> tuple[dict[str, npt.NDArray[Any]], str]:
    """Read all rows of all inputs.

    Args:
        data: the data set.
        where: which rows count; None if all do.

    Returns:
        an array (rows, ...) by role; and how many rows were left out in words, "" if none could be.

    Raises:
        DataError: the keys of a row differ, or no row is left.
    """
    from lossctl.engine.all_rows import read_rows
    from lossctl.engine.where import WHERE
    from lossctl.errors import DataError, counted, quoted

    arrays = read_rows(data, list(data.places))
    if where is None:
        return arrays, ""
    counts = where.mask(arrays.pop(WHERE).reshape(-1))
    if not counts.any():
        raise DataError(f"--where {quoted(where.column)}: no row is left")
    left_out = f"{counted(int((~counts).sum()), 'row')} left out by --where"
    return {role: array[counts] for role, array in arrays.items()}, left_out
