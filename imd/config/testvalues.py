"""Values that only `*.test.yaml` has: times of a test, and the alerts that it speaks of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Scalar, Sequence
from imd.config.form import Either, Plain, Several, Table
from imd.config.reading import labels
from imd.config.shape import Key, Keys, Refused, Scope, form_of, listed, name, read_keys, takes, text, whole, wrong_type
from imd.config.syntax import BadDuration, parse_duration
from imd.config.wording import quote

_EXAMPLE = "expected a duration after the start such as 90s or 1h30m, or an instant such as 2026-01-01T00:05:00Z"
COUNT_MAX = 1_000_000

Moment = timedelta | datetime
"""An instant, or a time after the start of the test."""


class AlertRef(msgspec.Struct, frozen=True):
    """An alert: a name of `alerts:`, or labels in place of one (then `name` is "")."""

    name: str
    labels: dict[str, str]
    span: Span


class NamedAlert(msgspec.Struct, frozen=True):
    """An entry of `alerts:`."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    source: str = ""


_MOMENT = form.text("duration after the start, or instant", f"{form.DURATION_PATTERN}|^[0-9]{{4}}-", "90s", "5m")


@takes(Either((_MOMENT, Plain("", {"const": 0})), said=_MOMENT.said, name="moment"))
def moment(node: Node, scope: Scope) -> Moment:
    """`90s` after the start, or an instant of RFC 3339."""
    return _moment(node, scope, signed=False)


@takes(form.text("duration after (or, with -, before) the start, or instant", "^-?[0-9]", "-10m"))
def signed_moment(node: Node, scope: Scope) -> Moment:
    """The same; `-10m` is before the start."""
    return _moment(node, scope, signed=True)


def _moment(node: Node, scope: Scope, signed: bool) -> Moment:
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        raise wrong_type(node, scope, "a time of the test")
    if node.text[4:5] == "-":
        try:
            at = datetime.fromisoformat(node.text)
            if at.tzinfo is not None and 1970 <= at.year < 2200:
                return at.astimezone(UTC)
        except ValueError:
            pass
    else:
        sign, rest = (-1, node.text[1:]) if signed and node.text.startswith("-") else (1, node.text)
        try:
            return sign * parse_duration(rest)
        except BadDuration:
            pass
    hint = f'did you mean "{node.text}s"?' if node.text.isdigit() and len(node.text) < 9 else ""
    raise scope.fault(
        codes.BAD_MOMENT, node, f"{scope.subject} is {quote(node.text)}, which is no time", expected=_EXAMPLE, help=hint
    )


_LABELS = form_of(labels)
ALERT_REF = Either(
    (Plain("alert name", form.TEXT.schema), _LABELS), said="name of an alert, or its labels", name="alert"
)


@takes(ALERT_REF)
def alert_ref(node: Node, scope: Scope) -> AlertRef:
    """A name of `alerts:`, or labels."""
    if isinstance(node, MappingNode):
        found = {word: value for word, value in labels(node, scope).items() if value}
        if len(node.entries) > len(found) and not found:
            raise Refused
        if not found:
            raise scope.fault(codes.EMPTY, node, f"{scope.subject} has no labels")
        return AlertRef("", found, node.span)
    if isinstance(node, Sequence):
        raise wrong_type(node, scope, "the name of an alert, or its labels")
    return AlertRef(text(node, scope), {}, node.span)


@takes(Either((*ALERT_REF.forms, Several(ALERT_REF, 1)), said="alert, or list of alerts"))
def alert_refs(node: Node, scope: Scope) -> tuple[AlertRef, ...]:
    """One, or a list of them that come in one request."""
    if isinstance(node, Sequence):
        found = listed(alert_ref, least=1)(node, scope)
        if len(found) < len(node.items):
            raise Refused
        return found
    return (alert_ref(node, scope),)


NUMBER = whole(1, COUNT_MAX)
"""Of an incident."""

NAMED_ALERT: Keys = {
    "labels": Key(labels, "Its labels, by which it is known.", required=True),
    "annotations": Key(labels, "Its annotations, such as `summary`.", {}),
    "source": Key(name, "The source that reports it: one of config.yaml's, or any name.", "test"),
}


@takes(Either((_LABELS, Table(NAMED_ALERT)), said="labels, or a map of labels, annotations and source"))
def named_alert(node: Node, scope: Scope) -> NamedAlert:
    """Labels; or, where `labels` is itself a map, the long form."""
    inner = node.entries.get("labels") if isinstance(node, MappingNode) else None
    if inner is not None and isinstance(inner.value, MappingNode):
        values = read_keys(NAMED_ALERT, node, scope)
        if "labels" not in values:
            raise Refused
        found = NamedAlert(**values)
    else:
        found = NamedAlert(labels(node, scope))
    known = {word: value for word, value in found.labels.items() if value}
    if not known:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} has no labels")
    return msgspec.structs.replace(found, labels=known)
