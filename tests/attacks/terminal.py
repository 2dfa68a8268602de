"""Attacks on a terminal: text from outside that would move its cursor, change its colours or reverse its text."""

from __future__ import annotations

import json
from pathlib import Path

from attacks.harness import attack, run

from lossctl.render import FORMATS, Style, renderer
from lossctl.report import Column, Report, Table

HOSTILE = "\x1b[31m\x9b\x7f\u202e\u2066\u200b\U000e0001"


@attack("terminal", *(name for name, record in FORMATS.items() if not record.checks_only and name != "value"))
def a_report_on_a_terminal(_: Path, name: str) -> None:
    table = Table("rows", [Column(HOSTILE, "text"), Column("b", "text")], [(HOSTILE, f"a{HOSTILE}")])
    report = Report("test/1", [table], title=HOSTILE, closing=[HOSTILE], facts={"f": [HOSTILE]})
    text = "".join(renderer(name)(report, Style(width=80)))
    assert "".join(text.replace("\t", "").split("\n")).isprintable(), repr(text)


@attack("terminal", "json", "jsonl")
def json_reads_back(_: Path, name: str) -> None:
    report = Report("test/1", [Table("rows", [Column("a", "text")], [(HOSTILE,)])])
    text = "".join(renderer(name)(report, Style()))
    assert "".join(text.split("\n")).isprintable()
    document = json.loads(text)
    assert (document["rows"][0] if name == "json" else document) == {"a": HOSTILE}


@attack("terminal", "compute", "list", "info", "plot")
def a_typed_word(_: Path, command: str) -> None:
    for words in ([HOSTILE], ["mse", f"--{HOSTILE}"], ["mse", "-f", HOSTILE]):
        run(command, *words, *(["p.csv"] if command == "compute" else [])).refused()
