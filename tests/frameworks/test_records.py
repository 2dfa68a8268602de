"""The record of each framework: tensors of arrays and back, the backward pass, arrays of tensors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from needs import ALL, needs

import lossctl
from lossctl.frameworks import DTYPES, FRAMEWORKS, framework_of, get_framework, to_array, widened_from

X = np.arange(12.0).reshape(4, 3) / 7


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient_in_each_precision(name, dtype) -> None:
    framework = get_framework(name)
    with framework.active(dtype):
        x, y = framework.to_tensor(X, dtype), framework.to_tensor(np.arange(4), dtype)
        value, (gradient,) = framework.value_and_gradient(lambda a, b: a * a * 2, [x, y], upstream=np.full((4, 3), 4.0))
        assert framework.dtype_of(value) == framework.dtype_of(gradient) == dtype
        assert "int" in framework.dtype_of(y)
        rounded = framework.to_numpy(x).astype(np.float64)
        assert np.array_equal(framework.to_numpy(gradient), 16 * rounded)
        assert np.allclose(rounded, X, rtol=2.0**-8)
        assert framework.value_and_gradient(lambda a: a, [x], wrt=())[1] == []


@pytest.mark.parametrize("name", ALL)
def test_a_result_that_does_not_depend_on_the_input_has_the_gradient_0(name) -> None:
    framework = get_framework(name)
    with framework.active("float64"):
        x, y = framework.to_tensor(X, "float64"), framework.to_tensor(X, "float64")
        _, gradients = framework.value_and_gradient(lambda a, b: b * 1.0, [x, y], wrt=(0, 1))
        assert [float(framework.to_numpy(g).sum()) for g in gradients] == [0.0, 12.0]
        with pytest.raises(TypeError, match="returned float instead of a tensor"):
            framework.value_and_gradient(lambda a, b: 1.0, [x, y])


@pytest.mark.parametrize("name", ALL)
def test_tensors_go_in_where_arrays_do(name) -> None:
    framework = get_framework(name)
    for dtype in DTYPES:
        with framework.active(dtype):
            tensor = framework.to_tensor(X, dtype)
            assert framework_of(tensor) is framework
            array = to_array(tensor)
            assert widened_from(array[1:]) == ("bfloat16" if dtype == "bfloat16" else "")
            assert np.array_equal(array, framework.to_numpy(tensor))
            assert float(lossctl.compute("mse", tensor, X)) == float(lossctl.compute("mse", array, X))
            flat = framework.to_tensor(X[:, 0], dtype)
            assert np.array_equal(lossctl.get_loss("mse").value(flat, X[:, 1]), (to_array(flat) - X[:, 1]) ** 2)
            assert lossctl.get_loss("mse").gradient(flat, X[:, 1]).shape == (4,)
    with framework.active("float32"):
        assert lossctl.gradcheck("mse", X, 0 * X, grad=framework.to_tensor(2 * X, "float32"))


@pytest.mark.parametrize("name", [pytest.param("torch", marks=needs("torch"))])
def test_a_torch_tensor_with_gradient(name) -> None:
    import torch

    x = torch.tensor(X, dtype=torch.bfloat16, requires_grad=True)
    assert widened_from(to_array(torch.nn.Parameter(x))) == "bfloat16"
    assert float(lossctl.compute("mse", x * 1, torch.zeros(4, 3))) > 0


def test_data_frames_and_dlpack() -> None:
    import polars as pl

    frame = pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    assert to_array(frame).tolist() == [[1.0, 3.0], [2.0, 4.0]]
    assert float(lossctl.compute("mse", frame["a"], frame["b"])) == 4.0
    assert lossctl.gradcheck("mse", frame["a"], frame["b"], grad=2.0 * (frame["a"] - frame["b"]))
    assert not lossctl.gradcheck("mse", frame["a"], frame["b"], grad=frame["a"] - frame["b"])
    assert lossctl.verify("mse", frame["a"], frame["b"], grad=2.0 * (frame["a"] - frame["b"])).passed
    assert float(lossctl.compute("mse", pl.Series([1.0, None]), [2.0, 3.0], nan="skip")) == 1.0
    with pytest.raises(lossctl.DataError, match="real numbers are needed"):
        lossctl.compute("mse", pl.Series(["a", "b"]), [1.0, 2.0])

    class OnlyDlpack:
        def __dlpack__(self, **options):
            return X.__dlpack__(**options)

        def __dlpack_device__(self):
            return X.__dlpack_device__()

    assert np.array_equal(to_array(OnlyDlpack()), X)


@pytest.mark.parametrize("name", [pytest.param("pandas", marks=needs("pandas"))])
def test_data_frames_of_pandas(name) -> None:
    """Rows are matched by position, whatever the index says; a missing value is NaN."""
    import pandas as pd

    pred, target = pd.Series([1.0, 2.0, 4.0], index=[5, 3, 9]), pd.Series([0.0, 2.0, 1.0])
    assert float(lossctl.compute("mse", pred, target)) == pytest.approx(10 / 3)
    assert float(lossctl.compute("mse", pred, target, weight=pd.Series([1, 2, 3]))) == pytest.approx(28 / 6)
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 5.0]})
    assert float(lossctl.compute("mse", frame, frame + 1.0)) == 1.0
    assert lossctl.gradcheck("mse", pred, target, grad=2.0 * (pred.reset_index(drop=True) - target))
    assert not lossctl.gradcheck("mse", pred, target, grad=pd.Series([1.0, 0.0, 3.0]))
    codes = pd.Series([0, 1, 2], dtype="category")
    assert float(lossctl.compute("cross_entropy", pd.DataFrame(np.eye(3)), codes)) == pytest.approx(0.5514447139)
    for missing in (pd.array([1.0, None, 3.0], dtype="Float64"), pd.Series([1, None, 3], dtype="Int64")):
        assert float(lossctl.compute("mse", missing, [1.0, 2.0, 4.0], nan="skip")) == 0.5
        with pytest.raises(lossctl.DataError, match=r"pred\[1\]: nan"):
            lossctl.compute("mse", missing, [1.0, 2.0, 4.0])
    with pytest.raises(lossctl.DataError, match="real numbers are needed"):
        lossctl.compute("mse", pd.Series(["a", "b"]), [1.0, 2.0])


def test_names_of_frameworks(monkeypatch) -> None:
    with pytest.raises(lossctl.UsageError, match=r"^framework 'torhc': one of .*did you mean 'torch'\?"):
        get_framework("torhc")
    monkeypatch.setattr("lossctl.frameworks.find_spec", lambda name: None)
    for name, framework in FRAMEWORKS.items():
        monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(lossctl.UsageError, match=f"{framework.title} is not installed: {framework.install}$"):
            get_framework(name)


def test_no_framework_is_imported_unasked() -> None:
    code = (
        "import sys, lossctl; lossctl.compute('mse', [1.0], [2.0]); lossctl.gradcheck('mse', samples=9); "
        "assert not {'torch', 'jax', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
