"""The keys of EVENTS.jsonl's lines, by type (design section 2), and how a line becomes them.

Owns which keys a line may have and what stands for those that it leaves out. Every decoder raises what msgspec raises;
what the values mean is `journal`.
"""

from __future__ import annotations

import msgspec

from imd.model.event import Outcome
from imd.model.incident import Priority
from imd.sources.contract import Instant

NO_LONGER_REPORTED = "no longer reported"
ABSENT = msgspec.Raw(b"")
When = Instant | float | int


class Alert(msgspec.Struct, gc=False):
    ts: When
    type: str = "alert"
    status: str = ""
    labels: msgspec.Raw = ABSENT
    annotations: msgspec.Raw = ABSENT
    starts_at: When | None = None
    ends_at: When | None = None
    source: str | None = ""
    by_api: bool = False
    same_step: bool = False
    identity: msgspec.Raw = ABSENT


class Expired(msgspec.Struct):
    ts: When
    labels: msgspec.Raw = ABSENT
    ends_at: When | None = None
    source: str | None = ""
    reason: str = NO_LONGER_REPORTED
    same_step: bool = False
    identity: msgspec.Raw = ABSENT


class Action(msgspec.Struct):
    ts: When
    action: str
    incident: str | int
    by: str = "unknown"
    note: str = ""
    force: bool = False
    through: str = "api"
    alert: msgspec.Raw = ABSENT
    until: When | None = None
    to: str = ""
    into: str | int = ""
    fingerprints: tuple[str, ...] = ()
    outcome: str = ""
    cause: str = ""
    actionable: bool | None = None


class Report(msgspec.Struct):
    """A person's report: an action too, of an incident that it opens."""

    ts: When
    title: str
    report: str = ""
    by: str = "unknown"
    labels: dict[str, str] = {}
    priority: Priority | None = None
    policy: str = ""
    note: str = ""
    through: str = "api"


class Named(msgspec.Struct):
    action: str = ""


class Delivery(msgspec.Struct):
    ts: When
    delivery: str
    incident: str
    receiver: str
    outcome: Outcome
    error: str = ""


class Silence(msgspec.Struct):
    ts: When
    action: str = ""
    silence: str = ""
    by: str = "unknown"
    matchers: list[str] = []
    starts_at: When | None = None
    ends_at: When | None = None
    comment: str = ""
    replaces: str = ""


class Beat(msgspec.Struct):
    ts: When
    heartbeat: str
    by: dict[str, str] = {}


class Override(msgspec.Struct):
    ts: When
    action: str
    override: str
    by: str = "unknown"
    schedule: str = ""
    person: str = ""
    starts_at: When | None = None
    ends_at: When | None = None
    comment: str = ""


class Restart(msgspec.Struct):
    ts: When
    alive_at: When


class Clock(msgspec.Struct):
    ts: When
    by_seconds: float


class Timed(msgspec.Struct):
    ts: When


class Typed(msgspec.Struct):
    type: str = "alert"


alert = msgspec.json.Decoder(Alert).decode
expired = msgspec.json.Decoder(Expired).decode
action = msgspec.json.Decoder(Action).decode
report = msgspec.json.Decoder(Report).decode
named = msgspec.json.Decoder(Named).decode
delivery = msgspec.json.Decoder(Delivery).decode
silence = msgspec.json.Decoder(Silence).decode
beat = msgspec.json.Decoder(Beat).decode
override = msgspec.json.Decoder(Override).decode
restart = msgspec.json.Decoder(Restart).decode
clock = msgspec.json.Decoder(Clock).decode
timed = msgspec.json.Decoder(Timed).decode
typed = msgspec.json.Decoder(Typed).decode
