"""What a loss is: one function, and what its signature cannot say.

``@loss`` reads a kernel's signature (positional parameters are the inputs, their annotation a kind;
keyword-only parameters are hyperparameters) and makes a :class:`Loss`, from which everything else
comes: the catalogue, help, checks, completion, tests, benchmarks and gradient checks.
"""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

import numpy as np
import numpy.typing as npt

from lossctl.errors import DataError, UsageError, nearest, printable, quoted
from lossctl.kernels.domain import REAL, Interval
from lossctl.kernels.kinds import Array, Dims, Kind, Real

Thunk: TypeAlias = Callable[[], Array]
Value: TypeAlias = float | int | bool | str | None

# Row-wise losses with at most this many classes get a column-major block, so that NumPy reduces
# along contiguous lanes. Measured (tests/bench/run.py order): 4.3 x faster at 10
# classes, 1.2 x at 100, 0.6 x at 500.
COLUMN_MAJOR_CLASSES = 128


@dataclass(frozen=True)
class Param:
    """What the signature cannot say of a hyperparameter: help for people, and its domain."""

    help: str
    domain: Interval = REAL


@dataclass(frozen=True)
class Finish:
    """What is done to the mean of a loss that is not a plain mean (rmse: a square root).

    ``per_sample`` names what the per-sample values then are, since they are not on the scale of the loss.
    """

    value: Callable[[float], float]
    derivative: Callable[[float], float]
    per_sample: str


@dataclass(frozen=True)
class Input:
    """A positional parameter of a kernel."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a kernel: its default and what values it takes."""

    name: str
    help: str
    domain: Interval
    default: Value
    types: tuple[type, ...]
    choices: tuple[str, ...] = ()

    def parse(self, text: str) -> Value:
        """The value that ``text`` writes, checked.

        Raises:
            UsageError: the text is of another type, or the value outside the domain.
        """
        words: dict[str, Value] = {"none": None, "true": True, "false": False}
        value: object = words.get(text.lower(), text)
        # float() would also take 1_000, and digits of other scripts
        if value == text and "_" not in text and text.isascii():
            with contextlib.suppress(ValueError):
                value = int(text) if int in self.types else float(text)
        return self.check(value, text)

    def check(self, value: object, text: str | None = None) -> Value:
        """``value`` itself if the parameter takes it; ``text`` is how the user wrote it.

        Raises:
            UsageError: it does not.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if value is None and types.NoneType in self.types:
            return None
        if isinstance(value, bool):
            if bool in self.types:
                return value
        elif isinstance(value, str):
            if value in self.choices:
                return value
        elif isinstance(value, int) and int in self.types:
            if value in self.domain:
                return value
        elif isinstance(value, (int, float)) and float in self.types and float(value) in self.domain:
            return float(value)
        shown = printable(str(value) if text is None else text)
        near = nearest(value, self.choices) if isinstance(value, str) and self.choices else ""
        raise UsageError(f"parameter '{self.name}': {shown!r} is not {self.expects}{near}")

    @staticmethod
    def show(value: Value) -> str:
        """A value as the command line writes it."""
        if value is None or isinstance(value, bool):
            return str(value).lower()
        return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)

    @property
    def expects(self) -> str:
        """What values it takes, in words: ``a number above 0``."""
        words = []
        if int in self.types:
            words.append(f"a whole number {self.domain}" if self.domain != REAL else "a whole number")
        elif float in self.types:
            words.append(f"a {self.domain} number" if self.domain == REAL else f"a number {self.domain}")
        words += list(self.choices)
        words += ["true", "false"] if bool in self.types else []
        words += ["none"] if types.NoneType in self.types else []
        return " or ".join(words)


@dataclass(frozen=True, eq=False, repr=False)
class Loss:
    """A loss with values bound to its parameters.

    >>> from lossctl import get_loss
    >>> huber = get_loss("huber:delta=0.5")
    >>> huber.name, huber.params
    ('huber', {'delta': 0.5})
    >>> huber.value([0.0, 3.0], [0.25, 1.0]).tolist()
    [0.03125, 0.875]
    >>> huber.gradient([0.0, 3.0], [0.25, 1.0]).tolist()
    [-0.25, 0.5]
    """

    name: str
    kernel: Callable[..., Any]
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    params: Mapping[str, Value]
    summary: str
    doc: str
    family: str
    formula: str = ""
    see: str = ""
    aliases: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    pitfalls: tuple[str, ...] = ()
    relative: str = ""
    from_logits: str = ""
    finish: Finish | None = None
    denominator: Callable[..., Array] | None = None
    coupled: bool = False
    source: str = field(default="", repr=False)

    def __repr__(self) -> str:
        return f"<loss {self.spec}>"

    @property
    def row_wise(self) -> bool:
        """Whether an element is more than one number (it has a class axis, say)."""
        return any(i.kind.core for i in self.inputs)

    @property
    def spec(self) -> str:
        """The loss as the command line writes it, with the parameters that are not at their default."""
        changed = [p for p in self.parameters if self.params[p.name] != p.default]
        return ":".join([self.name, *(f"{p.name}={p.show(self.params[p.name])}" for p in changed)])

    @property
    def _who(self) -> str:
        """Its name in errors; a user's own with the file or the package that it is from."""
        return f"{self.source}: {self.name}" if self.source else self.name

    def bind(self, **params: object) -> Loss:
        """The same loss with other parameter values.

        Raises:
            UsageError: a name that is not a parameter, or a value outside its domain.
        """
        known = {p.name: p for p in self.parameters}
        bound = dict(self.params)
        for name, value in params.items():
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "it takes none"
                raise UsageError(f"{self.name} has no parameter {quoted(name)}; {takes}{nearest(name, known)}")
            try:
                bound[name] = known[name].parse(value) if isinstance(value, str) else known[name].check(value)
            except UsageError as error:
                raise UsageError(f"{self.name}: {error}") from None
        return replace(self, params=bound)

    def evaluate(self, *arrays: Array) -> tuple[Array, Thunk | None]:
        """Per-element losses (n,) and a thunk for their gradient, of inputs as the engine lays them out.

        ``arrays`` are float64, ``(n, *core)``. Nothing is checked but what the kernel returns. The
        thunk is None where a user's own loss has no gradient.
        """
        n = arrays[0].shape[0]
        # A block of one row is contiguous in both orders and would be reduced in another order
        # than the rows of a longer one: its last bit would depend on where the grid ends.
        lone = n == 1 and self.row_wise and not self.coupled
        blocks = [_layout(np.repeat(a, 2, axis=0) if lone else a) for a in arrays]
        result = self._call(lambda: self.kernel(*blocks, **self.params))
        values, gradient = result if isinstance(result, tuple) else (result, None)
        values = self._shaped("returned", values, blocks[0].shape[:1])
        thunk = None if gradient is None else lambda: self._gradient(gradient, blocks[0], n)
        return values[:n], thunk

    def _gradient(self, gradient: object, pred: Array, n: int) -> Array:
        array = self._call(gradient) if callable(gradient) else gradient
        return self._shaped("gradient", array, pred.shape)[:n]

    def _call(self, function: Callable[[], Any]) -> Any:
        with np.errstate(all="ignore"):  # log 0 is inf by design, and told in the report
            if not self.source:
                return function()
            try:
                return function()
            except Exception as error:  # whatever the user's own function raises
                cause = f"{type(error).__name__}: {printable(str(error))}"
                raise UsageError(f"{self._who}: {cause}") from error

    def _shaped(self, what: str, value: object, shape: tuple[int, ...]) -> Array:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError):
            array = np.asarray(None)  # of nothing
        if array.dtype.kind not in "fiub":  # text would be parsed, and the imaginary part of a number dropped
            held = f"an array of {array.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
            raise DataError(f"{self._who}: {what}: {held} instead of an array of numbers")
        array = array.astype(np.float64, copy=False)
        if array.shape != shape:
            mean = "; a loss gives one number a sample, without a mean or sum" if array.ndim == 0 else ""
            raise DataError(f"{self._who}: {what} shape {array.shape} where {shape} is right{mean}")
        return array

    def dims(self, *arrays: npt.NDArray[Any]) -> Dims:
        """The length of each named core axis, which all inputs must share.

        Raises:
            DataError: an input lacks a core axis, or two inputs differ.
        """
        found: dict[str, tuple[int, str]] = {}
        for spec, array in zip(self.inputs, arrays, strict=True):
            core = spec.kind.core
            if array.ndim < 1 + len(core):
                raise DataError(
                    f"{spec.name}: shape {array.shape} where {self.name} wants (n, {', '.join(core)}): one row a sample"
                )
            for name, length in zip(core, array.shape[array.ndim - len(core) :], strict=True):
                other, whose = found.setdefault(name, (length, spec.name))
                if other != length:
                    raise DataError(f"{spec.name} has {length} {name}, {whose} has {other}")
        return {name: length for name, (length, _) in found.items()}

    def check(self, *arrays: npt.ArrayLike) -> list[Array]:
        """The inputs as float64 arrays ``(n, *core)``, each shape and value proved right.

        Raises:
            DataError: shapes that do not fit, or the first value outside its domain.
        """
        if len(arrays) != len(self.inputs):
            names = ", ".join(i.name for i in self.inputs)
            raise UsageError(f"{self.name} takes {len(self.inputs)} inputs ({names}), not {len(arrays)}")
        blocks = [np.asarray(a, dtype=np.float64) for a in arrays]
        dims = self.dims(*blocks)
        loops = [a.shape[: a.ndim - len(i.kind.core)] for a, i in zip(blocks, self.inputs, strict=True)]
        if len(set(loops)) > 1 or any(len(shape) != 1 for shape in loops):
            shapes = ", ".join(f"{i.name} {a.shape}" for i, a in zip(self.inputs, blocks, strict=True))
            raise DataError(f"shapes differ: {shapes}; {self.name} takes one-dimensional samples, and never broadcasts")
        for spec, block in zip(self.inputs, blocks, strict=True):
            if fault := spec.kind.find_fault(block, dims):
                raise DataError(f"{spec.name}[{fault.element}]: {fault.cause}")
        return blocks

    def value(self, *arrays: npt.ArrayLike) -> Array:
        """Per-sample losses.

        Args:
            arrays: the inputs in order, pred first: ``(n,)``, or ``(n, k)`` where a row is one sample.

        Returns:
            ``(n,)`` float64.

        Raises:
            DataError: shapes that differ, or a value outside its domain.
        """
        return self.evaluate(*self.check(*arrays))[0].copy()

    def gradient(self, *arrays: npt.ArrayLike) -> Array:
        """The derivative of each per-sample loss with respect to ``pred``.

        Returns:
            float64 of the shape of ``pred``: d loss[i] / d pred[i], not divided by n.

        Raises:
            DataError: as :meth:`value`.
            UsageError: a user's own loss that gives no gradient.
        """
        thunk = self.evaluate(*self.check(*arrays))[1]
        if thunk is None:
            raise UsageError(f"{self.name} gives no gradient: return (loss, gradient) from it")
        return np.ascontiguousarray(thunk())


def _layout(array: Array) -> Array:
    """The memory order that depends on the shape alone; read-only, since losses share their inputs."""
    column_major = array.ndim == 2 and array.shape[1] <= COLUMN_MAJOR_CLASSES
    block = np.asarray(array, order="F" if column_major else "C")
    block = block.view()
    block.flags.writeable = False
    return block


def loss(
    *,
    formula: str = "",
    see: str = "",
    aliases: Sequence[str] = (),
    differs: Sequence[str] = (),
    pitfalls: Sequence[str] = (),
    relative: str = "",
    from_logits: str = "",
    finish: Finish | None = None,
    denominator: Callable[..., Array] | None = None,
    coupled: bool = False,
) -> Callable[[Callable[..., Any]], Loss]:
    """Declare the kernel below as a loss.

    The kernel takes its inputs positionally, ``(n,)`` or ``(n, k)`` float64 and read-only, and its
    hyperparameters by keyword. It returns the per-sample loss ``(n,)`` and a thunk for the gradient
    with respect to its first input; a user's own may return the loss alone, or the gradient as an array.

    Args:
        formula: the definition in plain text.
        see: the reference.
        aliases: other names.
        differs: who defines it otherwise, one line each.
        pitfalls: what people get wrong, one line each.
        relative: where value and gradient are accurate relative to themselves.
        from_logits: the name of the same loss with logits for predictions.
        finish: what is done to the mean (rmse: the square root).
        denominator: per-sample amounts, of the inputs, that the sum is divided by instead of n.
        coupled: samples of a batch depend on each other, so that it cannot be computed in blocks.

    >>> import numpy as np
    >>> from lossctl import Real, loss
    >>> @loss(formula="|r|³;  r = pred − target")
    ... def cubic(pred: Real, target: Real):
    ...     '''The cube of the distance.'''
    ...     r = pred - target
    ...     return np.abs(r) ** 3, lambda: 3 * r * np.abs(r)
    >>> cubic.gradient([2.0], [0.0]).tolist()
    [12.0]
    """

    def declare(kernel: Callable[..., Any]) -> Loss:
        made = from_function(kernel)
        return replace(
            made,
            formula=formula,
            see=see,
            aliases=tuple(aliases),
            differs=tuple(differs),
            pitfalls=tuple(pitfalls),
            relative=relative,
            from_logits=from_logits,
            finish=finish,
            denominator=denominator,
            coupled=coupled,
        )

    return declare


def from_function(kernel: Callable[..., Any]) -> Loss:
    """A loss from a plain function: inputs without a kind are Real, keyword-only arguments parameters.

    Raises:
        UsageError: a signature that no loss can have.
    """
    where = f"{kernel.__name__}:"
    try:
        signature = inspect.signature(kernel, eval_str=True)
    except (NameError, TypeError, SyntaxError) as error:
        raise UsageError(f"{where} its annotations cannot be read: {error}") from None
    inputs, parameters = [], []
    for p in signature.parameters.values():
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty:
            inputs.append(Input(p.name, _metadata(p.annotation, Kind) or _metadata(Real, Kind)))
        elif p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise UsageError(f"{where} *{p.name}: a loss names its inputs")
        elif p.default is p.empty:
            raise UsageError(f"{where} parameter '{p.name}' has no default")
        else:
            parameters.append(_parameter(p))
    if not inputs:
        raise UsageError(f"{where} a loss takes at least one input")
    doc = inspect.getdoc(kernel) or ""
    return Loss(
        name=kernel.__name__,
        kernel=kernel,
        inputs=tuple(inputs),
        parameters=tuple(parameters),
        params={p.name: p.default for p in parameters},
        summary=doc.split("\n", 1)[0].rstrip("."),
        doc=doc,
        family=kernel.__module__.rpartition(".")[2],
    )


def _parameter(p: inspect.Parameter) -> Parameter:
    bare, param = p.annotation, _metadata(p.annotation, Param) or Param("")
    if get_origin(bare) is Annotated:
        bare = get_args(bare)[0]
    if bare is p.empty:
        bare = type(p.default)
    options = get_args(bare) if get_origin(bare) is types.UnionType else (bare,)
    choices = tuple(c for o in options if get_origin(o) is Literal for c in get_args(o))
    kinds = tuple(o for o in options if isinstance(o, type))
    made = Parameter(p.name, param.help, param.domain, None, kinds, choices)
    return replace(made, default=made.check(p.default))


def _metadata(annotation: Any, wanted: type) -> Any:
    found = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, wanted)]
    return found[0] if found else None
