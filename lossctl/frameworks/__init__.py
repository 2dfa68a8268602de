"""Frameworks of tensors, one record each, and the conversion of their tensors to arrays.

No framework is a dependency of lossctl. A package is imported if the user names its framework, and for a tensor only if
the process has imported it already.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from lossctl.errors import DataError, UsageError, nearest, quoted
from lossctl.frameworks.jax import Jax
from lossctl.frameworks.record import DTYPES, Framework, Numbers
from lossctl.frameworks.tensorflow import TensorFlow
from lossctl.frameworks.torch import Torch

FRAMEWORKS: Mapping[str, Framework] = {record.name: record for record in (Torch(), Jax(), TensorFlow())}

# Key in the metadata of the type of an array: the type that its numbers had before they were widened.
WIDENED = "lossctl widened"


def get_framework(name: str) -> Framework:
    """Return a framework by name.

    Raises:
        UsageError: the name is unknown, or the framework is not installed.

    >>> FRAMEWORKS["torch"].install
    'pip install torch'
    """
    if name not in FRAMEWORKS:
        raise UsageError(f"framework {quoted(name)}: one of {', '.join(FRAMEWORKS)}{nearest(name, FRAMEWORKS)}")
    framework = FRAMEWORKS[name]
    if framework.packages[0] not in sys.modules and find_spec(framework.packages[0]) is None:
        raise UsageError(f"framework {name}: {framework.title} is not installed: {framework.install}")
    return framework


def framework_of(value: object) -> Framework | None:
    """Return the framework that a tensor belongs to; None for anything else.

    >>> framework_of([1.0]) is None
    True
    """
    return next((framework for framework in FRAMEWORKS.values() if framework.owns(value)), None)


def to_array(value: Any) -> Numbers:
    """Return numbers as an array: of a tensor, a data frame, an object with DLPack, a list, or an array as it is.

    A tensor may have a gradient or be on a device. bfloat16 is widened to float32; :func:`widened_from` remembers it.

    Raises:
        DataError: the value has no numbers to read, such as a tensor that is being traced.
        ValueError: nested lists have different lengths.

    >>> to_array([1.0, 2.0])
    array([1., 2.])
    """
    if isinstance(value, np.ndarray):
        return value
    framework = framework_of(value)
    try:
        if framework is not None:
            array, name = framework.to_numpy(value), framework.dtype_of(value)
            return array.view(np.dtype(array.dtype, metadata={WIDENED: name})) if name != array.dtype.name else array
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return np.from_dlpack(value)
        return np.asarray(value)
    except (TypeError, RuntimeError, BufferError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"a value of type {type(value).__name__} has no numbers to read: {cause}") from None


def widened_from(array: Numbers) -> str:
    """Return the type that numbers had before :func:`to_array` widened them; '' if it did not."""
    return str(dict(array.dtype.metadata or {}).get(WIDENED, ""))


__all__ = ["DTYPES", "FRAMEWORKS", "Framework", "framework_of", "get_framework", "to_array", "widened_from"]
