"""Golden packs: inputs, exact outputs and bounds as .npy files, for checks that do not have lossctl."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossctl.core.arrays import Array
from lossctl.core.input_kinds import LabelKind
from lossctl.core.loss import Loss
from lossctl.errors import UsageError, printable
from lossctl.gradients.points import Points
from lossctl.gradients.reference_check import sides_of_jump
from lossctl.gradients.rounding import PRECISIONS, ULPS_OF_TERMS, Precision, reference_slack, round_to
from lossctl.gradients.sampling import sample_points
from lossctl.gradients.value_rounding import value_slack
from lossctl.immutable import immutable

SAMPLES = 256
_SEED = 0
# Standard deviation of the logits of a trained model, and the share of its samples that are wrong.
_CONFIDENT, _MISTAKES = 8.0, 0.03
# Share of the classes of a sample that are masked with the logit −inf.
_MASKED = 0.2

_README = """Golden outputs of the loss {loss}, for kernels that compute in {dtype}.

Folders: {groups}
Files of each folder:
  {inputs}: the inputs, numbers of {dtype}{stored}
  value.npy, grad.npy: the loss of each sample and its gradient with respect to pred, exact (float64)
  value_bound.npy, grad_bound.npy: the allowed errors, {constant:g} ε·terms with ε = {eps:g} (see lossctl verify)

A kernel is right if |out − exact| ≤ bound at every element:

  import numpy as np
  for folder in {names}:
      pred, target = np.load(f"{{folder}}/pred.npy"), np.load(f"{{folder}}/target.npy")
      value, grad = my_kernel(pred, target)   # in {dtype}, upstream gradient 1, no reduction
      for name, out in (("value", value), ("grad", grad)):
          exact, bound = np.load(f"{{folder}}/{{name}}.npy"), np.load(f"{{folder}}/{{name}}_bound.npy")
          assert (np.abs(out.astype(np.float64) - exact) <= bound).all(), (folder, name)
"""


@immutable
class GoldenPack:
    """A pack that was written.

    Attributes:
        loss: the loss with its parameters, as a specification.
        dtype: the precision of the inputs, by which the bounds are.
        folder: its folder.
        groups: for each folder of the pack the number of samples and its files.
    """

    loss: str
    dtype: str
    folder: str
    groups: Mapping[str, tuple[int, list[str]]]


def write_golden_pack(loss: Loss, dtype: str, folder: str) -> GoldenPack:
    """Write a golden pack: a folder for each group of samples, ``manifest.json`` and ``README.txt``.

    The pack is written beside the folder and then renamed, so that the folder is never incomplete.

    Args:
        loss: a loss of the registry.
        dtype: the precision of the kernels to check.
        folder: the folder, new or empty.

    Raises:
        UsageError: the folder is not empty, cannot be written, or the loss has no gradient of each sample.
    """
    if not loss.is_builtin or loss.batch_coupled or loss.denominator is not None:
        raise UsageError(f"--golden: {loss.name} has no value and gradient of each sample that lossctl knows exactly")
    folder = folder.rstrip("/") or folder
    if os.path.exists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise UsageError(f"-o {printable(folder)}: it exists and is not empty; a pack is written to a new folder")
    precision = PRECISIONS[dtype]
    parent = os.path.dirname(os.path.abspath(folder))
    temporary: str | None = None
    try:
        temporary = tempfile.mkdtemp(dir=parent, prefix=f".{os.path.basename(folder)}.")
        groups = {name: _write_group(loss, arrays, precision, temporary, name) for name, arrays in _groups(loss, dtype)}
        _write_texts(loss, precision, temporary, groups)
        os.chmod(temporary, 0o777 & ~_umask())
        os.rename(temporary, folder)
    except OSError as error:
        raise UsageError(f"-o {printable(folder)}: {(error.strerror or str(error)).lower()}") from None
    finally:
        if temporary is not None and os.path.isdir(temporary):
            shutil.rmtree(temporary)
    return GoldenPack(loss.spec, dtype, folder, groups)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write_group(
    loss: Loss, arrays: list[Array], precision: Precision, folder: str, name: str
) -> tuple[int, list[str]]:
    """Write the files of a group; return the number of samples and the names of the files."""
    values, thunk = loss.evaluate(*arrays)
    assert thunk is not None
    gradient = thunk()
    # 8 ε·terms bounds the distance between the exact output and a right one; a number that the kernel rounds to its
    # precision is within half an ε of it.
    bounds = {
        "value": value_slack(loss, arrays, values, precision),
        "grad": _gradient_bound(loss, arrays, gradient, precision),
    }
    files: dict[str, npt.NDArray[Any]] = {}
    stored = _stored_type(precision)
    for role, spec, array in zip(loss.roles, loss.inputs, arrays, strict=True):
        files[role] = array.astype(np.int64 if isinstance(spec.kind, LabelKind) else stored)
    files |= {"value": values, "grad": gradient} | {f"{k}_bound": v for k, v in bounds.items()}
    os.mkdir(os.path.join(folder, name))
    for file, array in files.items():
        np.save(os.path.join(folder, name, f"{file}.npy"), np.ascontiguousarray(array))
    return len(values), [f"{file}.npy" for file in files]


def _stored_type(precision: Precision) -> str:
    """Return the type of the files of inputs: NPY has no bfloat16, and its numbers are float32 numbers."""
    return "float32" if precision.name == "bfloat16" else precision.name


def _gradient_bound(loss: Loss, arrays: list[Array], gradient: Array, precision: Precision) -> Array:
    """Return the allowed errors of the gradient; at a kink every number between the one-sided slopes is right."""
    points = Points(loss, arrays, np.arange(len(arrays[0])))
    size = np.abs(gradient).reshape(len(points), -1).max(axis=1, initial=0.0)[:, None]
    jump = sides_of_jump(points, np.maximum(size, precision.tiny)).reshape(gradient.shape)
    return np.asarray(reference_slack(loss, arrays, gradient, precision) + jump)


def _write_texts(loss: Loss, precision: Precision, folder: str, groups: Mapping[str, tuple[int, list[str]]]) -> None:
    dtype = precision.name
    manifest = {
        "schema": "lossctl.golden/1",
        "loss": loss.spec,
        "params": dict(loss.params),
        "dtype": dtype,
        "epsilon": precision.eps,
        "bound": f"{ULPS_OF_TERMS:g} * epsilon * terms",
        "rule": "abs(out - exact) <= bound",
        "groups": {name: {"samples": n, "files": files} for name, (n, files) in groups.items()},
    }
    with open(os.path.join(folder, "manifest.json"), "w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    text = _README.format(
        loss=loss.spec,
        dtype=dtype,
        stored=", stored as float32" if dtype == "bfloat16" else "",
        groups=", ".join(groups),
        names=tuple(groups),
        inputs=", ".join(f"{role}.npy" for role in loss.roles),
        constant=ULPS_OF_TERMS,
        eps=precision.eps,
    )
    with open(os.path.join(folder, "README.txt"), "w", encoding="utf-8") as file:
        file.write(text)


# --- the groups of samples ---


def _groups(loss: Loss, dtype: str) -> Iterator[tuple[str, list[Array]]]:
    """Yield each group of samples: its name and the inputs, numbers of the precision."""
    rng = np.random.default_rng(_SEED)
    for name, draw in _DRAWS.items():
        arrays = draw(loss, rng)
        if arrays is None:
            continue
        kept = _usable(loss, arrays, PRECISIONS[dtype])
        if len(kept[0]):
            yield name, kept


def _usable(loss: Loss, arrays: list[Array], precision: Precision) -> list[Array]:
    """Round the inputs; return the samples that are in the domain and have a finite value and gradient."""
    rounded = [
        a if isinstance(i.kind, LabelKind) else round_to(a, precision) for a, i in zip(arrays, loss.inputs, strict=True)
    ]
    valid = ~loss.domain.invalid_mask(rounded)
    valid &= loss.domain.invalid_mask(arrays) == 0
    for before, after in zip(arrays, rounded, strict=True):  # a number that overflows is no number of the precision
        valid &= (np.isfinite(before) == np.isfinite(after)).reshape(len(before), -1).all(axis=1)
    rounded = [a[valid] for a in rounded]
    if not len(rounded[0]):
        return rounded
    values, thunk = loss.evaluate(*rounded)
    assert thunk is not None
    flat = thunk().reshape(len(values), -1)
    limit = precision.largest / 16.0
    with np.errstate(invalid="ignore"):
        finite = (np.abs(values) < limit) & (np.abs(flat) < limit).all(axis=1)
    return [a[finite] for a in rounded]


def _ordinary(loss: Loss, rng: np.random.Generator) -> list[Array]:
    return sample_points(loss, SAMPLES, _SEED, ordinary=True)


def _extreme(loss: Loss, rng: np.random.Generator) -> list[Array]:
    return sample_points(loss, SAMPLES, _SEED)


def _confident(loss: Loss, rng: np.random.Generator) -> list[Array] | None:
    """Draw predictions of a trained model: large logits, residuals of 1 % of the target."""
    arrays = _ordinary(loss, rng)
    if len(arrays) < 2:
        return None
    pred, kinds = arrays[0], [i.kind for i in loss.inputs]
    wrong = rng.random(SAMPLES) < _MISTAKES
    if kinds[0].name == "Logits":
        arrays[0] = rng.normal(0.0, _CONFIDENT, pred.shape)
        top = arrays[0].argmax(axis=-1)
        if isinstance(kinds[1], LabelKind) and arrays[1].ndim == 1:
            arrays[1] = np.where(wrong, arrays[1], top.astype(float))
        return arrays
    if kinds[0].name == kinds[1].name == "Real":
        arrays[0] = arrays[1] * (1.0 + 0.01 * rng.normal(size=pred.shape))
        return arrays
    if kinds[1].name in ("Sign", "Probability") and pred.ndim == 1:
        z = rng.normal(0.0, _CONFIDENT, pred.shape)
        right = (z > 0) ^ wrong
        arrays[0] = 1.0 / (1.0 + np.exp(-z)) if kinds[0].name == "Probability" else z
        arrays[1] = np.where(right, 1.0, -1.0 if kinds[1].name == "Sign" else 0.0)
        return arrays
    return None


def _ties(loss: Loss, rng: np.random.Generator) -> list[Array] | None:
    """Draw predictions that are equal: to the target, or the scores of a row to each other."""
    arrays = _ordinary(loss, rng)
    if arrays[0].ndim > 1 and loss.inputs[0].kind.name in ("Logits", "Scores"):
        arrays[0] = np.repeat(arrays[0][:, :1], arrays[0].shape[1], axis=1)
        return arrays
    if len(arrays) > 1 and loss.inputs[0].kind.name == loss.inputs[1].kind.name and arrays[0].shape == arrays[1].shape:
        arrays[0] = arrays[1].copy()
        return arrays
    return None


def _masked(loss: Loss, rng: np.random.Generator) -> list[Array] | None:
    """Draw logits of which some are −inf, at other classes than the target's."""
    arrays = _ordinary(loss, rng)
    if loss.inputs[0].kind.name != "Logits" or not isinstance(loss.inputs[1].kind, LabelKind):
        return None
    out = rng.random(arrays[0].shape) < _MASKED
    out[np.arange(SAMPLES), arrays[1].astype(int)] = False
    arrays[0] = np.where(out, -np.inf, arrays[0])
    return None if loss.domain.invalid_mask(arrays).any() else arrays


_DRAWS: Mapping[str, Callable[[Loss, np.random.Generator], list[Array] | None]] = {
    "ordinary": _ordinary,
    "confident": _confident,
    "extreme": _extreme,
    "ties": _ties,
    "masked": _masked,
}
