r"""Values of other libraries for tests/losses/golden, each with the call that returned it.

    python -m venv peers
    peers/bin/pip install torch scikit-learn scipy jax optax rax keras statsmodels scoringrules kornia monai \
        timm pytorch-toolbelt gtsam symforce dwd sktime catboost lightgbm xgboost trl==0.12.2
    PYTHONPATH=tests/losses peers/bin/python tests/scripts/make_golden.py [FAMILY…]

The cases are in tests/losses/golden/FAMILY.py, the values in FAMILY.json. ``params`` contains all parameters of the
loss in lossctl, also the defaults.
"""

from __future__ import annotations

import json
import os
import re
import sys
import types
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

# If an expression names several libraries, the first in this list is the source of the value.
PACKAGES = {
    "keras": "keras",
    "sklearn": "scikit-learn",
    "statsmodels": "statsmodels",
    "scoringrules": "scoringrules",
    "scipy": "scipy",
    "optax": "optax",
    "rax": "rax",
    "kornia": "kornia",
    "monai": "monai",
    "timm": "timm",
    "pytorch_toolbelt": "pytorch-toolbelt",
    "gtsam": "gtsam",
    "symforce": "symforce",
    "catboost": "catboost",
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "dwd": "dwd",
    "sktime": "sktime",
    "trl": "trl",
    "torch": "torch",
}
# Libraries whose functions take tensors and are differentiated by torch, and those differentiated by jax.
TENSORS, JAX = ("torch", "trl", "keras", "kornia", "monai", "timm", "pytorch_toolbelt"), ("optax", "rax")
MODULES = (
    "keras",
    "sklearn.metrics",
    "sklearn._loss.loss",
    "sklearn.linear_model._sgd_fast",
    "statsmodels.robust.norms",
    "statsmodels.duration.hazard_regression",
    "scoringrules",
    "scipy.special",
    "scipy.spatial",
    "scipy.stats",
    "scipy.optimize",
    "optax",
    "rax",
    "kornia.losses",
    "monai.losses",
    "timm.loss",
    "pytorch_toolbelt.losses.functional",
    "gtsam",
    "symforce.opt.noise_models",
    "catboost.utils",
    "lightgbm",
    "xgboost",
    "dwd.gen_dwd",
    "sktime.performance_metrics.forecasting",
    "trl",
    "torch.nn.functional",
    "jax.numpy",
)
WORDS = {"true": True, "false": False, "none": None}
GOLDEN = Path(__file__).resolve().parents[1] / "losses" / "golden"


def peers() -> dict[str, Any]:
    """Return the installed libraries, set to float64, by the names used in the expressions.

    An expression of another library fails: a family needs the libraries that its cases name.
    """
    os.environ["KERAS_BACKEND"] = "torch"  # its numpy backend rounds to float32 throughout
    installed = [name for name in MODULES if find_spec(name.partition(".")[0])]
    modules = {name.partition(".")[0]: import_module(name.partition(".")[0]) for name in installed}
    for name in installed:
        import_module(name)
    modules["jax"].config.update("jax_enable_x64", val=True)
    modules["keras"].config.set_floatx("float64")
    return modules | {"np": np, "types": types}


def in_full(expression: str) -> str:
    """Return the expression with ``F.`` expanded."""
    return re.sub(r"\bF\.", "torch.nn.functional.", expression)


def _value(text: str) -> float | bool | str | list[float] | None:
    """Return a parameter as it is written after the name of a loss."""
    if "," in text:
        return [float(part) for part in text.split(",")]
    if text in WORDS:
        return WORDS[text]
    return text if text[0].isalpha() else float(text)


def figures(case: Any, defaults: dict[str, Any], libraries: dict[str, Any]) -> dict[str, Any]:
    """Return the result of the library for a case, as it is stored in golden/FAMILY.json."""
    call, each = in_full(case.call), in_full(case.each or "")
    library = next(name for name in PACKAGES if f"{name}." in call)
    torch, jax = libraries["torch"], libraries["jax"]
    convert = torch.as_tensor if library in TENSORS else jax.numpy.asarray if library in JAX else np.asarray
    given = {name: convert(array) for name, array in zip(case.names, case.inputs, strict=True)}
    first = case.names[0]
    if case.weight is not None:
        given["weight"] = convert(case.weight)

    def evaluate(expression: str, **changed: Any) -> Any:
        return eval(expression, {**libraries, **given, **changed})  # noqa: S307 - they are all in golden/

    gradient = None
    if each and library in TENSORS:
        moved = given[first].clone().requires_grad_()
        evaluate(each, **{first: moved}).sum().backward()
        gradient = moved.grad.tolist()
    elif each and library in JAX:
        gradient = jax.grad(lambda moved: evaluate(each, **{first: moved}).sum())(given[first]).tolist()

    name, _, spec = case.loss.partition(":")
    found = {
        "loss": case.loss,
        "params": defaults.get(name, {}) | {k: _value(v) for k, v in re.findall(r"(\w+)=([^:]+)", spec)},
        "library": PACKAGES[library],
        "version": version(PACKAGES[library]).partition("+")[0],
        "call": call,
        "each": each or None,
        "rtol": case.rtol,
        "value": float(evaluate(call)),
        "per_sample": evaluate(each).tolist() if each else None,
        "gradient": gradient,
        "names": list(case.names),
        "inputs": [x.tolist() for x in case.inputs],
    }
    return found if case.weight is None else found | {"weight": case.weight.tolist()}


def main(chosen: list[str]) -> None:
    """Write the values of the families that are named, or of all families."""
    libraries = peers()
    for path in sorted(GOLDEN.glob("*.py")):
        record = getattr(import_module(f"golden.{path.stem}"), "record", None) if path.stem != "__init__" else None
        if record is not None and (not chosen or path.stem in chosen):
            made = [figures(case, record.defaults, libraries) for case in record.cases]
            lines = ",\n".join(json.dumps(figure, allow_nan=False) for figure in made)
            path.with_suffix(".json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
