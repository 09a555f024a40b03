"""One file as nodes that remember where they stand, with the faults found in it.

Owns the nodes, the collecting of faults, and the way from a character of a text to its place in the file. How bytes
become nodes is `yamlfile`; what the keys mean is for those who read them. A part that was refused is a `Broken` node,
on which readers keep silent: one fault, one diagnostic.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from imd.config.diagnostic import Diagnostic, Severity, Span, excerpt

FAULTS_MAX = 1000

_SECRET_VALUE = re.compile(
    r"""((?<![\w-])(?!external_url)[\w-]*(?:sec|tok|url|key|pass)[\w-]*(?<!_file)["']?\s*:\s+)"""
    r"""((?!\$\{\w+\}\s*$|[\[{]\s*(?:$|\{)|[|>])(?:"[^"]*"?|'[^']*'?|\[[^\]]*\]?|[^\s,}][^,}]*))""",
    re.IGNORECASE,
)
_MASKED_CHARS_MAX = 500

Value = str | int | float | bool | None


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """`text` is the text as YAML reads it, `value` what YAML 1.2 core makes of it (quoted: the text itself).
    `style` is libyaml's: "" plain, ' " | >."""

    text: str
    value: Value
    style: str
    span: Span


class Sequence(msgspec.Struct, frozen=True):
    items: list[Node]
    span: Span


class Entry(msgspec.Struct, frozen=True):
    key: Scalar
    value: Node


class Mapping(msgspec.Struct, frozen=True):
    """`entries` by the key's text, in the file's order; of two equal keys the first."""

    entries: dict[str, Entry]
    span: Span


class Broken(msgspec.Struct, frozen=True):
    """Stands where something was refused and reported already."""

    span: Span


Node = Scalar | Sequence | Mapping | Broken


class Document(msgspec.Struct):
    """One file: its name for people, its lines, its root (None: empty, or unreadable) and the faults found so far.

    `whole` is False where the file could not be read as YAML, or not all of it, so that what it defines is unknown.
    `failed`: there is an error, whether or not it still found room among the faults.
    """

    path: str
    lines: list[str]
    root: Node | None = None
    whole: bool = True
    faults: list[Diagnostic] = []
    failed: bool = False
    secrets: bool = False

    def fault(self, code: str, span: Span, message: str, *, expected: str = "", help: str = "") -> None:  # noqa: A002
        """Adds an error at `span`."""
        self.failed = True
        self._add(Severity.ERROR, code, span, message, expected, help)

    def lint(self, code: str, span: Span, message: str, *, expected: str = "", help: str = "") -> None:  # noqa: A002
        """Adds a warning at `span`."""
        self._add(Severity.WARNING, code, span, message, expected, help)

    def hide(self, span: Span) -> None:
        """Masks a secret in the lines that later faults show. Columns stay."""
        for line in range(span.line, min(span.end_line, len(self.lines)) + 1):
            start = span.column - 1 if line == span.line else 0
            end = span.end_column - 1 if line == span.end_line else len(self.lines[line - 1])
            source = self.lines[line - 1]
            self.lines[line - 1] = source[:start] + re.sub(r"\S", "*", source[start:end]) + source[end:]

    @property
    def full(self) -> bool:
        """FAULTS_MAX is reached: what else is wrong is not said."""
        return len(self.faults) >= FAULTS_MAX

    def _add(self, severity: Severity, code: str, span: Span, message: str, expected: str, hint: str) -> None:
        if self.full:
            return
        source = self.lines[span.line - 1] if 0 < span.line <= len(self.lines) else ""
        end = span.end_column if span.end_line == span.line else len(source.rstrip()) + 1
        shown, caret = excerpt(_masked(source) if self.secrets else source, span.column - 1)
        self.faults.append(
            Diagnostic(
                path=self.path,
                line=span.line,
                column=span.column,
                severity=severity,
                code=code,
                message=message,
                source=shown,
                caret=caret,
                width=max(1, min(end - span.column, len(shown) - caret)),
                expected=expected,
                help=hint,
            )
        )


@lru_cache(maxsize=64)
def _masked(source: str) -> str:
    """A file that does not even parse still shows no secret: values under keys that sound like one are starred out."""
    if len(source) > _MASKED_CHARS_MAX:
        return ""  # a window of it could have lost the key that says what the value is
    first = _SECRET_VALUE.search(source)
    if first is not None and not {"{", "["} & set(source[: first.start()]):
        return source[: first.start(2)] + "*" * (
            len(source) - first.start(2)
        )  # no bracket: it goes on to the line's end
    return _SECRET_VALUE.sub(lambda found: found[1] + "*" * len(found[2]), source)


def point_in(document: Document, scalar: Scalar, offset: int) -> Span:
    """The place of character `offset` of a scalar's text; the scalar's own span where it runs over several lines."""
    span = scalar.span
    if scalar.style == "|":
        return _point_in_block(document, scalar, offset)
    if span.line != span.end_line or scalar.style == ">":
        return span
    column, quoted = span.column, scalar.style in ("'", '"')
    source = document.lines[span.line - 1]
    position = column - 1 + quoted
    for _ in range(offset):
        position += _source_width(source, position, scalar.style)
    last = span.end_column - quoted
    position = min(position + 1, max(last, span.column))
    return Span(span.line, position, span.line, max(last, position + 1))


def _source_width(source: str, position: int, style: str) -> int:
    """How many characters of the file stand for the one character of text at `position`."""
    if style == "'" and source.startswith("''", position):
        return 2
    if style == '"' and source.startswith("\\", position):
        return {"x": 4, "u": 6, "U": 10}.get(source[position + 1 : position + 2], 2)
    return 1


def _point_in_block(document: Document, scalar: Scalar, offset: int) -> Span:
    before = scalar.text[:offset]
    line = scalar.span.line + 1 + before.count("\n")
    source = document.lines[line - 1] if line <= len(document.lines) else ""
    text = scalar.text[before.rfind("\n") + 1 :].partition("\n")[0]
    # The block's indentation: what the line has beyond the blanks that are part of the text.
    indent = _blanks(source) - _blanks(text)
    column = indent + 1 + len(before) - (before.rfind("\n") + 1)
    return Span(line, column, line, max(column + 1, len(source.rstrip()) + 1))


def _blanks(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
