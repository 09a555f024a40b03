"""Templates compiled by Jinja in a sandbox, rendered under bounds, and the places of their faults.

Owns what `template` promises; it is imported with the first template, for Jinja takes a third of the time in which a
command starts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from traceback import extract_tb

import jinja2
from jinja2 import TemplateError, TemplateSyntaxError
from jinja2.nodes import Name

from imd.model.metering import ENVIRONMENT, TOO_DEEP, Escape, compiled, metered
from imd.model.template import BadTemplate, RenderFailed

_NO_WORDS = frozenset({"data", "whitespace", "comment_begin", "comment", "comment_end", "raw_begin", "raw_end"})
_NAMED_CHAR = re.compile(r" at \d+$")
_UNNAMED = re.compile("No (?:filter|test) named '(.*)'")
_BLOCKS = frozenset({"if", "for", "filter", "macro", "call", "block", "with", "autoescape"})


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


def compiled_or_located(source: str) -> jinja2.Template:
    """Raises BadTemplate with the place of the fault."""
    try:
        return compiled(source)
    except TemplateSyntaxError as error:
        raise _located(source, error) from None
    except (TemplateError, *TOO_DEEP) as error:
        raise BadTemplate(f"too deeply nested ({type(error).__name__})") from None


def rendered(template: jinja2.Template, values: Mapping[str, object], escape: Escape | None, chars_max: int) -> str:
    """Raises RenderFailed with the reason."""
    pieces: list[str] = []
    length = 0
    try:
        with metered(escape):
            for piece in template.generate(**values):
                pieces.append(piece)
                length += len(piece)
                if length > chars_max:
                    break
    except Exception as error:  # noqa: BLE001
        # Whatever an operator's expression raises (TypeError, ZeroDivisionError…) is a fault of the template.
        kind = "" if isinstance(error, TemplateError) else f"{type(error).__name__}: "
        raise RenderFailed(f"{kind}{error}") from None
    return "".join(pieces)[:chars_max]


def asked_for(source: str) -> list[tuple[str, int]]:
    """As `template.asked_for`."""
    words = _Words()
    words.read(source)
    assigned = {node.name for node in ENVIRONMENT.parse(source).find_all(Name) if node.ctx != "load"}
    found = []
    for at, (offset, word) in enumerate(words):
        before = words[at - 1][1] if at else ""
        rest = [text for _, text in words[at + 1 : at + 3]]
        if not _NAME.fullmatch(word) or word in _NO_NAMES or word in assigned or before in (".", "|", "is", "not"):
            continue
        if rest[:1] == ["="] or before.startswith("{%"):
            continue  # a named argument, or the word of a statement
        found.append((f"{word}.{rest[1]}" if len(rest) == 2 and rest[0] == "." else word, offset))
    return found


_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
_NO_NAMES = frozenset({
    "and", "else", "elif", "endfor", "endif", "endset", "endwith", "false", "False", "for", "if", "in", "is", "loop",
    "none", "None", "not", "or", "range", "recursive", "set", "true", "True", "with",
})  # fmt: skip
