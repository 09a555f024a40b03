"""What a terminal shows: tables that fit its width, colour where it is welcome, nothing that could move its cursor.

Owns layout alone. Cells come from alerts, so from strangers: control characters and text direction marks are replaced
before anything is printed.

A table keeps to the width by leaving out columns (those with the highest `leave_out` first) and then by cutting the
elastic ones, with `…`. Into a pipe nothing is cut, unless COLUMNS says so.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TextIO

_GAP = "  "
_ELASTIC_MIN = 10
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_COLOURS = {"red": "1;31", "yellow": "33", "green": "32", "dim": "2", "bold": "1"}


class Column(NamedTuple):
    """`leave_out` 0: always shown. `right`: numbers, flush right."""

    title: str
    elastic: bool = False
    leave_out: int = 0
    right: bool = False


class Cell(NamedTuple):
    text: str
    colour: str = ""


class Screen:
    """Where a command prints. `width` None: as wide as it likes."""

    def __init__(self, out: TextIO, width: int | None, colour: bool) -> None:
        self.out, self.width, self.colour = out, width, colour

    @classmethod
    def of_process(cls, out: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> Screen:
        out = out or sys.stdout
        terminal = out.isatty()
        width = shutil.get_terminal_size().columns if terminal or environ.get("COLUMNS") else None
        return cls(out, width, terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb")

    def line(self, *cells: Cell | str) -> None:
        """Print cells beside each other, a space between them; whatever is too long wraps as the terminal likes."""
        print(" ".join(self._painted(_cell(cell)) for cell in cells), file=self.out)

    def fields(self, pairs: Mapping[str, str]) -> None:
        """`name: value`, a line each, values under each other; those without a value are left out."""
        given = {name: value for name, value in pairs.items() if value}
        width = max((len(name) for name in given), default=0) + 1
        for name, value in given.items():
            print(f"{name + ':':<{width}} {clean(value)}", file=self.out)

    def item(self, text: str, depth: int = 0) -> None:
        """One entry of an enumeration, wrapped at words under its own dash."""
        indent = "  " * (depth + 1)
        if self.width is None:
            print(f"{indent}- {clean(text)}", file=self.out)
            return
        print(
            textwrap.fill(
                clean(text),
                max(self.width, 20),
                initial_indent=f"{indent}- ",
                subsequent_indent=f"{indent}  ",
                break_on_hyphens=False,
            ),
            file=self.out,
        )

    def list(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], none: str) -> None:
        """A table, or the sentence `none` where there are no rows."""
        if rows:
            self.table(columns, rows)
        else:
            self.line(none)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
        """Print a heading and the rows. Each row has a cell for each column."""
        cells = [[_cell(cell, one_line=True) for cell in row] for row in rows]
        kept, widths = _fit(columns, cells, self.width)
        heading = [Cell(column.title, "dim") for column in columns]
        for row in [heading, *cells]:
            padded = [
                self._padded(row[index], width, columns[index]) for index, width in zip(kept, widths, strict=True)
            ]
            print(_GAP.join(padded).rstrip(), file=self.out)

    def _padded(self, cell: Cell, width: int, column: Column) -> str:
        text = cut(cell.text, width)
        padding = " " * (width - columns_of(text))
        painted = self._painted(Cell(text, cell.colour))
        return padding + painted if column.right else painted + padding

    def _painted(self, cell: Cell) -> str:
        if not (self.colour and cell.colour and cell.text):
            return cell.text
        return f"\x1b[{_COLOURS[cell.colour]}m{cell.text}\x1b[0m"


def clean(text: str) -> str:
    """The text without anything that a terminal would obey. Line breaks and tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        " " if char in "\r\n\t" else "\N{REPLACEMENT CHARACTER}" if unicodedata.category(char) in _CONTROL else char
        for char in text
    )


def columns_of(text: str) -> int:
    """How many columns a terminal uses for this text: wide East Asian characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def cut(text: str, width: int) -> str:
    """The text in at most `width` columns; `…` ends one that was longer."""
    if columns_of(text) <= width:
        return text
    kept = ""
    for char in text:
        if columns_of(kept) + columns_of(char) > width - 1:
            break
        kept += char
    return kept + "…"


def _cell(cell: Cell | str, one_line: bool = False) -> Cell:
    text, colour = cell if isinstance(cell, Cell) else (cell, "")
    cleaned = clean(text)
    return Cell(" ".join(cleaned.split()) if one_line else cleaned, colour)


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> tuple[list[int], list[int]]:
    """Which columns to show, by index, and how wide each is."""
    natural = [
        max([columns_of(column.title), *(columns_of(row[index].text) for row in rows)])
        for index, column in enumerate(columns)
    ]
    kept = list(range(len(columns)))
    if width is None:
        return kept, natural
    least = [min(size, _ELASTIC_MIN) if columns[index].elastic else size for index, size in enumerate(natural)]
    for index in sorted(kept, key=lambda index: -columns[index].leave_out):
        if columns[index].leave_out and _total(least, kept) > width:
            kept.remove(index)
    widths = {index: natural[index] for index in kept}
    while (over := _total(widths, kept) - width) > 0:
        elastic = [index for index in kept if columns[index].elastic and widths[index] > least[index]]
        if not elastic:
            break
        widest = max(elastic, key=lambda index: widths[index])
        widths[widest] = max(least[widest], widths[widest] - over)
    return kept, [widths[index] for index in kept]


def _total(widths: Mapping[int, int] | Sequence[int], kept: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + len(_GAP) * max(0, len(kept) - 1)
