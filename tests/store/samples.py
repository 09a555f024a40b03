"""Records that look like real ones, and the few lines that commit them and wait."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import msgspec

from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.effect import Delivery, Effect, SaveAlert, SaveIncident
from imd.model.incident import Incident, IncidentState, Priority, RootCause, TimelineEntry, Told
from imd.model.policy import PageKind, PageReason
from imd.model.quiet import Silence
from imd.model.rule import Matcher, Op
from imd.model.schedule import Override
from imd.store.contract import Batch, Store

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
WAIT_SECONDS = 20


def alert(number: int, incident: str = "", **changes: object) -> Alert:
    """Firing since NOW with two spans."""
    made = Alert(
        id=number,
        identity=identify({"alertname": "Down", "instance": f"host-{number}", "text": "ünïcode"}),
        source="prom",
        by_api=True,
        state=AlertState.FIRING,
        starts_at=NOW - timedelta(minutes=2),
        received_at=NOW,
        seen_at=NOW,
        spans=(Span(NOW - timedelta(minutes=2), NOW + timedelta(minutes=4), None), Span(NOW, None, NOW)),
        annotations=b'{"summary":"it is down"}',
        generator_url="http://prometheus.example/graph",
        incident=incident,
        joined_at=NOW if incident else None,
        joined_because="opened" if incident else "",
        rule="default",
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def incident(number: int, **changes: object) -> Incident:
    made = Incident(
        id=incident_id(number),
        number=number,
        rule="node-loss",
        group_key=(("cluster", "c1"), ("node", f"n{number}")),
        state=IncidentState.TRIGGERED,
        opened_at=NOW + timedelta(seconds=number),
        config_hash="abc",
        title=f"node n{number} lost",
        labels={"team": "platform" if number % 2 else "shop"},
        priority=Priority.P2 if number % 3 else Priority.P1,
        root_cause=RootCause("host/n1", "0123456789abcdef", "it explains the others"),
        timers={"hold": NOW + timedelta(seconds=10)},
        told={"ops": Told(to="ops", at=NOW)},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def incident_id(number: int) -> str:
    return f"i{number:08d}"


def entry(seq: int, text: str = "opened") -> TimelineEntry:
    return TimelineEntry(seq=seq, kind="opened", text=text, by="node-loss", at=NOW, learnt_at=NOW, details={"a": "b"})


def delivery(name: str, number: int = 1, **changes: object) -> Delivery:
    fields: dict[str, object] = {
        "id": name,
        "incident": incident_id(number),
        "number": number,
        "dedup_key": f"s-{incident_id(number)}",
        "receiver": "ops",
        "to": "ana",
        "kind": PageKind.PAGE,
        "reason": PageReason.FIRST,
        "priority": Priority.P2,
        "step": 1,
        "created_at": NOW,
        "headline": "PAGE P2 #1 node lost",
        "body": b'{"version":"1"}',
    }
    return msgspec.convert({**fields, **changes}, Delivery)


def batch(*effects: Effect) -> Batch:
    made = Batch()
    for effect in effects:
        made.add(effect, NOW)
    return made


def commit(store: Store, *effects: Effect) -> None:
    """Commit and wait; raises what the store said."""
    commit_batch(store, batch(*effects))


def commit_batch(store: Store, *batches: Batch) -> None:
    """Queue all of them, then wait for the last; raises the first failure."""
    answers: list[BaseException | None] = []
    over = threading.Event()

    def done(answer: BaseException | None) -> None:
        answers.append(answer)
        if len(answers) == len(batches):
            over.set()

    for each in batches:
        store.commit(each, done)
    assert over.wait(WAIT_SECONDS)
    for answer in answers:
        if answer is not None:
            raise answer


def pair(number: int) -> tuple[Effect, ...]:
    """An incident with one member: what must be on disk together or not at all."""
    return SaveAlert(alert(number, incident_id(number))), SaveIncident(incident(number))


def silence(number: int, **changes: object) -> Silence:
    """An hour long, from NOW."""
    made = Silence(
        id=f"00000000-0000-4000-8000-{number:012d}",
        matchers=(Matcher("a", Op.EQUAL, "ü"), Matcher("b", Op.NOT_REGEX, "c.*")),
        starts_at=NOW,
        ends_at=NOW + timedelta(hours=1),
        updated_at=NOW,
        created_by="ana",
        comment="disk swap",
    )
    return msgspec.structs.replace(made, **changes)


def override(number: int, **changes: object) -> Override:
    """A day long, from NOW."""
    made = Override(
        id=f"00000000-0000-4000-8000-{number:012d}",
        schedule="primary",
        person="ana",
        begins_at=NOW,
        ends_at=NOW + timedelta(days=1),
        created_by="ben",
        created_at=NOW,
        comment="Zürich",
    )
    return msgspec.structs.replace(made, **changes)
