"""Remote files: a local HTTP server with the faults of servers, moto's S3 and a small server of Google's JSON API."""

from __future__ import annotations

import base64
import http.server
import io
import json
import os
import pickle
import re
import threading
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import polars as pl
import pytest

from lossctl.cli.app import main
from lossctl.errors import DataError
from lossctl.io import remote
from lossctl.io.formats import open_source
from lossctl.io.source import Options

NEEDED = ("aiohttp", "fsspec", "s3fs", "gcsfs", "moto")
MISSING = [name for name in NEEDED if find_spec(name) is None]
pytestmark = [
    pytest.mark.remote,
    pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: pip install -e '.[remote-test]'"),
    # Sessions of aiohttp live as long as the process.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]
ROWS = 300_000
RNG = np.random.default_rng(7)
PRED, TARGET = RNG.random(ROWS), RNG.random(ROWS)
VALUE = float(np.mean((PRED - TARGET) ** 2))


def contents() -> dict[str, bytes]:
    """Return files of the same rows in several formats, by name."""

    def written(write: Any) -> bytes:
        file = io.BytesIO()
        write(file)
        return file.getvalue()

    table = pl.DataFrame({"pred": PRED, "target": TARGET} | {f"x{i}": RNG.random(ROWS) for i in range(18)})
    narrow = table.select("pred", "target")
    header = {"pred": {"dtype": "F64", "shape": [ROWS], "data_offsets": [0, 8 * ROWS]}}
    header["target"] = {"dtype": "F64", "shape": [ROWS], "data_offsets": [8 * ROWS, 16 * ROWS]}
    text = json.dumps(header).encode()
    csv = written(narrow.write_csv)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("a.csv", csv)
    return {
        "a.csv": csv,
        "a.csv.zip": zipped.getvalue(),
        "a.npz": written(lambda file: np.savez(file, pred=PRED, target=TARGET)),
        "a.parquet": written(lambda file: table.write_parquet(file, row_group_size=100_000)),
        "a.arrow": written(narrow.write_ipc),
        "a.ndjson": written(narrow.write_ndjson),
        "a.safetensors": len(text).to_bytes(8, "little") + text + PRED.tobytes() + TARGET.tobytes(),
        "p.npy": written(lambda file: np.save(file, PRED)),
        "t.npy": written(lambda file: np.save(file, TARGET)),
    }


class Handler(http.server.BaseHTTPRequestHandler):
    """A server whose first folder says how it behaves."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    log: list[tuple[str, str, int]]
    stop: threading.Event

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith(("/storage/v1/b/", "/download/storage/v1/b/")):  # of Google
            self.google(path)
            return
        _, folder, name = path.split("/", 2)
        data = self.files.get(name)
        asked = sum(entry[0] == self.path for entry in self.log)
        if folder == "silent":
            self.stop.wait(10)
        if folder == "changes" and asked > 3:  # shorter after the file has been opened
            data = (data or b"")[:-8]
        statuses = {"denied": 403, "fails": 500}
        password = base64.b64encode(b"me:secret").decode()
        allowed = folder != "private" or self.headers.get("Authorization") == f"Basic {password}"
        if data is None or folder in statuses or not allowed:
            self.head(404 if data is None else statuses.get(folder, 401), {"Content-Length": "0"}, 0)
            return
        self.send(data, folder)

    def send(self, data: bytes, folder: str) -> None:
        asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        headers = {"ETag": f'"{len(data)}"'}
        status, start, stop = 200, 0, len(data)
        if asked and folder not in {"plain", "endless"}:
            status = 206
            start = int(asked[1]) if asked[1] else len(data) - int(asked[2])
            stop = min(stop, int(asked[2]) + 1) if asked[1] and asked[2] else stop
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        if folder == "endless":
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(stop - start)
        self.head(status, headers, stop - start)
        if self.command == "GET":
            body = data[start:stop]
            lost = folder == "lost" and stop - start > 1000
            self.wfile.write(body[: len(body) // 2] if lost else body)
            self.close_connection = self.close_connection or lost or folder == "endless"

    def head(self, status: int, headers: dict[str, str], size: int) -> None:
        self.log.append((self.path, self.command, size if self.command == "GET" else 0))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def google(self, path: str) -> None:
        name = path.partition("/o/")[2]
        if name not in self.files:
            self.head(404, {"Content-Length": "0"}, 0)
        elif path.startswith("/download") or "alt=media" in self.path:
            self.send(self.files[name], "")
        else:
            size = len(self.files[name])
            item = {"kind": "storage#object", "name": name, "bucket": "bucket", "size": str(size), "generation": "1"}
            body = json.dumps(item).encode()
            self.head(200, {"Content-Length": str(len(body)), "Content-Type": "application/json"}, len(body))
            self.wfile.write(body)


@pytest.fixture(scope="module")
def server() -> Iterator[SimpleNamespace]:
    handler = type("Served", (Handler,), {"files": contents(), "log": [], "stop": threading.Event()})
    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    serving.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that leaves is no error
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    address = f"127.0.0.1:{serving.server_address[1]}"
    yield SimpleNamespace(address=address, url=f"http://{address}", files=handler.files, log=handler.log)
    handler.stop.set()
    serving.shutdown()
    serving.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def fresh(server: SimpleNamespace) -> Iterator[None]:
    server.log.clear()
    remote._file_system.cache_clear()
    yield
    remote._file_system.cache_clear()


@pytest.fixture(scope="module")
def bucket(server: SimpleNamespace) -> Iterator[None]:
    """Start an object store with the files in s3://bucket, and set the environment for it."""
    import boto3
    from moto.server import ThreadedMotoServer

    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    host, port = store.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        for name, data in server.files.items():
            client.put_object(Bucket="bucket", Key=name, Body=data)
        for i, part in enumerate(np.array_split(np.c_[PRED, TARGET], 3)):
            text = "pred,target\n" + "".join(f"{p!r},{t!r}\n" for p, t in part.tolist())
            client.put_object(Bucket="bucket", Key=f"shards/part-{i}.csv", Body=text.encode())
        yield
    store.stop()


def run(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    code = main(["compute", "mse", *line.split(), "-q"])
    out, err = capsys.readouterr()
    return code, out, err


INPUTS = [
    *("a.csv", "a.csv.zip", "a.npz", "a.arrow", "a.ndjson", "a.safetensors", "p.npy t.npy"),
    "a.parquet -p pred -t target",
]


def with_base(names: str, base: str) -> str:
    return re.sub(r"\b([apt]\.\S+)", rf"{base}/\1", names)


@pytest.mark.parametrize("names", INPUTS)
def test_every_format_is_read_by_ranges(capsys: Any, server: SimpleNamespace, names: str) -> None:
    code, out, err = run(capsys, with_base(names, f"{server.url}/ranges"))
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(VALUE, rel=1e-14)
    assert all(size <= remote.RANGE for _, _, size in server.log)


def test_of_parquet_only_the_columns_that_are_used_come(capsys: Any, server: SimpleNamespace) -> None:
    assert run(capsys, f"{server.url}/ranges/a.parquet -p pred -t target")[0] == 0
    assert sum(size for _, _, size in server.log) < len(server.files["a.parquet"]) / 5


@pytest.mark.parametrize("names", ["a.csv", "a.ndjson", "p.npy t.npy"])
def test_a_server_without_ranges_sends_a_stream(capsys: Any, server: SimpleNamespace, names: str) -> None:
    code, out, err = run(capsys, with_base(names, f"{server.url}/plain"))
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(VALUE, rel=1e-14)


@pytest.mark.parametrize(
    ("folder", "name", "message"),
    [
        ("ranges", "none.csv", "no such file"),
        ("ranges", "none.parquet", "no such file"),
        ("denied", "a.csv", "access denied: is the address public"),
        ("private", "a.csv", "access denied: is the address public"),
        ("fails", "a.npz", "the server answers with HTTP status 500"),
        ("lost", "a.csv", "the connection was lost"),
        ("lost", "a.npz", "the connection was lost"),
        # polars tries to get the remaining bytes ten times.
        pytest.param("lost", "a.parquet", "the server or the connection fails", marks=pytest.mark.slow),
        ("changes", "a.csv", "changed while it was read"),
        ("changes", "a.npz", "changed while it was read"),
        ("endless", "a.csv", "the server does not say where the file ends: download it first"),
        ("plain", "a.parquet", ".parquet files have their index at the end: save it to a plain file first"),
        ("plain", "a.npz", ".npz files have their index at the end: save it to a plain file first"),
        ("ranges", "a.xlsx", "spreadsheets are not read: save the sheet as CSV"),
        ("ranges", "a", "its name does not tell its format"),
    ],
)
def test_what_goes_wrong_is_one_line(
    capsys: Any, server: SimpleNamespace, folder: str, name: str, message: str
) -> None:
    code, out, err = run(capsys, f"{server.url}/{folder}/{name}")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{server.url}/{folder}/{name.split(maxsplit=1)[0]}: {message}" in err


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://nohost.invalid/a.csv", "https://nohost.invalid/a.csv: no host is called nohost.invalid"),
        ("http://127.0.0.1:1/a.npy", "http://127.0.0.1:1/a.npy: no connection: "),
    ],
)
def test_a_host_that_is_not_there(capsys: Any, url: str, message: str) -> None:
    code, out, err = run(capsys, url)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_silent_server_is_not_waited_for(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, server: SimpleNamespace
) -> None:
    monkeypatch.setattr(remote, "WAIT", 0.05)
    code, out, err = run(capsys, f"{server.url}/silent/a.csv")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no answer within 60 seconds" in err


def test_passwords_and_signatures_are_sent_and_not_shown(capsys: Any, server: SimpleNamespace) -> None:
    assert run(capsys, f"http://me:secret@{server.address}/private/a.csv?signature=secret")[0] == 0
    assert any("signature=secret" in path for path, _, _ in server.log)
    assert main(["compute", "mse", f"http://me:secret@{server.address}/private/a.csv?signature=secret"]) == 0
    assert main(["compute", "mse", f"http://me:secret@{server.address}/private/none.csv?signature=secret"]) == 2
    assert "secret" not in "".join(capsys.readouterr())


def test_another_process_opens_the_address_again(server: SimpleNamespace) -> None:
    file = open_source(f"{server.url}/ranges/p.npy", Options())
    again = pickle.loads(pickle.dumps(file))  # noqa: S301
    assert np.array_equal(again.bind((open_field(),)).reader()(7, 10)[0], PRED[7:10])
    server.files["later.npy"] = server.files["t.npy"]
    pickled = pickle.dumps(open_source(f"{server.url}/ranges/later.npy", Options()))
    server.files["later.npy"] += b"more"
    with pytest.raises(DataError, match="not the file that it was where the run began"):
        pickle.loads(pickled)  # noqa: S301


def open_field() -> Any:
    from lossctl.io.source import Field

    return Field("pred")


@pytest.mark.parametrize("names", ["a.csv", "p.npy t.npy", "a.npz", "a.parquet -p pred -t target"])
@pytest.mark.usefixtures("bucket")
def test_an_object_store_is_read(capsys: Any, names: str) -> None:
    code, out, err = run(capsys, with_base(names, "s3://bucket"))
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(VALUE, rel=1e-14)


@pytest.mark.usefixtures("bucket")
def test_a_pattern_of_an_object_store_is_one_input(capsys: Any) -> None:
    code, out, err = run(capsys, "s3://bucket/shards/part-*.csv")
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(VALUE, rel=1e-14)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("s3://bucket/none.npy", "no such file"),
        ("s3://bucket/none.parquet", "no such file"),
        ("s3://nobucket/a.csv", "no such file"),
        ("s3://bucket/none-*.csv", "no such file, nor one that it matches"),
        ("s3://bucket/shards --input-format csv", "is a folder: name its files, 's3://bucket/shards/*.csv'"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_what_an_object_store_lacks_is_one_line(capsys: Any, names: str, message: str) -> None:
    code, out, err = run(capsys, names)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"{names.split(maxsplit=1)[0]}: {message}" in err


@pytest.mark.usefixtures("bucket")
def test_credentials_that_are_missing_are_named(capsys: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    import fsspec

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    code, out, err = run(capsys, "s3://bucket/a.csv")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    assert (code, out) == (2, "")
    assert err.startswith("lossctl: s3://bucket/a.csv: no credentials: set AWS_PROFILE or AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize("names", ["a.csv", "p.npy t.npy", "none.csv"])
def test_google_cloud_storage_is_read(
    capsys: Any, monkeypatch: pytest.MonkeyPatch, server: SimpleNamespace, names: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
    import fsspec

    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": "anon"})
    code, out, err = run(capsys, with_base(names, "gs://bucket").replace("none", "gs://bucket/none"))
    if names == "none.csv":
        assert (code, out, err) == (2, "", "lossctl: gs://bucket/none.csv: no such file\n")
    else:
        assert (code, err) == (0, "")
        assert float(out) == pytest.approx(VALUE, rel=1e-14)
