"""Tables for enrichment: CSV, JSON and YAML files as columns and rows of text.

Owns what such a file may hold, its bounds, and the words of its faults, which stand in the table's own document. Opens
nothing. A CSV file has a header; the other two are a list of maps, whose keys are the columns.

Every cell is text as it is written; null and what is left out are empty, and so is a cell that holds nothing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import PurePath

import msgspec

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Document, Mapping, Node, Scalar, Sequence
from imd.config.wording import describe, quote
from imd.config.yamlfile import DATA_BYTES_MAX, read_document
from imd.model.enrich import TABLE_BYTES_MAX, TABLE_ROWS_MAX, VALUE_CHARS_MAX

SUFFIXES = (".csv", ".json", ".yaml", ".yml")
COLUMNS_MAX = 256
_AT_BYTE = re.compile(r" \(byte (\d+)\)$")
_AT_ROW = re.compile(r" - at `\$\[(\d+)\]")
_CELLS = list[dict[str, str | int | float | bool | None]]

Row = tuple[str, ...]


class TableFile(msgspec.Struct, frozen=True):
    """A whole table. `digest` is of the file's bytes; rows are as long as `columns`."""

    path: str
    columns: tuple[str, ...]
    rows: list[Row]
    digest: str
    document: Document


class _Faulty(Exception):
    """The table has this fault; line and column count from 1."""

    def __init__(self, reason: str, line: int = 1, column: int = 1, help: str = "") -> None:  # noqa: A002
        super().__init__(reason)
        self.span = Span(line, column, line, column + 1)
        self.help = help


def read_table(path: str, raw: bytes) -> tuple[TableFile | None, Document]:
    """The table and its document, which has every fault; None where there is one. Never raises."""
    if len(raw) > TABLE_BYTES_MAX:
        document = Document(path=path, lines=[])
        said = f"the table has more than {TABLE_BYTES_MAX} bytes"
        document.fault(codes.TOO_LARGE, Span(1, 1, 1, 2), said, help="keep what rules ask for, or split it")
        return None, document
    document = Document(path=path, lines=[])
    suffix = PurePath(path).suffix.lower()
    try:
        if suffix == ".csv":
            columns, rows = _csv(document, raw)
        elif suffix == ".json":
            columns, rows = _json(document, raw)
        else:
            document = read_document(path, raw, DATA_BYTES_MAX)
            columns, rows = _yaml(document)
    except _Faulty as fault:
        document.fault(codes.BAD_TABLE, fault.span, str(fault), help=fault.help)
    if document.failed:
        return None, document
    return TableFile(path, columns, rows, blake2b(raw, digest_size=16).hexdigest(), document), document


def _text(document: Document, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Faulty(f"byte 0x{raw[error.start]:02x} is not UTF-8", line, help="save the table as UTF-8") from None
    document.lines = text.split("\n")
    return text


def _checked(cells: Iterable[str], line: int, columns: Row) -> Row:
    row = tuple(cells)
    for name, cell in zip(columns, row, strict=False):
        if len(cell) > VALUE_CHARS_MAX:
            raise _Faulty(f"column {quote(name)} holds more than {VALUE_CHARS_MAX} characters here", line)
    return row


def _bounded(rows: list[Row], line: int) -> None:
    if len(rows) > TABLE_ROWS_MAX:
        raise _Faulty(f"the table has more than {TABLE_ROWS_MAX} rows", line)


def _csv(document: Document, raw: bytes) -> tuple[Row, list[Row]]:
    reader = csv.reader(io.StringIO(_text(document, raw), newline=""), strict=True)
    interned: dict[str, str] = {}
    columns: Row = ()
    rows: list[Row] = []
    try:
        for cells in reader:
            if not cells:
                continue  # a blank line
            if not columns:
                columns = _header([cell.strip() for cell in cells])
                continue
            if len(cells) != len(columns):
                raise _Faulty(f"{_counted(cells)} here, and the header has {len(columns)}", reader.line_num)
            trimmed = (interned.setdefault(cell, cell) for cell in map(str.strip, cells))
            rows.append(_checked(trimmed, reader.line_num, columns))
            _bounded(rows, reader.line_num)
    except csv.Error as error:
        raise _Faulty(f"not CSV: {error}", reader.line_num) from None
    if not columns:
        raise _Faulty("the table is empty", help="its first line names the columns")
    return columns, rows


def _counted(cells: list[str]) -> str:
    return f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"


def _header(columns: list[str]) -> Row:
    if len(columns) > COLUMNS_MAX:
        raise _Faulty(f"more than {COLUMNS_MAX} columns")
    for number, name in enumerate(columns, 1):
        if not name:
            raise _Faulty(f"column {number} has no name", help="the first line names the columns, with commas between")
        if name in columns[: number - 1]:
            raise _Faulty(f"column {quote(name)} stands twice")
    return tuple(columns)


def _json(document: Document, raw: bytes) -> tuple[Row, list[Row]]:
    text = _text(document, raw)
    try:
        objects = msgspec.json.decode(text, type=_CELLS)
    except msgspec.ValidationError as error:
        row = _AT_ROW.search(str(error))
        place = f"row {int(row[1]) + 1} is wrong" if row else "not a table"
        raise _Faulty(f"{place}: {str(error).partition(' - at ')[0]}", help=_LIST_OF_MAPS) from None
    except msgspec.DecodeError as error:
        at = _AT_BYTE.search(str(error))
        line = text.encode()[: int(at[1])].count(b"\n") + 1 if at else 1
        raise _Faulty(f"not JSON: {_AT_BYTE.sub('', str(error))}", line) from None
    return _table(({name: _cell(value) for name, value in one.items()}, 1) for one in objects)


_LIST_OF_MAPS = "a table is a list of maps, whose values are text, numbers, true or false"


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _yaml(document: Document) -> tuple[Row, list[Row]]:
    if document.failed:
        return (), []
    root = document.root
    if not isinstance(root, Sequence):
        raise _Faulty("not a table", help=_LIST_OF_MAPS)
    return _table(_yaml_rows(root))


def _yaml_rows(root: Sequence) -> Iterable[tuple[dict[str, str], int]]:
    for item in root.items:
        if not isinstance(item, Mapping):
            raise _wrong("a row", item)
        cells = {}
        for name, entry in item.entries.items():
            if not isinstance(entry.value, Scalar):
                raise _wrong(f"{quote(name)} in a row", entry.value)
            cells[name] = "" if entry.value.value is None else entry.value.text
        yield cells, item.span.line


def _wrong(what: str, node: Node) -> _Faulty:
    return _Faulty(f"{what} is {describe(node)}", node.span.line, node.span.column, help=_LIST_OF_MAPS)


def _table(objects: Iterable[tuple[dict[str, str], int]]) -> tuple[Row, list[Row]]:
    """Columns in the order in which they come first; what a row leaves out is empty."""
    interned: dict[str, str] = {}
    names: dict[str, int] = {}
    found: list[tuple[dict[str, str], int]] = []
    for cells, line in objects:
        for name in cells:
            names.setdefault(name, len(names))
        found.append((cells, line))
        if len(found) > TABLE_ROWS_MAX:
            raise _Faulty(f"the table has more than {TABLE_ROWS_MAX} rows", line)
    columns = _header(list(names))
    rows = []
    for cells, line in found:
        texts = (cells.get(name, "").strip() for name in columns)
        rows.append(_checked((interned.setdefault(text, text) for text in texts), line, columns))
    return columns, rows
