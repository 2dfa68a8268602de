"""Text is read without polars; formats that need it say what to install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lossctl.cli.app import main
from lossctl.io import polars_guard


@pytest.fixture
def without_polars(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("lossctl.io.polars_guard.find_spec", lambda name: None)
    polars_guard.has_room.cache_clear()
    yield
    polars_guard.has_room.cache_clear()


@pytest.mark.usefixtures("without_polars")
@pytest.mark.slow
def test_large_text_does_not_need_polars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.arange(200_000.0).reshape(-1, 2)
    np.savetxt(tmp_path / "big.csv", numbers, fmt="%g", delimiter=",", header="p,t", comments="")
    assert main(["compute", "mse", str(tmp_path / "big.csv"), "-p", "p", "-t", "t", "-q"]) == 0
    assert capsys.readouterr().out == "1.0\n"


@pytest.mark.usefixtures("without_polars")
def test_parquet_says_what_to_install(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert main(["compute", "mse", str(tmp_path / "a.parquet"), "-p", "p", "-t", "t"]) == 2
    assert "needs polars: pip install polars" in capsys.readouterr().err
