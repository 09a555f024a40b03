"""Conditions: `when:` of a rule, an expression over labels that answers yes or no.

Owns the contract, and CEL behind it, which is the extra `imd[cel]`: it is imported when the first condition is
compiled, so imd starts without it. Knows nothing of rules.

The one variable is `labels`, a map of text to text. A label that is not there fails the condition, unless the other
side of an `||` or `&&` decides; `has(labels.x)` and `"x" in labels` ask first. Expressions run in a budget of steps
that the library keeps, and its regexes are RE2: no text from a sender can make one slow.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol, runtime_checkable

SOURCE_CHARS_MAX = 4096
EXTRA = "cel"
_FAULT = re.compile(r"<input>:(\d+):(\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '(\w+)")


class NoCel(Exception):
    """The extra is not installed."""


class BadCondition(ValueError):
    """The expression does not compile, or cannot be a condition. `line` and `column` count characters from 1 within its
    own text."""

    def __init__(self, reason: str, line: int = 1, column: int = 1) -> None:
        super().__init__(reason)
        self.line = line
        self.column = column


class ConditionFailed(Exception):
    """No answer for these labels. `missing`: a label that it asks for is not there; else it failed otherwise."""

    def __init__(self, reason: str, missing: bool) -> None:
        super().__init__(reason)
        self.missing = missing


@runtime_checkable
class Condition(Protocol):
    """A compiled condition; equal when its `source` is equal."""

    @property
    def source(self) -> str: ...

    def eval(self, labels: Mapping[str, str]) -> bool:
        """Whether it holds for these labels. Raises ConditionFailed; about 4 us."""
        ...


def compile_condition(source: str) -> Condition:
    """Type-checked: it must answer true or false. Raises BadCondition, NoCel."""
    return _Cel(source)


class _Cel:
    __slots__ = ("_expression", "source")

    def __init__(self, source: str) -> None:
        if len(source) > SOURCE_CHARS_MAX:
            raise BadCondition(f"longer than {SOURCE_CHARS_MAX} characters")
        cel, environment = _cel()
        try:
            expression = environment.compile(source)
        except (RuntimeError, ValueError) as error:
            raise _located(str(error), source) from None
        answer = expression.return_type()
        if answer != cel.Type.BOOL:
            raise BadCondition(f"it gives {answer.name().lower()}, not true or false")
        self.source = source
        self._expression = expression

    def eval(self, labels: Mapping[str, str]) -> bool:
        try:
            # Never its truth value: an error is an object like any other.
            answer: object = self._expression.eval(data={"labels": labels}).value()
        except (RuntimeError, ValueError) as error:
            raise ConditionFailed(str(error), missing=False) from None
        if answer is True or answer is False:
            return bool(answer)
        raise ConditionFailed(str(answer), missing=str(answer).startswith("NOT_FOUND: Key not found"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Cel) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Condition({self.source!r})"


def _cel() -> tuple[Any, Any]:
    try:
        from cel_expr_python import cel
    except ImportError:
        raise NoCel(f"the extra imd[{EXTRA}] is not installed") from None
    return cel, _environment(cel)


@cache
def _environment(cel: Any) -> Any:
    text = cel.Type.STRING
    return cel.NewEnv(variables={"labels": cel.Type.Map(text, text)})


def _located(said: str, source: str) -> BadCondition:
    """The library's first fault: its words without the drawing below them, and its place."""
    found = _FAULT.search(said)
    if found is None:
        return BadCondition(said.partition("\n")[0].partition(": ")[2] or said)
    line, column, reason = int(found[1]), int(found[2]), found[3].removesuffix(" [INVALID_ARGUMENT]")
    name = _UNDECLARED.match(reason)
    lines = source.split("\n")
    if name and line <= len(lines):
        # It points behind the name, at the dot or bracket after it.
        start = lines[line - 1].rfind(name[1], 0, column)
        column = start + 1 if start >= 0 else column
    said = reason.partition(" expecting {")[0]  # where anything may stand the list of it is no help
    return BadCondition(said.replace(" (in container '')", ""), line, column)
