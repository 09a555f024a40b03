"""The outcome of tests as JUnit XML, which CI servers show beside a merge request.

Owns the shape: a suite for each file, a case for each test. The format has no standard; this is the part that Jenkins,
GitLab and GitHub's reporters agree on (GitLab docs, "Unit test reports", read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml  # writes; nothing is parsed

import msgspec


class Case(msgspec.Struct, frozen=True):
    """One test. `failure` and `error` are texts, the first line of which is the message; at most one is given."""

    path: str
    line: int
    name: str
    seconds: float
    failure: str = ""
    error: str = ""


def write(file: Path, cases: Sequence[Case]) -> None:
    """Raises OSError."""
    root = Xml.Element("testsuites", _totals(cases) | {"name": "imd test"})
    for path in dict.fromkeys(case.path for case in cases):
        own = [case for case in cases if case.path == path]
        suite = Xml.SubElement(root, "testsuite", _totals(own) | {"name": _printable(path)})
        for case in own:
            _case(suite, case)
    tree = Xml.ElementTree(root)
    Xml.indent(tree)
    tree.write(file, encoding="utf-8", xml_declaration=True)


def _totals(cases: Iterable[Case]) -> dict[str, str]:
    cases = list(cases)
    return {
        "tests": str(len(cases)),
        "failures": str(sum(bool(case.failure) for case in cases)),
        "errors": str(sum(bool(case.error) for case in cases)),
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }


def _case(suite: Xml.Element, case: Case) -> None:
    place = {"classname": _printable(case.path), "file": _printable(case.path), "line": str(case.line)}
    one = Xml.SubElement(suite, "testcase", {"name": _printable(case.name), **place, "time": f"{case.seconds:.3f}"})
    for tag, text in (("failure", case.failure), ("error", case.error)):
        if text:
            found = Xml.SubElement(one, tag, {"message": _printable(text.partition("\n")[0])})
            found.text = _printable(text)


def _printable(text: str) -> str:
    """XML 1.0 knows no other control characters than these three, escaped or not."""
    return "".join(
        char if char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff") else "\ufffd" for char in text
    )
