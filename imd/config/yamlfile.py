"""YAML into nodes with places, without the surprises.

Owns reading one file's bytes: YAML 1.2 core scalars, no anchors, aliases, merge keys or tags, no key twice, one
document, bounded size and depth. Knows nothing of what the keys mean, and opens no file. Other people's files, which
are imported, may have anchors, aliases and merge keys; what these amount to is bounded.

The nodes are built from libyaml's events rather than by PyYAML's composer: so an alias is seen before it is followed,
depth is refused before anything recurses, and the second of two equal keys is seen at all.
"""

from __future__ import annotations

import re

import msgspec
import yaml

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Broken, Document, Entry, Mapping, Node, Scalar, Sequence, Value

BYTES_MAX = 1024 * 1024
DATA_BYTES_MAX = 4 * BYTES_MAX
"""Of tables and maps: about two seconds. JSON and CSV are read many times as fast and may be larger."""
DEPTH_MAX = 32
NODES_MAX = 200_000
"""Of a file with aliases, each counted with all that it stands for."""
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
_COLON = "a colon before a blank starts a value: put the text in quotes"
_START = "text that starts with this character must stand in quotes"
_HINTS = {
    "mapping values are not allowed in this context": _COLON,
    "found character that cannot start any token": _START,
    "did not find expected alphabetic or numeric character": _START,
    "found unknown escape character": r"in double quotes write \\ for a backslash, or put the text in single quotes",
}
_LOOKS_BLANK = re.compile("[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]")
_WORD_KEY = re.compile(r"[ ]*[\w.-]+[ ]*")
_NEVER_CLOSED = {
    "while scanning a quoted scalar": "the quote is never closed",
    "while parsing a flow mapping": "the bracket is never closed",
    "while parsing a flow sequence": "the bracket is never closed",
}
_BLOCKS = {"while parsing a block collection": "list", "while parsing a block mapping": "map"}
_CONFLICT = re.compile("(?:<{7}|>{7}) ")
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_Tagged = yaml.ScalarEvent | yaml.CollectionStartEvent


def read_document(
    path: str,
    raw: bytes,
    bytes_max: int = BYTES_MAX,
    secrets: bool = False,
    several: bool = False,
    anchors: bool = False,
) -> Document:
    """The file's nodes; every fault of it as YAML is in `faults`. Never raises.

    `secrets`: the file may hold some, so what looks like one is masked in the lines that faults show. `several`: it may
    hold several documents, one after `---` each. `anchors`: aliases and merge keys are followed.
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
    _compose(document, text, _Composer(document, several, anchors))
    return document


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


def _compose(document: Document, text: str, composer: _Composer) -> None:
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            composer.take(event)
            if document.full:
                break
    except _Stop:
        _without_root(document)
    except yaml.MarkedYAMLError as error:
        if error.problem_mark is None or error.problem_mark.line + 1 != composer.template_line:
            _syntax_fault(document, error, composer.quoted)
        _without_root(document)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        document.fault(codes.YAML_SYNTAX, Span(1, 1, 1, 2), f"not valid YAML: {error}")
        _without_root(document)
    else:
        document.roots = composer.roots
        document.root = composer.roots[0] if composer.roots else None
        # A second key, a merge or an alias is left out, and names may have gone with it.
        document.whole = not document.failed


def _syntax_fault(document: Document, error: yaml.MarkedYAMLError, quoted: Span | None) -> None:
    """`quoted`: the text in quotes that was read last."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = document.lines[line - 1] if line <= len(document.lines) else ""
    indent = source[: len(source) - len(source.lstrip())]
    blank, blank_line = _looks_blank(document, line)
    opened = error.context_mark
    at_end = not any(one.strip() for one in [source[column - 1 :], *document.lines[line:]])
    if marker := next((number for number, text in enumerate(document.lines, 1) if _CONFLICT.match(text)), 0):
        said = "not valid YAML: a merge conflict is not resolved"
        hint = "keep one of the two sides, and take out the lines that begin with <<<<<<<, ======= and >>>>>>>"
        document.fault(codes.YAML_SYNTAX, Span(marker, 1, marker, 8), said, help=hint)
    elif "\t" in indent:
        at = indent.index("\t") + 1
        said, hint = "a tab indents this line", "YAML indents with spaces alone"
        document.fault(codes.TAB, Span(line, at, line, at + 1), said, help=hint)
    elif error.problem == "did not find expected <document start>" and (at := _directive(document, line)):
        said = "not valid YAML: a directive stands behind what it speaks of"
        document.fault(codes.YAML_SYNTAX, Span(at, 1, at, 2), said, help="leave it out: YAML is read as 1.2 anyway")
    elif blank is not None:
        said = f"not valid YAML: U+{ord(blank[0]):04X} looks like a space and is none"
        at = blank.start() + 1
        place = Span(blank_line, at, blank_line, at + 1)
        document.fault(codes.YAML_SYNTAX, place, said, help="YAML indents with spaces alone")
    elif quoted is not None and quoted.line < quoted.end_line == line and quoted.end_column <= column:
        said = f"not valid YAML: the text in quotes that begins here goes on to line {line}"
        hint = "is the closing quote missing? Text over several lines goes behind | or >, without quotes"
        document.fault(codes.YAML_SYNTAX, quoted.first(), said, help=hint)
    elif at_end and opened is not None and error.context in _NEVER_CLOSED:
        place = Span(opened.line + 1, opened.column + 1, opened.line + 1, opened.column + 2)
        document.fault(codes.YAML_SYNTAX, place, f"not valid YAML: {_NEVER_CLOSED[error.context]}")
    else:
        said, hint = f"not valid YAML: {error.problem or error}", _hint(error, source, line, column)
        if at_end:
            line, column = _end(document)
        document.fault(codes.YAML_SYNTAX, Span(line, column, line, column + 1), said, help=hint)


def _looks_blank(document: Document, line: int) -> tuple[re.Match[str] | None, int]:
    """In the indent of the line where reading stopped, or of the one before, which it then went on with."""
    for number in (line, line - 1):
        source = document.lines[number - 1] if 0 < number <= len(document.lines) else ""
        found = _LOOKS_BLANK.search(source[: len(source) - len(source.lstrip())])
        if found is not None:
            return found, number
    return None, 0


def _end(document: Document) -> tuple[int, int]:
    """Behind the last text of the file: where more was expected."""
    line = max((number for number, text in enumerate(document.lines, 1) if text.strip()), default=1)
    return line, len(document.lines[line - 1].rstrip()) + 1


def _directive(document: Document, line: int) -> int:
    """The last line up to this one that begins with %, at which the scanner goes on reading; 0 if none does."""
    starts = (
        number for number in range(min(line, len(document.lines)), 0, -1) if document.lines[number - 1][:1] == "%"
    )
    return next(starts, 0)


def _hint(error: yaml.MarkedYAMLError, source: str, line: int, column: int) -> str:
    """What is usually meant where reading stops so; else what was being read, and since where."""
    before, at = source[: column - 1], source[column - 1 : column]
    hint = _HINTS.get(error.problem or "", "")
    if hint == _COLON and line > 1 and _WORD_KEY.fullmatch(before):
        return "it goes on with the text of the line before: there a colon is missing, or this line is indented too far"
    if hint:
        return hint
    if at == ":" and source[column : column + 1] in ("", " "):
        return _COLON
    if before[-1:] in ("'", '"') and at.isalnum():
        return f"the text in quotes ends at the {before[-1]} before: put the whole in the other kind of quotes"
    opened = error.context_mark
    if opened is not None and error.context in _BLOCKS and not before.strip() and column != opened.column + 1:
        what, mark = _BLOCKS[error.context], f"line {opened.line + 1} begins in column {opened.column + 1}"
        return f"this line begins in column {column} and so fits nothing above it: the {what} of {mark}"
    if error.context and opened is not None and (opened.line + 1, opened.column + 1) != (line, column):
        return f"{error.context}, begun at line {opened.line + 1}, column {opened.column + 1}"
    return ""


class _Stop(Exception):
    """The rest of the file is not looked at."""


class _Open(msgspec.Struct):
    """A container whose end has not come. `key` is the key that waits for its value; `skip` drops the value, `merged`
    also an alias in it. `broken`: it was refused as a whole. Where anchors are followed: the `anchor` that names it,
    how much there was `before` it, and what is merged into it."""

    node: Sequence | Mapping
    key: Scalar | None = None
    keyed: bool = False
    skip: bool = False
    merged: bool = False
    broken: bool = False
    anchor: str | None = None
    before: int = 0
    merges: list[Node] = []


class _Composer:
    def __init__(self, document: Document, several: bool, anchors: bool) -> None:
        self._document = document
        self._several = several
        self._follow = anchors
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0
        self._open: list[_Open] = []
        self._documents = 0
        self.roots: list[Node] = []
        self.quoted: Span | None = None  # the text in quotes that was read last
        self.template_line = 0  # the last on which a template stands without quotes: what follows it is no fault

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
            case yaml.AliasEvent() if self._follow:
                self._alias(event)
            case yaml.AliasEvent():
                if not (self._open and self._open[-1].merged):  # `<<: *base` is said at the <<
                    self._fault(codes.ALIAS, event, f'alias "*{event.anchor}" is not taken', "write the value out")
                self._place(Broken(_span(event)))
            case yaml.DocumentStartEvent():
                self._document_start(event)
            case _:
                pass

    def _document_start(self, event: yaml.Event) -> None:
        self._documents += 1
        if self._documents > 1 and not self._several:
            self._fault(
                codes.SECOND_DOCUMENT, event, "a second document starts here", "one file holds one document: split it"
            )
            raise _Stop

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        style = event.style or ""
        span = _span(event)
        if style in ("'", '"'):
            self.quoted = span
        if not self._properties_taken(event, event.implicit != (False, False) and event.tag is None):
            self._place(Broken(span))
            return
        text = event.value
        node = Scalar(text, text if style else _core_value(text), style, span)
        self._place(node)
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, 1)

    def _start(self, event: yaml.CollectionStartEvent, node: Sequence | Mapping) -> None:
        # The tags of plain lists and maps change nothing; what others make of what they hold nobody knows.
        sound = self._properties_taken(event, event.tag is None) or event.tag in _PLAIN_TAGS
        if len(self._open) >= DEPTH_MAX:
            self._fault(codes.TOO_DEEP, event, f"nested deeper than {DEPTH_MAX} levels", "")
            raise _Stop
        merged = bool(self._open) and self._open[-1].merged
        self._open.append(_Open(node, broken=not sound, merged=merged, anchor=event.anchor, before=self._nodes))

    def _properties_taken(self, event: _Tagged, untagged: bool) -> bool:
        if event.anchor is not None and not self._follow:
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
        node: Node
        if closed.broken:
            node = Broken(span)
        elif isinstance(closed.node, Mapping):
            self._merge(closed.node, closed.merges)
            node = Mapping(closed.node.entries, span)
        else:
            node = Sequence(closed.node.items, span)
        self._place(node)
        if closed.anchor is not None:
            self._anchors[closed.anchor] = (node, self._nodes - closed.before)

    def _alias(self, event: yaml.AliasEvent) -> None:
        """The node that the anchor names, where it stands: places are those of the anchor's own."""
        known = self._anchors.get(event.anchor or "")
        if known is None:
            self._fault(codes.ALIAS, event, f'alias "*{event.anchor}" names no anchor before it', "")
            self._place(Broken(_span(event)))
            return
        node, size = known
        self._nodes += size
        if self._nodes > NODES_MAX:
            self._fault(codes.TOO_LARGE, event, f"aliases make more than {NODES_MAX} values of this file", "")
            raise _Stop
        self._place(node)

    def _merge(self, mapping: Mapping, merges: list[Node]) -> None:
        """Entries of the merged maps that it has not itself; of several maps the first counts."""
        merged = [one for node in merges for one in (node.items if isinstance(node, Sequence) else [node])]
        for node in merged:
            if isinstance(node, Mapping):
                for word, entry in node.entries.items():
                    mapping.entries.setdefault(word, entry)
            elif not isinstance(node, Broken):
                self._document.fault(codes.ALIAS, node.span, "a merge key takes maps alone")

    def _place(self, node: Node) -> None:
        self._nodes += 1
        if not self._open:
            self.roots.append(node)
            return
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
        elif not parent.keyed:
            self._key(parent, parent.node, node)
        else:
            if parent.merged and self._follow:
                parent.merges = [*parent.merges, node]
            if parent.key is not None and not parent.skip:
                parent.node.entries[parent.key.text] = Entry(parent.key, node)
            parent.key, parent.keyed, parent.skip, parent.merged = None, False, False, False

    def _key(self, parent: _Open, mapping: Mapping, node: Node) -> None:
        parent.keyed = True
        if isinstance(node, Broken):
            return
        if not isinstance(node, Scalar) or (node.value is None and not node.style):
            self._bad_key(parent, mapping, node)
            return
        if node.text == "<<" and not node.style:
            if self._follow:
                parent.merged = True
                return
            self._document.fault(
                codes.ALIAS, node.span, 'merge key "<<" is not taken', help="write the keys out where they are needed"
            )
            parent.merged = True
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

    def _bad_key(self, parent: _Open, mapping: Mapping, node: Node) -> None:
        outer, inner = mapping.span, node.span
        if isinstance(node, Mapping) and (outer.line, outer.column + 1) == (inner.line, inner.column):
            parent.broken, self.template_line = True, outer.line
            place = Span(outer.line, outer.column, outer.line, outer.column + 2)
            hint = "put the whole text in quotes: '{{ … }}'"
            self._document.fault(codes.BAD_KEY, place, "a template without quotes is a map to YAML", help=hint)
        else:
            self._document.fault(codes.BAD_KEY, inner, "a key must be text", help="write a name before the colon")

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
