"""Arrays of a safetensors file as inputs, and bfloat16 in both formats that hold it."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.gradients.rounding import PRECISIONS, round_to
from lossctl.io.formats import open_source
from lossctl.io.source import Field, Options, SeekableSource

BF16 = round_to(np.random.default_rng(0).normal(size=(5, 3)), PRECISIONS["bfloat16"]).astype(np.float32)
BITS = (BF16.view(np.uint32) >> 16).astype("<u2")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with logits in bfloat16, as safetensors and as np.save writes ml_dtypes, and labels."""
    labels = np.arange(5, dtype="<i8") % 3
    header = {
        "logits": {"dtype": "BF16", "shape": [5, 3], "data_offsets": [0, 30]},
        "labels": {"dtype": "I64", "shape": [5], "data_offsets": [30, 70]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "m.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + BITS.tobytes() + labels.tobytes())
    np.save(tmp_path / "bf16.npy", BITS.view("V2"))
    np.save(tmp_path / "wide.npy", BF16)
    np.save(tmp_path / "labels.npy", labels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("path", ["m.safetensors:logits", "bf16.npy"])
def test_bfloat16_is_widened_without_rounding(path: str) -> None:
    source = open_source(path, Options()).bind((Field("pred"),))
    assert isinstance(source, SeekableSource)
    for again in (source, pickle.loads(pickle.dumps(source))):  # noqa: S301
        assert np.array_equal(again.reader()(1, 4)[0], BF16[1:4])


@pytest.mark.usefixtures("files")
def test_the_value_is_that_of_the_widened_file(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compute", "cross_entropy", "-q"]
    printed = []
    for data in (
        ["wide.npy", "labels.npy"],
        ["bf16.npy", "labels.npy"],
        ["m.safetensors:logits", "m.safetensors:labels"],
        ["m.safetensors", "--pred", "logits", "--target", "labels"],
    ):
        assert main([*words, *data]) == 0
        printed.append(capsys.readouterr().out)
    assert len(set(printed)) == 1


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("path", "message"),
    [("m.safetensors:logit", "did you mean 'logits'"), ("m.safetensors", "say which array")],
)
def test_a_wrong_key_is_one_line(path: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compute", "cross_entropy", path, "labels.npy"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("files")
def test_a_file_that_changed_is_not_read(files: Path) -> None:
    source = open_source("m.safetensors:labels", Options()).bind((Field("pred"),))
    assert isinstance(source, SeekableSource)
    path = files / "m.safetensors"
    path.write_bytes(path.read_bytes()[:-8] + b"12345678")
    with pytest.raises(Exception, match="changed"):
        source.reader()(0, 5)
