"""`receivers:` of config.yaml: the keys that every receiver takes, and reading one whole.

The keys of each type are `receiverkeys`'.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.channelsettings import Templates
from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.config.form import Either, Form, Plain, Table
from imd.config.receiverkeys import RENAMED, TYPES, Type
from imd.config.settings import ReceiverSettings
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    choice,
    duration,
    listed,
    misspelt,
    name,
    not_one_of,
    peek,
    read_keys,
    takes,
    text,
    whole,
    wrong_type,
)
from imd.config.templatekeys import templates
from imd.model.incident import Priority
from imd.model.policy import PageKind, Receiver

SEND_ALERTS_MAX = 10_000
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@takes(
    Plain(
        "whole number, or all",
        {"anyOf": [{"type": "integer", "minimum": 0, "maximum": SEND_ALERTS_MAX}, {"const": "all"}]},
        f"0 to {SEND_ALERTS_MAX}",
    )
)
def _send_alerts(node: Node, scope: Scope) -> int | None:
    """A count, or `all`, which is None."""
    if isinstance(node, Scalar) and node.value == "all":
        return None
    if not isinstance(node, Scalar) or not isinstance(node.value, int):
        raise wrong_type(node, scope, f'a whole number up to {SEND_ALERTS_MAX}, or "all"')
    return whole(0, SEND_ALERTS_MAX)(node, scope)


RECEIVER: Keys = {
    "name": Key(name, "How rules speak of the receiver.", required=True),
    "type": Key(text, "The kind of service.", required=True),
    "send": Key(listed(choice(PageKind), least=1), "The kinds of messages that it takes.", ["page", "resolved"]),
    "send_alerts": Key(_send_alerts, "Alerts in one message; the rest is counted.", 20),
    "update_every": Key(duration(timedelta(0), _DAY), "At most one update of an incident in this time.", "1m"),
    "min_priority": Key(choice(Priority), "Nothing less urgent is sent: P3 takes P1, P2 and P3.", "P5"),
    "deliver_within": Key(
        duration(timedelta(seconds=1), _HOUR),
        "A page not accepted by then passes on to the next way or step; without it 20s for P1 and P2, else 60s.",
    ),
    "stale_after": Key(duration(_MINUTE, 7 * _DAY), "An older page is not sent singly any more.", "15m"),
}


WORDED: Keys = {"templates": Key(templates, "The operator's own words, for receivers that people read.")}


def _keys(kind: Type) -> Keys:
    return {**RECEIVER, **(WORDED if kind.people else {}), **kind.keys}


def _form() -> Form:
    """A receiver of any type."""
    typed = RECEIVER["type"]
    return Either(
        tuple(
            Table({**_keys(kind), "type": msgspec.structs.replace(typed, form=form.words(word))})
            for word, kind in TYPES.items()
        )
    )


RECEIVER_FORM = _form()


def receiver(node: Node, scope: Scope) -> ReceiverSettings:
    """One receiver. Refused, everything reported, if its type or a key that it needs is unsound."""
    kind = _kind(node, scope)
    keys = _keys(kind)
    values = read_keys(keys, node, scope)
    whole_groups = _exactly_one(kind, node, scope)
    if not whole_groups or any(key.required and word not in values for word, key in keys.items()):
        raise Refused
    _places(kind, node, scope)
    channel = {RENAMED.get(word, word): values.pop(word) for word in kind.keys if word in values}
    return ReceiverSettings(
        receiver=_model(values, kind.people and not kind.tickets),
        type=values["type"],
        channel=kind.settings(**channel),
        templates=values.get("templates", Templates()),
    )


def _exactly_one(kind: Type, node: Node, scope: Scope) -> bool:
    """Whether one group of the type's alternatives stands there, whole and alone; reports what does not."""
    if not isinstance(node, Mapping):
        return True
    there = {word.removesuffix("_file") if word not in kind.keys else word for word in node.entries}
    if not _together(kind, there, node, scope):
        return False
    if not kind.exactly_one:
        return True
    begun = [group for group in kind.exactly_one if there & set(group) - set(kind.shared)]
    either = " or ".join(" and ".join(f'"{word}"' for word in group) for group in kind.exactly_one)
    if len(begun) == 1 and set(begun[0]) <= there:
        return True
    first = next(iter(node.entries.values())).key
    if len(begun) > 1:
        scope.fault(
            codes.EXCLUSIVE_KEYS,
            first,
            f"{scope.owner} has keys that exclude each other",
            expected=f"expected {either}",
        )
    elif not misspelt(node, {**RECEIVER, **kind.keys}, kind.keys):
        missing = [word for word in (begun or kind.exactly_one)[0] if word not in there]
        named = " and ".join(f'"{word}"' for word in missing)
        scope.fault(codes.MISSING_KEY, first, f"{scope.owner} has no {named}", expected=f"expected {either}")
    return False


def _places(kind: Type, node: Node, scope: Scope) -> None:
    """A lint for each kind in `send` that would never be sent."""
    mode = peek(node, "mode")
    entry = node.entries.get("send") if isinstance(node, Mapping) else None
    if entry is None or not isinstance(entry.value, Sequence):
        return
    if kind.silent_mode and (mode is None or mode.text != kind.silent_mode):
        return
    for item in entry.value.items:
        if isinstance(item, Scalar) and item.text in kind.silent:
            said = f'"send" in {scope.owner} names {item.text}, which this service has no place for'
            scope.document.lint(codes.NO_PLACE_FOR_KIND, item.span, said, help="take it out: it is never sent")


def _together(kind: Type, there: set[str], node: Mapping, scope: Scope) -> bool:
    found = [word for word in kind.together if word in there]
    missing = [word for word in kind.together if word not in there]
    if not found or not missing:
        return True
    entry = node.entries.get(found[0]) or node.entries[f"{found[0]}_file"]
    expected = f'expected "{missing[0]}" beside "{found[0]}"'
    scope.fault(codes.MISSING_KEY, entry.key, f'{scope.owner} has no "{missing[0]}"', expected=expected)
    return False


def _kind(node: Node, scope: Scope) -> Type:
    found = peek(node, "type")
    if found is None or found.value is None:
        # Which other keys it needs is unknown; those that every type takes are checked, and the type is missed there.
        any_type = {
            word: Key(key.read, secret=key.secret) for kind in TYPES.values() for word, key in kind.keys.items()
        }
        read_keys({**RECEIVER, **WORDED, **any_type}, node, scope)
        raise Refused
    at = scope.inside("type", scope.owner)
    kind = TYPES.get(found.text)
    if kind is None:
        raise not_one_of(found, at, TYPES)
    if not kind.installed:
        raise at.fault(
            codes.RECEIVER_UNAVAILABLE,
            found,
            f"receiver type {found.text} needs {kind.module}, which is not installed",
            help=f"install it with: pip install 'imd[{kind.extra}]'" if kind.extra else "reinstall imd",
        )
    return kind


def _model(values: dict[str, Any], people: bool) -> Receiver:
    known: dict[str, Any] = {word: values[word] for word in RECEIVER if word in values and word != "type"}
    if "send" in known:
        known["send"] = frozenset(known["send"])
    return Receiver(**known, people=people)
