"""How `imd check` prints what it found: for people, and in the three forms that programs take.

Owns the shapes of json, SARIF 2.1.0 (OASIS, 2020-03-27, read 2026-11-22) and GitHub's workflow commands (its docs,
"Workflow commands for GitHub Actions", read 2026-11-22). What is found, and where, is `config`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import PurePath
from urllib.parse import quote

import msgspec

from imd import __version__
from imd.cli.screen import Screen, clean
from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity
from imd.config.load import Examined

REFERENCE = "docs/errors.md"
"""Where each code has a section, in the repository and in the source distribution."""

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def count(found: Examined, severity: Severity) -> int:
    return sum(one.severity is severity for one in found.diagnostics)


def url(code: str) -> str:
    """The section of a code: the anchor that GitHub, GitLab and most others make of a heading."""
    heading = f"{code}: {codes.TITLES[code]}".lower()
    return f"{REFERENCE}#{re.sub(r'[^a-z0-9 _-]', '', heading).replace(' ', '-')}"


# Text.


def as_text(found: Examined, screen: Screen) -> None:
    """One after the other, and how many there are."""
    for diagnostic in found.diagnostics:
        print(diagnostic.render(color=screen.colour), file=screen.out)
    screen.line(_summary(found))


def _summary(found: Examined) -> str:
    said = f"{_count(count(found, Severity.ERROR), 'error')}, {_count(count(found, Severity.WARNING), 'warning')}"
    return f"{said}, {len(found.allowed)} allowed" if found.allowed else said


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


# JSON.


class _Row(msgspec.Struct, omit_defaults=True):
    """Columns count characters from 1; `end_column` is behind the last one, on the same line."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    end_column: int
    message: str
    url: str
    expected: str = ""
    help: str = ""
    source: str = ""
    allowed: bool = False


class _Rows(msgspec.Struct):
    errors: int
    warnings: int
    diagnostics: list[_Row]


def as_json(found: Examined, screen: Screen) -> None:
    """One object, allowed warnings among the rest, in order."""
    rows = [(one, False) for one in found.diagnostics] + [(one, True) for one in found.allowed]
    rows.sort(key=lambda row: row[0].order)
    said = _Rows(
        count(found, Severity.ERROR), count(found, Severity.WARNING), [_row(one, allowed) for one, allowed in rows]
    )
    print(msgspec.json.encode(said).decode(), file=screen.out)


def _row(one: Diagnostic, allowed: bool) -> _Row:
    return _Row(
        code=one.code,
        severity=one.severity,
        file=one.path,
        line=one.line,
        column=one.column,
        end_column=one.end_column,
        message=one.message,
        url=url(one.code),
        expected=one.expected,
        help=one.help,
        source=one.source,
        allowed=allowed,
    )


# GitHub.


def as_github(found: Examined, screen: Screen) -> None:
    """A workflow command for each, which GitHub shows beside the line; the sum of them is plain text."""
    for one in found.diagnostics:
        place = {
            "file": one.path,
            "line": one.line,
            "endLine": one.line,
            "col": one.column,
            "endColumn": one.end_column,
        }
        place["title"] = f"{one.code}: {codes.TITLES[one.code]}"
        properties = ",".join(f"{name}={_escaped(str(value), _PROPERTY)}" for name, value in place.items())
        print(f"::{one.severity} {properties}::{_escaped(_sentences(one), _DATA)}", file=screen.out)
    screen.line(_summary(found))


_DATA = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_PROPERTY = {**_DATA, ":": "%3A", ",": "%2C"}


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(char) or clean(char) for char in text)


def _sentences(one: Diagnostic) -> str:
    """Message, what was expected and help, a line each."""
    return "\n".join(clean(text) for text in (one.message, one.expected, one.help) if text)


# SARIF.


def as_sarif(found: Examined, screen: Screen) -> None:
    """One run; allowed warnings are results that are suppressed in the source."""
    every = [*found.diagnostics, *found.allowed]
    order = sorted({one.code for one in every})
    log = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "imd", "version": __version__, "rules": [_rule(code) for code in order]}},
                "invocations": [{"executionSuccessful": True}],
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"ROOT": {"description": {"text": "The folder in which imd check ran."}}},
                "results": [
                    _result(one, order.index(one.code), allowed=number >= len(found.diagnostics))
                    for number, one in enumerate(every)
                ],
            }
        ],
    }
    print(msgspec.json.encode(log).decode(), file=screen.out)


def _rule(code: str) -> dict[str, object]:
    return {
        "id": code,
        "shortDescription": {"text": codes.TITLES[code]},
        "help": {"text": f"See {url(code)}."},
        "defaultConfiguration": {"level": "warning" if code.startswith("W") else "error"},
    }


def _result(one: Diagnostic, index: int, allowed: bool) -> dict[str, object]:
    region: dict[str, object] = {"startLine": one.line, "startColumn": one.column, "endColumn": one.end_column}
    if one.source:
        region["snippet"] = {"text": one.source}
    result: dict[str, object] = {
        "ruleId": one.code,
        "ruleIndex": index,
        "level": str(one.severity),
        "message": {"text": _sentences(one)},
        "locations": [{"physicalLocation": {"artifactLocation": _artifact(one.path), "region": region}}],
    }
    if allowed:
        result["suppressions"] = [{"kind": "inSource"}]
    return result


def _artifact(path: str) -> dict[str, object]:
    """A relative path is one from where the command ran; an absolute one is a file URL."""
    pure = PurePath(path)
    if pure.is_absolute():
        return {"uri": pure.as_uri()}
    return {"uri": quote(pure.as_posix()), "uriBaseId": "ROOT"}


FORMATS: dict[str, Callable[[Examined, Screen], None]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "sarif": as_sarif,
}
