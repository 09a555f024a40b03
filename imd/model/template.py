"""Text templates that operators write: Jinja in a sandbox, with caps.

Owns the promise and its two ways to fail; `rendering` keeps it. A template cannot read files, call Python or grow
without end; when it fails at run time the caller falls back to built-in text, so a broken template never holds up a
page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

SOURCE_CHARS_MAX = 16_384
OUTPUT_CHARS_MAX = 16_384
# Text, and what a title has between braces, as TITLE_VALUES of model.rule say.
_SIMPLE = re.compile(
    r"(?:[^{]|\{(?![{%#])"
    r"|\{\{ ?(?:(?:labels|group)(?:\.[a-zA-Z][a-zA-Z0-9_]*)?|alerts|firing|cause|incident\.(?:id|number|priority)) ?"
    r"\}\})*"
)


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
    from imd.model import rendering

    return rendering.failing_at(source, values)


def asked_for(source: str) -> list[tuple[str, int]]:
    """The names that a sound template takes from outside, each with what it asks of it right away (`incident.number`),
    and where they stand."""
    from imd.model import rendering

    return rendering.asked_for(source)


class Labelled(dict[str, str]):
    """Labels as templates see them: one that is missing is empty, as it is in matchers, and `| default` sees that it is
    missing. Members come and go, and with them what is common to all."""

    __slots__ = ()


class Template:
    """A template that compiles. Equal when the source is equal. Raises BadTemplate at construction.

    Most titles are `simple`, text with names between braces: those are known to be sound without Jinja, whose compiler
    takes half a millisecond, and wait for it until they are first rendered.
    """

    __slots__ = ("_compiled", "simple", "source")

    def __init__(self, source: str) -> None:
        if len(source) > SOURCE_CHARS_MAX:
            raise BadTemplate(f"longer than {SOURCE_CHARS_MAX} characters")
        self.source = source
        self.simple = _SIMPLE.fullmatch(source) is not None
        self._compiled = None if self.simple else self._compile()

    def _compile(self) -> Any:
        from imd.model import rendering

        return rendering.compiled_or_located(self.source)

    def render(self, values: Mapping[str, object], escape: Callable[[str], str] | None = None) -> str:
        """The text, cut at OUTPUT_CHARS_MAX. `escape` is applied to all that is inserted, and to nothing of what the
        template itself says. Raises RenderFailed with the reason."""
        from imd.model import rendering

        if self._compiled is None:
            self._compiled = self._compile()
        return rendering.rendered(self._compiled, values, escape, OUTPUT_CHARS_MAX)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"
