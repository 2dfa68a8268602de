"""``gradcheck --at``: what it prints, what it reads, and what it refuses."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

COMMAND = "gradcheck"
NET = """
import numpy as np

X = np.linspace(-1, 1, 24).reshape(8, 3)


def loss(W, b):
    r = X @ W + b - 1.0
    return (r**2).mean(), {"W": 2.0 * X.T @ r / r.size, "b": 2.0 * r.sum(axis=0) / r.size / len(X)}


def right(p):
    value, g = loss(p["W"], p["b"])
    return value, g | {"b": g["b"] * len(X)}


def alone(p):
    return right(p)[0]


def grad(p):
    return right(p)[1]


def layer(W, b):
    return np.tanh(X @ W + b)


def backward(u, W, b):
    d = np.ones_like(u) * (1.0 - layer(W, b) ** 2)
    return {"W": X.T @ d, "b": d.sum(axis=0)}


def fails(W):
    return W / [1, 2, 3, 4]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with net.py and the same parameters in two formats."""
    (tmp_path / "net.py").write_text(NET)
    arrays = {"W": np.linspace(-1, 1, 6).reshape(3, 2), "b": np.array([0.25, -0.5]), "step": np.array(7)}
    np.savez(tmp_path / "params.npz", **arrays)
    header, data = {}, b""
    for name, dtype, code in (("W", "<f4", "F32"), ("b", "<f8", "F64")):
        content = arrays[name].astype(dtype)
        span = [len(data), len(data) + content.nbytes]
        header[name] = {"dtype": code, "shape": list(content.shape), "data_offsets": span}
        data += content.tobytes()
    text = json.dumps(header).encode()
    (tmp_path / "params.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return tmp_path


def test_a_wrong_array_is_a_table_an_entry_and_a_hint(run_command, folder):
    code, out, err = run_command(f"{folder}/net.py:loss --at {folder}/params.npz")
    assert (code, err) == (1, "")
    assert re.search(r"^W +3×2 +– .* ok", out, re.MULTILINE)
    assert re.search(r"^b +2 +1 .* wrong", out, re.MULTILINE)
    assert re.search(r"^step +scalar +– +– +skipped +int64 has no gradient", out, re.MULTILINE)
    assert "hint: given ÷ numeric is 1/8 in all of b: it was divided by 8 once too often: the size of the batch?" in out
    assert max(len(line) for line in out.splitlines() if not line.startswith(("hint", str(folder)))) <= 80


@pytest.mark.parametrize("file", ["params.npz", "params.safetensors"])
@pytest.mark.parametrize("line", ["net.py:right", "net.py:alone --grad {folder}/net.py:grad"])
def test_right_gradients_pass(run_command, folder, file, line):
    code, out, err = run_command(f"{folder}/{line.format(folder=folder)} --at {folder}/{file}")
    assert (code, err) == (0, "")
    assert "wrong" not in out


def test_gradients_of_a_file(run_command, folder):
    np.savez(folder / "grads.npz", W=np.ones((3, 2)), b=np.zeros(2))
    line = f"{folder}/net.py:alone --grad {folder}/grads.npz --at {folder}/params.npz -f json"
    code, out, _ = run_command(line)
    document = json.loads(out)
    assert (code, document["schema"], document["passed"]) == (1, "lossctl.gradcheck-arrays/1", False)
    assert [a["verdict"] for a in document["arrays"]] == ["wrong", "wrong", "skipped"]
    assert document["hints"][0]["code"] == "zero"


def test_a_layer(run_command, folder):
    line = f"{folder}/net.py:layer --vjp {folder}/net.py:backward --at {folder}/params.npz"
    code, out, _ = run_command(line)
    assert code == 1
    assert "hint: the vjp ignores the upstream gradient" in out
    code, out, _ = run_command(f"{line} -f github")
    assert "the vjp ignores the upstream gradient" in out


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("{net}:alone --at {npz}", "returned the loss alone"),
        ("{net}:fails --at {npz}", "net.py:35: fails: ValueError: operands could not be broadcast together"),
        ("{net}:loss --at {folder}/none.npz", "none.npz: no such file or directory"),
        ("{net}:loss --at {folder}/net.py", "net.py: arrays by name are read from .npz, .safetensors, .pt, .pth"),
        ("{net}:loss --at {folder}/broken.npz", "broken.npz: not a readable NPZ file of numbers"),
        (
            "{net}:loss --at {folder}/objects.npz",
            "objects.npz: not a readable NPZ file of numbers: Object arrays cannot",
        ),
        ("{net}:loss preds.csv --at {npz}", "PREDS and TARGETS are not read"),
        ("{net}:loss --at {npz} --rtol 0.1", "--rtol has no effect with --at"),
        ("{net}:loss --at {npz} --nan skip", "--nan has no effect with --at"),
        ("{net}:loss --at {npz} --wrt w", "--wrt w: there is no such array; there are W, b, step"),
        ("{net}:loss --at {npz} --wrt step", "--wrt step: an array of int64 has no gradient"),
        ("{net}:loss --at {npz} --seed-arg sed", "has no parameter 'sed': --seed-arg"),
        ("{net}:layer --at {npz} --vjp {npz}", "with --at it is a function, FILE.py:FUNCTION"),
        ("mse --at {npz}", "--at checks a function of arrays by name"),
        ("mse --vjp {net}:backward", "--vjp needs --at FILE, the inputs of the function"),
        ("mse --wrt W", "--wrt 'W': one of pred, logits"),
    ],
)
def test_what_is_wrong_is_one_line(run_command, folder, line, cause):
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    np.savez(folder / "objects.npz", a=np.array([None]))
    names = {"net": f"{folder}/net.py", "npz": f"{folder}/params.npz", "folder": folder}
    code, out, err = run_command(line.format(**names))
    assert (code, out) == (2, "")
    assert cause in err
    assert err.count("\n") == 1


def test_a_state_dict_needs_torch(run_command, folder):
    """Without torch the message says so, with torch the file is not a state_dict."""
    (folder / "state.pt").write_bytes(os.urandom(64))
    code, _, err = run_command(f"{folder}/net.py:loss --at {folder}/state.pt")
    assert code == 2
    assert "reading it needs torch" in err or "state_dict" in err
