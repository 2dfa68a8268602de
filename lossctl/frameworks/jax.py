"""JAX: functions, jitted or not, ``custom_vjp``, and the losses of optax."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np

from lossctl.frameworks.record import Framework, Function, Numbers, Tensor


class Jax(Framework):
    """JAX."""

    name = "jax"
    title = "JAX"
    packages = ("jax", "jaxlib")
    install = "pip install jax"
    compiles = True
    takes_arrays = True
    nests = True

    def active(self, dtype: str) -> AbstractContextManager[object]:
        import jax

        return jax.enable_x64(dtype == "float64")  # type: ignore[no-any-return]

    def to_tensor(self, array: Numbers, dtype: str) -> Tensor:
        import jax.numpy as jnp

        return jnp.array(array, dtype=dtype if array.dtype.kind == "f" else None)

    def to_numpy(self, tensor: Tensor) -> Numbers:
        return np.array(tensor, dtype=np.float32 if tensor.dtype.name == "bfloat16" else None)

    def dtype_of(self, tensor: Tensor) -> str:
        return str(tensor.dtype.name)

    def backward(
        self, function: Function, tensors: Sequence[Tensor], upstream: Numbers | None
    ) -> tuple[Tensor, list[Tensor]]:
        import jax

        result, pull = jax.vjp(function, *tensors)
        up = jax.numpy.ones_like(result) if upstream is None else jax.numpy.asarray(upstream, result.dtype)
        return result, list(pull(up))
