"""`map:` of a source: how its bodies become alerts.

Owns its keys and the faults of paths and texts, which point into them. What comes of a map is `sources.mapped`; the
grammars are `model.bodymap`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from imd.config import codes, form
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Scalar, Sequence
from imd.config.form import ByName, Either, Plain, Several, Table
from imd.config.places import point_in
from imd.config.reading import label_name, match, regex, timezone
from imd.config.shape import (
    Key,
    Keys,
    Read,
    Reader,
    Refused,
    Scope,
    any_text,
    listed,
    mapped,
    read_keys,
    sound,
    takes,
    text,
    wrong_type,
)
from imd.config.wording import quote
from imd.model.bodymap import BadPath, BodyMap, Field, Moment, Path, Text, Value, parse_path, parse_text
from imd.model.rule import Match

_PATH = form.text("path", "", "incident.tags[0].name")
_TEXT = Plain("text with {paths}", {**form.ANY_TEXT.schema, "examples": ["{host}/{check}"]})
_PATHLIKE = re.compile(r"[\w.$@*\[\]-]+")
_SAMPLE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@takes(_PATH)
def _path(node: Node, scope: Scope) -> Path:
    """A path; its fault points into it."""
    written = text(node, scope)
    try:
        return parse_path(written)
    except BadPath as error:
        raise _bad(node, scope, error) from None


@takes(_PATH)
def _field(node: Node, scope: Scope) -> Path:
    """A path whose end is a field of an object."""
    path = _path(node, scope)
    if not path.steps or not isinstance(path.steps[-1], Field):
        raise scope.fault(codes.BAD_PATH, node, f"{scope.subject}: {quote(path.text)} leads to no field of a name")
    return path


def _text(node: Node, scope: Scope) -> Text:
    written = any_text(node, scope)
    try:
        return parse_text(written)
    except BadPath as error:
        raise _bad(node, scope, error) from None


def _bad(node: Node, scope: Scope, error: BadPath) -> Refused:
    assert isinstance(node, Scalar)
    place = point_in(scope.document, node, error.offset)
    return scope.fault(
        codes.BAD_PATH, place, f"{scope.subject}: {error}", help="a path is such as incident.tags[0].name"
    )


@takes(Either((_TEXT, Several(_TEXT, 1)), "text with {paths}, or a list of them"))
def _texts(node: Node, scope: Scope) -> tuple[Text, ...]:
    """One text, or several of which the first that is there counts."""
    if not isinstance(node, Sequence):
        return (_text(node, scope),)
    found = tuple(sound(_text, node.items, scope))
    if not node.items:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} is an empty list")
    if len(found) < len(node.items):
        raise Refused
    return found


@takes(_texts.form)
def _reading(node: Node, scope: Scope) -> tuple[Text, ...]:
    texts = _texts(node, scope)
    if not any(one.reads for one in texts):
        raise _reads_nothing(node, scope)
    return texts


def _reads_nothing(node: Node, scope: Scope) -> Refused:
    pathlike = isinstance(node, Scalar) and _PATHLIKE.fullmatch(node.text)
    hint = f'did you mean "{{{pathlike[0]}}}"?' if pathlike else ""
    return scope.fault(
        codes.READS_NOTHING,
        node,
        f"{scope.subject} is the same for every body",
        expected="expected a {path}",
        help=hint,
    )


VALUE: Keys = {
    "from": Key(_reading, "Text with {paths}, or a list of which the first that is there counts.", required=True),
    "regex": Key(regex, "RE2 on the whole of it; without a match there is nothing."),
    "replacement": Key(any_text, "What the match becomes: $1, ${name}.", "$1"),
    "table": Key(mapped(any_text), "What it becomes by its text, whatever the case."),
    "default": Key(any_text, "Stands in where there is nothing, and for what has no row."),
}
MOMENT: Keys = {
    **VALUE,
    "format": Key(text, "strptime's, where it is neither ISO 8601 nor a count since 1970."),
    "timezone": Key(timezone, "Of times that name none.", "UTC"),
}


def _built(keys: Keys, node: Node, scope: Scope) -> dict[str, Any]:
    """The keys of a value that is a map; refused as a whole if one of them is."""
    values = read_keys(keys, node, scope)
    assert isinstance(node, MappingNode)
    if set(values) != set(node.entries) or "from" not in values:
        raise Refused
    if "replacement" in values and "regex" not in values:
        at = node.entries["replacement"].key
        raise scope.fault(
            codes.MISSING_KEY, at, f"{scope.subject} has no {quote('regex')}", expected=f"expected {quote('regex')} too"
        )
    return values


def _value_of(values: dict[str, Any]) -> Value:
    """Rows are found whatever the case of the text."""
    table = values.get("table")
    rows = None if table is None else {**{word.lower(): to for word, to in table.items()}, **table}
    return Value(
        texts=values["from"],
        regex=values.get("regex"),
        replacement=values.get("replacement", "$1"),
        table=rows,
        default=values.get("default", ""),
    )


@takes(Either((_TEXT, Several(_TEXT, 1), Table(VALUE)), "text with {paths}, a list of them, or a map"))
def _value(node: Node, scope: Scope) -> Value:
    """A value of an alert, which may be the same for all."""
    if isinstance(node, MappingNode):
        return _value_of(_built(VALUE, node, scope))
    return Value(texts=_texts(node, scope))


@takes(_value.form)
def _own_value(node: Node, scope: Scope) -> Value:
    """A value that depends on the body."""
    value = _value(node, scope)
    if not any(one.reads for one in value.texts):
        raise _reads_nothing(node, scope)
    return value


@takes(Either((_TEXT, Several(_TEXT, 1), Table(MOMENT)), "text with {paths}, a list of them, or a map"))
def _moment(node: Node, scope: Scope) -> Moment:
    if not isinstance(node, MappingNode):
        return Moment(value=_own_value(node, scope))
    values = _built(MOMENT, node, scope)
    pattern = values.get("format", "")
    if pattern:
        _check_format(pattern, node.entries["format"].value, scope)
    return Moment(value=_value_of(values), format=pattern, timezone=values.get("timezone", "UTC"))


def _check_format(pattern: str, node: Node, scope: Scope) -> None:
    try:
        datetime.strptime(_SAMPLE.strftime(pattern), pattern)  # noqa: DTZ007 - only whether it can be read
    except ValueError as error:
        raise scope.fault(
            codes.BAD_TIME, node, f"{quote('format')} of {scope.subject}: {error}", help="such as %d.%m.%Y %H:%M:%S"
        ) from None


def _matchers() -> Read[Match]:
    def read(node: Node, scope: Scope) -> Match:
        found = match(node, scope)
        for name in dict.fromkeys(one.name for matchers in found for one in matchers):
            try:
                parse_path(name)
            except BadPath as error:
                raise scope.fault(codes.BAD_PATH, node, f"{scope.subject}: {quote(name)} is no path: {error}") from None
        return found

    return Read(match.form, read)


def _labels(value: Reader[Value]) -> Reader[dict[str, Value]]:
    @takes(ByName(_value.form))
    def read(node: Node, scope: Scope) -> dict[str, Value]:
        found = mapped(value)(node, scope)
        assert isinstance(node, MappingNode)
        if set(found) != set(node.entries):
            raise Refused
        for entry in node.entries.values():
            label_name(entry.key, scope)
        return found

    return read


MAP: Keys = {
    "when": Key(_matchers(), "The bodies that it is for; names are paths."),
    "each": Key(_path, "Leads to the list of alerts; without it the body is one alert."),
    "json": Key(listed(_field), "Texts that hold JSON, read as such first.", []),
    "ignore": Key(_matchers(), "What says nothing of an alert: tests, acknowledgements."),
    "resolved": Key(_matchers(), "What says that the alert is over."),
    "firing": Key(_matchers(), "What says that it fires; without it all that is not resolved does."),
    "key": Key(_own_value, "Which alert it is; without it, all its labels but severity and priority."),
    "labels": Key(_labels(_value), "Label to value; alertname must be among them.", required=True),
    "labels_from": Key(listed(_path), "Objects, or lists of name and value, that are labels too.", []),
    "annotations": Key(_labels(_value), "Annotation to value.", {}),
    "annotations_from": Key(listed(_path), "Objects, or lists of name and value, that are annotations too.", []),
    "at": Key(_moment, "When it was said: the start or the end, unless those are given."),
    "starts_at": Key(_moment, "When it began."),
    "ends_at": Key(_moment, "When it ended, if it has."),
    "url": Key(_own_value, "A link to it at its sender."),
}
_FIELDS = {"labels_from": "spread_labels", "annotations_from": "spread_annotations"}


def _map(node: Node, scope: Scope) -> BodyMap:
    values = read_keys(MAP, node, scope)
    assert isinstance(node, MappingNode)
    if set(values) != set(node.entries) or "labels" not in values:
        raise Refused
    at = node.entries["labels"]
    if "alertname" not in values["labels"]:
        raise scope.fault(
            codes.MISSING_KEY,
            at.key,
            f"{quote('labels')} of {scope.subject} has no {quote('alertname')}",
            expected="expected alertname among them",
        )
    return BodyMap(**{_FIELDS.get(word, word): value for word, value in values.items()})


_ONE = Table(MAP)


@takes(Either((_ONE, Several(_ONE, 1)), "map, or a list of them"))
def bodymaps(node: Node, scope: Scope) -> tuple[BodyMap, ...]:
    """One map, or several of which the first whose `when` holds is used. Refused as a whole if one of them is."""
    if isinstance(node, MappingNode):
        return (_map(node, scope),)
    if not isinstance(node, Sequence):
        raise wrong_type(node, scope, "a map of keys, or a list of them")
    if not node.items:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} is an empty list")
    found = tuple(sound(_map, node.items, scope))
    if len(found) < len(node.items):
        raise Refused
    return found
