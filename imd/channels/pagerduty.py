"""The `pagerduty` receiver: Events API v2, one alert there for each incident here.

Owns the event. The dedup_key is ours, one per incident: a page triggers, an acknowledgement acknowledges, the end
resolves. While PagerDuty's alert is open, further triggers are taken into its log and page nobody anew: whom PagerDuty
pages, and when again, is its own policy's business. A digest says what began and was over while PagerDuty could not be
reached: a change event, which pages nobody, and to which the same key belongs.

Source: developer.pagerduty.com, Events API v2: Send an Alert Event; Send a Change Event; Overview (limits, responses),
read November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec

from imd.channels import text
from imd.channels.api import Api
from imd.channels.contract import Answer, Conversation, Pace, Permanent, Receipt, keyed
from imd.channels.http import Endpoint, HttpClient, Reply
from imd.channels.text import Message, Writer
from imd.clock import Clock
from imd.config.channelsettings import PagerdutySettings
from imd.model.effect import Delivery
from imd.model.policy import PageKind

SUMMARY_CHARS_MAX = 1024
EVENT_BYTES_MAX = 512_000  # 512 KB in the documentation; Alertmanager cuts at this figure too
SEVERITY = {"P1": "critical", "P2": "error", "P3": "warning", "P4": "info", "P5": "info"}
PER_SECOND, BURST = 2.0, 60  # about 120 events a minute for one routing key
_SOURCES = ("instance", "node", "host", "hostname", "pod", "service", "job", "cluster")

_encode = msgspec.json.Encoder().encode


class _Accepted(msgspec.Struct, frozen=True):
    status: str = "success"
    message: str = ""
    dedup_key: str = ""


class Pagerduty:
    """Sends events with one routing key."""

    def __init__(self, settings: PagerdutySettings, http: HttpClient, clock: Clock, writer: Writer) -> None:
        self._routing_key = settings.routing_key.reveal()
        endpoint = Endpoint(settings.api_url, secrets=[self._routing_key], public=True)
        self._api = Api(endpoint, http, clock)
        self._writer = writer
        self.paces: tuple[Pace, ...] = (
            Pace(keyed("pagerduty", settings.api_url, self._routing_key), PER_SECOND, BURST),
        )

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        if delivery.kind is PageKind.NOTE and delivery.incident:
            return Receipt("not sent: the Events API takes no notes")
        if delivery.kind is PageKind.DIGEST:
            reply = await self._api.json("/v2/change/enqueue", self.change(delivery, attempt))
        else:
            reply = await self._api.json("/v2/enqueue", self.event(delivery))
        answer = self._api.judge(reply)
        if isinstance(answer, Receipt) and isinstance(reply, Reply):
            said = reply.decoded(_Accepted)
            if said is not None and said.status != "success":
                return Permanent(self._api.fault(f"answered {said.status}: {said.message}"))
            return Receipt(said.message if said is not None else "")
        return answer

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""

    def event(self, delivery: Delivery) -> dict[str, Any]:
        """The body of the request."""
        action = _ACTION.get(delivery.kind, "trigger")
        event: dict[str, Any] = {
            "routing_key": self._routing_key,
            "event_action": action,
            "dedup_key": delivery.dedup_key,
        }
        if action == "trigger":
            event |= self._trigger(delivery)
        return event

    def change(self, delivery: Delivery, attempt: int) -> dict[str, Any]:
        """The body of a digest's request. Change events have no dedup_key: sent again, one stands there twice, and both
        say by their `delivery_id` that they are one."""
        message = self._writer.message(delivery)
        details: dict[str, Any] = {"delivery_id": delivery.id}
        if attempt > 1:
            details["attempt"] = f"{attempt}: another of this delivery_id is the same"
        details["incidents"] = text.roll(message, EVENT_BYTES_MAX // 2, text.utf8)
        change: dict[str, Any] = {
            "routing_key": self._routing_key,
            "payload": {
                "summary": text.cut(message.headline.strip(), SUMMARY_CHARS_MAX) or "imd",
                "source": "imd",
                "timestamp": delivery.created_at.isoformat(),
                "custom_details": details,
            },
        }
        if found := text.links(message):
            change["links"] = [{"href": url, "text": name} for name, url in found]
        return change

    def _trigger(self, delivery: Delivery) -> dict[str, Any]:
        message = self._writer.message(delivery)
        title = message.title if message.incident is not None else message.headline
        payload: dict[str, Any] = {
            "summary": text.cut(title.strip(), SUMMARY_CHARS_MAX) or "imd",
            "source": _source(message),
            "severity": SEVERITY[delivery.priority.value],
            "timestamp": delivery.created_at.isoformat(),
        }
        if message.incident is not None:
            labels = message.incident.labels | message.incident.group_key
            optional = {
                "component": labels.get("component") or labels.get("service"),
                "group": labels.get("cluster") or labels.get("namespace"),
                "class": labels.get("alertname") or message.incident.rule,
            }
            payload |= {name: text.one_line(value, text.VALUE_CHARS_MAX) for name, value in optional.items() if value}
        payload["custom_details"] = self._details(message)
        fields: dict[str, Any] = {"payload": payload, "client": "imd"}
        links = text.links(message)
        if links:
            fields["links"] = [{"href": url, "text": name} for name, url in links]
        if "Incident" in (by_name := dict(links)):
            fields["client_url"] = by_name["Incident"]
        return fields

    def _details(self, message: Message) -> dict[str, Any]:
        """What people read there, no larger than the event may be; fewer alerts where it would be."""
        details: dict[str, Any] = {name.lower(): value for name, value in text.facts(message)}
        details["text"] = self._writer.body(message, room=EVENT_BYTES_MAX // 4, measure=text.utf8)
        if message.incident is not None:
            details["number"] = message.incident.number
            details["rule"] = message.incident.rule
        alerts = [
            {"status": alert.status, "labels": alert.all_labels, "annotations": alert.annotations}
            for alert in message.said.alerts
        ]
        while alerts and len(_encode({**details, "alerts": alerts})) > EVENT_BYTES_MAX * 3 // 4:
            del alerts[len(alerts) // 2 :]
        left_out = message.said.truncated + len(message.said.alerts) - len(alerts)
        return {**details, "alerts": alerts, **({"alerts_left_out": left_out} if left_out else {})}


_ACTION = {PageKind.ACKNOWLEDGED: "acknowledge", PageKind.RESOLVED: "resolve"}


def _source(message: Message) -> str:
    """What is affected: `source` must be there and not be empty."""
    if message.incident is None:
        return "imd"
    cause = message.incident.root_cause
    labels = message.incident.labels | message.incident.group_key
    found = (cause.entity if cause is not None else "") or next(
        (labels[name] for name in _SOURCES if labels.get(name)), ""
    )
    return text.one_line(found, text.VALUE_CHARS_MAX) or message.incident.rule or "imd"
