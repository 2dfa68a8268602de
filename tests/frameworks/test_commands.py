"""The commands with ``--framework``, and what they say without it."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from needs import needs

import lossctl
from lossctl.cli.app import main

FILE = """
import torch
import torch.nn.functional as F

WEIGHT = torch.tensor([0.5, 1.0, 2.0])

def focal(logits, labels, gamma=2.0):
    ce = F.cross_entropy(logits, labels, reduction="none")
    return (1 - torch.exp(-ce)) ** gamma * ce

def mean(logits, labels):
    return F.cross_entropy(logits, labels, weight=WEIGHT)

def ignoring_mean(logits, labels):
    return F.cross_entropy(logits, labels)

def rate(logits, labels):
    return torch.exp(logits).mean(1)

def half(pred, target):
    return (pred.detach() - target) * (pred - target)

def squared(pred, target):
    return (pred - target) ** 2

def squared_mean(pred, target):
    return F.mse_loss(pred, target)

def returns_tensor(pred, target):
    return torch.from_numpy((pred - target) ** 2)

class Half(torch.autograd.Function):
    @staticmethod
    def forward(ctx, pred, target):
        ctx.save_for_backward(pred, target)
        return (pred - target) ** 2

    @staticmethod
    def backward(ctx, up):
        pred, target = ctx.saved_tensors
        return up * (pred - target), None

class Layer(torch.nn.Module):
    def forward(self, pred, target):
        return Half.apply(pred, target)

class NoConstructor(torch.nn.Module):
    def forward(self, pred, target):
        return (pred - target) ** 2

def mixed(pred, target):
    return (pred * torch.ones(3, dtype=torch.float32)).matmul(torch.ones(3, dtype=torch.float32))
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", rng.normal(size=(12, 3)))
    np.save("y.npy", rng.integers(0, 3, 12))
    np.savetxt("p.csv", np.abs(rng.normal(size=12)))
    np.savetxt("t.csv", rng.normal(size=12))
    (tmp_path / "my.py").write_text(FILE)

    def run(line: str) -> tuple[int, str, str]:
        code = main(line.split())
        out, err = capsys.readouterr()
        return code, out, err

    return run


torch = pytest.mark.parametrize("framework", [pytest.param("torch", marks=needs("torch"))])


@torch
def test_gradcheck(run, framework) -> None:
    code, out, _ = run("gradcheck my.py:focal:gamma=3 z.npy y.npy --framework torch")
    assert (code, "focal:gamma=3        36   36" in out) == (0, True), out
    code, out, err = run("gradcheck my.py:focal --framework torch --samples 60 --dtype bfloat16")
    assert code == 0, err
    assert "comparison of bfloat16 with float64" in out + err
    assert "points drawn as logits of 5 classes and labels" in out + err
    code, out, _ = run("gradcheck my.py:half p.csv t.csv --framework torch")
    assert code == 1
    assert "a factor of 2 is missing" in out
    assert run("gradcheck torch.nn:CrossEntropyLoss:reduction=none z.npy y.npy --framework torch")[0] == 0
    assert run("gradcheck my.py:mean z.npy y.npy --framework torch")[0] == 0
    labels = np.load("y.npy")
    labels[[0, 5, 6]] = -100
    np.save("some.npy", labels)
    code, out, err = run("gradcheck my.py:ignoring_mean z.npy some.npy --framework torch")
    assert (code, "upstream" in err) == (0, False), out
    assert run("gradcheck my.py:NoConstructor p.csv t.csv --framework torch")[0] == 0


@torch
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_the_backward_pass_against_a_registered_loss(run, framework, dtype) -> None:
    options = f"--framework torch --dtype {dtype}"
    assert run(f"gradcheck mse p.csv t.csv --grad my.py:squared {options}")[0] == 0
    assert run(f"gradcheck mse p.csv t.csv --grad my.py:squared_mean {options}")[0] == 0
    assert run(f"gradcheck mse p.csv t.csv --grad my.py:half {options}")[0] == 1
    if dtype == "float64":  # the weights of the classes are made in float64, and PyTorch mixes no types
        assert run(f"gradcheck cross_entropy z.npy y.npy --grad my.py:mean {options}")[0] == 1


@torch
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("gradcheck my.py:half p.csv t.csv", "def half"),
        ("gradcheck mse p.csv t.csv --grad my.py:half", "def half"),
        ("gradcheck my.py:Half p.csv t.csv", "    @staticmethod\n    def backward"),
        ("gradcheck my.py:Layer --at pt.npz", "    def forward(self, pred"),
        ("gradcheck torch.nn:MSELoss p.csv t.csv", None),
    ],
)
def test_the_report_has_the_line_of_what_is_checked(run, framework, line, text) -> None:
    np.savez("pt.npz", pred=np.loadtxt("p.csv"), target=np.loadtxt("t.csv"))
    _, out, err = run(f"{line} --framework torch -f junit")
    case = next(ET.fromstring(out).iter("testcase"))
    place = None if text is None else str(FILE.split(text, maxsplit=1)[0].count("\n") + 1)
    assert (case.get("file"), case.get("line")) == (place and "my.py", place), err


@torch
def test_compute_and_breakdown(run, framework) -> None:
    code, out, _ = run("compute torch.nn.functional:mse_loss p.csv t.csv --framework torch -q")
    expected = float(lossctl.compute("mse", np.loadtxt("p.csv"), np.loadtxt("t.csv")))
    assert code == 0
    assert float(out) == pytest.approx(expected, rel=1e-15)
    assert run("breakdown my.py:focal z.npy y.npy --framework torch")[0] == 0


@torch
def test_one_number_for_all_samples(run, framework) -> None:
    """A mean has no standard error, and no loss of a sample."""
    code, out, _ = run("compute my.py:squared_mean p.csv t.csv --framework torch -f json")
    (row,) = json.loads(out)["losses"]
    expected = float(lossctl.compute("mse", np.loadtxt("p.csv"), np.loadtxt("t.csv")))
    assert (code, row["value"], row["count"]) == (0, pytest.approx(expected, rel=1e-15), 12)
    assert {row[name] for name in ("std_error", "min", "max", "argmin", "argmax")} == {None}
    for line, words in (
        (
            "breakdown my.py:squared_mean p.csv t.csv",
            "one number for all samples: return one loss",
        ),
        ("compare my.py:squared_mean p.csv p.csv t.csv", "squared_mean returns one number for all samples"),
        ("compute my.py:squared_mean p.csv t.csv --reduction sum", "it has no other sum; leave --reduction out"),
        ("compute my.py:squared_mean p.csv t.csv -w p.csv", "so that weights cannot act"),
    ):
        code, out, err = run(f"{line} --framework torch")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err


@torch
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("compute my.py:returns_tensor p.csv t.csv", "returned a tensor of PyTorch: use --framework torch"),
        ("compute my.py:squared_mean p.csv t.csv", "if it takes tensors, use --framework torch"),
        ("gradcheck my.py:squared p.csv t.csv", "if it takes tensors, use --framework torch"),
        ("gradcheck my.py:focal z.npy y.npy", "if it takes tensors, use --framework torch"),
        ("gradcheck my.py:mixed z.npy y.npy --framework torch", "make constants in the type of the predictions"),
        ("compute my.py:nothing p.csv t.csv --framework torch", "has no function 'nothing'; it has focal"),
        ("compute torch.nn:Nothing p.csv t.csv --framework torch", "torch.nn has no function 'Nothing'"),
        ("compute no_such_package:f p.csv t.csv --framework torch", "no_such_package: cannot be imported"),
        ("compute mse p.csv t.csv --framework torch", "'mse' is none of its functions"),
        ("compute my.py:focal:gama=3 z.npy y.npy --framework torch", "did you mean 'gamma'"),
    ],
)
def test_errors_are_one_line(run, framework, line, words) -> None:
    code, out, err = run(line)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) == 1


@torch
def test_python(run, framework) -> None:
    import torch as t

    rng = np.random.default_rng(0)
    pred, target = (t.tensor(rng.normal(size=9), dtype=t.bfloat16, requires_grad=True) for _ in range(2))
    assert lossctl.gradcheck(t.nn.MSELoss(), pred, target, framework="torch")
    assert float(lossctl.compute(t.nn.L1Loss(), pred, target, framework="torch")) > 0
    loss = ((pred - target) ** 2).sum()
    loss.backward()
    result = lossctl.gradcheck("mse", pred, target, grad=pred.grad)
    assert result
    assert "bfloat16 numbers" in result.method
    assert not lossctl.gradcheck("mse", pred, target, grad=pred.grad * 1.5)
    assert t.get_default_dtype() == t.float32


def test_a_function_of_tensors_is_recognised_without_a_framework(run, tmp_path) -> None:
    (tmp_path / "methods.py").write_text("def f(pred, target):\n    return (pred - target).clamp(0).pow(2)\n")
    code, _, err = run("compute methods.py:f p.csv t.csv")
    assert code == 2
    assert "if it takes tensors, use --framework torch, jax, tensorflow" in err
    code, _, err = run("compute torch.nn.functional:mse_loss p.csv t.csv")
    assert code == 2
    assert "add --framework" in err


@pytest.mark.parametrize("line", ["--framework keras", "--dtype float32", "--dtype int8 --framework torch"])
def test_invalid_options(run, line) -> None:
    code, out, err = run(f"gradcheck my.py:half p.csv t.csv {line}")
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1), err


def test_a_missing_framework_is_one_line(run, monkeypatch) -> None:
    monkeypatch.setattr("lossctl.frameworks.find_spec", lambda name: None)
    monkeypatch.delitem(__import__("sys").modules, "tensorflow", raising=False)
    code, out, err = run("compute my.py:half p.csv t.csv --framework tensorflow")
    assert (code, out) == (2, "")
    assert err == "lossctl: framework tensorflow: TensorFlow is not installed: pip install tensorflow\n"
