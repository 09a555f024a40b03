"""How diagnostics speak of what they found: quoted text, what a node is, and the word that may have been meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from imd.config.document import Mapping, Node, Scalar, Sequence

_QUOTED_CHARS_MAX = 60
_SUGGESTED_CHARS_MAX = 64  # difflib is quadratic


def quote(text: str) -> str:
    """The text in double quotes, cut where it is long."""
    return f'"{text}"' if len(text) <= _QUOTED_CHARS_MAX else f'"{text[:_QUOTED_CHARS_MAX]}…"'


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean "window"?`, or nothing where no known word is near."""
    if len(word) > _SUGGESTED_CHARS_MAX:
        return ""
    by_lower = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(word.lower(), by_lower, 1, 0.6)
    return f'did you mean "{by_lower[near[0]]}"?' if near else ""


def describe(node: Node) -> str:
    """What a node is, for people: `a list`, `the number 5`, `true`."""
    match node:
        case Sequence():
            return "a list"
        case Mapping():
            return "a map"
        case Scalar(value=None):
            return "empty"
        case Scalar(value=bool()):
            return node.text.lower()
        case Scalar(value=int() | float()):
            return f"the number {node.text[:_QUOTED_CHARS_MAX]}"
        case Scalar():
            return f"the text {quote(node.text)}"
        case _:
            return "refused"
