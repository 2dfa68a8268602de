"""Assertions for tests of losses and gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from lossctl.errors import LossctlError
from lossctl.gradients.gradcheck import gradcheck
from lossctl.gradients.model_result import ModelCheck
from lossctl.gradients.result import GradCheck

P = ParamSpec("P")
T = TypeVar("T")


def _with_arguments_of(check: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Give a function the signature of another, for editors and type checkers."""

    def decorate(function: Callable[..., T]) -> Callable[P, T]:
        function.__signature__ = inspect.signature(check)  # type: ignore[attr-defined]
        return function

    return decorate


@_with_arguments_of(gradcheck)
def assert_gradient(*args: Any, **kwargs: Any) -> GradCheck | ModelCheck:
    """Check a gradient as :func:`lossctl.gradcheck` does, and fail the test if it is wrong.

    Args:
        args, kwargs: the arguments of :func:`lossctl.gradcheck`.

    Returns:
        The result of the check, which passed.

    Raises:
        AssertionError: the check failed. The message has the hint, the number of coordinates by verdict, and the
            worst coordinates.
        UsageError, DataError: as :func:`lossctl.gradcheck`.

    >>> from lossctl.testing import assert_gradient
    >>> assert_gradient("huber:delta=0.5").checked
    2000
    >>> assert_gradient("mse", [1.0, 2.0, 4.0], [0.0, 0.0, 0.0], grad=[1.0, 2.0, 4.0])
    Traceback (most recent call last):
    AssertionError: given ÷ numeric is 0.5 at every sample: a factor of 2 is missing
    gradient check of mse: FAIL (3 wrong of 3 coordinates)
      sample 0: given 1, numeric 2 ± 3e-14
      sample 1: given 2, numeric 4 ± 6e-14
      sample 2: given 4, numeric 8 ± 1e-13
    """
    __tracebackhide__ = True  # pytest shows the line of the test instead
    try:
        result: GradCheck | ModelCheck = gradcheck(*args, **kwargs)
    except LossctlError as error:
        raise error.with_traceback(
            None
        ) from None  # the message says it all; pytest would show ten functions of lossctl
    if not result:
        raise AssertionError(repr(result))
    return result
