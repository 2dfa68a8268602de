"""How the gradient check does on gradients that others wrote.

``PYTHONPATH=.:tests python tests/benchmarks/gradcheck_trials.py [lossctl] [torch] [scipy] [jax]``

The trials are those of tests/gradients/trials. Beside lossctl stand torch.autograd.gradcheck, scipy.optimize.check_grad
and jax.test_util.check_grads where they are installed, each with its defaults, of the same functions at the same data.
They do not check a second derivative, so they are not asked for one. SciPy gives an error
and no verdict; here it passes below 1e-4 of the norm of the gradient.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
from gradients.trials import DATA, DRAWN, TRAINED, TRIALS, Trial
from gradients.trials.evaluate import arrays_of, evaluated
from gradients.trials.verdicts import CRASHED, PASSED, REFUSED, UNRESOLVED, WRONG, hint_is_right, lossctl_says

# Mistakes of the second derivative alone.
SECOND = {"hessian"}


# --- the other checks ---


def _parts(trial: Trial, points: str) -> tuple[np.ndarray, Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """The point, flat, and functions of a flat point: the loss of each sample (n,) and the gradient."""
    arrays = arrays_of(trial, points)
    x = next(iter(arrays.values()))
    first = next(iter(arrays))

    def at(flat: np.ndarray, what: int) -> np.ndarray:
        result = evaluated(trial, {**arrays, first: np.array(flat).reshape(x.shape)})[what]
        assert result is not None
        return result

    return x.ravel().astype(float), lambda v: at(v, 0), lambda v: at(v, 1).ravel()


def _scipy(trial: Trial, points: str) -> bool:
    from scipy.optimize import check_grad

    x, loss, gradient = _parts(trial, points)
    error = check_grad(lambda v: loss(v).sum(), gradient, x)
    return bool(error <= 1e-4 * np.linalg.norm(gradient(x)))


def _torch(trial: Trial, points: str) -> bool:
    import torch

    x, loss, gradient = _parts(trial, points)
    each = not trial.coupled

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, v: Any) -> Any:
            ctx.save_for_backward(v)
            found = torch.tensor(loss(v.detach().numpy()))
            return found if each else found.sum()

        @staticmethod
        def backward(ctx: Any, up: Any) -> Any:
            (v,) = ctx.saved_tensors
            found = torch.tensor(gradient(v.detach().numpy()))
            return up.repeat_interleave(len(x) // len(up)) * found if each else up * found

    start = torch.tensor(x, requires_grad=True)
    return bool(torch.autograd.gradcheck(Function.apply, (start,), raise_exception=False))


def _jax(trial: Trial, points: str) -> bool:
    import jax
    from jax.test_util import check_grads

    x, loss, gradient = _parts(trial, points)
    with jax.enable_x64(True):
        of_loss = jax.ShapeDtypeStruct(loss(x).shape, np.float64)
        of_gradient = jax.ShapeDtypeStruct(x.shape, np.float64)

        @jax.custom_vjp
        def function(v: Any) -> Any:
            return jax.pure_callback(loss, of_loss, v)

        def forward(v: Any) -> Any:
            return function(v), v

        def backward(v: Any, up: Any) -> Any:
            found = jax.pure_callback(gradient, of_gradient, v)
            return (up.repeat(len(x) // len(up)) * found,) if not trial.coupled else (up[0] * found,)

        function.defvjp(forward, backward)
        checked = function if not trial.coupled else lambda v: function(v).sum()
        try:
            check_grads(checked, (jax.numpy.array(x),), order=1, modes=["rev"])
        except AssertionError:
            return False
    return True


OTHERS: dict[str, Callable[[Trial, str], bool]] = {
    "torch": _torch,
    "scipy": _scipy,
    "jax": _jax,
}


# --- the score ---


def says(name: str, points: str, who: str) -> tuple[str, str]:
    """The verdict of lossctl or another check in one word, and the hint that came with it."""
    trial = TRIALS[name]
    if who == "lossctl":
        found = lossctl_says(trial, points)
        return found.word, found.hint
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return PASSED if OTHERS[who](trial, points) else WRONG, ""


def asked(points: str, who: str) -> list[str]:
    """The trials that a check is asked about at these points."""
    return [
        trial.name
        for trial in TRIALS.values()
        if trial.installed
        and (trial.drawn if points == DRAWN else trial.right or points in trial.seen_at)
        and (who == "lossctl" or trial.mistake not in SECOND)
    ]


def score(points: str, who: str, pool: ProcessPoolExecutor) -> None:
    """Print how a check did at these points, and the names of the trials that it judged wrongly."""
    names = asked(points, who)
    found = dict(zip(names, pool.map(says, names, [points] * len(names), [who] * len(names), chunksize=4), strict=True))
    right: dict[str, list[str]] = defaultdict(list)
    mistaken: dict[str, list[str]] = defaultdict(list)
    hints: dict[str, list[str]] = defaultdict(list)
    for name, (word, hint) in found.items():
        trial = TRIALS[name]
        (right if trial.right else mistaken)[word].append(name)
        if not trial.right and word == WRONG:
            kind = "right" if hint_is_right(trial, hint) else "not the expected one" if hint else "absent"
            hints[kind].append(f"{name} ({hint})" if hint else name)
    allowed = [name for name in right[UNRESOLVED] if TRIALS[name].loses_digits]
    print(f"\n{points}, {who}")
    print(
        f"  right, {sum(map(len, right.values()))}: passed {len(right[PASSED])}, unresolved {len(right[UNRESOLVED])}"
        f" (of those with few digits {len(allowed)}), called wrong {len(right[WRONG])},"
        f" refused {len(right[REFUSED])}, crashed {len(right[CRASHED])}"
    )
    print(
        f"  wrong, {sum(map(len, mistaken.values()))}: caught {len(mistaken[WRONG])},"
        f" unresolved {len(mistaken[UNRESOLVED])}, missed {len(mistaken[PASSED])},"
        f" refused {len(mistaken[REFUSED])}, crashed {len(mistaken[CRASHED])}"
    )
    if who == "lossctl":
        expected = sum(bool(TRIALS[name].hint) for name in mistaken[WRONG])
        print(
            f"  hints of {len(mistaken[WRONG])} caught, {expected} with one to expect: right {len(hints['right'])},"
            f" absent {len(hints['absent'])}, not the expected one {len(hints['not the expected one'])}"
        )
    words = (REFUSED, CRASHED)
    told = {"called wrong": right[WRONG], "unresolved, with all its digits": sorted({*right[UNRESOLVED]} - {*allowed})}
    told |= {f"right, {word}": right[word] for word in words}
    told |= {"missed": mistaken[PASSED], "wrong, but unresolved": mistaken[UNRESOLVED]}
    told |= {f"wrong, {word}": mistaken[word] for word in words}
    told |= {f"hint {kind}": hints[kind] for kind in ("not the expected one", "absent")} if who == "lossctl" else {}
    for what, which in told.items():
        if which:
            print(f"  {what}: {('; ' if 'hint' in what else ', ').join(which)}")


def main(argv: list[str]) -> None:
    """Print the score of the checks that are named, or of all, at every set of points."""
    left = sum(not trial.installed for trial in TRIALS.values())
    print(f"{len(TRIALS)} trials, {sum(t.right for t in TRIALS.values())} of them right; not installed: {left}")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    with ProcessPoolExecutor(2) as pool:
        for who in argv or ["lossctl", *filter(find_spec, OTHERS)]:
            for points in (DATA, TRAINED, *[DRAWN] * (who == "lossctl")):
                score(points, who, pool)


if __name__ == "__main__":
    main(sys.argv[1:])
