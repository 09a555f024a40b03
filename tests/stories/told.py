"""A teller of incidents: a timeline in, what people hear out, against the real engine.

    story = Story(policies=[policy(step("ana"), step("ben"))])
    story.at("00:00").fires("NodeDown")
    story.at("00:00:10").page_to("ana")
    story.at("00:05:10").page_to("ben", "escalated")

Times are H:MM or H:MM:SS after the start and never fall. Every message has to be told: one that nobody asked for fails
the story at the next `at` (or at `quiet`), with its text. Messages are accepted at once, unless a receiver `refuses`
or `hangs`; kinds that a story is not about are `untold`. Beside the engine stands a store made of bytes, from which
`restart` brings it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self

import msgspec

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.alert import Alert, AlertReport, fingerprint
from imd.model.effect import AppendTimeline, CancelPages, Counted, Deliver, Delivery, Effect, Refused
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsReported,
    ClockStepped,
    DeliveryFinished,
    Event,
    IncidentReported,
    Outcome,
    OverrideEnded,
    OverrideSet,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
    SourceHeard,
    Tick,
)
from imd.model.incident import Incident
from imd.model.policy import PageKind, PageReason, Person, Policy, Receiver, Ruleset, Source
from imd.model.rule import Rule
from imd.model.schedule import Override
from tests.core.making import STORE_ID, T0, Kept, keyed, minutes, report, ruleset, silence

SENT_AHEAD = minutes(4)  # how far ahead of now Prometheus sets the end of a firing alert


def time_of(text: str) -> datetime:
    """`1:30` or `1:30:05` after the start of the story."""
    hours, mins, *secs = text.split(":")
    return T0 + timedelta(hours=int(hours), minutes=int(mins), seconds=float(secs[0]) if secs else 0)


class Story:
    """See the module. Sources whose name begins with `prom` speak the API, with an end ahead; all others webhooks."""

    def __init__(
        self,
        *rules: Rule,
        policies: Iterable[Policy] = (),
        receivers: Iterable[Receiver] = (),
        people: Iterable[str | Person] = ("ana", "ben", "cleo"),
        sources: Iterable[Source] = (),
        untold: Iterable[str] = (),
        **other: object,
    ) -> None:
        self.ruleset = ruleset(*rules, policies=policies, receivers=receivers, people=people, sources=sources, **other)
        self.engine = Engine(self.ruleset, State(STORE_ID))
        self.kept = Kept()
        self.now = T0
        self._untold: list[Delivery] = []
        self._not_of = {PageKind(kind) for kind in untold}
        self._on_the_way: list[Delivery] = []
        self._answers: dict[str, Outcome | None] = {}
        self._starts: dict[frozenset[tuple[str, str]], float] = {}
        self._lines: list[AppendTimeline] = []
        self._refused: list[Refused] = []
        self.counted: list[Counted] = []
        self._called_off: list[Delivery] | None = None
        self.sent: list[Delivery] = []

    # -- time -----------------------------------------------------------------------------------------------------

    def at(self, when: str) -> Self:
        """Time passes until then; whoever was told something meanwhile must have been told of."""
        goal = time_of(when)
        assert goal >= self.now, "a story does not go back"
        if goal > self.now:
            self.quiet()
        while (due := self.engine.next_deadline()) is not None and due <= goal:
            self.now = max(self.now, due)
            self._step(Tick())
            if self._untold and self.now < goal:
                self.quiet()
        self.now = goal
        return self

    def late(self, when: str) -> Self:
        """Time passes until then and the loop is busy: nothing that falls due is done before the next event."""
        self.quiet()
        self.now = time_of(when)
        return self

    def restores(self) -> Self:
        """The engine is thrown away and another one goes on with what the store kept, at the very same instant."""
        self.engine = Engine(self.ruleset, self.kept.restored(self.now))
        return self

    def ticks(self) -> Self:
        """One step of what is due, and no more."""
        return self._step(Tick())

    def quiet(self) -> Self:
        """Nobody heard anything that the story has not told."""
        assert not self._untold, "not told of: " + "; ".join(_shown(one) for one in self._untold)
        return self

    def restart(self, down: str = "0:00:01") -> Self:
        """imd stops and comes back after so long, with what the store kept. Messages under way stay under way."""
        alive_at = self.now
        self.now += time_of(down) - T0
        self.engine = Engine(self.ruleset, self.kept.restored(alive_at))
        self._step(Restarted(alive_at))
        return self

    def set_back_while_down(self, by: str) -> Self:
        """imd stops, the wall clock is set back by so much, and imd comes back at once."""
        alive_at, self.now = self.now, self.now - (time_of(by) - T0)
        self.engine = Engine(self.ruleset, self.kept.restored(alive_at))
        self._step(Restarted(alive_at))
        return self

    def clock_jumps(self, by: str) -> Self:
        """The wall clock is set forward by so much; no time has passed."""
        self.now += time_of(by) - T0
        self._step(ClockStepped(time_of(by) - T0))
        return self

    def clock_falls(self, by: str) -> Self:
        """The wall clock is set back."""
        self.now -= time_of(by) - T0
        self._step(ClockStepped(T0 - time_of(by)))
        return self

    # -- what happens ---------------------------------------------------------------------------------------------

    def fires(self, alertname: str, *, source: str = "am", starts: str | None = None, **labels: str) -> Self:
        """One alert in a request of its own. Told again, it is a repeat of the same episode."""
        return self.fire_together([{"alertname": alertname, **labels}], source=source, starts=starts)

    def fire_together(self, alerts: Iterable[dict[str, str]], *, source: str = "am", starts: str | None = None) -> Self:
        """One request of several alerts."""
        reports = []
        for labels in alerts:
            named = self._seconds(starts)
            began = self._starts.setdefault(frozenset(labels.items()), named) if starts is None else named
            ends = (self.now - T0 + SENT_AHEAD).total_seconds() if _by_api(source) else None
            reports.append(report(labels, began, ends=ends))
        return self._step(AlertsReported(source, _by_api(source), tuple(reports)))

    def sends(self, *reports: AlertReport) -> Self:
        """One request of an Alertmanager, as it is."""
        return self._step(AlertsReported("am", False, reports))

    def resolves(self, alertname: str, *, source: str = "am", starts: str | None = None, **labels: str) -> Self:
        """The alert that fires with these labels, or these and more, ends now."""
        given = {"alertname": alertname, **labels}.items()
        meant = next((dict(known) for known in self._starts if known >= given), dict(given))
        return self.resolve_together([meant], source=source, starts=starts)

    def resolve_together(
        self, alerts: Iterable[dict[str, str]], *, source: str = "am", starts: str | None = None
    ) -> Self:
        reports = []
        for labels in alerts:
            began = self._starts.pop(frozenset(labels.items()), self._seconds(None))
            began = began if starts is None else self._seconds(starts)
            reports.append(report(labels, began, resolved=True, ends=self._seconds(None)))
        return self._step(AlertsReported(source, _by_api(source), tuple(reports)))

    def says(self, key: str, *, at: str | None = None, resolved: bool = False, **labels: str) -> Self:
        """A sender with a key of its own, source `pd`, speaks of it; `at` is its event's time, where it tells one."""
        seconds = None if at is None else self._seconds(at)
        return self._step(AlertsReported("pd", False, (keyed(key, seconds, resolved=resolved, **labels),)))

    def hears_from(self, source: str) -> Self:
        """The source speaks, of nothing that fires."""
        return self._step(SourceHeard(source))

    def acknowledged_by(self, who: str, incident: int = 1, note: str = "") -> Self:
        return self._act(ActionKind.ACK, who, incident, note)

    def unacknowledged_by(self, who: str, incident: int = 1) -> Self:
        return self._act(ActionKind.UNACK, who, incident)

    def resolved_by(self, who: str, incident: int = 1, force: bool = False) -> Self:
        return self._act(ActionKind.RESOLVE, who, incident, force=force)

    def noted_by(self, who: str, note: str, incident: int = 1) -> Self:
        return self._act(ActionKind.NOTE, who, incident, note)

    def does(self, kind: str, who: str, incident: int = 1, **given: object) -> Self:
        """Any action, with what it needs: `until="2:00"`, `to="ben"`, `into=2`, `alerts=["Down"]`…"""
        made = dict(given)
        if "until" in made:
            made["until"] = time_of(str(made["until"]))
        if "into" in made:
            made["into"] = f"i{made['into']:012d}"
        names = made.pop("alerts", ())
        assert isinstance(names, list | tuple)
        made["fingerprints"] = tuple(fingerprint(self.alert(name).identity.labels()) for name in names)
        incident_id = f"i{incident:012d}"
        record = self.kept.incident(incident)
        event = ActionTaken(kind=ActionKind(kind), incident=incident_id, by=who, record=record, **made)  # type: ignore[arg-type]
        return self._step(event)

    def reports(self, title: str, by: str = "ana", key: str = "r1", **given: object) -> Self:
        """A person reports what no alert says."""
        return self._step(IncidentReported(key=key, title=title, by=by, **given))  # type: ignore[arg-type]

    def silenced(self, until: str, *, starts: str = "", number: int = 1, by: str = "ana", **labels: str) -> Self:
        """A person mutes what has these labels."""
        begins = self._seconds(starts or None)
        one = silence(begins, self._seconds(until), number, by, **labels)
        return self._step(SilenceSet(msgspec.structs.replace(one, updated_at=self.now)))

    def unsilenced(self, number: int = 1, by: str = "ana") -> Self:
        return self._step(SilenceExpired(silence(0, 1, number).id, by))

    def paused(self, until: str, by: str = "ana") -> Self:
        return self._step(PauseSet(until=time_of(until), by=by))

    def unpaused(self, by: str = "ana") -> Self:
        return self._step(SilenceExpired("pause", by))

    def overridden(
        self, person: str, until: str, *, starts: str = "", schedule: str = "primary", number: int = 1, by: str = "ana"
    ) -> Self:
        """A person says who is on call for a while."""
        override = Override(
            id=f"override-{number}",
            schedule=schedule,
            person=person,
            begins_at=time_of(starts) if starts else self.now,
            ends_at=time_of(until),
            created_by=by,
            created_at=self.now,
        )
        return self._step(OverrideSet(override))

    def override_ended(self, number: int = 1, by: str = "ana") -> Self:
        return self._step(OverrideEnded(f"override-{number}", by))

    def reload(self, changed: Ruleset) -> Self:
        self.ruleset = changed
        return self._step(RulesChanged(changed))

    def refuses(self, receiver: str) -> Self:
        """From now on it refuses every message for good."""
        self._answers[receiver] = Outcome.FAILED
        return self

    def hangs(self, receiver: str) -> Self:
        """From now on it neither accepts nor refuses."""
        self._answers[receiver] = None
        return self

    def settles_late(self) -> Self:
        """From now on imd hears what became of messages that were called off when the story says so."""
        self._called_off = []
        return self

    def settles(self) -> Self:
        """Now it hears of them."""
        return self.settles_as(Outcome.CANCELLED)

    def settles_as(self, outcome: Outcome) -> Self:
        """As this."""
        called_off, self._called_off = self._called_off or [], []
        for delivery in called_off:
            self._finish(delivery, outcome)
        return self

    def answers(self, receiver: str, outcome: Outcome = Outcome.ACCEPTED) -> Self:
        """It works again, and settles what hung so."""
        self._answers.pop(receiver, None)
        for delivery in [one for one in self._on_the_way if one.receiver == receiver]:
            if delivery in self._on_the_way:  # the answer to the one before may have called it off
                self._finish(delivery, outcome)
        return self

    # -- what people hear -----------------------------------------------------------------------------------------

    def page_to(self, who: str, reason: str = "first", *, incident: int = 1, priority: str = "", by: str = "") -> Self:
        """Just now, a page to this person or receiver, for this reason; `by` this receiver."""
        page = self._heard(who, PageKind.PAGE, incident, by)
        assert page.reason is PageReason(reason), _shown(page)
        assert not priority or page.priority.value == priority, _shown(page)
        return self

    def update_to(self, who: str, incident: int = 1) -> Self:
        self._heard(who, PageKind.UPDATE, incident)
        return self

    def acknowledgement_to(self, who: str, incident: int = 1) -> Self:
        self._heard(who, PageKind.ACKNOWLEDGED, incident)
        return self

    def end_to(self, who: str, incident: int = 1) -> Self:
        """A message of kind resolved."""
        self._heard(who, PageKind.RESOLVED, incident)
        return self

    def digest_to(self, who: str, *numbers: int) -> Self:
        """One message of these incidents, in this order."""
        heard = self._heard(who, PageKind.DIGEST, 0)
        listed = [one["number"] for one in msgspec.json.decode(heard.body)["incidents"]]
        assert listed == list(numbers), f"{listed}: {heard.headline}"
        return self

    def note_to(self, who: str, incident: int = 1) -> Self:
        self._heard(who, PageKind.NOTE, incident)
        return self

    def refused(self, because: str) -> Self:
        """The last event was refused, with these words among the reason."""
        assert self._refused, "nothing was refused"
        assert because in self._refused[-1].error, self._refused[-1].error
        return self

    # -- what is on record ----------------------------------------------------------------------------------------

    def incident(self, number: int = 1) -> Incident:
        return self.kept.incident(number)

    def is_(self, state: str, incident: int = 1, **fields: object) -> Self:
        """The incident's state and, by keyword, other fields of its record."""
        record = self.incident(incident)
        assert record.state.value == state, f"#{incident} is {record.state.value}, not {state}\n{self.told(incident)}"
        for name, expected in fields.items():
            assert getattr(record, name) == expected, f"#{incident}.{name} is {getattr(record, name)!r}"
        return self

    def incidents(self, count: int) -> Self:
        """So many were opened so far, cancelled ones included."""
        assert self.engine.state.last_number == count, f"{self.engine.state.last_number} incidents"
        return self

    def line(self, text: str, incident: int = 1) -> Self:
        """The incident's timeline says so."""
        assert text in self.told(incident), self.told(incident)
        return self

    def told(self, incident: int = 1) -> str:
        """The whole timeline, a line each."""
        incident_id = f"i{incident:012d}"
        return "\n".join(
            f"{one.entry.learnt_at - T0} {one.entry.kind}: {one.entry.text}"
            for one in self._lines
            if one.incident == incident_id
        )

    def alert(self, alertname: str, **labels: str) -> Alert:
        """The newest episode with these labels, or these and more."""
        given = {"alertname": alertname, **labels}.items()
        return next(one for one in reversed(self.engine.state.alerts.values()) if one.labels().items() >= given)

    def is_suppressed(self, alertname: str, *causes: str, **labels: str) -> Self:
        """By these causes, or by their first words; by none: it goes on."""
        found = self.alert(alertname, **labels).suppressed_by
        shown = tuple(one if one in causes else one.partition("/")[0] for one in found)
        assert shown == causes, found
        return self

    # -- within ---------------------------------------------------------------------------------------------------

    def _act(self, kind: ActionKind, who: str, incident: int, note: str = "", force: bool = False) -> Self:
        return self._step(ActionTaken(kind=kind, incident=f"i{incident:012d}", by=who, note=note, force=force))

    def _heard(self, who: str, kind: PageKind, incident: int, by: str = "") -> Delivery:
        for one in self._untold:
            if (one.to, one.kind, one.number) == (who, kind, incident) and by in ("", one.receiver):
                self._untold.remove(one)
                return one
        heard = "; ".join(_shown(one) for one in self._untold) or "nothing"
        raise AssertionError(f"{self.now - T0}: no {kind.value} to {who} of #{incident}, but {heard}")

    def _seconds(self, when: str | None) -> float:
        return ((self.now if when is None else time_of(when)) - T0).total_seconds()

    def _step(self, event: Event) -> Self:
        effects = self.engine.step(event, self.now)
        self.kept.apply(effects)
        called_off: list[Delivery] = []
        for effect in effects:
            self._take(effect)
            if isinstance(effect, CancelPages):
                called_off += self._meant(effect)
        self._call_off(called_off)
        for delivery in [one for one in self._on_the_way if one.receiver not in self._answers]:
            self._finish(delivery, Outcome.ACCEPTED)
        for delivery in [one for one in self._on_the_way if self._answers.get(one.receiver) is Outcome.FAILED]:
            self._finish(delivery, Outcome.FAILED)
        if not isinstance(event, Tick):
            while (due := self.engine.next_deadline()) is not None and due <= self.now:
                self._step(Tick())  # what the event made due at this very instant
        return self

    def _take(self, effect: Effect) -> None:
        match effect:
            case Deliver(delivery=delivery):
                if delivery.kind not in self._not_of:
                    self._untold.append(delivery)
                self._on_the_way.append(delivery)
                self.sent.append(delivery)
            case AppendTimeline():
                self._lines.append(effect)
            case Refused():
                self._refused.append(effect)
            case Counted():
                self.counted.append(effect)
            case _:
                pass

    def _meant(self, effect: CancelPages) -> list[Delivery]:
        """Of what was sent before it."""
        kinds = {PageKind.PAGE, *effect.kinds}
        about = (one for one in self._on_the_way if one.incident == effect.incident and one.kind in kinds)
        return [one for one in about if effect.receiver in (None, one.receiver)]

    def _call_off(self, called_off: list[Delivery]) -> None:
        for delivery in called_off:
            if self._called_off is not None:
                self._called_off.append(delivery)
            else:
                self._finish(delivery, Outcome.CANCELLED)

    def _finish(self, delivery: Delivery, outcome: Outcome) -> None:
        if delivery not in self._on_the_way:
            return
        self._on_the_way.remove(delivery)
        if outcome is Outcome.CANCELLED and delivery in self._untold:
            self._untold.remove(delivery)  # it never left
        self._step(
            DeliveryFinished(
                delivery=delivery.id,
                incident=delivery.incident,
                receiver=delivery.receiver,
                outcome=outcome,
                error="refused" if outcome is Outcome.FAILED else "",
            )
        )


def _by_api(source: str) -> bool:
    return source.startswith("prom")


def _shown(delivery: Delivery) -> str:
    reason = f" ({delivery.reason.value})" if delivery.reason else ""
    return f"{delivery.created_at - T0} to {delivery.to}: {delivery.headline}{reason}"
