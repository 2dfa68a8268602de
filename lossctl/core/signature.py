"""Read the inputs and the hyperparameters of a loss from the signature of its kernel."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_origin

from lossctl.core.argument_names import prediction_position
from lossctl.core.input_kinds import LabelKind, Real
from lossctl.core.kind import Kind
from lossctl.core.parameters import Param, Parameter, Value
from lossctl.core.user_kernel import kernel_name, signature_of
from lossctl.errors import UsageError
from lossctl.immutable import immutable


@immutable
class Input:
    """An input of a loss: a positional parameter of its kernel."""

    name: str
    kind: Kind


@immutable(eq=False)
class Signature:
    """The signature of a kernel, read on first access.

    Reading one takes 40 µs; each start of lossctl declares a hundred losses and uses one of them.
    """

    kernel: Callable[..., Any]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The positional parameters; those without a kind are Real."""
        return self._read[0]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The keyword-only parameters."""
        return self._read[1]

    @property
    def kernel_order(self) -> tuple[int, ...]:
        """For each positional parameter of the kernel, its position in ``inputs``, which begin with the predictions."""
        return self._read[2]

    @property
    def optional(self) -> tuple[Input, ...]:
        """The positional parameters with a kind and the default None, which are no inputs of the loss by itself."""
        return self._read[3]

    def for_rows(self, tails: Sequence[tuple[int, ...]]) -> Signature:
        """Return the signature with kinds that fit rows of these shapes, one for each of ``inputs``.

        A label may also be a row over the classes: then its rows have the shape of the predictions.
        """
        chosen = tuple(
            replace(i, kind=i.kind.rows) if isinstance(i.kind, LabelKind) and i.kind.rows and tail == tails[0] else i
            for i, tail in zip(self.inputs, tails, strict=True)
        )
        return self if chosen == self.inputs else RowSignature(self.kernel, self, tuple(tails), chosen)

    @cached_property
    def defaults(self) -> dict[str, Value]:
        """The default of each parameter."""
        return {p.name: p.default for p in self.parameters}

    @cached_property
    def _read(self) -> tuple[tuple[Input, ...], tuple[Parameter, ...], tuple[int, ...], tuple[Input, ...]]:
        where = f"{kernel_name(self.kernel)}:"
        try:
            signature = signature_of(self.kernel)
        except (NameError, TypeError, SyntaxError) as error:
            raise UsageError(f"{where} its annotations cannot be read: {error}") from None
        inputs, parameters, optional = [], [], []
        for p in signature.parameters.values():
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty:
                inputs.append(Input(p.name, _metadata(p.annotation, Kind) or _metadata(Real, Kind)))
            elif p.kind is p.POSITIONAL_OR_KEYWORD and p.default is None and (kind := _metadata(p.annotation, Kind)):
                optional.append(Input(p.name, kind))
            elif p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                raise UsageError(f"{where} *{p.name}: a loss needs named inputs")
            elif p.default is p.empty:
                raise UsageError(f"{where} parameter '{p.name}' has no default")
            else:
                parameters.append(_parameter(p))
        if not inputs:
            raise UsageError(f"{where} a loss takes at least one input")
        # A function (target, pred), as Keras and scikit-learn order them, is bound by the names of its parameters.
        first = prediction_position([i.name for i in inputs])
        order = [first, *(i for i in range(len(inputs)) if i != first)]
        places = tuple(order.index(i) for i in range(len(inputs)))
        return tuple(inputs[i] for i in order), tuple(parameters), places, tuple(optional)


@immutable(eq=False)
class RowSignature(Signature):
    """The signature of a kernel whose targets are rows over the classes.

    Attributes:
        labels: the signature with targets that are labels.
        tails: the shapes of the rows of the inputs.
        chosen: the inputs.
    """

    labels: Signature
    tails: tuple[tuple[int, ...], ...]
    chosen: tuple[Input, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.chosen

    def for_rows(self, tails: Sequence[tuple[int, ...]]) -> Signature:
        return self.labels.for_rows(tails)


def _parameter(p: inspect.Parameter) -> Parameter:
    bare, param = p.annotation, _metadata(p.annotation, Param) or Param("")
    if get_origin(bare) is Annotated:
        bare = get_args(bare)[0]
    if bare is p.empty:
        bare = type(p.default)
    options = get_args(bare) if get_origin(bare) is types.UnionType else (bare,)
    choices = tuple(c for o in options if get_origin(o) is Literal for c in get_args(o))
    kinds = tuple(o for o in options if isinstance(o, type))
    parameter = Parameter(p.name, param.help, param.domain, None, kinds, choices, param.per_column)
    return replace(parameter, default=parameter.check(p.default))


def _metadata(annotation: Any, kind: type) -> Any:
    metadata = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, kind)]
    return metadata[0] if metadata else None
