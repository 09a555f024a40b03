"""A dialect of our own: text in spans, for services whose messages are made of elements (Slack, Teams).

What is marked so is never parsed by anybody but `spans`: its marks are private-use characters, which `text` lets
through from nowhere and `RICH.escape` takes out once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from imd.channels.text import Dialect

_BOLD, _END, _LINK, _URL = "\ue000", "\ue001", "\ue002", "\ue003"
_MARKS = str.maketrans("", "", _BOLD + _END + _LINK + _URL)
_SPAN = re.compile("\ue000([^\ue001]*)\ue001|\ue002([^\ue003]*)\ue003([^\ue001]*)\ue001")

RICH = Dialect(
    escape=lambda value: value.translate(_MARKS),
    bold=lambda value: f"{_BOLD}{value}{_END}",
    link=lambda value, url: f"{_LINK}{value}{_URL}{url}{_END}",
)


class Span(msgspec.Struct, frozen=True):
    text: str
    bold: bool = False
    url: str = ""


def spans(marked: str) -> Iterator[Span]:
    """The parts of a text in RICH, none of them empty."""
    position = 0
    for found in _SPAN.finditer(marked):
        if found.start() > position:
            yield Span(marked[position : found.start()])
        if found[1]:
            yield Span(found[1], bold=True)
        elif found[3]:
            yield Span(found[2] or found[3], url=found[3])
        position = found.end()
    if position < len(marked):
        yield Span(marked[position:])
