"""What must hold of a run, whatever befell it: the promises, looked at from outside and on disk.

Owns the verdicts. Three records are compared: what clients were answered, what receivers were sent and took, and what
the database says, which is read directly. While it runs: no answer before its commit, no attempt without its row, one
key and one body a delivery, no page after the answer to an acknowledgement. When it has been calm for long: every alert
is as its sender last said, what nobody answered has walked to the end of its policy, no timer is lost. At the end:
everything owed arrived, resolves reached those and only those who were told, nothing was marked that did not happen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from imd.model.alert import Alert, AlertState
from imd.model.effect import Delivery
from imd.model.incident import Incident, IncidentState
from imd.store.record import (
    unpack_delivery,
    unpack_entry,
    unpack_incident,
    unpack_silence,
)
from tests.simulation import files
from tests.simulation.disk import STORE_ID
from tests.simulation.heard import unheard
from tests.simulation.ondisk import OnDisk, Row

if TYPE_CHECKING:
    from tests.simulation.clients import Sender
    from tests.simulation.receivers import Send
    from tests.simulation.simulation import Simulation

_STOPPED = frozenset({IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED, IncidentState.RESOLVED, IncidentState.CLOSED})
_BEGINS = frozenset(
    {"triggered", "ack_lapsed", "unacknowledged", "released", "reopened", "escalated", "priority", "route", "flapping",
     "merged", "split", "responder"}
)  # fmt: skip
"""Lines of a timeline after which a policy may begin anew."""
_STEPS = {"web": (60.0, 60.0), "db": (90.0, 60.0, 60.0), "duty": (60.0, 60.0)}
"""The shortest `for` of each step over all versions."""
_WALK_SECONDS = 420.0  # the longest walk through all rounds, with what follows a restart
_HEARD_BY = {"web": {"ana", "ben", "ops", "desk"}, "db": {"ana", "ben", "ops", "desk"}, "duty": {"ops", "desk"}}
_ACCEPTED_WITHIN = 20.0
_MISSED_AFTER = 130.0  # `every`, `grace`, and what lies between two beats
_SLACK = 12.0
_UNDER_WAY = 5.0


class Oracles(OnDisk):
    def __init__(self, sim: Simulation) -> None:
        super().__init__(sim.disk)
        self._sim = sim
        self.violations: list[str] = []
        self._bodies: dict[str, tuple[str, str, bytes]] = {}
        self._stopped: dict[str, tuple[int, datetime | None]] = {}
        self._answered: dict[tuple[str, str], int] = {}
        self._queued: dict[str, float] = {}
        self._troubles: list[float] = []
        self._ends: list[float] = []
        self._clock_set: list[float] = []
        self._calm_wall: datetime | None = None
        self._began: datetime | None = None  # None while no process runs
        self._digested: set[tuple[str, str]] = set()
        self._leaving: set[str] = set()  # what left just before the end

    def _fails(self, text: str) -> None:
        if len(self.violations) < 20:
            line = f"{self._sim.universe.elapsed:.6f} VIOLATION {text}"
            self.violations.append(line)
            self._sim.journal.append(line)

    # -- while it runs --------------------------------------------------------------------------------------------

    def page_starts(self, send: Send) -> None:
        """An attempt of any kind is about to leave."""
        found = self._sim.disk.rows("SELECT seq, state, record FROM delivery WHERE id = ?", (send.delivery,))
        if not found:
            self._fails(f"sent before its commit, or without a row: {send}")
        elif found[0][1] != "pending":
            self._fails(f"sent again although it is {found[0][1]} on disk: {send}")
        rest = send.body.partition(b",")[2]
        if (before := self._bodies.setdefault(send.delivery, (send.key, send.receiver, rest))) != (
            send.key, send.receiver, rest
        ):  # fmt: skip
            what = "key" if before[0] != send.key else "receiver" if before[1] != send.receiver else "body"
            self._fails(f"another {what} on a retry: {send}")
        if send.incident and send.key != f"{STORE_ID}-{send.incident}":
            self._fails(f"the key {send.key} is not its incident's: {send}")
        if send.kind == "page" and send.incident in self._stopped and found:
            self._page_of_stopped(send, found[0][0], unpack_delivery(found[0][2]))

    def _page_of_stopped(self, send: Send, seq: int, delivery: Delivery) -> None:
        """News may still come, but only what was decided since: a raise, to whom it is assigned, and what was owed when
        it ended by itself."""
        record = self._sim.disk.rows("SELECT record FROM incident WHERE id = ?", (send.incident,))[0][0]
        incident = unpack_incident(record)
        asked = {incident.assignee, *(one.partition(":")[2] for one in incident.responders)}
        assigned = delivery.step == 0 and delivery.to in asked
        over = incident.state in (IncidentState.RESOLVED, IncidentState.CLOSED)
        heard = self._answered.get((send.incident, delivery.to), 0)
        news = seq > max(heard, self._stopped[send.incident][0])
        news = news and (send.reason in ("raised", "flapping") or assigned or over)
        if incident.state in _STOPPED and not news:
            self._fails(f"a page of an incident that is {incident.state} starts after that was answered: {send}")

    def taken(self, sender: Sender, status: str) -> None:
        """A report got its 2xx: it is on disk at this instant."""
        alert = self._alert(sender.labels)
        wanted = (AlertState.FIRING,) if status == "firing" else (AlertState.RESOLVED, AlertState.EXPIRED)
        if alert is None:
            if status == "firing":  # what ended without ever being in an incident may be gone
                self._fails(f"{sender.name} got its 2xx and is not on disk")
        elif alert.state not in wanted and alert.flapping_since is None and not self._fires_for(sender, alert):
            self._fails(f"{sender.name} {status} got its 2xx and is {alert.state.name} on disk")

    def _fires_for(self, sender: Sender, alert: Alert) -> bool:
        """Whether it fires for earlier spans alone whose end got no 2xx: each of them until its own deadline."""
        return alert.firing and {span.starts_at for span in alert.spans if span.ended_at is None} <= sender.left

    def acted(self, incident: str, action: str, who: str, answer: Any) -> None:
        """A person's action got its 200."""
        record = self._sim.disk.rows("SELECT record FROM incident WHERE id = ?", (incident,))
        if not record:
            self._fails(f"{action} of {incident} was answered 200 and there is no such incident on disk")
            return
        if action in ("ack", "snooze", "resolve"):
            decided = self._sim.disk.rows("SELECT coalesce(max(seq), 0) FROM delivery")[0][0]
            found = unpack_incident(record[0][0])
            before = self._stopped.get(incident)
            again = action == "ack" and before is not None and before[1] == found.acknowledged_at
            self._stopped[incident] = (before[0] if again and before else decided, found.acknowledged_at)
            self._answered[incident, who] = decided
            if found.state not in _STOPPED:
                self._fails(f"{action} of {incident} was answered 200 and is not on disk: {answer['state']}")
        elif action in ("unack", "reopen", "escalate", "responder"):
            self._stopped.pop(incident, None)

    def queued(self, delivery: Delivery) -> None:
        """The engine decided on it: its batch goes to the store."""
        self._queued.setdefault(delivery.id, self._sim.universe.elapsed)

    def trouble(self) -> None:
        """The disk failed just now."""
        self._troubles.append(self._sim.universe.elapsed)

    def process_begins(self) -> None:
        self._began = self._sim.universe.now()

    def process_ended(self, unhandled: list[str]) -> None:
        self._began = None
        self._ends.append(self._sim.universe.elapsed)
        for text in unhandled:
            self._fails(f"a callback of the daemon failed: {text}")

    def clock_set(self) -> None:
        self._clock_set.append(self._sim.universe.elapsed)

    def calm_begins(self) -> None:
        self._calm_wall = self._sim.universe.now()

    # -- when it was calm for long --------------------------------------------------------------------------------

    def when_calm(self) -> None:
        """No fault for a quarter of an hour, and what fires fires still."""
        incidents = self._incidents()
        self._check_alerts(incidents)
        self._check_counts(incidents)
        for incident in incidents.values():
            if incident.open:
                self._check_walk(incident)
                self._check_lapse(incident)
        self.when_calm_a_while()
        for row in self._rows():
            if row.state == "pending" and self._age(row) > 120:
                self._fails(f"not settled {self._age(row):.0f} s after it was owed: {row.delivery.id}")

    def _check_alerts(self, incidents: Mapping[str, Incident]) -> None:
        quiet = self._quiet()
        for sender in self._sim.senders:
            if not sender.status:
                continue
            if sender.status == "gone":
                self._check_gone(sender)
                continue
            if sender.unsure or sender.known != sender.status:
                self._fails(f"{sender.name} was not taken for a quarter of an hour without faults")
                continue
            alert = self._alert(sender.labels)
            firing = sender.known == "firing"
            if alert is None:
                if firing:  # what ended without ever being in an incident may be gone
                    self._fails(f"{sender.name} was taken and is not on disk")
            elif alert.firing != firing and alert.flapping_since is None:
                self._fails(f"{sender.name} was last taken as {sender.known} and is {alert.state.name} on disk")
            elif firing and alert.suppressed_by and not quiet and not self._muted(alert):
                self._fails(f"{sender.name} is suppressed by {alert.suppressed_by}, which is over")
            elif firing and not alert.suppressed_by and not (alert.waiting or alert.seen_off):
                self._check_member(sender, incidents.get(alert.incident))

    def _check_counts(self, incidents: Mapping[str, Incident]) -> None:
        """Every incident counts the alerts that say they are in it."""
        members = self._members()
        for incident in incidents.values():
            found = [one for one in members.get(incident.id, []) if one.flapping_since is None]
            firing = sum(one.firing and not one.suppressed_by for one in found)
            if incident.open and firing != incident.firing - incident.flapping:
                self._fails(f"{incident.id} has {firing} firing alerts and counts {incident.firing}")

    def _check_gone(self, sender: Sender) -> None:
        """Nobody speaks of it any more, so it is over by now, but for what imd's absences put off."""
        ends = [*self._ends, *self._clock_set, *self._troubles]
        alert = self._alert(sender.labels)
        if not ends and alert is not None and alert.firing and alert.flapping_since is None:
            self._fails(f"{sender.name} is not spoken of any more and fires still: {alert.spans}")

    def _check_member(self, sender: Sender, incident: Incident | None) -> None:
        if incident is None:
            self._fails(f"{sender.name} fires and is in no incident")
            return
        team = sender.labels["team"]
        key = {name: sender.labels[name] for name in ("cluster", "service") if name in sender.labels}
        key = {} if team == "net" else {"zone": sender.labels["zone"]} if team == "out" else key
        moved = incident.split_from or any(entry.kind == "merged" for entry in self._timeline(incident.id))
        if (incident.rule != team or dict(incident.group_key) != key) and not moved:
            self._fails(f"{sender.name} is in {incident.id} of rule {incident.rule} and key {incident.group_key}")
        by_hand = any(entry.kind == "resolved" and entry.by != "imd" for entry in self._timeline(incident.id))
        if not incident.open and not by_hand and "still" not in incident.timers:
            because = incident.resolved_because
            if "by " not in because:
                self._fails(f"{sender.name} fires and its incident {incident.id} is {incident.state}: {because}")

    def _check_walk(self, incident: Incident) -> None:
        """Nobody answered: everybody whom the policy names was told."""
        if incident.state is not IncidentState.TRIGGERED or incident.hushed or not incident.firing:
            return
        begun = [entry.learnt_at for entry in self._timeline(incident.id) if entry.kind in _BEGINS]
        assert self._calm_wall is not None
        since = max([self._calm_wall, *begun])
        if self._sim.universe.now() - since < timedelta(seconds=_WALK_SECONDS):
            return
        low = incident.priority.low
        if not low and not incident.exhausted and incident.policy in _HEARD_BY:
            self._fails(f"{incident.id} is unanswered and not at the end of its policy: step {incident.step}, timers "
                        f"{sorted(incident.timers)}")  # fmt: skip
        key = f"{STORE_ID}-{incident.id}"
        told = {
            send.receiver
            for send in self._sim.servers.sends
            if send.taken_at is not None and (send.key == key or incident.id in send.says)
        }
        owed = {"ana"} if low else _HEARD_BY.get(incident.policy, set())  # imd's own alert goes to the built-in policy
        missing = owed - told
        if missing:
            self._fails(f"{incident.id} is unanswered and never reached {sorted(missing)}")

    def _check_lapse(self, incident: Incident) -> None:
        assert self._calm_wall is not None
        policy_lapses = incident.policy == "web"
        if incident.state is IncidentState.ACKNOWLEDGED and policy_lapses and "ack" not in incident.timers:
            self._fails(f"{incident.id} is acknowledged and nothing will lapse it")
        late = {
            name: at for name, at in incident.timers.items() if at < self._sim.universe.now() - timedelta(minutes=2)
        }
        if late:
            self._fails(f"{incident.id} has timers that are long due: {late}")

    def when_calm_a_while(self) -> None:
        """Faults are over, and imd runs, or will."""
        assert self._calm_wall is not None
        if self._began is not None:
            receivers = files.version("first", self._sim.site)().ruleset.receivers
            since, now = max(self._calm_wall, self._began), self._sim.universe.now()
            for text in unheard(self._sim.servers.sends, self._rows(), self._incidents(), receivers, since, now):
                self._fails(text)

    # -- at the end -----------------------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        self._check_answers()
        self._check_heartbeat()
        rows = self._rows()
        self._leaving |= {row.delivery.id for row in rows if row.state == "pending" and self._age(row) < _UNDER_WAY}
        for row in rows:
            self._check_row(row)
        self._check_told()
        by_incident: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_incident[row.delivery.incident].append(row)
        for incident in self._incidents().values():
            if incident.open and not incident.kept:
                self._fails(f"{incident.id} is {incident.state} although nothing fires: timers {incident.timers}")
            self._check_settled(incident)
            self._check_numbers(incident, by_incident[incident.id])
            self._check_steps(incident, by_incident[incident.id])
            self._check_pace(incident, by_incident[incident.id])

    def _check_answers(self) -> None:
        for at, what, status in self._sim.door.answers:
            if status >= 500 and status != 503:
                self._fails(f"{what} was answered {status} at {at:.3f}")

    def _check_heartbeat(self) -> None:
        """Who was silent for long was missed, unless imd was away too; and is missed no more."""
        beater = self._sim.beater
        if beater is None:
            return
        found = [one for one in self._incidents().values() if one.rule == f"heartbeat:{beater.name}"]
        if any(one.open for one in found):
            self._fails(f"{beater.name} beats and is missed")
        if not beater.silent or beater.silent[1] - beater.silent[0] < _MISSED_AFTER:
            return
        since, until = beater.silent
        if not any(since - 600 <= at <= until for at in (*self._ends, *self._clock_set, *self._troubles)) and not found:
            self._fails(f"{beater.name} was silent from {since:.0f} to {until:.0f} and nobody missed it")

    def _check_row(self, row: Row) -> None:
        """What the outbox says of a message, against what was seen of it."""
        sends = [send for send in self._sim.servers.sends if send.delivery == row.delivery.id]
        arrived = any(send.taken_at is not None for send in sends)
        told = f"{row.delivery.id} ({row.delivery.kind} to {row.delivery.receiver})"
        match row.state:
            case "accepted":
                if not any(send.answered for send in sends):
                    self._fails(f"{told} is marked accepted, and was not")
            case "pending" if row.delivery.id not in self._leaving:
                self._fails(f"{told} is still pending at the end")
            case "failed":
                self._fails(f"{told} failed although every receiver works by now")
            case "cancelled" if arrived:
                self._fails(f"{told} is marked cancelled and had arrived")
            case "unknown" if not row.cancelled:
                self._fails(f"{told} was given up")
            case _:
                pass

    def _check_told(self) -> None:
        """Resolves reach those who were told, after all they were told, and nobody else."""
        page_at: dict[tuple[str, str], float] = {}
        asked: dict[tuple[str, str], float] = {}
        end_at: dict[tuple[str, str], float] = {}
        over = {f"{STORE_ID}-{one.id}" for one in self._incidents().values() if not one.open}
        for send in self._sim.servers.sends:
            pair = (send.receiver, send.key)
            if send.kind == "digest":
                self._told_by_digest(send, page_at, asked, end_at)
            elif send.kind == "page":
                asked.setdefault(pair, send.at)
                if send.taken_at is not None:
                    page_at[pair] = max(page_at.get(pair, 0), send.taken_at)
            elif pair not in asked:
                self._fails(f"told without ever having been paged: {send}")
            if send.kind == "resolved" and send.taken_at is not None:
                end_at[pair] = max(end_at.get(pair, 0), send.taken_at)
        for (receiver, key), at in page_at.items():
            if key in over and receiver != "ana-sms" and end_at.get((receiver, key), -1) < at:
                self._fails(f"{receiver} was paged of {key} at {at:.3f} and never told that it is over")

    def _told_by_digest(self, send: Send, *told: dict[tuple[str, str], float]) -> None:
        """A digest says how each incident stands; the same one twice says nothing new."""
        page_at, asked, end_at = told
        for incident, state in send.says.items():
            pair = (send.receiver, f"{STORE_ID}-{incident}")
            asked.setdefault(pair, send.at)
            again = (send.delivery, incident) in self._digested
            if send.taken_at is not None and not again:
                self._digested.add((send.delivery, incident))
                is_over = state in ("resolved", "closed", "merged", "cancelled")
                at = end_at if is_over else page_at
                at[pair] = max(at.get(pair, 0), send.taken_at)

    def _check_settled(self, incident: Incident) -> None:
        """Nothing is waited for any more, but for a digest that is to leave, or just does."""
        planned = {one.receiver for one in self._digests() if one.due_at and one.due_at > self._sim.universe.now()}
        planned |= {one.receiver for one in self._digests() if one.sent in self._leaving}
        marks = {"waits", *self._leaving}
        pages = [one for one in incident.awaited.values() if one.digest not in marks or one.receiver not in planned]
        if pages:
            self._fails(f"{incident.id} waits for pages that are over: {pages}")
        left = {
            name: told
            for name, told in incident.told.items()
            if told.ends or (told.news and (told.news not in marks or name not in planned))
        }
        if left:
            self._fails(f"{incident.id} waits for messages that are over: {left}")

    def _check_numbers(self, incident: Incident, rows: list[Row]) -> None:
        """Every message that was ever decided on has its row, but for pages that are in digests."""
        there = {row.delivery.id for row in rows}
        for entry in self._timeline(incident.id):
            if entry.kind == "paged" and entry.text.startswith("not paged"):
                there.add(entry.details["delivery"])
        for number in range(1, incident.deliveries + 1):
            if f"{STORE_ID}-{incident.id}-{number}" not in there:
                self._fails(f"{incident.id}: its message number {number} of {incident.deliveries} is not in the outbox")
        if len(there) > incident.deliveries:
            self._fails(f"{incident.id}: {len(there)} messages in the outbox, {incident.deliveries} by its record")
        for entry in self._timeline(incident.id):
            paged = entry.details.get("delivery", "") if entry.kind == "paged" else ""
            if paged.startswith(STORE_ID) and paged not in there:
                self._fails(f"{incident.id}: paged by its timeline, not in the outbox: {entry.text}")

    def _check_steps(self, incident: Incident, rows: list[Row]) -> None:
        """No step notifies a receiver twice, but where the policy began anew. A page that was called back for its age
        leaves once more under another id."""
        begins = max(
            1, sum(entry.kind in _BEGINS - {"reopened", "priority", "route"} for entry in self._timeline(incident.id))
        )
        count = Counter(
            (row.delivery.to, row.delivery.receiver, row.delivery.step, row.delivery.reason)
            for row in rows
            if row.delivery.reason in ("first", "escalated") and not row.cancelled
        )
        for (to, receiver, step, reason), times in count.items():
            if times > begins:
                self._fails(
                    f"{incident.id}: step {step} ({reason}) paged {to} on {receiver} {times} times, begun {begins}"
                )

    def _check_pace(self, incident: Incident, rows: list[Row]) -> None:
        """Of what nobody touched: a step is entered when the one before it is over, whatever the clock did."""
        lines = [entry.kind for entry in self._timeline(incident.id)]
        if any(entry.text.startswith("not paged") for entry in self._timeline(incident.id)):
            return  # a page of some step has no row
        if (
            sum(kind in _BEGINS - {"route"} for kind in lines) != 1
            or "acknowledged" in lines
            or incident.policy not in _STEPS
        ):
            return
        at: dict[int, list[str]] = defaultdict(list)
        for row in rows:
            if row.delivery.reason in ("first", "escalated") and row.delivery.step and row.delivery.id in self._queued:
                at[row.delivery.step].append(row.delivery.id)
        for step, seconds in enumerate(_STEPS[incident.policy], 1):
            if step not in at or step + 1 not in at:
                continue
            one, two = (min(self._queued[each] for each in at[number]) for number in (step, step + 1))
            if all(self._accepted_soon(each) for each in at[step]):
                self._check_step(incident, step, one, two, seconds)

    def _check_step(self, incident: Incident, step: int, one: float, two: float, seconds: float) -> None:
        ended = any(one - 5 <= at <= two for at in self._ends)
        moved = any(one - 5 <= at <= two for at in self._clock_set)
        if two - one < seconds - _SLACK and not (ended and moved):
            self._fails(
                f"{incident.id}: step {step + 1} was entered {two - one:.0f} s after step {step}, not {seconds:.0f}"
            )
        still = not ended and not any(one - 5 <= at <= two for at in self._troubles)
        if still and two - one > seconds * 4 / 3 + _SLACK:
            self._fails(f"{incident.id}: step {step + 1} was entered only {two - one:.0f} s after step {step}")

    def _accepted_soon(self, delivery: str) -> bool:
        queued = self._queued[delivery]
        return any(
            send.answered and send.taken_at is not None and send.taken_at - queued < _ACCEPTED_WITHIN - 5
            for send in self._sim.servers.sends
            if send.delivery == delivery
        )

    def moves(self) -> int:
        """How often alerts went from one incident to another, which both say."""
        lines = [one for (one,) in self._sim.disk.rows("SELECT record FROM timeline")]
        moved = Counter(entry.text.partition(":")[0] for entry in map(unpack_entry, lines) if entry.kind == "moved")
        if sum(moved.values()) % 2:
            self._fails(f"one of two incidents says nothing of what moved: {moved}")
        return sum(moved.values()) // 2

    # -- what is still on ---------------------------------------------------------------------------------------

    def _age(self, row: Row) -> float:
        return self._sim.universe.elapsed - self._queued.get(row.delivery.id, 0.0)

    def _muted(self, alert: Alert) -> bool:
        """Whether what inhibits it fires."""
        return any(
            other.name == "A0" and other.known == "firing" and alert.identity.labels()["team"] == "low"
            for other in self._sim.senders
        )

    def _quiet(self) -> bool:
        """Whether any silence, the pause or the window of maintenance is still on."""
        now = self._sim.universe.now()
        if self._sim.site == "wide" and now.hour == 9 and now.minute < 9:
            return True
        found = [unpack_silence(record) for (record,) in self._sim.disk.rows("SELECT record FROM silence")]
        return any(one.ends_at > now for one in found)
