"""One fault or lint of a file: where, what was found, what was expected, how to mend it.

Owns the words' frame and the rendering (style: file:line:col, source line, carets). Knows nothing of YAML or rules.
"""

from __future__ import annotations

import enum
import re
import unicodedata

import msgspec

_SOURCE_CHARS_MAX = 160
# Whatever a terminal would obey, and marks of direction, under which a line looks other than it is.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_BOLD, _RED, _YELLOW, _CYAN, _RESET = "\033[1m", "\033[31m", "\033[33m", "\033[36m", "\033[0m"


class Severity(enum.StrEnum):
    """ERROR: nothing is loaded. WARNING: a lint; it stops nothing."""

    ERROR = "error"
    WARNING = "warning"


class Span(msgspec.Struct, frozen=True):
    """A stretch of one file; lines and columns count characters from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    def first(self) -> Span:
        """Its first character alone."""
        return Span(self.line, self.column, self.line, self.column + 1)


class Diagnostic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding. `source` is the line it speaks of (a window of it where it is very long), of which the carets cover
    `width` characters from `caret`, counted from 0. `end_column` is behind the last character, on the same line.

    Ordered by path, line, column, code.
    """

    path: str
    line: int
    column: int
    end_column: int
    severity: Severity
    code: str
    message: str
    source: str = ""
    caret: int = 0
    width: int = 1
    expected: str = ""
    help: str = ""

    @property
    def order(self) -> tuple[str, int, int, str, str]:
        return (self.path, self.line, self.column, self.code, self.message)

    def headline(self) -> str:
        """`file:line:col: error[R003]: …`, one line."""
        return _clean(f"{self.path}:{self.line}:{self.column}: {self.severity}[{self.code}]: {self.message}")

    def render(self, color: bool = False) -> str:
        """The finding as people read it, no newline at the end. `color` adds ANSI colours."""
        lines = [self._colored_headline() if color else self.headline()]
        if self.source.strip():
            lines += self._excerpt(color)
        elif self.expected:
            lines.append(f"  {_clean(self.expected)}")
        if self.help:
            lines.append(f"  {_CYAN}help:{_RESET} {_clean(self.help)}" if color else f"  help: {_clean(self.help)}")
        return "\n".join(lines)

    def _excerpt(self, color: bool) -> list[str]:
        source = _clean(self.source)
        before, marked = source[: self.caret], source[self.caret : self.caret + self.width]
        # Tabs are repeated under tabs, so the carets stand right whatever the terminal makes of them.
        padding = "".join("\t" if char == "\t" else " " * _columns(char) for char in before)
        carets = "^" * max(1, sum(_columns(char) for char in marked))
        if color:
            carets = f"{self._tint}{carets}{_RESET}"
        gutter = str(self.line)
        under = f"  {' ' * len(gutter)} | {padding}{carets} {_clean(self.expected)}".rstrip()
        return [f"  {gutter} | {source}", under]

    @property
    def _tint(self) -> str:
        return _RED if self.severity is Severity.ERROR else _YELLOW

    def _colored_headline(self) -> str:
        place = _clean(f"{self.path}:{self.line}:{self.column}:")
        return (
            f"{_BOLD}{place}{_RESET} {self._tint}{_BOLD}{self.severity}[{self.code}]{_RESET}{_BOLD}: "
            f"{_clean(self.message)}{_RESET}"
        )


def excerpt(source: str, at: int) -> tuple[str, int]:
    """The line, or a window of a very long one that holds character `at`, and where in it `at` then is."""
    if len(source) <= _SOURCE_CHARS_MAX:
        return source, min(at, len(source))
    start = max(0, at - _SOURCE_CHARS_MAX // 2)
    return source[start : start + _SOURCE_CHARS_MAX], at - start


def _clean(text: str) -> str:
    """Control characters of a file must not reach a terminal. As long as before."""
    return _CONTROL.sub("\ufffd", text).replace("\n", " ")


def _columns(char: str) -> int:
    """How many columns a terminal gives the character: CJK and most emoji take two; accents, joiners and selectors that
    change the character before them none."""
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
