"""TensorFlow: functions, ``tf.function``, and instances of ``tf.keras.losses``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from lossctl.frameworks.record import Framework, Function, Numbers, Tensor


class TensorFlow(Framework):
    """TensorFlow; numbers that a function makes by itself are float32 unless it says their type."""

    name = "tensorflow"
    title = "TensorFlow"
    packages = ("tensorflow",)
    install = "pip install tensorflow"

    def active(self, dtype: str) -> AbstractContextManager[object]:
        return nullcontext()

    def to_tensor(self, array: Numbers, dtype: str) -> Tensor:
        import tensorflow as tf

        tensor = tf.constant(array)
        return tf.cast(tensor, dtype) if array.dtype.kind == "f" else tensor

    def to_numpy(self, tensor: Tensor) -> Numbers:
        return np.array(tensor.numpy(), dtype=np.float32 if self.dtype_of(tensor) == "bfloat16" else None)

    def dtype_of(self, tensor: Tensor) -> str:
        return str(tensor.dtype.name)

    def value_and_gradient(
        self,
        function: Function,
        tensors: Sequence[Tensor],
        wrt: Sequence[int] = (0,),
        upstream: Numbers | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        import tensorflow as tf

        chosen = [tensors[i] for i in wrt]
        with tf.GradientTape() as tape:
            tape.watch(chosen)
            result = function(*tensors)
        if not tf.is_tensor(result):
            raise TypeError(f"returned {type(result).__name__} instead of a tensor")
        up = None if upstream is None else tf.cast(upstream, result.dtype)
        gradients = tape.gradient(result, chosen, up, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return result, [tf.convert_to_tensor(g) for g in gradients]

    def signature(self, value: Any) -> inspect.Signature:
        # A loss of Keras has the arguments of its method call.
        return inspect.signature(value.call if hasattr(value, "call") else getattr(value, "python_function", value))
