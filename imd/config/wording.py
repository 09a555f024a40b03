"""How diagnostics speak of what they found: quoted text, what a node is, and the word that may have been meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from imd.config.document import Mapping, Node, Scalar, Sequence

_QUOTED_CHARS_MAX = 60
_SUGGESTED_CHARS_MAX = 64  # difflib is quadratic
_SHORT_CHARS = 4
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"  # many scripts and emoji are made with them


def quote(text: str) -> str:
    """The text in double quotes, cut where it is long, with what cannot be seen as escapes."""
    shown = text if len(text) <= _QUOTED_CHARS_MAX else f"{text[:_QUOTED_CHARS_MAX]}…"
    return f'"{shown if shown.isprintable() else "".join(map(_visible, shown))}"'


def _visible(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    return f"\\u{ord(char):04x}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08x}"


def suggest(word: str, known: Iterable[str]) -> str:
    """`did you mean "window"?`, or nothing where no known word is near."""
    meant = next(near(word, known), "")
    if not meant:
        return ""
    strange = next((char for char in word if not char.isascii()), "") if meant.isascii() else ""
    return f'did you mean "{meant}"?' + (f" the file has U+{ord(strange):04X} in it" if strange else "")


def near(word: str, known: Iterable[str]) -> Iterator[str]:
    """The known word that is most like this one, if any is."""
    if len(word) <= _SUGGESTED_CHARS_MAX:
        by_lower = {candidate.lower(): candidate for candidate in known}
        likeness = 0.6 if len(word) > _SHORT_CHARS else 0.7  # three letters of five are like many a word
        yield from (by_lower[found] for found in get_close_matches(word.lower(), by_lower, 1, likeness))


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
