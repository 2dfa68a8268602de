"""Remote files where their packages are missing, and no network where no address is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lossctl.cli.app import main
from lossctl.io import remote


@pytest.mark.parametrize("package", ["fsspec", "aiohttp"])
def test_a_missing_package_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", sys)  # where it is not installed, fsspec is tried first
    monkeypatch.setitem(sys.modules, package, None)
    remote._file_system.cache_clear()
    code = main(["compute", "mse", "https://example.invalid/a.csv"])
    assert (code, *capsys.readouterr()) == (
        2,
        "",
        f"lossctl: https:// needs {package}: pip install 'lossctl[remote]'\n",
    )


def test_files_of_this_machine_need_no_network() -> None:
    program = (
        "import socket, sys\nsocket.socket = None\nfrom lossctl.cli.app import main\n"
        "code = main(['compute', 'mse', 'samples/diabetes.csv', '-p', 'ridge', '-t', 'target', '-q'])\n"
        "sys.exit(code or bool({'fsspec', 'aiohttp', 'botocore'} & set(sys.modules)))"
    )
    root = Path(__file__).parent.parent.parent
    assert subprocess.run([sys.executable, "-c", program], cwd=root, check=False).returncode == 0
