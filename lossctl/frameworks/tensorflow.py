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

    def backward(
        self, function: Function, tensors: Sequence[Tensor], upstream: Numbers | None
    ) -> tuple[Tensor, list[Tensor]]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(tensors)
            result = function(*tensors)
        up = None if upstream is None else tf.cast(upstream, result.dtype)
        gradients = tape.gradient(result, tensors, up, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return result, [tf.convert_to_tensor(g) for g in gradients]

    def signature(self, value: Any) -> inspect.Signature:
        # A loss of Keras has the arguments of its method call.
        return inspect.signature(value.call if hasattr(value, "call") else getattr(value, "python_function", value))
