"""Attacks with archives and arrays of others, and on pages, reports of checks and packs that lossctl writes."""

from __future__ import annotations

import io
import os
import pickle
import struct
import xml.etree.ElementTree as ET
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from attacks.harness import attack, run

CSV = b"p,t\n1,2\n3,4\n"
HOSTILE = "</script><script>alert(1)</script>&\"'\x1b[31m\u202e\x07\ufffe]]>"


def archive(*members: tuple[str, bytes]) -> bytes:
    """A zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members:
            zipped.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def changed(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """Change a field of both headers of a member."""
    start = data.find(b"PK\x01\x02") + central
    whole = data[:start] + value + data[start + len(value) :]
    return whole[:local] + value + whole[local + len(value) :]


GOOD = archive(("a.csv", CSV))
ARCHIVES = {
    "no file": (archive(), "it has 0"),
    "two files": (archive(("a\x1b[31m\u202e.csv", CSV), ("b.csv", CSV)), "it has 2"),
    "5000 files": (archive(*((f"{i}.csv", CSV) for i in range(5000))), "it has 5000"),
    "encrypted": (changed(GOOD, 6, 8, b"\1\0"), "encrypted"),
    "method 99": (changed(GOOD, 8, 10, b"\x63\0"), "compression method"),
    "checksum": (changed(GOOD, 14, 16, b"\0\0\0\0"), "Bad CRC"),
    "size": (changed(GOOD, 22, 24, struct.pack("<I", 5)), "Bad CRC"),
    "cut": (GOOD[:-10], "not zip"),
    "no archive": (CSV, "not zip"),
    "empty": (b"", "not zip"),
    "zeros": (archive(("a.csv", b"0" * (64 << 20))), "a record of over 1 MiB"),
}


@attack("errors", *ARCHIVES)
def a_zip_archive_that_is_not_read(folder: Path, name: str) -> None:
    content, cause = ARCHIVES[name]
    (folder / "a.csv.zip").write_bytes(content)
    ended = run("compute", "mse", "a.csv.zip", "-p", "p", "-t", "t")
    ended.refused("a.csv.zip", cause)
    assert len(ended.err) < 400


@attack("left behind", "../../evil.csv", "/tmp/evil.csv", "a\x1b[31m.csv", "__MACOSX/._a.csv")  # noqa: S108
def a_zip_archive_whose_names_do_not_matter(folder: Path, name: str) -> None:
    members = [(name, CSV)] if "MACOSX" not in name else [("a.csv", CSV), (name, b"\0")]
    (folder / "a.csv.zip").write_bytes(archive(*members))
    assert run("compute", "mse", "a.csv.zip", "-p", "p", "-t", "t", "-q").value == 1.0
    assert [path.name for path in folder.iterdir()] == ["a.csv.zip"]
    assert not Path("/tmp/evil.csv").exists()  # noqa: S108


class _Runs:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@attack("code", "a.npy", "a.npz:v", "b.npz:v", "c.npz:v", "d.safetensors:v")
def a_pickle_in_place_of_numbers(folder: Path, name: str) -> None:
    (folder / "p.csv").write_bytes(CSV)
    objects = np.array([_Runs(), _Runs()], object)
    np.save("a.npy", objects, allow_pickle=True)
    np.savez("a.npz", v=objects)
    (folder / "b.npz").write_bytes(archive(("v.npy", pickle.dumps(_Runs()))))
    for other in ("c.npz", "d.safetensors"):
        (folder / other).write_bytes(pickle.dumps(_Runs()))
    words = ("p.csv", "-p", "p", "-t", "t")
    for command in (("verify", "mse", *words, "--value"), ("gradcheck", "mse", *words, "--grad")):
        run(*command, name).refused(name.partition(":")[0])
    (folder / "net.py").write_text("def loss(v):\n    return (v**2).sum(), {'v': 2 * v}\n")
    run("gradcheck", "net.py:loss", "--at", name.partition(":")[0]).refused(name.partition(":")[0])
    assert not (folder / "ran").exists()


ARRAYS: dict[str, tuple[np.ndarray, str]] = {
    "text": (np.array(["a"]), "only numbers"),
    "complex": (np.array([1j]), "real and imaginary part"),
    "nan": (np.array([1.0, np.nan]), "v[1] is nan"),
    "none": (np.zeros((0, 3)), "no array of floats"),
    "integers": (np.arange(3), "no array of floats"),
}


@attack("errors", *ARRAYS)
def parameters_that_are_none(folder: Path, name: str) -> None:
    array, cause = ARRAYS[name]
    np.savez("p.npz", v=array)
    (folder / "net.py").write_text("def loss(v):\n    return (v**2).sum(), {'v': 2 * v}\n")
    run("gradcheck", "net.py:loss", "--at", "p.npz").refused(cause)


@attack("terminal")
def names_of_parameters(folder: Path) -> None:
    np.savez("p.npz", **{HOSTILE: np.ones(2), "W\x1b[31m": np.ones(3)})
    (folder / "net.py").write_text(
        "def loss(**p):\n    return float(sum((v**2).sum() for v in p.values())), {k: v for k, v in p.items()}\n"
    )
    for form in ("table", "json", "markdown", "html", "junit", "github"):
        ended = run("gradcheck", "net.py:loss", "--at", "p.npz", "-f", form)
        assert ended.code == 1, ended
        assert "".join((ended.out + ended.err).split("\n")).isprintable(), (form, ended)


def hostile_table(folder: Path) -> tuple[str, ...]:
    """Write a table whose names and texts are hostile; return the arguments."""
    quoted = '"' + HOSTILE.replace('"', '""') + '{}"'
    rows = "".join(f"{i},{i + 2 * (i % 2)},{quoted.format('')}\n" for i in range(8))
    (folder / "h.csv").write_text(f"{quoted.format('p')},{quoted.format('t')},{quoted.format('g')}\n{rows}")
    return "h.csv", "-p", "@1", "-t", "@2"


class _Page(HTMLParser):
    """The elements of a page, and the texts of its scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.scripts += tag == "script"
        assert not any(name.startswith("on") for name, _ in attrs)


@attack("terminal", "compute", "breakdown", "breakdown --by @3", "breakdown --columns @3", "compare -p @2", "plot")
def a_page_of_hostile_names(folder: Path, command: str) -> None:
    name, *options = command.split()
    ended = run(name, "mse", *hostile_table(folder), *options, "-f", "html")
    assert ended.code == 0, ended
    assert "".join(ended.out.split("\n")).isprintable()
    page = _Page()
    page.feed(ended.out)
    assert page.scripts <= 1  # ours
    assert "<script>alert" not in ended.out


@attack("terminal", "gradcheck --grad @2", "compute --fail-above 1", "compare -p @2 --fail-if-worse")
def a_report_of_checks_of_hostile_names(folder: Path, command: str) -> None:
    name, *options = command.split()
    words = (name, "mse", *options, *hostile_table(folder))
    report = run(*words, "-f", "junit")
    assert report.code == 1, report
    assert "".join(report.out.split("\n")).isprintable()
    assert ET.fromstring(report.out.encode()).get("failures") == "1"
    annotations = run(*words, "-f", "github").out
    assert "".join(annotations.split("\n")).isprintable()
    assert sum(line.startswith("::") for line in annotations.split("\n")) == 1


@attack("left behind", "no/x.json", "x.nonsense", "p.csv", "/dev/full", "", "x.csv", "x" * 300 + ".json")
def the_last_of_several_outputs(folder: Path, last: str) -> None:
    """If it cannot be written, stdout is empty; if that is known before the run, there is no file either."""
    (folder / "p.csv").write_bytes(CSV)
    outputs = ("-o", "x.csv", "-o", "-", "-o", last)
    run("compute", "mse", "p.csv", "-p", "p", "-t", "t", *outputs).refused("-o ")
    known = {"p.csv"} if last != "/dev/full" and len(last) < 255 else {"p.csv", "x.csv"}
    assert {path.name for path in folder.iterdir()} == known


@attack("exit codes", "1e400", "1" + "0" * 400, "abc", "")
def a_value_to_verify_that_is_no_number(folder: Path, value: str) -> None:
    (folder / "p.csv").write_bytes(CSV)
    run("verify", "mse", "p.csv", "-p", "p", "-t", "t", "--value", value, "--reduction", "mean").refused("--value '")


@attack("exit codes")
def a_value_of_few_digits_that_is_wrong(folder: Path) -> None:
    """The digits that a file is written with explain no error beyond them."""
    (folder / "p.csv").write_text("p,t,v\n0.5,1.0,1.0\n0.25,0.0,3.0\n0.75,1.0,2.0\n")
    assert run("verify", "mse", "p.csv", "-p", "p", "-t", "t", "--value", "v").code == 1


@attack("left behind", "p.csv", "full", "no/x", "-", "")
def a_pack_that_has_no_place(folder: Path, out: str) -> None:
    (folder / "p.csv").write_bytes(CSV)
    (folder / "full").mkdir()
    (folder / "full" / "a").touch()
    run("verify", "--golden", "mse", "-o", out).refused()
    assert {path.name for path in folder.iterdir()} == {"p.csv", "full"}
