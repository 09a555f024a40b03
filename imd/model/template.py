"""Text templates that operators write: Jinja in a sandbox, with caps.

Owns compiling and rendering under bounds. A template cannot read files, call Python or grow without end; when it fails
at run time the caller falls back to built-in text, so a broken template never holds up a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from traceback import extract_tb

from jinja2 import TemplateError, TemplateSyntaxError

from imd.model.metering import ENVIRONMENT, TOO_DEEP, Escape, compiled, metered

SOURCE_CHARS_MAX = 16_384
OUTPUT_CHARS_MAX = 16_384
_NO_WORDS = frozenset({"data", "whitespace", "comment_begin", "comment", "comment_end", "raw_begin", "raw_end"})
_NAMED_CHAR = re.compile(r" at \d+$")
_UNNAMED = re.compile("No (?:filter|test) named '(.*)'")
_BLOCKS = frozenset({"if", "for", "filter", "macro", "call", "block", "with", "autoescape"})


class BadTemplate(ValueError):
    """The template does not compile. The fault stands at `offset`, `length` characters from 0 within the template's
    own text."""

    def __init__(self, reason: str, offset: int = 0, length: int = 1) -> None:
        super().__init__(reason)
        self.offset = offset
        self.length = length


class RenderFailed(ValueError):
    """The template compiled and failed on these values; the text says why."""


def failing_at(source: str, values: Mapping[str, object]) -> tuple[int, int]:
    """Where a template that fails on these values does so: offset and length of the expression's first word, the
    template's beginning where Jinja does not say."""
    words = _Words()
    words.read(source)
    try:
        with metered(None):
            "".join(compiled(words.one_a_line()).generate(**values))
    except Exception as error:  # noqa: BLE001  (as in render)
        lines = [frame.lineno or 0 for frame in extract_tb(error.__traceback__) if frame.filename == "<template>"]
        if lines and 2 <= lines[-1] <= len(words) + 1:
            offset, text = words[lines[-1] - 2]
            return offset, len(text)
    return 0, 1


class _Words(list[tuple[int, str]]):
    """Each word between Jinja's brackets with its offset; `position` is where reading ended."""

    position = 0

    def read(self, source: str) -> None:
        """Raises TemplateSyntaxError."""
        for _, kind, text in ENVIRONMENT.lex(source):
            self.position = max(source.find(text, self.position), self.position)
            if kind not in _NO_WORDS:
                self.append((self.position, text))
            self.position += len(text)

    def one_a_line(self) -> str:
        return "".join("\n" + text.replace("\n", " ") for _, text in self)


def _located(source: str, error: TemplateSyntaxError) -> BadTemplate:
    """Jinja says the line alone. So the template is read once more with each of its words on a line of its own: then
    the line is the word."""
    words = _Words()
    reason = error.message or "syntax error"
    try:
        words.read(source)
    except TemplateSyntaxError:
        unread = source[words.position :]
        return BadTemplate(_NAMED_CHAR.sub("", reason), len(source) - len(unread.lstrip()))
    try:
        compiled(words.one_a_line())
    except (TemplateSyntaxError, *TOO_DEEP) as again:
        if (
            isinstance(again, TemplateSyntaxError)
            and 2 <= again.lineno <= len(words) + 1
            and "end of template" not in reason
        ):
            from_here = words[again.lineno - 2 :]
            named = _UNNAMED.match(reason)  # of `x is nothing` Jinja gives the place of `is`
            offset, text = next((word for word in from_here if named and word[1] == named[1]), from_here[0])
            return BadTemplate(reason, offset, len(text))
    return BadTemplate(reason, _unclosed(words) if "needs to be closed" in reason else len(source.rstrip()))


def _unclosed(words: list[tuple[int, str]]) -> int:
    """Where the innermost block begins that is never closed."""
    opened: list[int] = []
    for (_, before), (offset, word) in pairwise(words):
        if before.startswith("{%"):
            if word.startswith("end") and opened:
                opened.pop()
            elif word in _BLOCKS:
                opened.append(offset)
    return opened[-1] if opened else 0


class Template:
    """A compiled template. Equal when the source is equal. Raises BadTemplate at construction."""

    __slots__ = ("_compiled", "source")

    def __init__(self, source: str) -> None:
        if len(source) > SOURCE_CHARS_MAX:
            raise BadTemplate(f"longer than {SOURCE_CHARS_MAX} characters")
        try:
            self._compiled = compiled(source)
        except TemplateSyntaxError as error:
            raise _located(source, error) from None
        except (TemplateError, *TOO_DEEP) as error:
            raise BadTemplate(f"too deeply nested ({type(error).__name__})") from None
        self.source = source

    def render(self, values: Mapping[str, object], escape: Escape | None = None) -> str:
        """The text, cut at OUTPUT_CHARS_MAX. `escape` is applied to all that is inserted, and to nothing of what the
        template itself says. Raises RenderFailed with the reason."""
        pieces: list[str] = []
        length = 0
        try:
            with metered(escape):
                for piece in self._compiled.generate(**values):
                    pieces.append(piece)
                    length += len(piece)
                    if length > OUTPUT_CHARS_MAX:
                        break
        except Exception as error:  # noqa: BLE001
            # Whatever an operator's expression raises (TypeError, ZeroDivisionError…) is a fault of the template.
            kind = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
            raise RenderFailed(f"{kind}{error}") from None
        return "".join(pieces)[:OUTPUT_CHARS_MAX]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"
