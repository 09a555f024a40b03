"""Bodies of what people ask for, and what is refused of them before the engine sees it: missing, too long, no time."""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta

import msgspec

from imd.api.answers import Refusal
from imd.api.operations import Duration, Name
from imd.api.parameters import duration
from imd.model.event import ActionKind, ActionTaken, IncidentReported
from imd.model.incident import Incident, Priority
from imd.model.policy import Ruleset

BY_CHARS_MAX = 200
NOTE_CHARS_MAX = 16_384
TITLE_CHARS_MAX = 300
FINGERPRINTS_MAX = 5_000
LABELS_MAX = 64
LABEL_CHARS_MAX = 4_096
SNOOZE_MAX = timedelta(days=30)

_CODE = re.compile(r"[\w .,:/()+-]{1,64}")
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Action(msgspec.Struct):
    """Body of an action. `force` resolves while alerts fire; `until` or `for` end a snooze; `to` is who is assigned or
    asked to help; `into` the incident that lives on; `fingerprints` who is split off; the last three say how it ended.
    """

    by: Name = ""
    note: str = ""
    force: bool = False
    until: datetime | None = None
    for_: Duration = msgspec.field(default="", name="for")
    to: str = ""
    into: str | int = ""
    fingerprints: list[str] = []
    outcome: str = ""
    cause: str = ""
    actionable: bool | None = None
    through: str = "api"

    def __post_init__(self) -> None:
        self.into = str(self.into)

    def event(self, kind: ActionKind, incident: Incident, now: datetime) -> ActionTaken:
        """Raises Refusal (400) where something is missing or too long."""
        _check_words(self.by, self.note)
        _CHECKS.get(kind, _nothing)(self)
        return ActionTaken(
            kind=kind,
            incident=incident.id,
            by=self.by.strip(),
            note=self.note,
            force=self.force,
            through=self.through[:20],
            until=self.end(now) if kind is ActionKind.SNOOZE else None,
            to=self.to.strip(),
            fingerprints=tuple(dict.fromkeys(self.fingerprints)),
            outcome=self.outcome,
            cause=self.cause,
            actionable=self.actionable,
            record=None if incident.open else incident,
        )

    def end(self, now: datetime) -> datetime:
        """When a snooze is over. Raises Refusal."""
        if (self.until is None) == (not self.for_):
            raise Refusal(400, "a snooze needs `until`, an instant, or `for`, a duration such as 2h: one of the two")
        if self.until is not None:
            if self.until.tzinfo is None:
                raise Refusal(400, "`until` needs a time zone, for example 2026-03-01T09:00:00Z")
            end = self.until
        else:
            end = now + min(duration("for", self.for_), SNOOZE_MAX * 2)
        if not now < end <= now + SNOOZE_MAX:
            raise Refusal(400, f"a snooze ends in the future, at most {SNOOZE_MAX.days} days ahead")
        return end


class Report(msgspec.Struct):
    """Body of a report by a person. The same `key` twice is one incident."""

    title: Name = ""
    by: Name = ""
    labels: dict[str, str] = {}
    priority: Priority | None = None
    policy: str = ""
    note: str = ""
    key: str = ""
    through: str = "api"

    def event(self, ruleset: Ruleset) -> IncidentReported:
        """Raises Refusal (400)."""
        _check_words(self.by, self.note)
        if not self.title.strip() or len(self.title) > TITLE_CHARS_MAX or "\0" in self.title:
            raise Refusal(400, f"a report needs `title`: what is wrong, in at most {TITLE_CHARS_MAX} characters")
        if len(self.labels) > LABELS_MAX:
            raise Refusal(400, f"`labels`: at most {LABELS_MAX}")
        for name, value in self.labels.items():
            if not _LABEL_NAME.fullmatch(name) or len(value) > LABEL_CHARS_MAX or "\0" in value:
                raise Refusal(400, f"`labels`: {name[:100]!a} is no label name, or its value is too long")
        if self.policy and self.policy not in ruleset.policies:
            known = ", ".join(list(ruleset.policies)[:20])
            raise Refusal(400, f"there is no policy {self.policy[:100]!a}, only {known}")
        return IncidentReported(
            key=self.key[:200] or secrets.token_hex(8),
            title=" ".join(self.title.split()),
            by=self.by.strip(),
            labels={name: value for name, value in self.labels.items() if value},
            priority=self.priority,
            policy=self.policy,
            note=self.note,
            through=self.through[:20],
        )


def _check_words(by: str, note: str) -> None:
    if not by.strip() or len(by) > BY_CHARS_MAX:
        raise Refusal(400, f"an action needs `by`: who does it, in at most {BY_CHARS_MAX} characters")
    if len(note) > NOTE_CHARS_MAX:
        raise Refusal(400, f"`note` is longer than {NOTE_CHARS_MAX} characters")
    if "\0" in by or "\0" in note:
        raise Refusal(400, "`by` and `note` cannot hold a NUL")


def _note(action: Action) -> None:
    if not action.note.strip():
        raise Refusal(400, "a note needs `note`: its text")


def _to(action: Action) -> None:
    if not action.to.strip() or len(action.to) > BY_CHARS_MAX or "\0" in action.to:
        raise Refusal(400, "this needs `to`: who, for example ana, or for a responder also team:shop")


def _into(action: Action) -> None:
    if not action.into:
        raise Refusal(400, "a merge needs `into`: the incident that lives on, by id or number")


def _fingerprints(action: Action) -> None:
    if not action.fingerprints or len(action.fingerprints) > FINGERPRINTS_MAX:
        raise Refusal(400, f"a split needs `fingerprints`: of 1 to {FINGERPRINTS_MAX} alerts of the incident")


def _codes(action: Action) -> None:
    for name, value in (("outcome", action.outcome), ("cause", action.cause)):
        if value and not _CODE.fullmatch(value):
            raise Refusal(400, f"`{name}` is a word or a few, at most 64 characters, for example fixed or capacity")


def _nothing(_action: Action) -> None:
    pass


_CHECKS = {
    ActionKind.NOTE: _note,
    ActionKind.ASSIGN: _to,
    ActionKind.RESPONDER: _to,
    ActionKind.MERGE: _into,
    ActionKind.SPLIT: _fingerprints,
    ActionKind.CLOSE: _codes,
}
