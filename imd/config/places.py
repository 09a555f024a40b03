"""From a character of a scalar's text to its place in the file.

Owns how YAML's five styles write one text: quotes and escapes, folded lines, blocks. A map is made only where a fault
asks for it, and is believed only where it gives the very text that libyaml read; otherwise the place is the scalar's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from imd.config.diagnostic import Span
from imd.config.document import Document, Scalar

_HEX = {"x": 2, "u": 4, "U": 8}
_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_BLANKS = re.compile(r"[ \t]*")
_FOLDED, _KEPT = re.compile("\n+| ?"), re.compile("\n?")

Place = tuple[int, int]
"""Line and column, from 1."""
Written = tuple[str, Place, int]
"""One character of the text, where it stands, and how many characters of the file stand for it."""


def point_in(document: Document, scalar: Scalar, offset: int, length: int | None = None) -> Span:
    """The place of `length` characters of a scalar's text from `offset`, or of the rest of their line. Where they are
    behind the text's end it is the end; where that cannot be told, the scalar's own place."""
    written = _written(document, scalar)
    if written is None:
        return scalar.span
    if offset >= len(written):
        return _behind(scalar, written)
    line, column = written[offset][1]
    last = len(written) if length is None else offset + max(1, length)
    end = max((at[1] + width for char, at, width in written[offset:last] if at[0] == line and char != "\n"), default=0)
    return Span(line, column, line, max(column + 1, end))


def _behind(scalar: Scalar, written: list[Written]) -> Span:
    """The place behind the text, where what is missing belongs."""
    if not written:
        return scalar.span
    lines = [one for one in written if one[0] != "\n"] or written
    _, (line, column), width = lines[-1]
    return Span(line, column + width, line, column + width + 1)


def _written(document: Document, scalar: Scalar) -> list[Written] | None:
    """Every character of the text with its place; None where the file is not understood."""
    try:
        written = list((_block if scalar.style in ("|", ">") else _flow)(document, scalar))
    except (IndexError, ValueError):
        return None
    return written if "".join(char for char, _, _ in written) == scalar.text else None


def _line(document: Document, number: int) -> str:
    return document.lines[number - 1]


# Plain and quoted: lines are folded.


def _flow(document: Document, scalar: Scalar) -> Iterator[Written]:
    quoted = len(scalar.style)
    first, last = scalar.span.line, scalar.span.end_line
    breaks: list[Place] = []
    joined = True  # whether the next line goes on without a space or line end between
    for number in range(first, last + 1):
        source = _line(document, number)
        begin = scalar.span.column - 1 + quoted if number == first else _after_blanks(source)
        end = scalar.span.end_column - 1 - quoted if number == last else len(source)
        if number < last:
            end = _before_blanks(source, begin, end, scalar.style)
        if begin >= end and first < number < last:
            breaks.append((number, 1))
            continue
        if not joined:
            yield from _fold(breaks)
        elif number > first:
            yield from (("\n", place, 1) for place in breaks[1:])  # a line end that a backslash takes away
        joined = scalar.style == '"' and number < last and _escaped_end(source[begin:end])
        if joined:
            end -= 1
        breaks = [(number, end + 1)]
        yield from _content(number, source, begin, end, scalar.style)


def _fold(breaks: list[Place]) -> Iterator[Written]:
    """One line end is a space, of several the first is nothing."""
    if len(breaks) == 1:
        yield " ", breaks[0], 1
    yield from (("\n", place, 1) for place in breaks[1:])


def _after_blanks(source: str) -> int:
    found = _BLANKS.match(source)
    assert found is not None
    return found.end()


def _before_blanks(source: str, begin: int, end: int, style: str) -> int:
    """Where the line's content ends. In double quotes an escaped blank is content."""
    content = source[begin:end].rstrip(" \t")
    if style == '"' and _escaped_end(content) and len(content) < end - begin:
        return begin + len(content) + 1
    return begin + len(content)


def _escaped_end(content: str) -> bool:
    return (len(content) - len(content.rstrip("\\"))) % 2 == 1


def _content(number: int, source: str, begin: int, end: int, style: str) -> Iterator[Written]:
    position = begin
    while position < end:
        char, width = source[position], 1
        if style == "'" and char == "'":
            width = 2
        elif style == '"' and char == "\\":
            char, width = _escape(source, position)
        yield char, (number, position + 1), width
        position += width


def _escape(source: str, position: int) -> tuple[str, int]:
    """Raises ValueError and IndexError."""
    kind = source[position + 1]
    digits = _HEX.get(kind, 0)
    if digits:
        return chr(int(source[position + 2 : position + 2 + digits], 16)), 2 + digits
    if kind not in _ESCAPES:
        raise ValueError(kind)
    return _ESCAPES[kind], 2


# Blocks: the text itself says which lines were folded.


def _block(document: Document, scalar: Scalar) -> Iterator[Written]:
    """Line ends of the text stand at the end of the last line before them that holds something."""
    text, position = scalar.text, 0
    number = scalar.span.line
    indent = _indent(document, scalar)
    while position < len(text):
        if text[position] != "\n" or scalar.style == "|":
            number = _next_content(document, number, indent if scalar.style == ">" else None)
            for at, char in enumerate(_line(document, number)[indent:]):
                yield char, (number, indent + at + 1), 1
                position += 1
        separators = (_FOLDED if scalar.style == ">" else _KEPT).match(text, position)
        assert separators is not None
        for char in separators[0]:
            yield char, (number, len(_line(document, number)) + 1), 1
        position = separators.end()


def _next_content(document: Document, number: int, indent: int | None) -> int:
    """The next line; with `indent` the next that reaches beyond it."""
    number += 1
    while indent is not None and not _line(document, number)[indent:]:
        number += 1
    return number


def _indent(document: Document, scalar: Scalar) -> int:
    """How far the block is indented: what its first line that is not blank has beyond the blanks of the text."""
    text = scalar.text.lstrip("\n") if scalar.style == ">" else scalar.text
    number = scalar.span.line
    for line in text.split("\n"):
        number = _next_content(document, number, None)
        while scalar.style == ">" and not _line(document, number).strip(" "):
            number += 1
        if line.strip(" "):
            return _blanks(_line(document, number)) - _blanks(line)
    return 0


def _blanks(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
