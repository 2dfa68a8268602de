"""Test reports of gradient checks and limits: JUnit XML, and the annotations of GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from lossctl.errors import counted, printable
from lossctl.render import Style
from lossctl.report import Check, Report


def junit(report: Report, style: Style) -> Iterator[str]:
    r"""Yield JUnit XML: one suite with a test case per check, as pytest --junitxml writes it.

    Characters that are not printable, some of which XML 1.0 forbids, are escaped as ``\x1b``. Those beyond ASCII are
    character references, so that the encoding of the terminal does not matter.
    """
    command = report.schema.partition("/")[0]
    counts = {"tests": str(len(report.checks)), "failures": str(_failed(report)), "errors": "0"}
    suites = ET.Element("testsuites", {"name": "lossctl", **counts})
    suite = ET.SubElement(suites, "testsuite", {"name": command, **counts, "skipped": "0"})
    for check in report.checks:
        place = {"file": printable(check.place[0]), "line": str(check.place[1])} if check.place else {}
        case = ET.SubElement(suite, "testcase", {"classname": command, "name": printable(check.name), **place})
        if check.failure:
            failure = ET.SubElement(case, "failure", {"message": printable(check.failure)})
            failure.text = _text(check)
    ET.indent(suites)
    yield '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(suites, encoding="us-ascii").decode() + "\n"


def github(report: Report, style: Style) -> Iterator[str]:
    """Yield a workflow command ``::error file=…,line=…,title=…::`` per failed check, and the number of checks."""
    command = report.schema.partition("/")[0]
    for check in report.checks:
        if not check.failure:
            continue
        properties = {"title": f"{command}: {printable(check.name)}"}
        if check.place:
            # Absolute, as ruff prints it: a relative path would be relative to the root of the repository.
            properties = {"file": printable(os.path.abspath(check.place[0])), "line": str(check.place[1])} | properties
        text = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in properties.items())
        yield f"::error {text}::{_escaped(_text(check))}\n"
    yield f"{counted(len(report.checks), 'check')}, {_failed(report)} failed\n"


def _failed(report: Report) -> int:
    return sum(bool(check.failure) for check in report.checks)


def _text(check: Check) -> str:
    """Return the failure of a check with its details, and its place, in lines of printable characters."""
    place = [f"{check.place[0]}:{check.place[1]}"] if check.place else []
    return "\n".join(map(printable, (check.failure, *check.details, *place)))


def _escaped(text: str, more: str = "") -> str:
    """Escape the characters that end a workflow command, and those in ``more``, as actions/toolkit does."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + more else c for c in text)
