"""``gradcheck --at`` with ``--framework``: modules and functions of tensors by name, whose own backward is checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from needs import needs

import lossctl
from lossctl.cli.app import main
from lossctl.errors import DataError, UsageError
from lossctl.gradients.named_tensors import flattened, nested

NET = """
import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(5, width), nn.Linear(width, 3)
        self.norm, self.drop = nn.BatchNorm1d(width), nn.Dropout(0.2)

    def hidden(self, x):
        return torch.relu(self.norm(self.fc1(x)))

    def forward(self, x):
        return self.fc2(self.drop(self.hidden(x)))


class Loss(Net):
    def forward(self, x, y):
        return F.cross_entropy(super().forward(x), y)


class Detached(Loss):
    def hidden(self, x):
        return torch.relu(F.linear(x, self.fc1.weight.detach(), self.fc1.bias))


class Relu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, up):
        (x,) = ctx.saved_tensors
        return torch.ones_like(up) * (x > 0)


class Ones(Loss):
    def hidden(self, x):
        return Relu.apply(self.fc1(x))


class Overwrites(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, up):
        (y,) = ctx.saved_tensors
        return up * (1 - y**2)


class Saved(Loss):
    def hidden(self, x):
        h = Overwrites.apply(self.fc1(x))
        out = h * 1.0
        h.data.mul_(2.0)
        return out


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.o = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.o.weight = self.e.weight

    def forward(self, ids):
        return F.cross_entropy(self.o(self.e(ids)), ids.roll(1))


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self):
        return (self.a * self.b).sum() ** 2


class Needs(nn.Module):
    def __init__(self, width):
        super().__init__()


net = Net()


def loss(params, x, y):
    return F.cross_entropy(torch.func.functional_call(net, params, (x,)), y)


def half(w, x):
    return Half.apply((x @ w).tanh().sum())


def several(w, x):
    return {"tanh": torch.tanh(x @ w), "squares": (w * w).sum(0), "place": x.argmax(1)}


class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, up):
        return torch.ones_like(up)


class Third(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1.0

    @staticmethod
    def backward(ctx, up):
        return up / 3 if up.dtype == torch.bfloat16 else up


def low(w, x):
    return Third.apply((x @ w).tanh()).sum()
"""
RNG = np.random.default_rng(0)
ARRAYS = {"x": RNG.normal(size=(12, 5)), "y": RNG.integers(0, 3, 12), "w": RNG.normal(size=(5, 2))}
ARRAYS["ids"] = RNG.integers(0, 7, 9)
TORCH = "--framework torch --at"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command in a folder with a file of modules and their state."""
    import torch

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    from lossctl.core.user_modules import import_file

    module = import_file(Path("net.py"), "net.py")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = module.Net()
        torch.save(net.state_dict(), "state.pt")
        torch.save({"model": net.state_dict()}, "checkpoint.pt")
        torch.save(torch.nn.Linear(2, 2), "module.pt")
        torch.save(module.Tied().state_dict(), "tied.pt")
    np.savez("params.npz", **{name: tensor.numpy() for name, tensor in net.state_dict().items()})
    np.savez("w.npz", w=ARRAYS["w"], x=ARRAYS["x"])
    np.savez("frozen.npz", a=np.ones(3), b=np.arange(3.0))
    for name, array in ARRAYS.items():
        np.save(f"{name}.npy", array)

    def run(line: str) -> tuple[int, str, str]:
        code = main(["gradcheck", *line.split()])
        out, err = capsys.readouterr()
        return code, out, err

    return run


torch_only = pytest.mark.parametrize("framework", [pytest.param("torch", marks=needs("torch"))])
XY = "--input x=x.npy --input y=y.npy"


@torch_only
@pytest.mark.parametrize(
    "line",
    [
        f"net.py:Loss {TORCH} state.pt {XY}",
        f"net.py:Net {TORCH} params.npz --input x=x.npy",
        f"net.py:net {TORCH} state.pt --input x=x.npy",
        f"net.py:Loss {TORCH} state.pt {XY} --dtype bfloat16",
        f"net.py:Loss {TORCH} state.pt {XY} --dtype float16",
        f"net.py:loss {TORCH} state.pt {XY} --wrt fc1.weight,x",
        f"net.py:several {TORCH} w.npz",
        f"net.py:low {TORCH} w.npz",
        f"torch.nn:Tanh {TORCH} x.npz",
    ],
)
def test_a_right_backward_pass_passes(run: Any, framework: str, line: str) -> None:
    np.savez("x.npz", input=ARRAYS["x"])
    code, out, err = run(line)
    assert (code, err) == (0, ""), out
    assert "wrong" not in out
    assert "unresolved" not in out


@torch_only
@pytest.mark.parametrize(
    ("line", "wrong", "hint"),
    [
        ("net.py:Detached state.pt", "fc1.weight", "the gradient of fc1.weight is 0, and the loss depends on it"),
        ("net.py:Ones state.pt", "x fc1.weight fc1.bias", "the backward pass ignores the upstream gradient"),
        ("net.py:Saved state.pt", "x fc1.weight fc1.bias", "a tensor that the forward pass saved is overwritten"),
        ("net.py:half w.npz", "w x", "the backward pass ignores the upstream gradient, such as the scale of a loss"),
    ],
)
def test_a_wrong_backward_pass_is_named(run: Any, framework: str, line: str, wrong: str, hint: str) -> None:
    function, state = line.split()
    code, out, _ = run(f"{function} {TORCH} {state} {XY if state == 'state.pt' else ''}")
    assert code == 1
    assert re.findall(r"^([\w.]+) .* wrong", out, re.MULTILINE) == wrong.split()
    assert hint in out


@torch_only
def test_a_backward_pass_that_is_wrong_in_bfloat16_only(run: Any, framework: str) -> None:
    code, out, _ = run(f"net.py:low {TORCH} w.npz --dtype bfloat16")
    assert code == 1
    assert re.search(r"^w .* 0.67 .* wrong +bfloat16 differs from float64", out, re.MULTILINE)
    assert "comparison of bfloat16 with float64" in out


@torch_only
def test_what_has_no_gradient_is_said(run: Any, framework: str) -> None:
    _, out, _ = run(f"net.py:Loss {TORCH} state.pt {XY}")
    assert re.search(r"^norm.running_mean .* skipped +a buffer", out, re.MULTILINE)
    assert re.search(r"^fc1.bias .* ok", out, re.MULTILINE)  # 0, before a normalisation
    code, out, _ = run(f"net.py:Tied {TORCH} tied.pt --input ids=ids.npy")
    assert code == 0
    assert re.search(r"^o.weight .* skipped +the same as e.weight", out, re.MULTILINE)
    code, out, _ = run(f"net.py:Frozen {TORCH} frozen.npz")
    assert code == 0
    assert re.search(r"^b .* skipped +requires_grad is False", out, re.MULTILINE)


@torch_only
@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("net.py:Loss state.pt", "there is no array 'x': add --input x=FILE.npy"),
        ("net.py:Frozen w.npz", "w is none of its parameters and buffers; its forward takes nothing"),
        (f"net.py:Loss:width=9 state.pt {XY}", "fc1.weight has shape (8, 5), in net.py:Loss:width=9 (9, 5)"),
        ("net.py:Needs state.pt", "net.py:Needs needs arguments"),
        ("net.py:Net checkpoint.pt", "checkpoint.pt: not a state_dict of tensors: save model.state_dict()"),
        ("net.py:Net module.pt", "module.pt: not a state_dict of tensors: save model.state_dict()"),
        ("net.py:Loss state.pt --input x=x.csv", "x.csv: one array is read from .npy"),
        ("net.py:Loss state.pt --input fc1.bias=x.npy", "state.pt has an array of this name"),
        ("net.py:Loss state.pt --input x", "--input 'x': with --at it is NAME=FILE.npy"),
        ("net.py:half w.npz --vjp net.py:half", "--vjp: with --at and --framework the backward pass"),
        (f"net.py:Loss state.pt {XY} --wrt norm.running_var", "--wrt norm.running_var: it has no gradient: a buffer"),
        (
            f"net.py:Loss state.pt {XY} --seed-arg s",
            "--seed-arg s: a module has no such argument, and is seeded without it",
        ),
        ("net.py:Net state.pt --input x=y.npy", "make constants in the type of the predictions"),
        ("net.py:nothing w.npz", "net.py has no function 'nothing'"),
    ],
)
def test_what_is_wrong_is_one_line(run: Any, framework: str, line: str, cause: str) -> None:
    function, state, *more = line.split()
    code, out, err = run(f"{function} {TORCH} {state} {' '.join(more)}")
    assert (code, out) == (2, "")
    assert cause in err
    assert err.count("\n") == 1


@torch_only
def test_python_takes_state_and_tensors(run: Any, framework: str) -> None:
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    arrays = module.state_dict() | {"input": torch.randn(6, 3)}
    result = lossctl.gradcheck(module, arrays, framework="torch")
    assert result
    assert {a.what for a in result.arrays} == {"vjp"}
    assert [a.name for a in result.arrays] == ["input", "0.weight", "0.bias", "2.weight", "2.bias"]

    def loss(params: Any, x: Any) -> Any:
        return (torch.func.functional_call(module, params, (x,)) ** 2).mean()

    nested_arrays = {"params": module.state_dict(), "x": arrays["input"]}
    assert lossctl.gradcheck(loss, nested_arrays, framework="torch").verdict_of("params/0.weight") == "ok"


@pytest.mark.parametrize("framework", [pytest.param("jax", marks=needs("jax"))])
def test_trees_of_jax(tmp_path: Path, monkeypatch: Any, capsys: Any, framework: str) -> None:
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)

    def net(params: Any, x: Any) -> Any:
        h = jnp.tanh(x @ params["dense"]["kernel"] + params["dense"]["bias"])
        for kernel, bias in params["layers"]:
            h = jnp.tanh(h @ kernel + bias)
        return h

    @jax.custom_vjp
    def half(x: Any) -> Any:
        return x

    half.defvjp(lambda x: (x, None), lambda _, up: (0.5 * up,))

    def loss(params: Any, x: Any, y: Any, wrong: bool = False) -> Any:
        hidden = net(params, x)
        return ((half(hidden) if wrong else hidden)[jnp.arange(len(y)), y] ** 2).mean()

    dense = {"kernel": rng.normal(size=(3, 4)), "bias": np.zeros(4)}
    params = {"dense": dense, "layers": [(rng.normal(size=(4, 4)), np.zeros(4))]}
    arrays = {"params": params, "x": rng.normal(size=(6, 3)), "y": rng.integers(0, 4, 6)}
    assert lossctl.gradcheck(loss, arrays, framework="jax")
    assert lossctl.gradcheck(jax.jit(loss), arrays, framework="jax", dtype="bfloat16")
    assert lossctl.gradcheck(net, {"params": params, "x": arrays["x"]}, framework="jax")
    result = lossctl.gradcheck(lambda params, x, y: loss(params, x, y, wrong=True), arrays, framework="jax")
    assert not result
    assert "given ÷ numeric is 0.5 in every array" in result.hints[0]
    # In a file the names say where an array is in the tree.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "import jax.numpy as jnp\ndef loss(params, x):\n    return jnp.tanh(x @ params['dense']['kernel']).sum()\n"
    )
    np.save("x.npy", arrays["x"])
    for separator in "/.":
        np.savez("params.npz", **{f"dense{separator}kernel": dense["kernel"]})
        assert main(["gradcheck", "net.py:loss", "--framework", "jax", "--at", "params.npz", "--input", "x=x.npy"]) == 0
        assert "dense/kernel" in capsys.readouterr().out


def test_trees() -> None:
    tree = {"a": {"b": np.ones(2)}, "c": [(np.ones(1), np.ones(3))], "d": [1.0, 2.0]}
    flat = flattened(tree)
    assert {name: len(a) for name, a in flat.items()} == {"a/b": 2, "c/0/0": 1, "c/0/1": 3, "d": 2}
    assert nested({name: len(a) for name, a in flat.items()}) == {"a": {"b": 2}, "c": [[1, 3]], "d": 2}
    with pytest.raises(DataError, match="array 'a/b': another array has a part of its name"):
        nested({"a": 1, "a/b": 2})


def test_a_lower_precision_needs_a_framework() -> None:
    with pytest.raises(UsageError, match="--dtype float16 is the precision of a function of tensors"):
        lossctl.gradcheck(lambda w: (1.0, w), {"w": np.ones(3)}, dtype="float16")
