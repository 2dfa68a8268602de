"""Options that commands share, each declared once.

A command takes a dataclass of options as one argument. :func:`expand_option_groups` expands the fields of the
dataclass into the signature that typer reads, and builds the dataclass when the command is called. ``HEADING`` of the
dataclass is the heading of its options in --help.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, field, fields, is_dataclass
from functools import cache, wraps
from typing import Annotated, Any, ClassVar, TypeAlias, get_type_hints

import typer

from lossctl.immutable import immutable
from lossctl.render import FORMATS

Option = typer.Option

LOSS_HELP = (
    "name of a loss (lossctl list shows them) and its parameters: huber:delta=0.5; or your function: FILE.py:NAME"
)


@immutable
class InputOptions:
    """Where the inputs are and how they are read."""

    HEADING: ClassVar = "Data options"

    pred: Annotated[
        list[str],
        Option(
            "-p",
            "--pred",
            metavar="COLUMN",
            help="columns of the predictions: a name, a position (@3, @1-10) or a pattern ('logit_*'); default: all",
        ),
    ] = field(default_factory=list)
    target: Annotated[
        list[str],
        Option("-t", "--target", metavar="COLUMN", help="columns of the targets, named in the same ways; default: all"),
    ] = field(default_factory=list)
    weight: Annotated[
        str | None,
        Option(
            "-w",
            "--weight",
            metavar="COLUMN|FILE",
            help="weights of the samples: numbers of at least 0; default: 1 for each",
        ),
    ] = None
    inputs: Annotated[
        list[str],
        Option(
            "--input",
            metavar="NAME=COLUMN|FILE",
            help="a further input, such as var=sigma2.npy; lossctl info LOSS names the inputs of a loss",
        ),
    ] = field(default_factory=list)
    on: Annotated[
        list[str],
        Option(
            "--on",
            metavar="COLUMN",
            help="a column, such as an id, that must be equal in PREDS and TARGETS, row by row; default: none",
        ),
    ] = field(default_factory=list)
    where: Annotated[
        str | None,
        Option("--where", metavar="EXPR", help="rows that count: a comparison, 'target!=0' or 'split==test'"),
    ] = None
    join: Annotated[
        str | None,
        Option("--join", metavar="COLUMN[:inner]", help="match rows by a key; inner: leave out what a file lacks"),
    ] = None
    labels: Annotated[
        str | None,
        Option(
            "--labels",
            metavar="NEG,POS|A,B,C",
            help="names of the classes in the target, in the order of their codes 0, 1, ...; default: it holds codes",
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        Option(
            "-d",
            "--delimiter",
            metavar="CHAR",
            help="what separates cells: a character, tab, or space for runs of blanks; default: by suffix",
        ),
    ] = None
    header: Annotated[
        bool | None,
        Option(
            "--header/--no-header",
            help="whether the first row holds the names of the columns; default: if no cell of it is a number",
        ),
    ] = None
    header_of: Annotated[
        list[str],
        Option("--header-of", metavar="FILE", help="a file whose first row is a header, whatever the others have"),
    ] = field(default_factory=list)
    encoding: Annotated[
        str | None, Option("--encoding", metavar="NAME", help="encoding of text files, such as latin-1; default: utf-8")
    ] = None
    decimal: Annotated[str, Option("--decimal", metavar="CHAR", help="the decimal mark of numbers in text")] = "."
    thousands: Annotated[
        str, Option("--thousands", metavar="CHAR", help="the mark of thousands, as in 1,234.5 (none)")
    ] = ""
    na_values: Annotated[
        list[str],
        Option(
            "--na-values",
            metavar="TEXT",
            help="text of cells that hold no number, such as NA; may be repeated; default: none",
        ),
    ] = field(default_factory=list)
    input_format: Annotated[
        str | None,
        Option(
            "--input-format",
            metavar="FORMAT",
            help="format of stdin and of files without a known suffix: csv, npy, csv.gz, ...; default: by suffix",
        ),
    ] = None


@immutable
class ComputationOptions:
    """How losses are computed, and where."""

    HEADING: ClassVar = "Compute options"

    param: Annotated[
        list[str],
        Option(
            "-P",
            "--param",
            metavar="NAME=VALUE",
            help="a parameter of the loss, if there is a single one; the same as LOSS:NAME=VALUE",
        ),
    ] = field(default_factory=list)
    nan: Annotated[
        str,
        Option(
            "--nan",
            metavar="error|skip|propagate",
            help="samples with a NaN: report an error, leave them out, or compute with NaN",
        ),
    ] = "error"
    sum_tolerance: Annotated[
        float | None,
        Option(
            "--sum-tolerance",
            metavar="X",
            help="allowed difference from 1 of the sum of a row of probabilities (0.001)",
        ),
    ] = None
    normalize: Annotated[bool, Option("--normalize", help="divide rows of probabilities by their sum")] = False
    class_axis: Annotated[
        int | None,
        Option(
            "--class-axis",
            metavar="N",
            help="number of the axis that holds the classes, from 0; needed for arrays of more than two axes",
        ),
    ] = None
    class_weight: Annotated[
        str | None,
        Option(
            "--class-weight",
            metavar="W,W,...",
            help="a weight for each class, in the order of the classes; default: 1 for each",
        ),
    ] = None
    clip: Annotated[
        float | None,
        Option("--clip", metavar="EPS", help="move predicted probabilities into [EPS, 1 - EPS]"),
    ] = None
    ignore_index: Annotated[
        int | None,
        Option("--ignore-index", metavar="N", help="label of samples to leave out, such as -100; default: none"),
    ] = None
    allow_negative_weights: Annotated[
        bool, Option("--allow-negative-weights", help="weights may be negative; the mean divides by their sum")
    ] = False
    framework: Annotated[
        str | None,
        Option(
            "--framework",
            metavar="torch|jax|tensorflow",
            help="FILE.py:FUNCTION, or PACKAGE:FUNCTION, takes tensors and returns a loss",
        ),
    ] = None
    threads: Annotated[
        int | None,
        Option("--threads", metavar="N", help="number of threads (one per core); results do not depend on it"),
    ] = None
    cluster: Annotated[
        str | None,
        Option(
            "--cluster",
            metavar="ADDRESS",
            help="run on a dask scheduler, tcp://HOST:8786, or on local processes: local",
        ),
    ] = None
    allow_mixed: Annotated[
        bool,
        Option("--allow-mixed", help="allow workers with another NumPy or processor; last digits may differ"),
    ] = False
    no_progress: Annotated[bool, Option("--no-progress", help="do not show the progress of a long run")] = False


# For commands whose report has advice.
Strict: TypeAlias = Annotated[
    bool, Option("--strict", help="report input that is probably a mistake as an error: exit 2")
]


STDOUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


@immutable
class GroupOptions:
    """Samples that are groups of rows, and the past of the series that they are."""

    HEADING: ClassVar = "Group options"

    group: Annotated[
        str | None,
        Option("--group", metavar="COLUMN", help="rows of equal value are a sample: a list, a series, an image"),
    ] = None
    training: Annotated[
        str | None,
        Option("--training", metavar="FILE", help="the past of the series, from which mase and rmsse take their scale"),
    ] = None
    season: Annotated[
        int, Option("--season", metavar="M", help="the naive forecast repeats the value M steps before")
    ] = 1


# For commands that show the value of a loss.
Like: TypeAlias = Annotated[
    str | None,
    Option("--like", metavar="LIBRARY[@VERSION]", help="as torch, keras, sklearn, optax, ... define the loss"),
]
FailAbove: TypeAlias = Annotated[
    list[str],
    Option(
        "--fail-above",
        metavar="X|LOSS=X",
        help="exit with code 1 if the value is greater than X, or NaN; may be repeated",
    ),
]
FailBelow: TypeAlias = Annotated[
    list[str],
    Option(
        "--fail-below", metavar="X|LOSS=X", help="exit with code 1 if the value is less than X, or NaN; may be repeated"
    ),
]
# For commands whose tables have a drawing.
Plot: TypeAlias = Annotated[
    bool, Option("--plot", help="draw a picture above the tables; -o FILE.svg, .png or .pdf draws it to a file")
]


@immutable
class OutputOptions:
    """What is written, and where."""

    HEADING: ClassVar = "Output options"

    format: Annotated[
        str | None,
        Option(
            "-f",
            "--format",
            metavar="FORMAT",
            help=f"{', '.join(FORMATS)}; LOSSCTL_FORMAT sets the default",
        ),
    ] = None
    quiet: Annotated[
        bool, Option("-q", "--quiet", help="numbers only, one on each line, and no notes; with -f or -o: no notes")
    ] = False
    outputs: Annotated[
        list[str],
        Option(
            "-o",
            "--output",
            metavar="FILE",
            help="write to a file; its suffix selects the format; several: a run for each, - is stdout",
        ),
    ] = field(default_factory=list)
    precision: Annotated[
        int | None,
        Option("--precision", metavar="N", help="significant digits of numbers in tables, 1 to 17; default: 6"),
    ] = None
    color: Annotated[str, Option("--color", metavar="auto|always|never", help="colour in tables")] = "auto"
    output: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Set the file of this run; None for stdout, whose names are no file: descriptor 1 is not the stdout here."""
        assert len(self.outputs) <= 1, "parsing.Command runs a command once for each output"
        object.__setattr__(self, "output", next((path for path in self.outputs if path not in STDOUT), None))


def _options(group: Any) -> list[Any]:
    return [f for f in fields(group) if f.init]


@cache
def _parameters(group: Any) -> list[inspect.Parameter]:
    """Return one keyword argument for each field of a dataclass of options."""
    hints = get_type_hints(group, include_extras=True)
    parameters = []
    for f in _options(group):
        hints[f.name].__metadata__[0].rich_help_panel = group.HEADING  # in --help
        default = f.default if f.default is not MISSING else []
        parameters.append(
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[f.name])
        )
    return parameters


def expand_option_groups(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the command with its dataclass arguments expanded into one keyword argument per field."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        parameters += _parameters(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]

    @wraps(function)
    def command(**values: Any) -> Any:
        gathered = {
            name: group(**{f.name: values.pop(f.name) for f in _options(group)}) for name, group in groups.items()
        }
        return function(**values, **gathered)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
