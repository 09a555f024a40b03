"""Comments that take a warning as meant: `# imd: allow W056`, on its line or on a line of its own above.

Owns finding them and what they take away. Errors are never taken away, and a comment that allows nothing is a warning
itself: it would hide the next one that comes.
"""

from __future__ import annotations

import re

from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity, Span
from imd.config.document import Document, Mapping, Node, Scalar, Sequence
from imd.config.wording import quote, suggest

_BEGINS = re.compile(r"(?:^|(?<=[ \t]))#")
_ALLOW = re.compile(r"#[ \t]*imd:[ \t]*allow\b[ \t]*")
_CODE = re.compile(r"([A-Za-z]+[0-9]+)[ \t]*,?[ \t]*")


class _Allowed:
    """One code in one comment. `line` is the one of which it speaks."""

    def __init__(self, code: str, line: int, at: Span) -> None:
        self.code, self.line, self.at = code, line, at
        self.used = False


def allow(document: Document, complete: bool) -> list[Diagnostic]:
    """Takes the warnings that are meant out of the document's faults and returns them.

    `complete`: every lint was looked for, so that a comment without one allows nothing.
    """
    given = _comments(document)
    if not given:
        return []
    taken: list[Diagnostic] = []
    left: list[Diagnostic] = []
    for fault in document.faults:
        by = [one for one in given if (one.code, one.line) == (fault.code, fault.line)]
        meant = bool(by) and fault.severity is Severity.WARNING
        (taken if meant else left).append(fault)
        for one in by if meant else ():
            one.used = True
    document.faults[:] = left
    for one in given:
        _judge(document, one, complete)
    return taken


def _judge(document: Document, one: _Allowed, complete: bool) -> None:
    if one.code not in codes.TITLES or not one.code.startswith("W"):
        warnings = [code for code in codes.TITLES if code.startswith("W")]
        known = one.code in codes.TITLES
        said = f"{one.code} is an error, which cannot be allowed" if known else f"there is no {quote(one.code)}"
        document.lint(
            codes.ALLOWS_NOTHING, one.at, said, help="mend it" if known else suggest(one.code.upper(), warnings)
        )
    elif complete and not one.used:
        said = f"nothing to allow: line {one.line} has no {one.code}"
        document.lint(codes.ALLOWS_NOTHING, one.at, said, help="take the comment away, or move it to the line it means")


def _comments(document: Document) -> list[_Allowed]:
    found: list[_Allowed] = []
    texts: dict[int, list[Span]] | None = None
    for number, line in enumerate(document.lines, 1):
        if "imd:" not in line:
            continue
        texts = _by_line(document.root) if texts is None else texts
        here = texts.get(number, [])
        begins = next((at.start() for at in _BEGINS.finditer(line) if not _inside(number, at.start() + 1, here)), None)
        comment = _ALLOW.match(line, begins) if begins is not None else None
        if begins is None or comment is None:
            continue
        speaks_of = number if line[:begins].strip() else _next_line(document, number)
        position = comment.end()
        while code := _CODE.match(line, position):
            column = position + 1
            found.append(_Allowed(code[1], speaks_of, Span(number, column, number, column + len(code[1]))))
            position = code.end()
    return found


def _next_line(document: Document, number: int) -> int:
    """The first one below that is more than blanks and a comment."""
    for below in range(number + 1, len(document.lines) + 1):
        text = document.lines[below - 1].strip()
        if text and not text.startswith("#"):
            return below
    return number


def _by_line(root: Node | None) -> dict[int, list[Span]]:
    """The texts that each line holds some of."""
    found: dict[int, list[Span]] = {}
    for span in _texts(root):
        for line in range(span.line, span.end_line + 1):
            found.setdefault(line, []).append(span)
    return found


def _texts(node: Node | None) -> list[Span]:
    """The places of all scalars, in which a comment is none."""
    match node:
        case Scalar():
            return [node.span]
        case Mapping():
            return [span for entry in node.entries.values() for span in (*_texts(entry.key), *_texts(entry.value))]
        case Sequence():
            return [span for item in node.items for span in _texts(item)]
        case _:
            return []


def _inside(line: int, column: int, texts: list[Span]) -> bool:
    return any((span.line, span.column) <= (line, column) < (span.end_line, span.end_column) for span in texts)
