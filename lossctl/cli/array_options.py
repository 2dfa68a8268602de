"""``gradcheck --at``: the derivatives of a function of arrays by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from lossctl.cli.options import ComputationOptions, InputOptions, Option, OutputOptions
from lossctl.errors import UsageError, printable, quoted
from lossctl.immutable import immutable

if TYPE_CHECKING:
    from lossctl.gradients.arrays_check import UserFunction
    from lossctl.report import Report

# Other options of gradcheck that act with --at.
_ACT = {"grad", "wrt", "seed", "top", "no_progress", "framework", "dtype", "inputs"}


@immutable
class ArrayOptions:
    """Options of ``gradcheck`` for functions of arrays by name."""

    HEADING: ClassVar = "Model and layer options"

    at: Annotated[
        str | None,
        Option(
            "--at",
            metavar="FILE",
            help="check a model or a layer: a function of the arrays of a .npz, .safetensors or .pt file and --input",
        ),
    ] = None
    vjp: Annotated[
        str | None,
        Option("--vjp", metavar="FILE.py:FUNCTION", help="the backward pass of a layer: vjp(cotangent, inputs)"),
    ] = None
    jvp: Annotated[
        str | None,
        Option("--jvp", metavar="FILE.py:FUNCTION", help="its forward derivative: jvp(tangents, inputs)"),
    ] = None
    hvp: Annotated[
        str | None,
        Option("--hvp", metavar="FILE.py:FUNCTION", help="Hessian-vector products of a loss: hvp(v, arrays)"),
    ] = None
    seed_arg: Annotated[
        str | None,
        Option("--seed-arg", metavar="NAME", help="parameter of the functions that takes --seed, for dropout"),
    ] = None

    def refuse(self) -> None:
        """Check that no option is used without ``--at``.

        Raises:
            UsageError: one is used.
        """
        for name in _changed(self):
            raise UsageError(f"--{name.replace('_', '-')} needs --at FILE, the inputs of the function")


def check_at(
    arrays: ArrayOptions,
    check: Any,
    function: str | None,
    files: Sequence[str | None],
    options: tuple[InputOptions, ComputationOptions, OutputOptions],
) -> Report:
    """Check a function of the arrays of the file ``--at``.

    Args:
        arrays: the options for arrays.
        check: the other options of gradcheck; `grad`, `wrt`, `seed` and `top` act here.
        function: FILE.py:FUNCTION.
        files: PREDS and TARGETS, which must be absent.
        options: shared options; those of the input and of the computation must have their defaults.

    Raises:
        UsageError: an option cannot act here, or a function cannot be used.
        DataError: the file or a result cannot be used.
    """
    from lossctl.cli.output import format_of
    from lossctl.cli.settings import check_range
    from lossctl.gradients.arrays_check import check_arrays
    from lossctl.report.arrays_check import arrays_report

    assert arrays.at is not None
    format_of(options[2], checks=True)
    framework = options[1].framework
    if function is None or (".py:" if framework is None else ":") not in function:
        raise UsageError("--at checks a function of arrays by name: lossctl gradcheck FILE.py:FUNCTION --at FILE.npz")
    if any(files):
        raise UsageError("--at FILE holds all arrays: PREDS and TARGETS are not read")
    for group in (check, *options[:2]):
        for name in _changed(group):
            if name not in _ACT:
                raise UsageError(f"--{name.replace('_', '-')} has no effect with --at")
    check_range("--seed", check.seed, 0)
    check_range("--top", check.top, 0)
    result = check_arrays(
        _loaded(function, framework),
        _read(arrays.at, options[0].inputs, framework),
        framework=framework,
        dtype=check.dtype,
        grad=_load("grad", check.grad),
        vjp=_load("vjp", arrays.vjp),
        jvp=_load("jvp", arrays.jvp),
        hvp=_load("hvp", arrays.hvp),
        wrt=None if check.wrt is None else [name.strip() for name in check.wrt.split(",")],
        seed_arg=arrays.seed_arg,
        seed=check.seed,
    )
    return arrays_report(result, printable(arrays.at), top=check.top)


def _loaded(spec: str, framework: str | None = None) -> UserFunction:
    from lossctl.core.user_functions import load_function, load_tensor_function
    from lossctl.gradients.arrays_check import UserFunction

    value = load_function(spec) if framework is None else load_tensor_function(spec, framework)
    return UserFunction(value, printable(spec))


def _read(path: str, inputs: Sequence[str], framework: str | None) -> dict[str, Any]:
    """Read the arrays of a file by name, and those of ``--input NAME=FILE``.

    Raises:
        UsageError: a file is of another kind, or a name is used twice.
        DataError: a file cannot be read.
    """
    from lossctl.frameworks import get_framework
    from lossctl.gradients.named_tensors import nested
    from lossctl.io.named_arrays import read_array, read_arrays

    arrays: dict[str, Any] = read_arrays(path)
    if framework is not None and get_framework(framework).nests:
        arrays = nested(arrays, "/" if any("/" in name for name in arrays) else ".")
    batch: dict[str, Any] = {}
    for text in inputs:
        name, equals, file = text.partition("=")
        if not equals or not name or not file:
            raise UsageError(f"--input {quoted(text)}: with --at it is NAME=FILE.npy")
        if name in arrays:
            raise UsageError(f"--input {printable(name)}: {printable(path)} has an array of this name")
        if name in batch:
            raise UsageError(f"--input {printable(name)} is given twice")
        batch[name] = read_array(file)
    return batch | arrays


def _load(option: str, spec: str | None) -> UserFunction | None:
    from lossctl.gradients.arrays_check import UserFunction
    from lossctl.gradients.named_function import constant
    from lossctl.io.named_arrays import read_arrays

    if spec is None or ".py:" in spec:
        return None if spec is None else _loaded(spec)
    if option == "grad":
        return UserFunction(constant(read_arrays(spec)), printable(spec))
    raise UsageError(f"--{option} {printable(spec)}: with --at it is a function, FILE.py:FUNCTION")


def _changed(group: Any) -> list[str]:
    """Return the names of the options that do not have their defaults."""
    return [f.name for f in fields(group) if getattr(group, f.name) != (f.default if f.default is not MISSING else [])]
