"""What every way back in has in common: signed links, and callbacks of the services that took the page.

Owns the one path from "somebody pressed a button" to the engine, the sentence that says how it went, and the bound on
refused requests. Each way brings its own proof of who calls; none needs a token of `auth:`. Doing again what is done
changes nothing and is no fault, so a service may repeat its call as often as it likes.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec
from aiohttp import web

from imd.api.answers import Refusal
from imd.api.body import read_body
from imd.api.context import Context
from imd.api.refusals import Refusals
from imd.channels.links import Ended, Forged, Link, Signer
from imd.config.settings import Settings
from imd.model.event import ActionKind, ActionTaken
from imd.model.incident import Incident, IncidentState
from imd.store.contract import Store

BODY_BYTES_MAX = 1024 * 1024  # Slack's own bound on a message with all its blocks is far below
BY_CHARS_MAX = 100
SNOOZE = timedelta(hours=1)
NOTE_CHARS_MAX = 4096
_OF_ENDED = frozenset({ActionKind.RESOLVE, ActionKind.NOTE})
"""What may be done to an incident that is over: nothing, as if it were done, and a note."""


class Outcome(enum.StrEnum):
    """How a call ended, for `imd_answers_total`. DONE: also where nothing was left to do. NOT_POSSIBLE: the incident's
    state does not allow it. IGNORED: it asks for nothing of ours. FORGED: no valid signature or token. LATE: it was
    valid once, or speaks of what changed since. UNKNOWN: no such incident or receiver. BROKEN: no body of that service.
    """

    DONE = "done"
    NOT_POSSIBLE = "not_possible"
    IGNORED = "ignored"
    FORGED = "forged"
    LATE = "late"
    UNKNOWN = "unknown"
    BROKEN = "broken"


class Turned(Refusal):
    """A refusal that is counted by its outcome."""

    def __init__(self, status: int, detail: str, outcome: Outcome, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers=headers)
        self.outcome = outcome


class Answered(msgspec.Struct, frozen=True):
    """`said` is one sentence for whoever answered; `incident` as it is now."""

    incident: Incident
    said: str
    done: bool


def signer(settings: Settings, store: Store) -> Signer:
    """Signs links with the secret of config.yaml, else with the store's."""
    return Signer(settings.links.secret or store.link_key, settings.links.valid_for)


class Doors:
    """The way to the engine, for all of them."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._refusals = Refusals()

    def count(self, through: str, outcome: Outcome) -> None:
        self.context.metrics.count("answers_total", (through, outcome.value))

    def refused(self, request: web.Request, through: str, turned: Turned) -> Refusal:
        """Counts a refusal and says which one it is: this one, or 429."""
        self.count(through, turned.outcome)
        if turned.outcome is not Outcome.FORGED:
            return turned
        most, now = self.context.settings().limits.refused_max, self.context.clock.monotonic()
        wait = self._refusals.wait_seconds(request.remote or "", now, most)
        headers = {"Retry-After": str(wait)}
        return Turned(429, "too many refused requests from this address", Outcome.FORGED, headers) if wait else turned

    async def body(self, request: web.Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
        limits = self.context.settings().limits
        return await read_body(request, min(bytes_max, limits.body_bytes_max), limits.body_read_timeout)

    def link(self, token: str) -> Link:
        """What a token says. Raises Turned: 403 forged, 410 over."""
        settings = self.context.settings()
        if not settings.links.enabled:
            raise Turned(403, "links are turned off here", Outcome.FORGED)
        try:
            return signer(settings, self.context.store).read(token, self.context.clock.now())
        except Forged:
            raise Turned(
                403, "this link is not valid: it was cut off, or is not from this imd", Outcome.FORGED
            ) from None
        except Ended:
            raise Turned(410, "this link is too old; a newer message has one that works", Outcome.LATE) from None

    async def incident(self, id: str) -> Incident:  # noqa: A002 - its name in the record
        """Raises Turned 404."""
        found = await self.context.store.incident(id) if id else None
        if found is None:
            raise Turned(
                404, "imd knows no such incident; it may be over for so long that it was deleted", Outcome.UNKNOWN
            )
        return found

    async def act(
        self,
        kind: ActionKind,
        incident: Incident,
        by: str,
        through: str,
        note: str = "",
        *,
        force: bool = False,
        to: str = "",
        until: datetime | None = None,
    ) -> Answered:
        """Does it and says how it went. Raises Unavailable: then it did not happen. Names as a service has them are
        those of `people:` where they can be told to be; an assignment to anybody else is a note."""
        context = self.context
        if kind is ActionKind.ASSIGN:
            kind, to, note = self._assignment(to, note)
        if not incident.open and kind not in _OF_ENDED:
            answered = Answered(incident, f"Too late: {standing(incident)}.", False)
        else:
            now = context.clock.now()
            if kind is ActionKind.SNOOZE and (until is None or until <= now):
                until = now + SNOOZE
            event = ActionTaken(
                kind=kind,
                incident=incident.id,
                by=self.person(by) or _name(by),
                note=note,
                force=force,
                through=through,
                to=to,
                until=until if kind is ActionKind.SNOOZE else None,
                record=None if incident.open else incident,
            )
            refused = await context.submit(event, 0)
            after = await self.incident(incident.id)
            said = f"Not possible: {refused[0].error}." if refused else f"{standing(after)}."
            answered = Answered(after, said[:1].upper() + said[1:], not refused)
        self.count(through, Outcome.DONE if answered.done else Outcome.NOT_POSSIBLE)
        return answered

    def person(self, name: str) -> str:
        """Who of `people:` that is, whatever the case; `ana@example.org` may be `ana`. "" where it is nobody."""
        known = {one.casefold(): one for one in self.context.ruleset().people}
        wanted = name.strip().casefold()
        return known.get(wanted) or known.get(wanted.partition("@")[0] if "@" in wanted else "") or ""

    def _assignment(self, to: str, note: str) -> tuple[ActionKind, str, str]:
        if not self.context.ruleset().people:
            return ActionKind.ASSIGN, _name(to), ""
        person = self.person(to)
        return (ActionKind.ASSIGN, person, "") if person else (ActionKind.NOTE, "", note or f"assigned to {_name(to)}")


def standing(incident: Incident) -> str:
    """How it stands, in half a sentence."""
    named = f"incident #{incident.number} is"
    match incident.state:
        case IncidentState.ACKNOWLEDGED:
            return f"{named} acknowledged by {incident.acknowledged_by}"
        case IncidentState.SNOOZED:
            until = incident.timers.get("ack")
            return f"{named} snoozed by {incident.acknowledged_by}" + (f" until {until:%H:%M} UTC" if until else "")
        case IncidentState.RESOLVED | IncidentState.CLOSED:
            because = f" ({incident.resolved_because})" if incident.resolved_because else ""
            return f"{named} {incident.state.value}, since {_instant(incident.resolved_at)}{because}"
        case IncidentState.MERGED:
            return f"{named} merged into another one, which goes on with pages of its own"
        case _:
            return f"{named} {incident.state.value}"


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else "long ago"


def _name(text: str) -> str:
    """Somebody's name as a service gave it: one printable line, never empty."""
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat[:BY_CHARS_MAX] or "somebody"
