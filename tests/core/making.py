"""Small makers for the core's tests: reports, rules, receivers, and a store made of two dicts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from imd.core.state import State, restore
from imd.model.alert import Alert, AlertReport, identify
from imd.model.digest import Digests
from imd.model.effect import (
    AppendTimeline,
    CancelPages,
    Deliver,
    Delivery,
    Effect,
    ForgetAlert,
    ForgetBeat,
    ForgetIncident,
    SaveAlert,
    SaveBeat,
    SaveDigests,
    SaveIncident,
    SaveOverride,
    SavePresence,
    SaveSeen,
    SaveSilence,
    SaveTurn,
)
from imd.model.event import AlertsReported
from imd.model.heartbeat import Beat
from imd.model.incident import Incident, TimelineEntry
from imd.model.policy import (
    BUILT_IN_RULE,
    EscalationStep,
    PageKind,
    Person,
    Policy,
    Receiver,
    Ruleset,
    Source,
    Target,
    TargetKind,
    Way,
    built_in_policy,
)
from imd.model.presence import Presence
from imd.model.quiet import Inhibition, Silence
from imd.model.rule import Matcher, Op, Rule
from imd.model.schedule import Override

T0 = datetime(2026, 1, 1, tzinfo=UTC)
STORE_ID = "0123456789abcdef"
EVERY_KIND = frozenset(PageKind) - {PageKind.DIGEST}


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def report(
    labels: dict[str, str],
    starts: float | None = 0.0,
    *,
    resolved: bool = False,
    ends: float | None = None,
    annotations: dict[str, str] | None = None,
) -> AlertReport:
    """One alert of a request; `starts` and `ends` are seconds after T0, None where the sender said nothing."""
    return AlertReport(
        identify(labels),
        resolved,
        None if starts is None else after(starts),
        None if ends is None else after(ends),
        msgspec.json.encode(annotations or {}),
    )


def keyed(key: str, at: float | None = None, *, resolved: bool = False, **labels: str) -> AlertReport:
    """What a sender with a key of its own says of one alert, with all its labels or none; `at` is when it said so, in
    seconds after T0."""
    said = None if at is None else after(at)
    return AlertReport(
        identify({"key": key}),
        resolved,
        None if resolved else said,
        said if resolved else None,
        labels=msgspec.json.encode({"key": key, **labels}, order="sorted") if labels else None,
        event_time=True,
    )


def webhook(*reports: AlertReport, source: str = "am") -> AlertsReported:
    return AlertsReported(source, False, reports)


def api(*reports: AlertReport, source: str = "prom") -> AlertsReported:
    return AlertsReported(source, True, reports)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def step(*targets: str, wait: timedelta = timedelta(minutes=5), round_robin: bool = False) -> EscalationStep:
    """`step("ana", "#chat", "@primary", "+platform")`: persons by name; receivers, schedules and teams by a sign."""
    return EscalationStep(notify=tuple(_target(name) for name in targets), wait=wait, round_robin=round_robin)


_SIGNS = {"#": TargetKind.RECEIVER, "@": TargetKind.SCHEDULE, "+": TargetKind.TEAM}


def _target(name: str) -> Target:
    kind = _SIGNS.get(name[0])
    return Target(kind, name[1:]) if kind is not None else Target(TargetKind.PERSON, name)


def person(name: str, *ways: str, low: tuple[str, ...] = (), **other: object) -> Person:
    """`person("ana", "ntfy", "sms 2m")`: receivers, each so many minutes after the first."""
    return Person(name=name, reach=_ways(ways), reach_low=_ways(low), **other)  # type: ignore[arg-type]


def _ways(texts: Iterable[str]) -> tuple[Way, ...]:
    parts = (text.partition(" ") for text in texts)
    return tuple(Way(receiver, minutes(float(after.rstrip("m") or 0))) for receiver, _, after in parts)


def policy(*steps: EscalationStep, name: str = "default", **other: object) -> Policy:
    return msgspec.structs.replace(Policy(name=name, steps=steps), **other)


def ruleset(
    *rules: Rule,
    policies: Iterable[Policy] = (),
    receivers: Iterable[Receiver] = (),
    people: Iterable[str | Person] = ("ana", "ben", "cleo"),
    sources: Iterable[Source] = (),
    **other: object,
) -> Ruleset:
    """A person given by name is reached by `NAME-phone`, which wants every kind; one given whole by ways of which the
    receivers are made likewise. Without policies: the built-in one."""
    everyone = [Person(name=one, reach=(Way(f"{one}-phone"),)) if isinstance(one, str) else one for one in people]
    ways = (way.receiver for one in everyone for way in (*one.reach, *one.reach_low))
    all_receivers = {one.name: one for one in receivers}
    for way in ways:
        all_receivers.setdefault(way, Receiver(name=way, send=EVERY_KIND))
    all_policies = {one.name: one for one in policies}
    all_policies.setdefault("default", built_in_policy(tuple(all_receivers)))
    whole = Ruleset(
        rules=rules if rules and rules[-1].name == "default" else (*rules, BUILT_IN_RULE),
        policies=all_policies,
        receivers=all_receivers,
        people={one.name: one for one in everyone},
        sources={one.name: one for one in sources},
        config_hash="c0ffee",
    )
    return msgspec.structs.replace(whole, **other)


class Kept:
    """What a store would hold after the effects it was given: bytes, so that nothing is shared with the engine."""

    def __init__(self) -> None:
        self.alerts: dict[int, bytes] = {}
        self.incidents: dict[str, bytes] = {}
        self.past: dict[str, bytes] = {}
        self.silences: dict[str, bytes] = {}
        self.beats: dict[tuple[str, tuple[tuple[str, str], ...]], bytes] = {}
        self.presence = msgspec.msgpack.encode(Presence())
        self.overrides: dict[str, bytes] = {}
        self.turns: dict[str, int] = {}
        self.digests: dict[str, bytes] = {}
        self.last_alert_id = 0
        self.last_number = 0

    def apply(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case SaveAlert(alert=alert):
                    self._save(alert)
                case SaveSeen(alerts=alerts):
                    for alert in alerts:
                        assert alert.id in self.alerts, f"SaveSeen of alert {alert.id}, which was forgotten"
                        self._save(alert)
                case ForgetAlert(id=alert_id):
                    self.alerts.pop(alert_id, None)
                case SaveBeat(beat=beat):
                    self.beats[beat.heartbeat, beat.by] = msgspec.msgpack.encode(beat)
                case ForgetBeat(heartbeat=name, by=by):
                    self.beats.pop((name, by), None)
                case SaveIncident(incident=incident):
                    forgotten = self.past.pop(incident.id, None)  # a note, or its closing, brings it back for a while
                    assert forgotten is None or not incident.open, f"{incident.id} was forgotten and is saved again"
                    self.incidents[incident.id] = msgspec.msgpack.encode(incident)
                    self.last_number = max(self.last_number, incident.number)
                case ForgetIncident(id=incident_id):
                    self._forget(incident_id)
                case SaveSilence() | SavePresence() | SaveOverride() | SaveTurn() | SaveDigests():
                    self._keep(effect)
                case _:
                    pass

    def _keep(self, effect: SaveSilence | SavePresence | SaveOverride | SaveTurn | SaveDigests) -> None:
        match effect:
            case SaveSilence(silence=silence):
                self.silences[silence.id] = msgspec.msgpack.encode(silence)
            case SavePresence(presence=presence):
                self.presence = msgspec.msgpack.encode(presence)
            case SaveOverride(override=override):
                self.overrides[override.id] = msgspec.msgpack.encode(override)
            case SaveTurn(step=which, next=following):
                self.turns[which] = following
            case SaveDigests(digests=digests):
                self.digests[digests.receiver] = msgspec.msgpack.encode(digests)

    def restored(self, at: datetime | None = None) -> State:
        """A State as after a start; `at`: of the last step."""
        return restore(
            STORE_ID,
            [msgspec.msgpack.decode(each, type=Alert) for each in self.alerts.values()],
            [msgspec.msgpack.decode(each, type=Incident) for each in self.incidents.values()],
            self.last_alert_id,
            self.last_number,
            [msgspec.msgpack.decode(each, type=Silence) for each in self.silences.values()],
            [msgspec.msgpack.decode(each, type=Beat) for each in self.beats.values()],
            msgspec.msgpack.decode(self.presence, type=Presence),
            at,
            [msgspec.msgpack.decode(each, type=Override) for each in self.overrides.values()],
            self.turns,
            [msgspec.msgpack.decode(each, type=Digests) for each in self.digests.values()],
        )

    def incident(self, number: int) -> Incident:
        """By number, also those that have left memory."""
        incident_id = f"i{number:012d}"
        found = self.incidents.get(incident_id) or self.past.get(incident_id)
        assert found is not None, f"there is no incident {number}"
        return msgspec.msgpack.decode(found, type=Incident)

    def _save(self, alert: Alert) -> None:
        self.alerts[alert.id] = msgspec.msgpack.encode(alert)
        self.last_alert_id = max(self.last_alert_id, alert.id)

    def _forget(self, incident_id: str) -> None:
        self.past[incident_id] = self.incidents.pop(incident_id)
        for alert_id, stored in list(self.alerts.items()):
            if msgspec.msgpack.decode(stored, type=Alert).incident == incident_id:
                del self.alerts[alert_id]


def equals(**labels: str) -> tuple[Matcher, ...]:
    return tuple(Matcher(name, Op.EQUAL, value) for name, value in labels.items())


def inhibition(source: str, target: str, *equal: str, name: str = "cause") -> Inhibition:
    """Between two alertnames."""
    return Inhibition(name=name, source=(equals(alertname=source),), target=(equals(alertname=target),), equal=equal)


def silence(starts: float, ends: float, number: int = 1, by: str = "ana", **labels: str) -> Silence:
    """`starts` and `ends` are seconds after T0."""
    return Silence(
        id=f"00000000-0000-4000-8000-{number:012d}",
        matchers=equals(**labels),
        starts_at=after(starts),
        ends_at=after(ends),
        updated_at=after(starts),
        created_by=by,
        comment="planned",
    )


def deliveries(effects: Iterable[Effect]) -> list[Delivery]:
    return [effect.delivery for effect in effects if isinstance(effect, Deliver)]


def cancels(effects: Iterable[Effect]) -> list[CancelPages]:
    return [effect for effect in effects if isinstance(effect, CancelPages)]


def lines(effects: Iterable[Effect]) -> list[TimelineEntry]:
    return [effect.entry for effect in effects if isinstance(effect, AppendTimeline)]
