"""One file as nodes that remember where they stand, with the faults found in it.

Owns the nodes and the collecting of faults. How bytes become nodes is `yamlfile`, where a character of a text stands
in the file `places`; what the keys mean is for those who read them. A part that was refused is a `Broken` node, on
which readers keep silent: one fault, one diagnostic.
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
    `roots` are those of all documents in it, where there may be several.

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
    roots: list[Node] = []

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
        if self.lines and span.line > len(self.lines):  # libyaml's next line, where the last has no end
            column = len(self.lines[-1]) + 1
            span = Span(len(self.lines), column, len(self.lines), column + 1)
        source = self.lines[span.line - 1] if 0 < span.line <= len(self.lines) else ""
        end = span.end_column if span.end_line == span.line else len(source.rstrip()) + 1
        shown, caret = excerpt(_masked(source) if self.secrets else source, span.column - 1)
        self.faults.append(
            Diagnostic(
                path=self.path,
                line=span.line,
                column=span.column,
                end_column=max(span.column + 1, end),
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
