"""Attacks with files: what is in them, how they are named and how their bytes arrive."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import polars as pl
from attacks.harness import attack, run


@attack("rows")
def a_quote_in_a_string_of_json_lines(folder: Path) -> None:
    rows = 200_000
    (folder / "p.jsonl").write_text('{"s": "a\\"b", "p": 1, "t": 0}\n' + '{"s": "", "p": 1, "t": 0}\n' * (rows - 1))
    assert run("compute", "mse", "p.jsonl", "-p", "p", "-t", "t", "-q").value == 1.0
    told = run("compute", "mse", "p.jsonl", "-p", "p", "-t", "t", "-f", "csv")
    assert str(rows) in told.out, told


@attack("errors", "(True, True)", "(True,)", "(3, True)")
def an_npy_shape_of_booleans(folder: Path, shape: str) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    (folder / "p.npy").write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header.encode() + bytes(24))
    run("compute", "mse", "p.npy", "p.npy").refused("p.npy: not a readable NPY file: ", "True")


@attack("errors")
def lists_of_length_0_in_parquet(folder: Path) -> None:
    pl.DataFrame({"p": [[], []], "t": [0.0, 1.0]}, schema={"p": pl.List(pl.Float64), "t": pl.Float64}).write_parquet(
        "p.parquet"
    )
    run("compute", "mse", "p.parquet", "-p", "p", "-t", "t").refused("p.parquet: column 'p': ", "no numbers")


@attack("rows", "parquet", "arrow")
def a_column_named_like_a_regular_expression(folder: Path, form: str) -> None:
    frame = pl.DataFrame({"^b$": [1.0, 2.0], "b": [7.0, 7.0], "*": [1.0, 4.0]})
    (frame.write_parquet if form == "parquet" else frame.write_ipc)(f"p.{form}")
    assert run("compute", "mse", f"p.{form}", "-p", "^b$", "-t", "@3", "-q").value == 2.0


@attack("errors")
def a_folder_called_npy_with_files_of_two_formats(folder: Path) -> None:
    (folder / "x.npy").mkdir()
    (folder / "x.npy" / "a.csv").write_text("1\n2\n")
    np.save(folder / "x.npy" / "b.npy", np.arange(2.0))
    run("compute", "mse", "x.npy", "x.npy/a.csv").refused("x.npy: files of several formats: ", "a.csv", "b.npy")


@attack("errors")
def a_shard_that_is_a_fifo(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "a.csv").write_text("1\n2\n")
    os.mkfifo(folder / "d" / "b.csv")
    (folder / "t.csv").write_text("1\n2\n")
    run("compute", "mse", "d", "t.csv").refused("d/b.csv: is a pipe")


@attack("rows", "_a.csv", ".a.csv", "._a.csv.gz")
def a_hidden_data_file_in_a_folder(folder: Path, name: str) -> None:
    (folder / "d").mkdir()
    for one in ("b.csv", name):
        (folder / "d" / one).write_text("1\n2\n")
    run("compute", "mse", "d", "d/b.csv").refused("d: ", name, "[!_]*.csv")


@attack("rows")
def a_marker_file_in_a_folder_is_no_shard(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d" / "b.csv").write_text("1\n2\n")
    (folder / "d" / "_SUCCESS").write_text("")
    (folder / "d" / ".b.csv.crc").write_text("")
    assert run("compute", "mse", "d", "d/b.csv", "-q").value == 0.0


@attack("rows")
def shards_whose_numbers_are_off_by_one(folder: Path) -> None:
    for name, first in (("p", 0), ("t", 1)):
        (folder / name).mkdir()
        for i in range(first, first + 3):
            (folder / name / f"shard-{i:02}.csv").write_text("1\n2\n")
    run("compute", "mse", "p", "t").refused("shard-00.csv", "shard-01.csv")


@attack("rows", 10, 400_000, slow=True)
def a_key_that_is_twice_in_a_json_object(folder: Path, rows: int) -> None:
    (folder / "p.ndjson").write_text('{"p": 1, "t": 1}\n' * rows + '{"p": 1, "p": 3, "t": 1}\n' + '{"p": 1, "t": 1}\n')
    run("compute", "mse", "p.ndjson", "-p", "p", "-t", "t").refused(f"p.ndjson:{rows + 1}: ", "'p' is there twice")


@attack("rows", "ndjson", "csv", slow=True)
def minus_zero_in_large_text(folder: Path, form: str) -> None:
    """A reader for large files reads -0 as -0.0, as the reader for small files does."""
    row = '{"p": -0, "t": 1}\n' if form == "ndjson" else "-0,1\n"
    heading = "" if form == "ndjson" else "p,t\n"
    for name, rows in (("small", 10), ("large", 4_500_000 // len(row))):
        (folder / f"{name}.{form}").write_text(heading + row * rows)
        np.save(f"{name}.npy", np.full(rows, 1.0))
        user = "import numpy as np\ndef signs(pred, target):\n    return np.signbit(pred) * 1.0\n"
        (folder / "my.py").write_text(user)
        assert run("compute", "my.py:signs", f"{name}.{form}", "-p", "p", "-t", "t", "-q").value == 1.0


@attack("errors", "1" + "0" * 400, "-1" + "0" * 30)
def an_ignored_label_beyond_every_double(folder: Path, index: str) -> None:
    np.save("p.npy", np.eye(3))
    np.save("t.npy", np.arange(3))
    run("compute", "sparse_softmax_cross_entropy", "p.npy", "t.npy", "--ignore-index", index).refused("--ignore-index")


@attack("rows")
def npy_that_arrives_byte_by_byte(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3.0))
    np.save("t.npy", np.arange(3.0) + 1)
    assert run("compute", "mse", "-", "t.npy", "--input-format", "npy", "-q", stdin=buffer.getvalue()).value == 1.0
