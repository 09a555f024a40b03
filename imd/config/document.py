"""YAML that remembers where everything stands.

Owns reading one file's bytes into nodes with places: YAML 1.2 core scalars, no anchors, aliases, merge keys or tags,
no key twice, one document, bounded size and depth. Knows nothing of what the keys mean, and opens no file.

The nodes are built from libyaml's events rather than by PyYAML's composer: so an alias is seen before it is followed,
depth is refused before anything recurses, and the second of two equal keys is seen at all. A part that is refused
becomes a `Broken` node, on which readers keep silent: one fault, one diagnostic.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec
import yaml

from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity, Span, excerpt

BYTES_MAX = 1024 * 1024
DEPTH_MAX = 32
FAULTS_MAX = 1000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_INT_DIGITS_MAX = 18
# libyaml would count U+0085, U+2028 and U+2029 as line ends, which no editor does: they are refused with the rest.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_LINE_END = re.compile(r"\r\n|\n|\r")
_HINTS = {
    "mapping values are not allowed in this context": "a colon before a blank starts a value: put the text in quotes",
    "found character that cannot start any token": "text that starts with this character must stand in quotes",
}
_SECRET_VALUE = re.compile(
    r"""((?<![\w-])(?!external_url)[\w-]*(?:sec|tok|url|key|pass)[\w-]*(?<!_file)["']?\s*:\s+)"""
    r"""((?!\$\{\w+\}\s*$|[\[{]\s*(?:$|\{)|[|>])(?:"[^"]*"?|'[^']*'?|\[[^\]]*\]?|[^\s,}#][^,}#]*))""",
    re.IGNORECASE,
)
_MASKED_CHARS_MAX = 500
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"

Value = str | int | float | bool | None
_Tagged = yaml.ScalarEvent | yaml.CollectionStartEvent


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """`text` is the text as YAML reads it, `value` what YAML 1.2 core makes of it (quoted: the text itself).
    `style` is libyaml's: "" plain, ' " | >."""

    text: str
    value: Value
    style: str
    span: Span


class Sequence(msgspec.Struct, frozen=True):
    items: list[Node]
    span: Span


class Entry(msgspec.Struct, frozen=True):
    key: Scalar
    value: Node


class Mapping(msgspec.Struct, frozen=True):
    """`entries` by the key's text, in the file's order; of two equal keys the first."""

    entries: dict[str, Entry]
    span: Span


class Broken(msgspec.Struct, frozen=True):
    """Stands where something was refused and reported already."""

    span: Span


Node = Scalar | Sequence | Mapping | Broken


class Document(msgspec.Struct):
    """One file: its name for people, its lines, its root (None: empty, or unreadable) and the faults found so far.

    `whole` is False where the file could not be read as YAML, or not all of it, so that what it defines is unknown.
    `failed`: there is an error, whether or not it still found room among the faults.
    """

    path: str
    lines: list[str]
    root: Node | None = None
    whole: bool = True
    faults: list[Diagnostic] = []
    failed: bool = False
    secrets: bool = False

    def fault(self, code: str, span: Span, message: str, *, expected: str = "", help: str = "") -> None:  # noqa: A002
        """Adds an error at `span`."""
        self.failed = True
        self._add(Severity.ERROR, code, span, message, expected, help)

    def lint(self, code: str, span: Span, message: str, *, expected: str = "", help: str = "") -> None:  # noqa: A002
        """Adds a warning at `span`."""
        self._add(Severity.WARNING, code, span, message, expected, help)

    def hide(self, span: Span) -> None:
        """Masks a secret in the lines that later faults show. Columns stay."""
        for line in range(span.line, min(span.end_line, len(self.lines)) + 1):
            start = span.column - 1 if line == span.line else 0
            end = span.end_column - 1 if line == span.end_line else len(self.lines[line - 1])
            source = self.lines[line - 1]
            self.lines[line - 1] = source[:start] + re.sub(r"\S", "*", source[start:end]) + source[end:]

    @property
    def full(self) -> bool:
        """FAULTS_MAX is reached: what else is wrong is not said."""
        return len(self.faults) >= FAULTS_MAX

    def _add(self, severity: Severity, code: str, span: Span, message: str, expected: str, hint: str) -> None:
        if self.full:
            return
        source = self.lines[span.line - 1] if 0 < span.line <= len(self.lines) else ""
        end = span.end_column if span.end_line == span.line else len(source.rstrip()) + 1
        shown, caret = excerpt(_masked(source) if self.secrets else source, span.column - 1)
        self.faults.append(
            Diagnostic(
                path=self.path,
                line=span.line,
                column=span.column,
                severity=severity,
                code=code,
                message=message,
                source=shown,
                caret=caret,
                width=max(1, min(end - span.column, len(shown) - caret)),
                expected=expected,
                help=hint,
            )
        )


def read_document(path: str, raw: bytes, bytes_max: int = BYTES_MAX, secrets: bool = False) -> Document:
    """The file's nodes; every fault of it as YAML is in `faults`. Never raises.

    `secrets`: the file may hold some, so what looks like one is masked in the lines that faults show.
    """
    document = Document(path=path, lines=[], secrets=secrets)
    start = Span(1, 1, 1, 2)
    if len(raw) > bytes_max:
        document.fault(codes.TOO_LARGE, start, f"the file has {len(raw)} bytes, at most {bytes_max} are read")
        return _without_root(document)
    if raw.startswith(_UTF16):
        document.fault(codes.NOT_UTF8, start, "the file is UTF-16", help="save it as UTF-8 without a byte order mark")
        return _without_root(document)
    if raw.startswith(_UTF8_MARK):
        raw = raw[len(_UTF8_MARK) :]
        document.lines = _lines(raw.decode("utf-8", "replace"))
        document.fault(
            codes.BYTE_ORDER_MARK, start, "the file starts with a byte order mark", help="save it as UTF-8 without one"
        )
    text = _decode(document, raw)
    if text is None or _forbidden(document, text):
        return _without_root(document)
    _compose(document, text)
    return document


@lru_cache(maxsize=64)
def _masked(source: str) -> str:
    """A file that does not even parse still shows no secret: values under keys that sound like one are starred out."""
    if len(source) > _MASKED_CHARS_MAX:
        return ""  # a window of it could have lost the key that says what the value is
    return _SECRET_VALUE.sub(lambda found: found[1] + "*" * len(found[2]), source)


def point_in(document: Document, scalar: Scalar, offset: int) -> Span:
    """The place of character `offset` of a scalar's text; the scalar's own span where it runs over several lines."""
    span = scalar.span
    if scalar.style == "|":
        return _point_in_block(document, scalar, offset)
    if span.line != span.end_line or scalar.style == ">":
        return span
    column, quoted = span.column, scalar.style in ("'", '"')
    source = document.lines[span.line - 1]
    position = column - 1 + quoted
    for _ in range(offset):
        position += _source_width(source, position, scalar.style)
    last = span.end_column - quoted
    position = min(position + 1, max(last, span.column))
    return Span(span.line, position, span.line, max(last, position + 1))


def _source_width(source: str, position: int, style: str) -> int:
    """How many characters of the file stand for the one character of text at `position`."""
    if style == "'" and source.startswith("''", position):
        return 2
    if style == '"' and source.startswith("\\", position):
        return {"x": 4, "u": 6, "U": 10}.get(source[position + 1 : position + 2], 2)
    return 1


def _point_in_block(document: Document, scalar: Scalar, offset: int) -> Span:
    before = scalar.text[:offset]
    line = scalar.span.line + 1 + before.count("\n")
    source = document.lines[line - 1] if line <= len(document.lines) else ""
    indent = len(source) - len(source.lstrip(" "))
    column = indent + 1 + len(before) - (before.rfind("\n") + 1)
    return Span(line, column, line, max(column + 1, len(source.rstrip()) + 1))


def _without_root(document: Document) -> Document:
    document.whole = False
    return document


def _lines(text: str) -> list[str]:
    return _LINE_END.split(text)


def _decode(document: Document, raw: bytes) -> str | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        lines = _lines(before)
        document.lines = _lines(raw.decode("utf-8", "replace"))
        column = len(lines[-1]) + 1
        bad = raw[error.start]
        document.fault(
            codes.NOT_UTF8,
            Span(len(lines), column, len(lines), column + 1),
            f"byte 0x{bad:02x} is not UTF-8",
            help="save the file as UTF-8",
        )
        return None
    document.lines = _lines(text)
    return text


def _forbidden(document: Document, text: str) -> bool:
    found = _FORBIDDEN.search(text)
    if found is None:
        return False
    lines = _lines(text[: found.start()])
    column = len(lines[-1]) + 1
    document.fault(
        codes.CONTROL_CHARACTER,
        Span(len(lines), column, len(lines), column + 1),
        f"character U+{ord(found.group()):04X} may not stand in a file",
        help=f'write "\\u{ord(found.group()):04x}" in double quotes if it is meant',
    )
    return True


def _compose(document: Document, text: str) -> None:
    composer = _Composer(document)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            composer.take(event)
            if document.full:
                break
    except _Stop:
        _without_root(document)
    except yaml.MarkedYAMLError as error:
        _syntax_fault(document, text, error)
        _without_root(document)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        document.fault(codes.YAML_SYNTAX, Span(1, 1, 1, 2), f"not valid YAML: {error}")
        _without_root(document)
    else:
        document.root = composer.root
        # A second key, a merge or an alias is left out, and names may have gone with it.
        document.whole = not document.failed


def _syntax_fault(document: Document, text: str, error: yaml.MarkedYAMLError) -> None:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = document.lines[line - 1] if line <= len(document.lines) else ""
    place = Span(line, column, line, column + 1)
    context = error.context_mark
    if error.context and context is not None and (context.line + 1, context.column + 1) != (line, column):
        hint = f"{error.context}, begun at line {context.line + 1}, column {context.column + 1}"
    else:
        hint = _HINTS.get(error.problem or "", "")
    indent = source[: len(source) - len(source.lstrip(" \t"))]
    if "\t" in indent:
        at = indent.index("\t") + 1
        document.fault(
            codes.TAB, Span(line, at, line, at + 1), "a tab indents this line", help="YAML indents with spaces alone"
        )
        return
    document.fault(codes.YAML_SYNTAX, place, f"not valid YAML: {error.problem or error}", help=hint)


class _Stop(Exception):
    """The rest of the file is not looked at."""


class _Open(msgspec.Struct):
    """A container whose end has not come. `key` is the key that waits for its value; `skip` drops the value."""

    node: Sequence | Mapping
    key: Scalar | None = None
    keyed: bool = False
    skip: bool = False


class _Composer:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[_Open] = []
        self._documents = 0
        self.root: Node | None = None

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._start(event, Mapping({}, _span(event)))
            case yaml.SequenceStartEvent():
                self._start(event, Sequence([], _span(event)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._end(event)
            case yaml.AliasEvent():
                self._fault(codes.ALIAS, event, f'alias "*{event.anchor}" is not taken', "write the value out")
                self._place(Broken(_span(event)))
            case yaml.DocumentStartEvent():
                self._document_start(event)
            case _:
                pass

    def _document_start(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1:
            self._fault(
                codes.SECOND_DOCUMENT, event, "a second document starts here", "one file holds one document: split it"
            )
            raise _Stop

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        style = event.style or ""
        span = _span(event)
        if not self._properties_taken(event, event.implicit != (False, False) and event.tag is None):
            self._place(Broken(span))
            return
        text = event.value
        self._place(Scalar(text, text if style else _core_value(text), style, span))

    def _start(self, event: yaml.CollectionStartEvent, node: Sequence | Mapping) -> None:
        self._properties_taken(event, event.tag is None)
        if len(self._open) >= DEPTH_MAX:
            self._fault(codes.TOO_DEEP, event, f"nested deeper than {DEPTH_MAX} levels", "")
            raise _Stop
        self._open.append(_Open(node))

    def _properties_taken(self, event: _Tagged, untagged: bool) -> bool:
        if event.anchor is not None:
            self._fault(
                codes.ALIAS, event, f'anchor "&{event.anchor}" is not taken', "write the value out where it is needed"
            )
        if not untagged:
            self._fault(codes.TAG, event, f'tag "{_tag(event)}" is not taken', "leave it out")
        return untagged

    def _end(self, event: yaml.Event) -> None:
        closed = self._open.pop()
        start = closed.node.span
        end = _span(event)
        span = Span(start.line, start.column, end.end_line, end.end_column)
        # A block ends where the next thing begins; it points at its first character then.
        if span.end_line != span.line or span.end_column <= span.column:
            span = start.first()
        if isinstance(closed.node, Mapping):
            self._place(Mapping(closed.node.entries, span))
        else:
            self._place(Sequence(closed.node.items, span))

    def _place(self, node: Node) -> None:
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif not parent.keyed:
            self._key(parent, parent.node, node)
        else:
            if parent.key is not None and not parent.skip:
                parent.node.entries[parent.key.text] = Entry(parent.key, node)
            parent.key, parent.keyed, parent.skip = None, False, False

    def _key(self, parent: _Open, mapping: Mapping, node: Node) -> None:
        parent.keyed = True
        if isinstance(node, Broken):
            return
        if not isinstance(node, Scalar) or (node.value is None and not node.style):
            self._document.fault(codes.BAD_KEY, node.span, "a key must be text", help="write a name before the colon")
            return
        if node.text == "<<" and not node.style:
            self._document.fault(
                codes.ALIAS, node.span, 'merge key "<<" is not taken', help="write the keys out where they are needed"
            )
            return
        parent.key = node
        first = mapping.entries.get(node.text)
        if first is not None:
            parent.skip = True
            self._document.fault(
                codes.DUPLICATE_KEY,
                node.span,
                f'key "{node.text}" stands twice in one map',
                expected=f"first given in line {first.key.span.line}, which stands",
                help="remove one of the two",
            )

    def _fault(self, code: str, event: yaml.Event, message: str, hint: str) -> None:
        span = _span(event)
        if span.end_line != span.line:
            span = span.first()
        self._document.fault(code, span, message, help=hint)


def _tag(event: _Tagged) -> str:
    """As it stands in the file: `!!str` for the tags of YAML itself."""
    return (event.tag or "!").replace("tag:yaml.org,2002:", "!!")


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start is not None
    assert end is not None
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _core_value(text: str) -> Value:
    """What a plain scalar means by YAML 1.2's core schema (section 10.3.2); `no` and `1:30` are text, `012` is 12."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        # Longer ones are no count of anything, and int() takes quadratic time.
        return float(text) if len(text) > _INT_DIGITS_MAX and "x" not in text and "o" not in text else _whole(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def _whole(text: str) -> int:
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
