"""What makes alerts quiet and what lets them go on: silences that begin and end, windows, inhibitors, pause, reloads.

Owns when a verdict is looked at again, and the order in which suppressed alerts go on. How it works: what begins to
suppress acts on every alert it takes in the same step, so that nobody is paged from the answer on. Where it may take
very many they go on `state.to_mute`, and from there a slice a step. Nothing else is decided before the last of them: no
deadline comes before theirs, an event that does not wait takes all that are left with it, and the answer waits. An
incident's members have their turn together, so that where the slices are cut does not show.

What ends puts its alerts on `state.to_judge`; from there they go on in order of their identity's hash, JUDGED_MAX a
step, so that the end of a broad silence does not hold the loop. After a restart every suppressed alert is looked at
again in the same way, and whatever a silence had not reached is to be muted still.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from imd.core import flapping, journal, times
from imd.core.incidents import Incidents
from imd.core.inhibit import Inhibitors
from imd.core.prepared import goes_nowhere
from imd.core.state import AT_ONCE, Due, State
from imd.core.suppress import Causes, Suppression
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.effect import Journal, Refused, SaveSilence
from imd.model.event import PauseSet, SilenceExpired, SilenceSet
from imd.model.policy import Ruleset
from imd.model.quiet import PAUSE, Silence, SilenceState, needle
from imd.model.rule import Match, Rule, Test, match_test

JUDGED_MAX = 100  # alerts that go on in one step; where each brings an incident of its own back, 0.1 ms
MUTED_MAX = 250  # alerts that are muted in one slice, of which a step takes two; with an incident each some 40 us
LOOKED_MAX = 1000  # alerts whose verdict is worked out in one slice, 5 us each where nothing mutes them
SILENCES_MAX = 10_000  # the ended ones of the last days among them
KEPT = timedelta(days=5)  # an ended silence stays known so long, as with Alertmanager's default retention

FindRule = Callable[[Alert, Mapping[str, str]], Rule]
Place = Callable[[Transaction, Alert, Mapping[str, str]], None]


class Quiet:
    """Works on the state's alerts under one ruleset. It is the only writer of verdicts."""

    def __init__(
        self,
        ruleset: Ruleset,
        state: State,
        incidents: Incidents,
        rule: FindRule,
        place: Place,
        before: Quiet | None,
        inhibitors: Inhibitors | None,
    ) -> None:
        """`rule` finds the rule that takes an alert, `place` puts an alert into an incident. `before`: the one under
        the rules of before a reload, whose index of inhibitors is kept where there is no other, filled for these."""
        self._ruleset = ruleset
        self._state = state
        self._incidents = incidents
        self._rule = rule
        self._place = place
        self._planned: dict[str, datetime] = {}
        self._suppression = Suppression(ruleset, state.silences, state.at)
        if inhibitors is not None:
            self._suppression.inhibitors = inhibitors
            self._inhibitors_changed()
        elif before is not None:
            self._suppression.inhibitors = before._suppression.inhibitors
        elif ruleset.inhibitions:
            for alert in state.alerts.values():
                if alert.firing and not goes_nowhere(alert):
                    self._suppression.inhibitors.enter(alert, alert.full_labels())
            self._inhibitors_changed()

    # -- alerts ---------------------------------------------------------------------------------------------------

    def enter(self, tx: Transaction, alert: Alert, labels: Mapping[str, str], rule: Rule | None) -> Causes:
        """The alert begins to fire: its verdict. What it mutes is muted. `rule`: see Suppression.judge."""
        inhibitors = self._suppression.inhibitors
        concerned = () if inhibitors.idle else inhibitors.enter(alert, labels)
        causes = self._suppression.judge(alert, labels, rule)
        if causes or alert.suppressed_by:
            self._mark(alert, causes)
        if concerned:
            self._look_at(tx, concerned)
        return causes

    def restate(self, tx: Transaction, alert: Alert) -> None:
        """An alert fires on under other labels: what it mutes, and what mutes it, goes by these."""
        if goes_nowhere(alert):
            return
        concerned = [alert]
        inhibitors = self._suppression.inhibitors
        if not inhibitors.idle:
            concerned += inhibitors.leave(alert) + inhibitors.enter(alert, alert.full_labels())
        self._look_at(tx, concerned)

    def muting(self, labels: Mapping[str, str]) -> list[Alert]:
        """The alerts that mute whatever has these labels."""
        return self._suppression.inhibitors.muting(labels)

    def leave(self, tx: Transaction, alert: Alert) -> None:
        """The alert fires no more. Its last verdict stays with it."""
        if alert.suppressed_by:
            self._state.suppressed.file(alert)
        if not self._suppression.inhibitors.idle:
            self._look_at(tx, self._suppression.inhibitors.leave(alert))

    def _look_at(self, tx: Transaction, alerts: Collection[Alert]) -> None:
        """Whatever is to be quiet is so at once, in order of coming, or of very many in turn; whatever may go on waits
        for its turn."""
        in_order = sorted(alerts, key=lambda one: one.id)
        if len(in_order) > MUTED_MAX:
            self._plan_mute(in_order)
        else:
            self._judge_now(tx, in_order)

    def _judge_now(self, tx: Transaction, alerts: Iterable[Alert]) -> int:
        """How many are quiet now and were not."""
        muted = 0
        for alert in alerts:
            causes = self._verdict(alert)
            if causes:
                muted += self._suppress(tx, alert, causes)
            elif alert.suppressed_by:
                self._put_off(tx.at, (alert,))
        return muted

    # -- very many -------------------------------------------------------------------------------------------------

    def _plan_mute(self, alerts: Iterable[Alert]) -> None:
        self._state.to_mute.update((alert.id, alert) for alert in alerts)
        self._state.remind(AT_ONCE, Due.MUTE, "")

    def mute_due(self, tx: Transaction) -> None:
        """The next slice of them."""
        tx.at = tx.now
        waiting, looked, muted = self._state.to_mute, 0, 0
        for alert_id in list(islice(waiting, LOOKED_MAX)):
            if looked >= LOOKED_MAX or muted >= MUTED_MAX:
                break
            alert = waiting.pop(alert_id, None)
            if alert is None:
                continue  # it was with others of its incident
            others = [one for one in self._state.members.get(alert.incident, ()) if one.id in waiting]
            for one in others:
                del waiting[one.id]
            together = sorted((alert, *others), key=lambda one: one.id)
            looked += len(together)
            muted += self._judge_now(tx, (one for one in together if _heard_of(one)))
        if waiting:
            self._state.remind(AT_ONCE, Due.MUTE, "")
        else:
            self._spread_over(tx)

    def mute_all(self, tx: Transaction) -> None:
        """All that are left."""
        while self._state.to_mute:
            self.mute_due(tx)

    def _spreads(self, tx: Transaction, silence: Silence) -> None:
        """Some that the silence takes may be to mute still: a restart looks for them."""
        if self._state.to_mute:
            self._record(tx, msgspec.structs.replace(silence, spreading=True))

    def _spread_over(self, tx: Transaction) -> None:
        for silence in [one for one in self._state.silences.values() if one.spreading]:
            self._record(tx, msgspec.structs.replace(silence, spreading=False))

    def _record(self, tx: Transaction, silence: Silence) -> None:
        self._state.silences[silence.id] = silence
        tx.effects.append(SaveSilence(silence))

    # -- one --------------------------------------------------------------------------------------------------------

    def _verdict(self, alert: Alert) -> Causes:
        """Where it is, or waits, or was seen off, it was put by what it said when it began: no rule's mode is asked
        again."""
        labels, placed = alert.full_labels(), bool(alert.incident or alert.seen_off or alert.counted_at)
        return self._suppression.judge(alert, labels, None if placed else self._rule(alert, labels))

    def _suppress(self, tx: Transaction, alert: Alert, causes: Causes) -> bool:
        """Whether its verdict is another one now. An alert that has ended is here because it flaps."""
        before = alert.suppressed_by
        if before == causes:
            return False
        if alert.firing:
            self._mark(alert, causes)
            if not before:
                self._incidents.mute(tx, alert)
        flapping.cease(tx, alert, self._state, self._incidents)
        tx.save(alert)
        return True

    def _mark(self, alert: Alert, causes: Causes) -> None:
        alert.suppressed_by = causes
        self._state.suppressed.file(alert)

    # -- going on -------------------------------------------------------------------------------------------------

    def judge_due(self, tx: Transaction) -> None:
        """The next of those that wait for it, by the hash of their identity."""
        state = self._state
        if tx.at != state.judge_at:
            return  # planned for another instant since
        if state.judge_after is not None and tx.at < state.judge_after:
            self._judge_at(state.judge_after)
            return
        state.judge_at = None
        for alert in state.to_judge.take(JUDGED_MAX):
            if alert.firing:
                self._judge_again(tx, alert)
        if state.to_judge:
            self._judge_at(tx.now)

    def _judge_again(self, tx: Transaction, alert: Alert) -> None:
        causes = self._verdict(alert)
        if causes:
            self._suppress(tx, alert, causes)
        elif alert.suppressed_by:
            self._mark(alert, ())
            labels = alert.full_labels()
            if not self._incidents.release(tx, alert, labels):
                alert.seen_off = ""  # it is placed anew, and the mode of its rule counts
                self._mark(alert, self._verdict(alert))
                self._place(tx, alert, labels)
            tx.save(alert)

    def _cause_begins(self, tx: Transaction, cause: str, match: Match) -> None:
        """Whatever it takes and has not taken yet is quiet."""
        self._look_at(tx, self._taken_by(match, cause))

    def _silence_begins(self, tx: Transaction, silence_id: str) -> None:
        silence = self._state.silences[silence_id]
        self._cause_begins(tx, silence.cause, (silence.matchers,))
        self._spreads(tx, silence)

    def _cause_ended(self, tx: Transaction, cause: str) -> None:
        """All that it suppressed is looked at in turn."""
        self._put_off(tx.at, self._by_cause(cause).values())

    def _put_off(self, at: datetime, alerts: Collection[Alert]) -> None:
        self._state.to_judge.add(alerts)
        if not alerts:
            return
        if self._state.judge_at is None or at < self._state.judge_at:
            self._judge_at(at)

    def _judge_at(self, at: datetime) -> None:
        self._state.judge_at = at
        self._state.remind(at, Due.JUDGE, "")

    # -- people ---------------------------------------------------------------------------------------------------

    def take(self, tx: Transaction, event: SilenceSet | SilenceExpired | PauseSet) -> None:
        match event:
            case SilenceSet():
                self._set(tx, event)
            case SilenceExpired():
                self._end(tx, event)
            case PauseSet():
                self._pause(tx, event)

    def _set(self, tx: Transaction, event: SilenceSet) -> None:
        """A new silence, or a change of one. Its matchers compile: whoever made the event has seen to that."""
        silence = event.silence
        if silence.id not in self._state.silences and not self._make_room(tx.now):
            tx.effects.append(Refused(0, f"there are {SILENCES_MAX} silences already (silences_max); expire some"))
            return
        tx.effects.append(Journal(tx.now, journal.silence_set(tx.now, silence, event.replaces), True))
        self._keep(tx, _begun(silence, tx.now))
        old = self._state.silences.get(event.replaces)
        concerned: dict[int, Alert] = {}
        if old is not None and old.id != silence.id and old.state(tx.now) is not SilenceState.EXPIRED:
            concerned = dict(self._by_cause(old.cause))
            self._keep(tx, old.ended(tx.now))
        concerned |= self._by_cause(silence.cause)
        if silence.in_force(tx.now):
            concerned |= {alert.id: alert for alert in self._taken_by((silence.matchers,), silence.cause)}
        self._look_at(tx, concerned.values())
        self._spreads(tx, self._state.silences[silence.id])

    def _end(self, tx: Transaction, event: SilenceExpired) -> None:
        """Before its time. One that is over already stays as it is."""
        silence = self._state.silences.get(event.silence)
        if silence is None:
            tx.effects.append(Refused(0, f"there is no silence {event.silence}"))
            return
        if silence.state(tx.now) is SilenceState.EXPIRED:
            return
        tx.effects.append(Journal(tx.now, journal.silence_ended(tx.now, event), True))
        self._keep(tx, silence.ended(tx.now))
        self._cause_ended(tx, silence.cause)

    def _pause(self, tx: Transaction, event: PauseSet) -> None:
        """Everything is quiet until then."""
        pause = Silence(
            id=PAUSE,
            matchers=(),
            starts_at=tx.now,
            ends_at=event.until,
            updated_at=tx.now,
            created_by=event.by,
            comment=event.reason,
        )
        if not pause.in_force(tx.now):
            tx.effects.append(Refused(0, "a pause ends in the future"))
            return
        self._set(tx, SilenceSet(pause))

    def _keep(self, tx: Transaction, silence: Silence) -> None:
        """Puts it on record and sees to it that it begins, ends and is forgotten."""
        self._record(tx, silence)
        if silence.in_force(tx.at):
            self._suppression.file(silence)
        else:
            self._suppression.unfile(silence.id)
        self._arm(silence)

    def _arm(self, silence: Silence) -> None:
        if not silence.begun:
            self._state.remind(silence.starts_at, Due.SILENCE, silence.id)
        self._state.remind(silence.ends_at, Due.SILENCE, silence.id)
        self._state.remind(silence.ends_at + KEPT, Due.SILENCE, silence.id)

    def _make_room(self, now: datetime) -> bool:
        """Beyond the bound the one that ended first is forgotten; whether there is room then."""
        silences = self._state.silences
        if len(silences) < SILENCES_MAX:
            return True
        first = min(silences.values(), key=lambda one: (one.ends_at, one.id))
        if first.state(now) is not SilenceState.EXPIRED:
            return False
        del silences[first.id]
        return True

    def _by_cause(self, cause: str) -> Mapping[int, Alert]:
        return self._state.suppressed.by_cause.get(cause, {})

    # -- time -----------------------------------------------------------------------------------------------------

    def silence_due(self, tx: Transaction, silence_id: str) -> None:
        """It begins, ends, or is forgotten; a deadline from before a change of it finds nothing to do."""
        silence = self._state.silences.get(silence_id)
        if silence is None:
            return
        if tx.at >= silence.ends_at + KEPT:
            del self._state.silences[silence_id]
        elif tx.at >= silence.ends_at:
            self._suppression.unfile(silence_id)
            self._cause_ended(tx, silence.cause)
        elif tx.at >= silence.starts_at and not silence.begun:
            self._keep(tx, _begun(silence, tx.at))
            self._silence_begins(tx, silence.id)

    def maintenance_due(self, tx: Transaction, name: str) -> None:
        """A window of it begins or ends, or is to be looked for again."""
        maintenance = next((one for one in self._ruleset.maintenance if one.name == name), None)
        if maintenance is None or tx.at != self._planned[name]:
            return
        at = tx.now if tx.at == AT_ONCE else tx.at
        if self._suppression.look(name, at):
            self._cause_begins(tx, maintenance.cause, maintenance.match)
        else:
            self._cause_ended(tx, maintenance.cause)
        self._plan(name, times.next_boundary(maintenance.during, at) or at + times.HORIZON / 2)

    def _plan(self, name: str, at: datetime) -> None:
        """When a maintenance is looked at next; what was planned before is void."""
        self._planned[name] = at
        self._state.remind(at, Due.MAINTENANCE, name)

    def _taken_by(self, match: Match, cause: str) -> list[Alert]:
        """The alerts that a match takes and that fire or flap, without those that know it; of very many all that it may
        take. Most others are passed by undecoded: 50 ns each."""
        needles = [needle(matchers) for matchers in match]
        only, several = needles[0] if len(needles) == 1 else b"", len(needles) > 1
        found = []
        for alert in self._state.alerts.values():
            canonical = alert.identity.canonical
            absent = only not in canonical or (several and not any(one in canonical for one in needles))
            if absent and alert.other_labels is None and alert.enriched is None:
                continue
            if _heard_of(alert) and not goes_nowhere(alert) and cause not in alert.suppressed_by:
                found.append(alert)
        if len(found) > LOOKED_MAX:
            return found
        test: Test = match_test(match)
        return [alert for alert in found if test(alert.full_labels())]

    # -- the world changes ----------------------------------------------------------------------------------------

    def arm(self) -> None:
        """After a restore or a reload: every deadline anew, and every suppressed alert is looked at once more."""
        at = self._state.at or AT_ONCE
        for silence in self._state.silences.values():
            self._arm(silence)
            if silence.spreading:  # to those it takes, and to those it took before it was changed
                concerned = [
                    *self._by_cause(silence.cause).values(),
                    *self._taken_by((silence.matchers,), silence.cause),
                ]
                self._plan_mute(sorted(concerned, key=lambda one: one.id))
        for maintenance in self._ruleset.maintenance:
            self._plan(maintenance.name, at)
        self._put_off(at, self._state.suppressed.alerts())

    def restarted(self, tx: Transaction) -> None:
        """imd was away. What began and ended meanwhile has no effect any more."""
        for silence in list(self._state.silences.values()):
            if not silence.begun and silence.ends_at <= tx.now:
                self._keep(tx, _begun(silence, tx.now))
        for maintenance in self._ruleset.maintenance:
            self._plan(maintenance.name, tx.now)

    def clock_stepped(self, tx: Transaction, by: timedelta) -> None:
        """Silences and windows hold by the wall clock: one that had begun may be ahead again, one that was over may
        hold again."""
        self._judge_at(tx.now)
        self.arm()
        self.restarted(tx)
        for silence in list(self._state.silences.values()):
            if silence.begun and silence.starts_at > tx.now:
                self._keep(tx, _begun(silence, tx.now))
            elif silence.in_force(tx.now) and silence.ends_at <= tx.now - by:
                self._keep(tx, silence)
                self._silence_begins(tx, silence.id)

    def _inhibitors_changed(self) -> None:
        """Who is muted by them is looked at in turn."""
        concerned = self._suppression.inhibitors.muted()
        self._put_off(AT_ONCE, [alert for alert in concerned if alert.suppressed_by])
        aloud = [alert for alert in concerned if not alert.suppressed_by]
        if aloud:
            self._plan_mute(aloud)


def _heard_of(alert: Alert) -> bool:
    """Whether there is anything to mute: it fires, or counts as firing."""
    return alert.firing or alert.flapping_since is not None


def _begun(silence: Silence, now: datetime) -> Silence:
    """The same, marked if its beginning is reached."""
    return msgspec.structs.replace(silence, begun=silence.starts_at <= now)
