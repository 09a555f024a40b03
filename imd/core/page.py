"""What a page says, before any channel's markup.

Owns titles, headlines and the body of design section 6. Words are written once, when the message is decided; a channel
only dresses them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

import msgspec

from imd.model.alert import Alert, AlertState
from imd.model.effect import Delivery
from imd.model.incident import Incident, Priority
from imd.model.policy import PageKind, PageReason, Receiver
from imd.model.rule import Rule
from imd.model.template import Labelled, RenderFailed
from imd.model.view import AlertView, IncidentView, alert_view, incident_view, runbook_of

TITLE_CHARS_MAX = 300
DIGEST_INCIDENTS_MAX = 500  # some 400 kB; a channel shows as many as it has room for
BODY_VERSION = "1"
TITLES_MAX = 1_000  # of the built-in kind, remembered


class Links(msgspec.Struct, frozen=True, omit_defaults=False):
    incident: str | None
    ack: str | None
    runbook: str | None


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook body without `attempt`, which changes with each try. `truncated` counts alerts left out."""

    version: str
    kind: PageKind
    reason: PageReason | None
    dedup_key: str
    delivery_id: str
    incident: IncidentView
    alerts: list[AlertView]
    truncated: int
    links: Links
    note: str | None


_encode = msgspec.json.Encoder().encode


def title(incident: Incident, rule: Rule, alerts: int) -> tuple[str, str]:
    """The title and, where the rule's template failed or said nothing, why: the built-in title stands in."""
    if rule.title is None:
        return default_title(incident), ""
    try:
        made = one_line(rule.title.render(_values(incident, alerts)).strip())
    except RenderFailed as failed:
        return default_title(incident), str(failed)
    return (made, "") if made else (default_title(incident), "it came out empty")


def default_title(incident: Incident) -> str:
    """alertname, the group key's other values, then the first member's summary. Where the key has no such values, as
    that of `relate` has none, the probable cause's entity says where it is: mixins' summaries do not."""
    entity = incident.root_cause.entity if incident.root_cause is not None else ""
    return _built(incident.group_key, incident.labels.get("alertname", "") or incident.rule, entity, incident.summary)


@lru_cache(TITLES_MAX)
def _built(group_key: tuple[tuple[str, str], ...], named: str, entity: str, summary: str) -> str:
    """Mostly an incident's title is what it was before."""
    key = dict(group_key)
    name = key.pop("alertname", "") or named
    others = " ".join(value for value in key.values() if value and value != name) or entity
    head = f"{name} {others}".strip()
    return one_line(f"{head}: {summary}" if summary not in ("", name) else head)


def one_line(text: str) -> str:
    """Without line breaks and control characters, and no longer than a title may be."""
    flat = text if text.isprintable() and "  " not in text else _flattened(text)
    return flat if len(flat) <= TITLE_CHARS_MAX else flat[: TITLE_CHARS_MAX - 1] + "…"


def _flattened(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _values(incident: Incident, alerts: int) -> Mapping[str, object]:
    return {
        # What a person merged into it may share less than its key: titles go on saying where it is.
        "labels": Labelled({name: value for name, value in incident.group_key if value} | incident.labels),
        "group": Labelled(incident.group_key),
        "alerts": alerts,
        "firing": incident.firing,
        "cause": incident.root_cause.entity if incident.root_cause else "",
        "incident": {"id": incident.id, "number": incident.number, "priority": incident.priority.value},
    }


def headline(kind: PageKind, incident: Incident) -> str:
    """`PAGE P2 #1 title`."""
    return f"{kind.value.upper()} {incident.priority.value} #{incident.number} {incident.title}"


def delivery(
    incident: Incident,
    rule: Rule,
    receiver: Receiver,
    *,
    to: str,
    kind: PageKind,
    reason: PageReason | None,
    step: int,
    priority: Priority,
    alerts: Sequence[Alert],
    store_id: str,
    external_url: str,
    now: datetime,
    note: str = "",
) -> Delivery:
    """One message with its body. Firing alerts come first; the cut to `send_alerts` is counted in `truncated`."""
    identity = next_id(incident, store_id)
    dedup_key = f"{store_id}-{incident.id}"
    shown = [alert_view(alert, incident) for alert in _shown(alerts, receiver.send_alerts)]
    body = Body(
        version=BODY_VERSION,
        kind=kind,
        reason=reason,
        dedup_key=dedup_key,
        delivery_id=identity,
        incident=incident_view(incident),
        alerts=shown,
        truncated=len(alerts) - len(shown),
        links=Links(
            incident=f"{external_url.rstrip('/')}/v1/incidents/{incident.id}" if external_url else None,
            ack=None,
            runbook=rule.runbook or runbook_of(incident, shown),
        ),
        note=note or None,
    )
    return Delivery(
        id=identity,
        incident=incident.id,
        number=incident.number,
        dedup_key=dedup_key,
        receiver=receiver.name,
        to=to,
        kind=kind,
        reason=reason,
        priority=priority,
        step=step,
        created_at=now,
        headline=headline(kind, incident),
        body=_encode(body),
    )


def next_id(incident: Incident, store_id: str) -> str:
    """Of the incident's next message."""
    incident.deliveries += 1
    return f"{store_id}-{incident.id}-{incident.deliveries}"


class DigestBody(msgspec.Struct, frozen=True, kw_only=True):
    """As Body, of several incidents; `truncated` counts those left out."""

    version: str
    kind: PageKind
    reason: None = None
    dedup_key: str
    delivery_id: str
    incident: None = None
    incidents: list[IncidentView]
    alerts: list[AlertView] = []
    truncated: int
    links: Links
    note: None = None


def digest(
    incidents: Sequence[Incident],
    receiver: Receiver,
    *,
    to: str,
    number: int,
    store_id: str,
    external_url: str,
    now: datetime,
) -> Delivery:
    """One message of several incidents, as they stand, in this order; the first DIGEST_INCIDENTS_MAX are in it. It is
    as urgent as the most urgent of them that is open. `number` counts the receiver's digests."""
    identity = f"{store_id}-digest-{receiver.name}-{number}"
    shown = incidents[:DIGEST_INCIDENTS_MAX]
    still_open = [one for one in incidents if one.open]
    body = DigestBody(
        version=BODY_VERSION,
        kind=PageKind.DIGEST,
        dedup_key=f"{store_id}-digest-{receiver.name}",
        delivery_id=identity,
        incidents=[incident_view(one) for one in shown],
        truncated=len(incidents) - len(shown),
        links=Links(
            incident=f"{external_url.rstrip('/')}/v1/incidents" if external_url else None, ack=None, runbook=None
        ),
    )
    priority = min((one.priority for one in still_open or incidents), key=lambda one: one.rank)
    counted = [f"{len(still_open)} open"] if still_open else []
    counted += [f"{len(incidents) - len(still_open)} over"] if len(still_open) < len(incidents) else []
    many = f"{len(incidents)} incidents" if len(incidents) > 1 else "1 incident"
    first = incidents[0]
    return Delivery(
        id=identity,
        incident="",
        number=0,
        dedup_key=body.dedup_key,
        receiver=receiver.name,
        to=to,
        kind=PageKind.DIGEST,
        reason=None,
        priority=priority,
        step=0,
        created_at=now,
        headline=one_line(
            f"DIGEST {priority.value} {many}, {' and '.join(counted)}: #{first.number} {first.title}"
            + (" and more" if len(incidents) > 1 else "")
        ),
        body=_encode(body),
    )


def _shown(alerts: Sequence[Alert], at_most: int | None) -> Sequence[Alert]:
    if at_most is None or len(alerts) <= at_most:
        return alerts
    firing = [alert for alert in alerts if alert.state is AlertState.FIRING]
    if len(firing) >= at_most:
        return firing[:at_most]
    ended = [alert for alert in alerts if alert.state is not AlertState.FIRING]
    return firing + ended[: at_most - len(firing)]
