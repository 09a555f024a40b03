"""What may happen in a `*.test.yaml`: the verbs, the keys that stand beside each, and what each becomes.

Owns these tables; when it happens, and names that refer to other parts of the test, are `testfile`. What an operator
may do comes from `ActionKind`: a new one is a verb, and wants its sentence here and the keys that it takes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.document import Node, Sequence
from imd.config.form import Either, Plain, Several, Table
from imd.config.reading import MATCHERS, labels, matchers
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    any_text,
    boolean,
    choice,
    duration,
    form_of,
    listed,
    name,
    takes,
    text,
    whole,
)
from imd.config.syntax import BadDuration, parse_duration
from imd.config.testvalues import COUNT_MAX, NUMBER, AlertRef, Moment, alert_refs, moment, signed_moment
from imd.config.wording import quote
from imd.model.event import ActionKind, Outcome
from imd.model.incident import Priority
from imd.model.rule import Matcher

_SECOND, _YEAR = timedelta(seconds=1), timedelta(days=365)
_ZERO = timedelta(0)


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """`again`: it must fire already. `starts_at` None: now, or for a repeat as before."""

    alerts: tuple[AlertRef, ...]
    again: bool = False
    annotations: dict[str, str] = {}
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    source: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True):
    """`expired`: nobody speaks of it any more; otherwise its sender says that it is over."""

    alerts: tuple[AlertRef, ...]
    expired: bool = False
    source: str = ""


class Act(msgspec.Struct, frozen=True):
    """An operator works on incidents, by number. `fields` are those of ActionTaken, but for `for`, how long, `into`, a
    number, and `alerts`, of whom there may be names."""

    kind: ActionKind
    incidents: tuple[int, ...]
    fields: dict[str, Any]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A person reports what no alert says."""

    title: str
    by: str = "test"
    labels: dict[str, str] = {}
    priority: Priority | None = None
    policy: str = ""
    note: str = ""


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    matchers: tuple[Matcher, ...]
    wait: timedelta
    by: str = "test"
    comment: str = ""
    name: str = ""


class Unmute(msgspec.Struct, frozen=True):
    name: str
    by: str = "test"


class Pause(msgspec.Struct, frozen=True):
    """`wait` None ends it."""

    wait: timedelta | None
    by: str = "test"
    reason: str = ""


class PutOnCall(msgspec.Struct, frozen=True, kw_only=True):
    """A person is on call for `wait`, from `begins` on (None: from now on), whoever's turn it is."""

    schedule: str
    person: str
    wait: timedelta
    begins: Moment | None = None
    by: str = "test"
    comment: str = ""


class EndOverride(msgspec.Struct, frozen=True):
    """The newest override of the schedule that is not over ends."""

    schedule: str
    by: str = "test"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """From now on, for `wait` or for good, messages to the receiver end so; `outcome` None: they do not end."""

    receiver: str
    outcome: Outcome | None
    wait: timedelta | None = None
    error: str = ""


class Settle(msgspec.Struct, frozen=True):
    """What hangs at the receiver ends so."""

    receiver: str
    outcome: Outcome


class SetClock(msgspec.Struct, frozen=True):
    by: timedelta


class Away(msgspec.Struct, frozen=True):
    """imd is stopped, and starts again `wait` later."""

    wait: timedelta


class Beats(msgspec.Struct, frozen=True):
    heartbeat: str
    labels: dict[str, str]


class Reload(msgspec.Struct, frozen=True):
    """From now on these files are the rules; relative to the test's own."""

    paths: tuple[str, ...]


Deed = (
    Fire
    | End
    | Act
    | Report
    | Mute
    | Unmute
    | Pause
    | PutOnCall
    | EndOverride
    | Answer
    | Settle
    | SetClock
    | Away
    | Beats
    | Reload
)


class Verb(msgspec.Struct, frozen=True):
    """What may happen: its key, the keys that may stand beside it, and what it becomes."""

    key: Key
    beside: Keys
    build: Callable[..., Deed]


# Single values.


@takes(form.text("duration, forward or with - back", "^[+-]?[0-9]", "+5m", "-30s"))
def _shift(node: Node, scope: Scope) -> timedelta:
    value = text(node, scope)
    try:
        return (-1 if value.startswith("-") else 1) * parse_duration(value.lstrip("+-"))
    except BadDuration as error:
        raise scope.fault(
            codes.BAD_DURATION, node, f"{quote(value)} for {scope.subject} is no duration: {error}",
            expected="expected a duration such as +5m or -30s",
        ) from None  # fmt: skip


@takes(Either((form_of(NUMBER), Several(form_of(NUMBER), 1)), said="incident's number, or list of them"))
def _numbers(node: Node, scope: Scope) -> tuple[int, ...]:
    if isinstance(node, Sequence):
        return listed(NUMBER, least=1)(node, scope)
    return (NUMBER(node, scope),)


@takes(Either((MATCHERS, Several(MATCHERS, 1)), said="matchers, all of which must hold"))
def _silenced(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    if isinstance(node, Sequence):
        found = listed(matchers, least=1)(node, scope)
        if len(found) < len(node.items):
            raise Refused
        return tuple(matcher for several in found for matcher in several)
    return matchers(node, scope)


@takes(Plain("true", {"const": True}))
def _true(node: Node, scope: Scope) -> bool:
    if not boolean(node, scope):
        raise scope.fault(
            codes.NOT_ONE_OF, node, f"{scope.subject} is false", expected="expected true", help="leave it out"
        )
    return True


class _Ended(enum.StrEnum):
    """How a delivery may end, but for what the engine itself calls off."""

    ACCEPTED = "accepted"
    FAILED = "failed"
    UNKNOWN = "unknown"


# What may stand beside what happens.

_BY = Key(name, "Who does it.", "test")
_SOURCE = Key(name, "The source that reports it: one of config.yaml's, or any name.", "test")
_FOR = Key(duration(_SECOND, 10 * _YEAR), "How long; without it until the end, or until `recover`.")

ACTIONS: Mapping[ActionKind, str] = {
    ActionKind.ACK: "An operator acknowledges incidents, by number: 1 is the first that was opened.",
    ActionKind.UNACK: "An operator takes an acknowledgement back.",
    ActionKind.SNOOZE: "An operator acknowledges incidents for so long.",
    ActionKind.ASSIGN: "An operator says whose incidents these are.",
    ActionKind.RESPONDER: "An operator asks somebody more to help.",
    ActionKind.ESCALATE: "An operator asks for the next escalation step now.",
    ActionKind.RESOLVE: "With a number: an operator resolves the incident by hand.",
    ActionKind.REOPEN: "An operator works on resolved incidents again.",
    ActionKind.CLOSE: "An operator closes resolved incidents.",
    ActionKind.MERGE: "An operator makes incidents part of another.",
    ActionKind.SPLIT: "An operator takes alerts out of an incident, into one of their own.",
    ActionKind.NOTE: "An operator writes `text` into the timeline.",
}
_NOTE = Key(any_text, "A line for the timeline.")
_TO = Key(name, "Who: a person, or for `responder` also `team:NAME`, `schedule:NAME`…", required=True)
_OWN_KEYS: Mapping[ActionKind, Keys] = {
    ActionKind.SNOOZE: {"for": Key(duration(_SECOND, _YEAR), "How long.", required=True)},
    ActionKind.ASSIGN: {"to": _TO},
    ActionKind.RESPONDER: {"to": _TO},
    ActionKind.RESOLVE: {"force": Key(boolean, "Even while alerts fire.", False)},
    ActionKind.MERGE: {"into": Key(whole(1, COUNT_MAX), "The number of the one that lives on.", required=True)},
    ActionKind.SPLIT: {"alerts": Key(alert_refs, "The alerts.", required=True)},
    ActionKind.CLOSE: {
        "outcome": Key(any_text, "How it ended."),
        "cause": Key(any_text, "Why it happened."),
        "actionable": Key(boolean, "Whether anybody had to do anything."),
    },
}
"""What an action takes beside `by` and `note`."""


def _action(kind: ActionKind) -> Verb:
    beside: dict[str, Key] = {"by": _BY, **_OWN_KEYS.get(kind, {})}
    if kind is ActionKind.NOTE:
        beside["text"] = Key(text, "What the note says.", required=True)
    else:
        beside["note"] = _NOTE

    def build(value: tuple[int, ...], fields: dict[str, Any]) -> Act:
        renamed = {("note" if word == "text" else word): one for word, one in fields.items()}
        return Act(kind, value, {"by": "test", **renamed})

    return Verb(Key(_numbers, ACTIONS[kind]), beside, build)


def _flat(build: Callable[..., Deed], key: str, **fixed: Any) -> Callable[..., Deed]:
    """A deed whose fields are the keys beside it, `for` being `wait`."""

    def made(value: Any, fields: dict[str, Any]) -> Deed:
        renamed = {("wait" if word == "for" else word): one for word, one in fields.items()}
        return build(**{key: value, **fixed, **renamed})

    return made


def _answer(about: str, outcome: Outcome | None, **beside: Key) -> Verb:
    return Verb(Key(name, about), {"for": _FOR, **beside}, _flat(Answer, "receiver", outcome=outcome))


_RENAMED = {"for": "wait", "from": "begins"}

RESOLVE_BY_HAND = _action(ActionKind.RESOLVE)
"""`resolve: 1`, where `resolve: node` is an alert's end."""

VERBS: dict[str, Verb] = {
    "fire": Verb(
        Key(alert_refs, "Alerts fire, in one request; one that fires already is a repeat."),
        {
            "annotations": Key(labels, "In place of the alert's own.", {}),
            "starts_at": Key(signed_moment, "When it began by its sender's word; without it now."),
            "ends_at": Key(signed_moment, "When it ends by its sender's word, without a resolve."),
            "source": _SOURCE,
        },
        _flat(Fire, "alerts"),
    ),
    "repeat": Verb(
        Key(alert_refs, "Alerts that fire already are reported again."),
        {"annotations": Key(labels, "In place of the alert's own.", {})},
        _flat(Fire, "alerts", again=True),
    ),
    "resolve": Verb(
        Key(alert_refs, "The alerts' sender says that they are over."), {"source": _SOURCE}, _flat(End, "alerts")
    ),
    "expire": Verb(Key(alert_refs, "Nobody reports the alerts any more."), {}, _flat(End, "alerts", expired=True)),
    **{kind.value: _action(kind) for kind in ActionKind if kind is not ActionKind.RESOLVE},
    "report": Verb(
        Key(text, "A person reports what no alert says: the title."),
        {
            "by": _BY,
            "labels": Key(labels, "What routes see.", {}),
            "priority": Key(choice(Priority), "In place of what the matrix says."),
            "policy": Key(name, "The policy that pages, in place of the routes'."),
            "note": _NOTE,
        },
        _flat(Report, "title"),
    ),
    "silence": Verb(
        Key(_silenced, "An operator mutes what these matchers take."),
        {
            "for": Key(duration(_SECOND, 10 * _YEAR), "How long.", required=True),
            "by": _BY,
            "comment": Key(any_text, "Why."),
            "name": Key(name, "A name for `unsilence` and for verdicts; without it its count: 1, 2…"),
        },
        _flat(Mute, "matchers"),
    ),
    "unsilence": Verb(Key(name, "An operator ends the silence of this name."), {"by": _BY}, _flat(Unmute, "name")),
    "pause": Verb(
        Key(duration(_SECOND, _YEAR), "An operator pauses everything for so long."),
        {"by": _BY, "reason": Key(any_text, "Why.")},
        _flat(Pause, "wait"),
    ),
    "unpause": Verb(
        Key(_true, "An operator ends the pause."), {"by": _BY}, lambda value, fields: Pause(None, **fields)
    ),
    "override": Verb(
        Key(name, "Somebody else is on call by this schedule for a while."),
        {
            "person": Key(name, "Who.", required=True),
            "for": Key(duration(_SECOND, 10 * _YEAR), "How long.", required=True),
            "from": Key(moment, "From when on; without it from now on."),
            "by": _BY,
            "comment": Key(any_text, "Why."),
        },
        lambda value, fields: PutOnCall(
            schedule=value, **{_RENAMED.get(word, word): field for word, field in fields.items()}
        ),
    ),
    "unoverride": Verb(
        Key(name, "The newest override of this schedule ends."), {"by": _BY}, _flat(EndOverride, "schedule")
    ),
    "fail": _answer(
        "This receiver refuses messages from now on.",
        Outcome.FAILED,
        error=Key(any_text, "The receiver's words.", "refused"),
    ),
    "hang": _answer("This receiver neither accepts nor refuses messages from now on.", None),
    "recover": Verb(
        Key(name, "This receiver accepts messages again, and those that hang."),
        {},
        _flat(Answer, "receiver", outcome=Outcome.ACCEPTED),
    ),
    "deliver": Verb(
        Key(name, "The messages that hang at this receiver end."),
        {"outcome": Key(choice(_Ended), "How they end.", "accepted")},
        lambda value, fields: Settle(value, Outcome(fields.get("outcome", _Ended.ACCEPTED).value)),
    ),
    "clock": Verb(Key(_shift, "The wall clock is set by so much; no time passes."), {}, _flat(SetClock, "by")),
    "restart": Verb(
        Key(duration(_ZERO, _YEAR), "imd is stopped, and starts again so much later."), {}, _flat(Away, "wait")
    ),
    "heartbeat": Verb(
        Key(name, "A beat of this heartbeat comes by HTTP."),
        {"labels": Key(labels, "The values of its `by` labels.", {})},
        lambda value, fields: Beats(value, fields.get("labels", {})),
    ),
    "reload": Verb(
        Key(listed(text, least=1), "These files are the rules from now on; relative to this file."),
        {},
        _flat(Reload, "paths"),
    ),
}

WHEN: Keys = {
    "at": Key(moment, "When it happens.", required=True),
    "every": Key(duration(timedelta(milliseconds=100), _YEAR), "And again each so often, until `until`."),
    "until": Key(moment, "The last time that it may happen again."),
    "refused": Key(any_text, "imd refuses it, with these words among the reason."),
}


def _event() -> Either:
    verbs = [*VERBS.items(), ("resolve", RESOLVE_BY_HAND)]
    needed = msgspec.structs.replace
    return Either(
        tuple(Table({**WHEN, word: needed(verb.key, required=True), **verb.beside}) for word, verb in verbs),
        said="map",
    )


EVENT = _event()
