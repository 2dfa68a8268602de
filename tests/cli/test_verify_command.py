"""``lossctl verify`` as a person runs it: exit codes, formats, widths, wrong files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, with logits, labels and outputs of a kernel in float32."""
    rng = np.random.default_rng(0)
    n, k = 60, 4
    logits, labels = rng.normal(0, 3, (n, k)).astype(np.float32), rng.integers(0, k, n)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    grad = e / e.sum(axis=1, keepdims=True)
    value = -np.log(grad[np.arange(n), labels])
    grad[np.arange(n), labels] -= 1
    up = rng.normal(size=n).astype(np.float32)
    arrays = {"logits": logits, "labels": labels, "value": value, "grad": grad, "up": up}
    arrays |= {"first": grad * up[0], "mean": value.mean(), "mean_grad": grad / np.float32(n), "zero": 0 * grad}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savetxt(tmp_path / "value.csv", value, fmt="%.5f")
    monkeypatch.chdir(tmp_path)
    return tmp_path


DATA = ["verify", "cross_entropy", "logits.npy", "labels.npy"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--value", "value.npy", "--grad", "grad.npy"], 0, "as right as float32 allows"),
        (["--value", "value.csv"], 0, "value"),
        (["--grad", "first.npy", "--upstream", "up.npy"], 1, "first upstream element only"),
        (["--grad", "grad.npy", "--upstream", "up.npy"], 1, "ignores the upstream gradient"),
        (["--value", "mean.npy", "--grad", "mean_grad.npy", "--reduction", "mean"], 0, "as right as float32 allows"),
        (["--grad", "grad.npy", "--reduction", "mean"], 1, "not divided"),
        (["--value", "value.npy", "--grad", "zero.npy"], 1, "the value beside it is right"),
        (["--grad", "grad.npy", "--baseline", "grad.npy"], 0, "÷ baseline"),
    ],
)
def test_exit_code_and_text(words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DATA, *words]) == code
    out, err = capsys.readouterr()
    assert text in out
    assert err == ""
    assert max(len(line) for line in out.splitlines()) <= 80


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("fmt", ["table", "value", "csv", "tsv", "json", "jsonl", "markdown", "junit", "github"])
def test_every_format_has_the_verdict(fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*DATA, "--grad", "zero.npy", "-f", fmt]) == 1
    out = capsys.readouterr().out
    assert "wrong" in out or (fmt == "value" and float(out) > 1e6)
    if fmt == "json":
        document = json.loads(out)
        assert document["schema"] == "lossctl.verify/1"
        assert document["outputs"][0]["cause_code"] == "not-computed"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify"], "verify needs LOSS and PREDS"),
        ([*DATA], "nothing to check"),
        ([*DATA, "--grad", "absent.npy"], "absent.npy"),
        ([*DATA, "--grad", "value.npy"], "gradient has shape (n,)"),
        ([*DATA, "--grad", "grad.npy", "--dtype", "float8"], "float8"),
        ([*DATA, "--grad", "grad.npy", "--upstream", "logits.npy"], "upstream has shape (n, 4)"),
        ([*DATA, "--value", "value.npy", "--reduction", "mean"], "one number is needed"),
        ([*DATA, "--value", "abc", "--reduction", "mean"], "with a reduction it is a number"),
        (["verify", "cross_entropy", "-", "labels.npy", "--grad", "grad.npy"], "can be read only once"),
        (["verify", "mse,mae", "logits.npy", "labels.npy", "--grad", "grad.npy"], "a single loss"),
        (["verify", "--golden", "mse"], "-o FOLDER"),
        (["verify", "--golden", "mse", "-o", "."], "not empty"),
        (["verify", "--golden", "infonce", "-o", "pack"], "infonce"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("folder")
def test_a_number_may_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    mean = float(np.load("mean.npy"))
    assert main([*DATA, "--value", f"{mean:.6g}", "--reduction", "mean"]) == 0
    assert main([*DATA, "--value", f"{2 * mean:.6g}", "--reduction", "mean"]) == 1
    assert "a factor of 2 too much" in capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_golden(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--golden", "cross_entropy", "--dtype", "bfloat16", "-o", "pack/"]) == 0
    assert "masked" in capsys.readouterr().out
    assert (folder / "pack" / "README.txt").read_text().startswith("Golden outputs of the loss sparse_softmax")
    assert not list(folder.glob(".pack*"))


def test_wrong_outputs_for_text_are_shown(tmp_path: Path) -> None:
    (tmp_path / "half.txt").write_text("".join(f"{k}.5\n" for k in range(148)))
    line = f"verify mse samples/diabetes_preds.csv samples/diabetes_targets.csv --grad {tmp_path}/half.txt"
    assert main(line.split()) == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "code", "verdict", "judged"),
    [
        ("{:.7g}", 0, "right to 7 digits", "to the 7 digits typed, ± "),
        ("{:.3g}", 0, "right to 3 digits", "to the 3 digits typed, ± "),
        ("{:.17g}", 0, "exact", "as the float32 number "),
        ("1", 1, "wrong", "as the float64 number 1\n"),
    ],
)
def test_a_number_typed_is_judged_by_its_digits(
    text: str, code: int, verdict: str, judged: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mean = float(np.load("mean.npy"))
    assert main([*DATA, "--value", text.format(mean), "--reduction", "mean"]) == code
    out = capsys.readouterr().out
    assert verdict in out
    assert f"note: value is judged {judged}" in out


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("digits", range(2, 8))
@pytest.mark.parametrize("units", [1.0, 3.0, 9.0])
def test_a_number_typed_that_differs_is_wrong_without_a_guessed_cause(
    digits: int, units: float, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = float(np.load("value.npy").astype(float).mean())
    place = digits - 1 - int(np.floor(np.log10(exact)))
    typed = round(exact, place) + units * 10.0**-place
    assert main([*DATA, "--value", f"{typed:.{place}f}", "--reduction", "mean"]) == 1
    out = capsys.readouterr().out
    assert " wrong" in out
    assert "cause" not in out


@pytest.mark.usefixtures("folder")
def test_a_sum_in_float16_is_named_if_enough_digits_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    values = np.load("value.npy").astype(np.float16)
    mean = float(np.add.accumulate(values)[-1]) / len(values)
    assert main([*DATA, "--value", f"{mean:.9f}", "--reduction", "mean"]) == 1
    assert "the sum is accumulated in float16" in capsys.readouterr().out
    assert main([*DATA, "--value", f"{mean:.3f}", "--reduction", "mean"]) == 1
    assert "float16" not in capsys.readouterr().out


def test_worst_numbers_of_text_have_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("pred,target,loss\n1,2,1\n3,5,4\n1,4,7\n")
    line = "verify mse a.csv --pred pred --target target --value loss -f json"
    assert main(line.split()) == 1
    (worst,) = json.loads(capsys.readouterr().out)["worst:value"]
    assert worst["line"] == "a.csv:4"
