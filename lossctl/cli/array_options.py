"""``gradcheck --at``: the derivatives of a function of arrays by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from lossctl.cli.options import ComputationOptions, InputOptions, Option, OutputOptions
from lossctl.errors import UsageError, printable

if TYPE_CHECKING:
    from lossctl.gradients.arrays_check import UserFunction
    from lossctl.report import Report

# Other options of gradcheck that act with --at.
_ACT = {"grad", "wrt", "seed", "top", "no_progress"}


@dataclass(frozen=True)
class ArrayOptions:
    """Options of ``gradcheck`` for functions of arrays by name."""

    HEADING: ClassVar = "Model and layer options"

    at: Annotated[
        str | None,
        Option(
            "--at",
            metavar="FILE",
            help="check a function of the arrays of a .npz, .safetensors or .pt file: a model or a layer",
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
    from lossctl.io.named_arrays import read_arrays
    from lossctl.report.arrays_check import arrays_report

    assert arrays.at is not None
    format_of(options[2], checks=True)
    if function is None or ".py:" not in function:
        raise UsageError("--at checks a function of arrays by name: lossctl gradcheck FILE.py:FUNCTION --at FILE.npz")
    if any(files):
        raise UsageError("--at FILE holds all arrays: PREDS and TARGETS are not read")
    for group in (check, *options[:2]):
        for name in _changed(group):
            if name not in _ACT:
                raise UsageError(f"--{name.replace('_', '-')} has no effect with --at")
    check_range("--seed", check.seed, 0)
    check_range("--top", check.top, 0)
    derivatives = {"grad": check.grad, "vjp": arrays.vjp, "jvp": arrays.jvp, "hvp": arrays.hvp}
    result = check_arrays(
        _loaded(function),
        read_arrays(arrays.at),
        **{name: _load(name, spec) for name, spec in derivatives.items()},
        wrt=None if check.wrt is None else [name.strip() for name in check.wrt.split(",")],
        seed_arg=arrays.seed_arg,
        seed=check.seed,
    )
    return arrays_report(result, printable(arrays.at), top=check.top)


def _loaded(spec: str) -> UserFunction:
    from lossctl.core.registry import load_function
    from lossctl.gradients.arrays_check import UserFunction

    return UserFunction(load_function(spec), printable(spec))


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
