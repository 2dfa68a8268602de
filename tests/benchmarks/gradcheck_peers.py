"""Gradient checks of several libraries on the same functions of PyTorch and JAX: errors, evaluations, seconds.

``PYTHONPATH=.:tests:tests/frameworks python tests/benchmarks/gradcheck_peers.py [WHO …] [NAME …]``

The functions are those of tests/frameworks, right and wrong, at the data of seed 0 in float64. Each check has its
defaults: torch.autograd.gradcheck on those of PyTorch, jax.test_util.check_grads on those of JAX, the others on both.
SciPy gives an error and no verdict; here it passes below 1e-4 of the norm of the gradient. OpenMDAO gets the sum of the
losses as its output. An evaluation is a call of the function, with or without its backward pass.
"""

from __future__ import annotations

import io
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
from cases import Case, load

import lossctl
from lossctl.core.tensor_kernel import TensorKernel, make_tensor_kernel


class Subject:
    """A function of a flat point, and the number of its evaluations."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kernel: TensorKernel = make_tensor_kernel(case.value, case.framework)
        self.kernel.summed = True
        arrays = case.arrays(0)
        self.at = self.kernel.prediction
        pred, *self.arrays = arrays.values()
        self.arrays.insert(self.at, pred)
        self.shape = self.arrays[self.at].shape
        self.x = self.arrays[self.at].ravel().astype(float)
        self.evaluations = 0

    def _moved(self, flat: np.ndarray) -> list[np.ndarray]:
        self.evaluations += 1
        moved = list(self.arrays)
        moved[self.at] = np.array(flat, dtype=float).reshape(self.shape)
        return moved

    def value(self, flat: np.ndarray) -> float:
        return float(self.kernel.losses(self._moved(flat), {}).sum())

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        return self.kernel.gradient(self._moved(flat), {}).ravel()

    def of_tensor(self) -> tuple[Callable[[Any], Any], Any]:
        """Return the function of the predictions as a tensor, and this tensor."""
        self.kernel.losses(self.arrays, {})  # to know which inputs are integers
        framework = self.kernel.framework
        tensors = [
            framework.to_tensor(a.astype(np.int64) if whole else a, "float64")
            for a, whole in zip(self.arrays, self.kernel.integers, strict=True)
        ]
        function = framework.bind(self.case.value, {}, "float64")

        def of(pred: Any) -> Any:
            self.evaluations += 1
            return function(*tensors[: self.at], pred, *tensors[self.at + 1 :])

        return of, tensors[self.at]


def _lossctl(subject: Subject) -> bool:
    case, evaluate = subject.case, TensorKernel._evaluate
    pred, target, *further = (arrays := case.arrays(0))

    def counted(kernel: TensorKernel, *args: Any, **kwargs: Any) -> Any:
        subject.evaluations += 1
        return evaluate(kernel, *args, **kwargs)

    TensorKernel._evaluate = counted  # type: ignore[method-assign]
    try:
        inputs = {name: arrays[name] for name in further}
        return bool(
            lossctl.gradcheck(case.value, arrays[pred], arrays[target], inputs=inputs, framework=case.framework)
        )
    finally:
        TensorKernel._evaluate = evaluate  # type: ignore[method-assign]


def _torch(subject: Subject) -> bool:
    import torch

    with subject.kernel.framework.active("float64"):
        function, x = subject.of_tensor()
        return bool(torch.autograd.gradcheck(function, (x.requires_grad_(),), raise_exception=False))


def _jax(subject: Subject) -> bool:
    from jax.test_util import check_grads

    with subject.kernel.framework.active("float64"):
        function, x = subject.of_tensor()
        try:
            check_grads(function, (x,), order=1, modes=["rev"])
        except AssertionError:
            return False
    return True


def _scipy(subject: Subject) -> bool:
    from scipy.optimize import check_grad

    error = check_grad(subject.value, subject.gradient, subject.x)
    return bool(error <= 1e-4 * np.linalg.norm(subject.gradient(subject.x)))


def _openmdao(subject: Subject) -> bool:
    import openmdao.api as om
    from openmdao.utils.assert_utils import assert_check_partials

    class Component(om.ExplicitComponent):  # type: ignore[misc]
        def setup(self) -> None:
            self.add_input("x", val=subject.x)
            self.add_output("y")
            self.declare_partials("y", "x")

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["y"] = subject.value(inputs["x"])

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            partials["y", "x"] = subject.gradient(inputs["x"])[None]

    problem = om.Problem(reports=False)
    problem.model.add_subsystem("f", Component())
    problem.setup(force_alloc_complex=False)
    problem.run_model()
    try:
        assert_check_partials(problem.check_partials(out_stream=None))
    except ValueError:
        return False
    return True


CHECKS: dict[str, tuple[str, str, Callable[[Subject], bool]]] = {
    "lossctl": ("numpy", "", _lossctl),
    "torch": ("torch", "torch", _torch),
    "jax": ("jax", "jax", _jax),
    "scipy": ("scipy", "", _scipy),
    "openmdao": ("openmdao", "", _openmdao),
}


def main(argv: list[str]) -> None:
    """Print a row for each check and framework, and the functions on which each is mistaken."""
    names = [name for name in load() if name in argv] or list(load())
    print(f"{'check':10}{'of':8}{'right':>7}{'alarms':>8}{'wrong':>7}{'missed':>8}{'evaluations':>13}{'seconds':>9}")
    for who in [name for name in CHECKS if name in argv] or list(CHECKS):
        package, only, check = CHECKS[who]
        if not find_spec(package):
            print(f"{who}: {package} is not installed")
            continue
        for framework in ("torch", "jax"):
            cases = [
                c for n, c in load().items() if n in names and c.framework == framework and only in ("", framework)
            ]
            counts: Counter[str] = Counter()
            mistaken: list[str] = []
            for case in cases:
                subject, start = Subject(case), time.perf_counter()
                with np.errstate(all="ignore"), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
                    warnings.simplefilter("ignore")
                    try:
                        passed = check(subject)
                    except Exception as error:  # noqa: BLE001 - a check that cannot take a function
                        counts["refused"] += 1
                        mistaken.append(f"{case.name} (refused: {str(error).splitlines()[0][:60]})")
                        continue
                counts["seconds"] += time.perf_counter() - start  # type: ignore[assignment]
                counts["evaluations"] += subject.evaluations
                counts["right" if case.right else "wrong"] += 1
                if passed != case.right:
                    counts["alarms" if case.right else "missed"] += 1
                    mistaken.append(case.name)
            if cases:
                row = f"{who:10}{framework:8}{counts['right']:7}{counts['alarms']:8}{counts['wrong']:7}"
                print(f"{row}{counts['missed']:8}{counts['evaluations']:13,}{counts['seconds']:9.1f}")
                print(f"    mistaken: {', '.join(mistaken) or 'none'}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
