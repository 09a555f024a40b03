"""`/v1/callbacks/pagerduty|opsgenie/…`: what people do to an incident there is done to it here.

Owns what each service's events mean. Only what a person did counts: a service's own clocks, and what imd sent there
itself, ask for nothing. What imd has no word for (a priority set there, another escalation policy, a helper) becomes a
note, so that nothing that people did is missing here.

A call may come twice and late, for both services repeat them: one that was worked off is known by its name for a while,
and a change of state from before the incident triggered again is over with. PagerDuty's notes do not name our key but
its own incident: which is which is learnt from its other events, and stored as what the receiver said of the incident.

Sources: github.com/PagerDuty/developer-docs, docs/webhooks/01-Overview.md (event types and data types);
support.atlassian.com/opsgenie, alert action data; read November 2026. Of Opsgenie's fields `owner`, `note`, `priority`
are documented; how long a snooze lasts is read where it says so.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec
from aiohttp import web

from imd.api import signatures
from imd.api.access import presented
from imd.api.callbacks import CallbackAnswer, answer, answered, decoded, forged, receiver, told
from imd.api.doors import NOTE_CHARS_MAX, Doors, Outcome
from imd.api.operations import Body, described
from imd.config.channelsettings import OpsgenieSettings, PagerdutySettings
from imd.model.effect import SaveConversation
from imd.model.event import ActionKind
from imd.store.contract import Batch, Store, StoreFailed

Name = TypeVar("Name")
Known = TypeVar("Known")

REMEMBERED_MAX = 10_000
COMMIT_SECONDS = 2.0  # PagerDuty waits five for its answer
OPSGENIE_NOBODY = frozenset({"", "imd", "system"})
"""Users that are no persons: imd's own messages, and Opsgenie's own policies."""


class _Reference(msgspec.Struct, frozen=True):
    type: str = ""
    id: str = ""
    summary: str | None = None


class _PagerdutyData(msgspec.Struct, frozen=True):
    """Of an incident, or of a note, a status update or a responder, which name their `incident`."""

    type: str = ""
    id: str = ""
    incident_key: str | None = None
    assignees: tuple[_Reference, ...] = ()
    priority: _Reference | None = None
    escalation_policy: _Reference | None = None
    incident: _Reference = _Reference()
    user: _Reference | None = None
    content: str = ""
    message: str = ""


class _PagerdutyEvent(msgspec.Struct, frozen=True):
    id: str = ""
    event_type: str = ""
    occurred_at: datetime | None = None
    agent: _Reference | None = None
    data: _PagerdutyData = _PagerdutyData()


class _PagerdutyBody(msgspec.Struct, frozen=True):
    event: _PagerdutyEvent


class _OpsgenieAlert(msgspec.Struct, frozen=True):
    alias: str = ""
    alert_id: str = msgspec.field(default="", name="alertId")
    username: str | None = None
    updated_at: int | None = msgspec.field(default=None, name="updatedAt")
    note: str = ""
    owner: str = ""
    priority: str | int = ""
    responder: str = ""
    recipient: str = ""
    team: str = ""
    snoozed_until: int | None = msgspec.field(default=None, name="snoozedUntil")
    snooze_end: int | None = msgspec.field(default=None, name="snoozeEndDate")


class _OpsgenieBody(msgspec.Struct, frozen=True):
    action: str = ""
    alert: _OpsgenieAlert = _OpsgenieAlert()


class Wish(msgspec.Struct, frozen=True):
    """What a person wants done here. `to`: whom an assignment names; one whom `people:` does not have is a note."""

    kind: ActionKind
    note: str = ""
    to: str = ""
    until: datetime | None = None


class _Theirs(msgspec.Struct, frozen=True, tag="pagerduty"):
    """A conversation: PagerDuty's own incident."""

    incident: str


class Mirrors:
    """`_keys` are our incidents by PagerDuty's, each receiver's own: those that are on disk."""

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._keys: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._worked_off: OrderedDict[str, None] = OrderedDict()

    @described(
        "What was done in PagerDuty",
        {200: CallbackAnswer},
        body=Body(None, says="A v3 webhook."),
        refuses=(403, 429),
        signed="PagerDuty's signature, `X-PagerDuty-Signature`.",
    )
    async def pagerduty(self, request: web.Request) -> web.Response:
        """A v3 webhook."""
        settings = receiver(self._doors, request, "pagerduty", PagerdutySettings)
        body = await self._doors.body(request)
        secret, shown = settings.webhook_secret, request.headers.get("X-PagerDuty-Signature", "")
        if secret is None or not signatures.pagerduty(secret.reveal(), shown, body):
            raise forged(self._doors, request, "pagerduty")
        event = decoded(self._doors, request, "pagerduty", body, _PagerdutyBody).event
        key = await self._key(request.match_info["receiver"], event.data)
        read = PAGERDUTY.get(event.event_type)
        if read is None or event.agent is None or event.agent.type != "user_reference":
            return self._ignored("pagerduty", "not what a person did to an incident")
        by, once = event.agent.summary or "somebody", f"pagerduty {event.id}" if event.id else ""
        return await self._mirror(request, "pagerduty", read(event.data), key, by, event.occurred_at, once)

    async def _key(self, receiver: str, data: _PagerdutyData) -> str:
        """The incident's key here, as far as it is known."""
        if data.type == "incident":
            key = data.incident_key or ""
            if data.id and key.startswith(self._prefix):
                await self._learn(receiver, data.id, key.removeprefix(self._prefix))
            return key
        theirs = data.incident.id
        known = self._keys.get((receiver, theirs))
        if known is None and theirs:
            known = await self._doors.context.store.conversed(receiver, msgspec.json.encode(_Theirs(theirs)))
        return f"{self._prefix}{known}" if known else ""

    async def _learn(self, receiver: str, theirs: str, incident: str) -> None:
        """Before the call is answered, and kept on disk, since it does not come again. Where the store is down, the
        next event about it teaches the same."""
        if self._keys.get((receiver, theirs)) == incident or await told(self._doors, incident, {receiver}) is None:
            return
        batch, context = Batch(), self._doors.context
        conversation = msgspec.json.encode(_Theirs(theirs))
        batch.add(SaveConversation(incident, receiver, conversation), context.clock.now())
        if await _committed(context.store, batch):
            _remember(self._keys, (receiver, theirs), incident)

    @described(
        "What was done in Opsgenie",
        {200: CallbackAnswer},
        body=Body(None, says="An outgoing webhook."),
        refuses=(403, 429),
        signed="The receiver's `webhook_token`, as Bearer.",
    )
    async def opsgenie(self, request: web.Request) -> web.Response:
        """An outgoing webhook of Opsgenie or of Jira Service Management."""
        settings = receiver(self._doors, request, "opsgenie", OpsgenieSettings)
        token = settings.webhook_token
        shown = presented(request).encode("utf-8", "surrogateescape")
        if token is None or not hmac.compare_digest(token.reveal().encode(), shown):
            raise forged(self._doors, request, "opsgenie")
        body = decoded(self._doors, request, "opsgenie", await self._doors.body(request), _OpsgenieBody)
        alert, read = body.alert, OPSGENIE.get(body.action)
        by = alert.username or ""
        if read is None or by.casefold() in OPSGENIE_NOBODY:
            return self._ignored("opsgenie", "not what a person did to an alert")
        once = f"opsgenie {alert.alert_id} {body.action} {alert.updated_at}" if alert.updated_at else ""
        return await self._mirror(request, "opsgenie", read(alert), alert.alias, by, _instant(alert.updated_at), once)

    async def _mirror(
        self, request: web.Request, through: str, wish: Wish, key: str, by: str, at: datetime | None, once: str
    ) -> web.Response:
        """What a person did there, done here. `once` names the call over its repetitions."""
        here = {request.match_info["receiver"]}
        incident = (
            await told(self._doors, key.removeprefix(self._prefix), here) if key.startswith(self._prefix) else None
        )
        if incident is None:
            self._doors.count(through, Outcome.UNKNOWN)
            return answer("ignored", "not of an incident that this receiver was told of")
        if once in self._worked_off:
            return self._ignored(through, "this call was worked off already")
        changes = wish.kind is not ActionKind.NOTE
        if changes and at is not None and incident.triggered_at is not None and at < incident.triggered_at:
            self._doors.count(through, Outcome.LATE)
            return answer("ignored", "the incident triggered again since")
        # Over there it is over: here it comes back by itself if its alerts go on.
        done = await self._doors.act(
            wish.kind, incident, by, through, wish.note, force=wish.kind is ActionKind.RESOLVE, to=wish.to,
            until=wish.until,
        )  # fmt: skip
        if once:
            _remember(self._worked_off, once, None)
        return answered(done)

    @property
    def _prefix(self) -> str:
        return f"{self._doors.context.store.store_id}-"

    def _ignored(self, through: str, why: str) -> web.Response:
        self._doors.count(through, Outcome.IGNORED)
        return answer("ignored", why)


# -- what they mean ---------------------------------------------------------------------------------------------------


def _plain(kind: ActionKind) -> Callable[[object], Wish]:
    return lambda _: Wish(kind)


def _noted(text: str) -> Wish:
    return Wish(ActionKind.NOTE, text.strip()[:NOTE_CHARS_MAX] or "a note without words")


def _reassigned(data: _PagerdutyData) -> Wish:
    """The first of several; all of them are in the words."""
    names = [one.summary for one in data.assignees if one.summary]
    if not names:
        return _noted("taken from everybody in PagerDuty")
    return Wish(ActionKind.ASSIGN, f"assigned to {', '.join(names)} in PagerDuty", to=names[0])


def _named(reference: _Reference | None, otherwise: str) -> str:
    return (reference.summary if reference is not None else None) or otherwise


PAGERDUTY: dict[str, Callable[[_PagerdutyData], Wish]] = {
    "incident.acknowledged": _plain(ActionKind.ACK),
    "incident.unacknowledged": _plain(ActionKind.UNACK),
    "incident.resolved": _plain(ActionKind.RESOLVE),
    "incident.escalated": _plain(ActionKind.ESCALATE),
    "incident.reassigned": _reassigned,
    "incident.annotated": lambda data: _noted(data.content),
    "incident.status_update_published": lambda data: _noted(f"status update: {data.message}"),
    "incident.priority_updated": lambda data: _noted(f"priority {_named(data.priority, 'none')} in PagerDuty"),
    "incident.delegated": lambda data: _noted(
        f"handed to the escalation policy {_named(data.escalation_policy, 'unknown')} in PagerDuty"
    ),
    "incident.reopened": lambda _: _noted("reopened in PagerDuty"),
    "incident.responder.added": lambda data: _noted(
        f"{_named(data.user or data.escalation_policy, 'somebody')} asked to help in PagerDuty"
    ),
}
"""By `event_type`. Reopened there stays over here: its next trigger is a new incident there in any case."""


def _assigned(alert: _OpsgenieAlert) -> Wish:
    owner = alert.owner or alert.username or ""
    return Wish(ActionKind.ASSIGN, f"assigned to {owner} in Opsgenie", to=owner)


def _snoozed(alert: _OpsgenieAlert) -> Wish:
    return Wish(ActionKind.SNOOZE, until=_instant(alert.snoozed_until or alert.snooze_end))


def _helped(alert: _OpsgenieAlert) -> Wish:
    return _noted(f"{alert.responder or alert.recipient or alert.team or 'somebody'} asked to help in Opsgenie")


OPSGENIE: dict[str, Callable[[_OpsgenieAlert], Wish]] = {
    "Acknowledge": _plain(ActionKind.ACK),
    "UnAcknowledge": _plain(ActionKind.UNACK),
    "Close": _plain(ActionKind.RESOLVE),
    "Snooze": _snoozed,
    "Escalate": _plain(ActionKind.ESCALATE),
    "EscalateNext": _plain(ActionKind.ESCALATE),
    "AssignOwnership": _assigned,
    "TakeOwnership": _assigned,
    "AddNote": lambda alert: _noted(alert.note),
    "UpdatePriority": lambda alert: _noted(f"priority {alert.priority or 'unknown'} in Opsgenie"),
    "AddResponder": _helped,
    "AddRecipient": _helped,
    "AddTeam": _helped,
}
"""By `action`."""


async def _committed(store: Store, batch: Batch) -> bool:
    """Whether it is on disk, as far as the caller can wait for it."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[bool] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if not found.done():
            found.set_result(error is None)

    def done(error: BaseException | None) -> None:  # in the writer thread
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    try:
        store.commit(batch, done)
        async with asyncio.timeout(COMMIT_SECONDS):
            return await found
    except (StoreFailed, TimeoutError):
        return False


def _remember(known: OrderedDict[Name, Known], name: Name, value: Known) -> None:
    """The newest of them; the oldest goes."""
    known[name] = value
    known.move_to_end(name)
    while len(known) > REMEMBERED_MAX:
        known.popitem(last=False)


def _instant(stamp: int | None) -> datetime | None:
    """Opsgenie stamps in milliseconds in some of its payloads and in nanoseconds in others."""
    if stamp is None or stamp <= 0:
        return None
    seconds = stamp / next(scale for scale in (1e9, 1e6, 1e3, 1.0) if stamp / scale > 1e8 or scale == 1.0)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
