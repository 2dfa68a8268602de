"""PyTorch: functions, ``nn.Module`` classes and instances, ``autograd.Function`` with its own backward."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from lossctl.frameworks.record import Framework, Function, Module, Numbers, Tensor


class Torch(Framework):
    """PyTorch."""

    name = "torch"
    title = "PyTorch"
    packages = ("torch",)
    install = "pip install torch"

    def active(self, dtype: str) -> AbstractContextManager[object]:
        return _default_dtype(dtype)

    def to_tensor(self, array: Numbers, dtype: str) -> Tensor:
        import torch

        tensor = torch.from_numpy(np.array(array, order="C"))
        return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor

    def to_numpy(self, tensor: Tensor) -> Numbers:
        import torch

        detached = tensor.detach().cpu()
        return np.array((detached.float() if detached.dtype == torch.bfloat16 else detached).numpy())

    def dtype_of(self, tensor: Tensor) -> str:
        return str(tensor.dtype).removeprefix("torch.")

    def call(self, function: Function, tensors: Sequence[Tensor]) -> Any:
        import torch

        with torch.no_grad():
            return function(*tensors)

    def seeded(self, seed: int) -> AbstractContextManager[object]:
        return _seeded(seed)

    def copying_saved(self) -> AbstractContextManager[object]:
        import torch

        hooks: AbstractContextManager[object] = torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: tensor.detach().clone(), lambda tensor: tensor
        )
        return hooks

    def backward(
        self, function: Function, tensors: Sequence[Tensor], upstream: Numbers | None
    ) -> tuple[Tensor, list[Tensor]]:
        import torch

        leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
        with torch.enable_grad():
            result = function(*leaves)
        gradients: Sequence[Tensor | None] = [None] * len(leaves)
        if result.requires_grad:
            up = torch.ones_like(result) if upstream is None else torch.from_numpy(np.array(upstream)).to(result)
            gradients = torch.autograd.grad(result, leaves, up, allow_unused=True)
        zeros = (torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, gradients, strict=True))
        return result.detach(), list(zeros)

    def signature(self, value: Any) -> inspect.Signature:
        if _is_module_class(value):
            # The arguments of forward are the tensors, those of the constructor the parameters.
            inputs = list(inspect.signature(value.forward).parameters.values())[1:]
            variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
            # A class without a constructor has that of Module, (*args, **kwargs).
            params = [p for p in inspect.signature(value).parameters.values() if p.kind not in variable]
            named = {p.name for p in inputs if p.default is p.empty}
            return inspect.Signature(
                [p.replace(kind=p.POSITIONAL_ONLY) for p in inputs if p.default is p.empty]
                + [p.replace(kind=p.KEYWORD_ONLY) for p in params if p.name not in named]
            )
        if _is_autograd_function(value):
            inputs = list(inspect.signature(value.forward).parameters.values())
            # With setup_context forward has no ctx.
            own_context = value.setup_context.__qualname__.startswith("_SingleLevelFunction")
            return inspect.Signature(inputs[1:] if own_context else inputs)
        return inspect.signature(value.forward if _is_module(value) else value)

    def bind(self, value: Any, params: Mapping[str, object], dtype: str) -> Function:
        import torch

        if _is_autograd_function(value):  # apply takes no keywords
            optional = [p for p in self.signature(value).parameters.values() if p.default is not p.empty]
            return lambda *tensors: value.apply(*tensors, *(params.get(p.name, p.default) for p in optional))
        if _is_module_class(value):
            return value(**params).to(getattr(torch, dtype))  # type: ignore[no-any-return]
        if _is_module(value):
            module = copy.deepcopy(value).to(getattr(torch, dtype))
            return lambda *tensors: module(*tensors, **params)
        return super().bind(value, params, dtype)

    def module(self, value: Any, dtype: str) -> Module | None:
        import torch

        if not (_is_module(value) or _is_module_class(value)):
            return None
        with _seeded(0):
            module = (value() if isinstance(value, type) else copy.deepcopy(value)).to(getattr(torch, dtype))
        first = {id(p): name for name, p in reversed([*module.named_parameters(remove_duplicate=False)])}
        parameters = dict(module.named_parameters(remove_duplicate=False))
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}

        def call(state: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Any:
            # A copy of the buffers: those of a batch normalisation change at each call.
            buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
            return torch.func.functional_call(module, buffers | dict(state), (), dict(inputs))

        return Module(
            shapes,
            {name: "a buffer" for name in shapes if name not in parameters}
            | {name: "requires_grad is False" for name, p in parameters.items() if not p.requires_grad},
            {name: first[id(p)] for name, p in parameters.items() if first[id(p)] != name},
            [p for p in inspect.signature(module.forward).parameters.values() if p.kind not in _VARIABLE],
            call,
        )

    def defined_by(self, value: Any) -> Any:
        if _is_autograd_function(value):
            return value.backward
        return value.forward if _is_module(value) or _is_module_class(value) else value


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generator of the CPU, and restore it at the end."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def _default_dtype(dtype: str) -> Iterator[None]:
    """Make tensors that a function creates from Python numbers of type `dtype`."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _is_module(value: object) -> bool:
    import torch

    return isinstance(value, torch.nn.Module)


def _is_module_class(value: object) -> bool:
    import torch

    return isinstance(value, type) and issubclass(value, torch.nn.Module)


def _is_autograd_function(value: object) -> bool:
    import torch

    return isinstance(value, type) and issubclass(value, torch.autograd.Function)
