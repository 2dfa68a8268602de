"""Parse the LOSS argument and ``-P`` options into losses."""

from __future__ import annotations

from collections.abc import Sequence

from lossctl.core.loss import Loss
from lossctl.core.registry import get_loss
from lossctl.errors import UsageError, printable, quoted
from lossctl.io.text_grammar import NUMBER


def split_specs(text: str) -> list[str]:
    """Split ``LOSS[,LOSS…]`` into specs: a number continues a list, because no name of a loss begins with one.

    >>> split_specs("quantile:tau=0.1,0.5, mse")
    ['quantile:tau=0.1,0.5', 'mse']
    """
    specs: list[str] = []
    for part in text.split(","):
        continues = bool(specs) and NUMBER.fullmatch(part.partition(":")[0].strip()) is not None
        specs[-1:] = [f"{specs[-1]},{part.strip()}"] if continues else [*specs[-1:], part.strip()]
    return specs


def bind(text: str, params: Sequence[str] = (), framework: str | None = None) -> list[Loss]:
    """Return the losses of ``LOSS[,LOSS…]``; the ``-P`` options in ``params`` require a single loss.

    Args:
        text: the argument.
        params: the ``-P`` options.
        framework: value of ``--framework``: the losses are functions of its tensors. Default: functions of arrays.

    Raises:
        UsageError: a loss or parameter is unknown, or a loss is given twice.
    """
    specs = split_specs(text)
    bound = [get_loss(spec, framework) for spec in specs]
    if params:
        if len(bound) > 1:
            raise UsageError(f"-P belongs to a single loss: write {specs[0]}:{printable(params[0])}")
        param_texts: dict[str, object] = {}
        for param in params:
            name, equals, value = param.partition("=")
            if not equals:
                raise UsageError(f"-P {quoted(param)}: NAME=VALUE")
            name = name.strip().replace("-", "_")
            if name in param_texts:
                raise UsageError(f"-P {quoted(name)} is given twice")
            param_texts[name] = value.strip()
        bound = [bound[0].bind(**param_texts)]
    names = [loss.spec for loss in bound]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"loss {name} is given twice")
    return bound
