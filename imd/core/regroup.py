"""Members that change their incident: one merged into another, some taken out into one of their own, some moved.

Owns what this does to members, counts, keys and pages. That two incidents prove to be one is found by `related`, that a
person says so comes by `actions`, and who overtook its cause is found by `ties`. Nothing else moves alerts between
incidents.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from imd.core import lifecycle, priority
from imd.core.incidents import Incidents
from imd.core.life import KEPT_RESOLVED
from imd.core.notify import arm
from imd.core.relate import Relator
from imd.core.state import State
from imd.core.telling import named
from imd.core.transaction import Transaction
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind, PageReason

LONGER = timedelta(days=1)  # than any hold
LEFT_MAX = 500  # alerts whose labels are read once some have moved away, at 2 us each
LINKS_NOTHING = frozenset({"split", "handed"})
"""Reasons for which a person put members where they are: they link nothing, nor once they are merged on."""
WORKED_ON = frozenset({IncidentState.TRIGGERED, IncidentState.ACKNOWLEDGED, IncidentState.SNOOZED})


class Regroup:
    """Works on the state's incidents."""

    def __init__(self, state: State, incidents: Incidents, relator: Relator) -> None:
        self._state = state
        self._incidents = incidents
        self._relator = relator

    def hasten(self, incident: Incident, at: datetime) -> None:
        """A pending incident waits no longer than until then."""
        if incident.state is IncidentState.PENDING and at < incident.timers.get("hold", at):
            arm(self._state, incident, "hold", at)

    def _wait_no_longer(self, tx: Transaction, gone: Incident, into: Incident, *, loud: bool) -> None:
        """The members of one come to another: of those people have been told, or would be by then. `loud`: what fires
        among them is not suppressed. Where all else is, it wakes the other, whose hold begins anew with that."""
        was_told = gone.state is not IncidentState.PENDING
        if loud and into.hushed and into.state is IncidentState.PENDING:
            arm(self._state, into, "hold", tx.now + self._incidents.rule_of(into).hold)
        self.hasten(into, tx.now if was_told else gone.timers.get("hold", tx.now + LONGER))

    # -- two become one -------------------------------------------------------------------------------------------

    def merge(
        self, tx: Transaction, into: Incident, gone: Incident, why: str, by: str = "imd", because: str = "merged"
    ) -> None:
        """`gone` becomes part of `into`, whose pages go on; both are open. Its receivers hear the end of its key."""
        was_told = gone.state is not IncidentState.PENDING
        self._wait_no_longer(tx, gone, into, loud=gone.firing > 0)
        lifecycle.move(gone, "merge", tx.now)
        gone.merged_into = into.id
        self._incidents.escalation.stop(tx, gone, cancel=True)
        gone.timers.clear()
        tx.say(gone, "merged", f"merged into #{into.number}: {why}", by=by)
        tx.say(into, "merged", f"#{gone.number} is part of this: {why}", by=by)
        rule = self._incidents.rule_of(gone)
        self._incidents.notifier.follow_up(tx, gone, rule, PageKind.RESOLVED, ending=was_told)
        self._hand_over(tx, into, gone, because)
        if because == "merged":
            self._relator.merge(gone.id, into.id)
        else:
            self._relator.forget(gone.id)
        gone.stays_until = tx.now + KEPT_RESOLVED
        self._incidents.plan_leave(gone, tx.now)
        if into.state in WORKED_ON:
            new, rule = self._incidents.route(tx, into), self._incidents.rule_of(into)
            self._incidents.escalation.begin_new(tx, into, rule, new, PageReason.RAISED)

    def merge_by_hand(self, tx: Transaction, into: Incident, gone: Incident, by: str, note: str) -> None:
        """As a person says. Later alerts of the rule and key of `gone` are taken in too; what its alerts are related to
        is, where both relate along the same keys."""
        because = "merged" if self._relate_alike(into, gone) else "handed"
        self.merge(tx, into, gone, f"{by} says so{note}", by, because)
        into.taken_over = (*into.taken_over, *gone.files)
        for filed in gone.files:
            self._state.file(into, filed)

    def _relate_alike(self, one: Incident, other: Incident) -> bool:
        relate = [self._incidents.rule_of(incident).relate for incident in (one, other)]
        alike = (one.group_key, one.silent) == (other.group_key, other.silent)
        return None not in relate and alike and not one.split_from  # to what was taken out nothing is related

    def _hand_over(self, tx: Transaction, into: Incident, gone: Incident, because: str) -> None:
        """The members of `gone`, with all that they say, belong to `into`."""
        moved = self._state.take_over(into, gone)
        rule = self._incidents.rule_of(into)
        if moved:
            kept = into.labels.items()
            into.labels = {n: v for n, v in kept if n in rule.labels or gone.labels.get(n) == v}
        for alert in moved:
            alert.incident = into.id
            if alert.joined_because in LINKS_NOTHING:
                alert.joined_because = "handed"
            elif alert.joined_because != "suppressed":
                alert.joined_because = because
            self._incidents.mark_changed(into, alert)
            if alert.firing and not alert.suppressed_by:
                self._incidents.weigh_in(into, rule, alert.full_labels())
            tx.save(alert)
        if gone.claimed is not None:
            into.claimed = gone.claimed if into.claimed is None else priority.more_urgent(into.claimed, gone.claimed)
        into.active_at = tx.now
        into.firing += gone.firing
        into.ended += gone.ended
        into.flapping += gone.flapping
        into.suppressed += gone.suppressed
        into.held += gone.held
        into.aside += gone.aside
        gone.firing = gone.ended = gone.flapping = gone.suppressed = gone.held = gone.aside = 0
        gone.hushed = ""
        gone.kept = False
        tx.touch(gone).forget()
        tx.touch(into).joined.extend(alert for alert in moved if alert.joined_because != "suppressed")

    # -- one becomes two ------------------------------------------------------------------------------------------

    def split(self, tx: Transaction, incident: Incident, members: Sequence[Alert], by: str, note: str) -> None:
        """These members, none of them suppressed and not all there are, are an incident of their own from now on. It
        takes in nothing further: the rule and the key stay with the first."""
        rule = self._incidents.rule_of(incident)
        labels = members[0].full_labels()
        fresh = self._incidents.open(tx, rule, incident.group_key, labels, previous="", split_from=incident.id)
        arm(self._state, fresh, "hold", tx.now)
        for alert in members:
            self._incidents.unrelate(tx, incident, alert)
        self._take_out(incident, members)
        for alert in members:
            self._incidents.join(tx, fresh, alert, alert.full_labels(), "split")
            tx.save(alert)
        self._common_again(incident)
        tx.say(incident, "split", f"{named(members)} taken out into #{fresh.number} by {by}{note}", by=by)
        tx.say(fresh, "split", f"taken out of #{incident.number} by {by}{note}: {named(members)}", by=by)
        tx.touch(incident).restated.append((members[0], ""))  # what is left may hold it open no more

    def move(
        self, tx: Transaction, incident: Incident, into: Incident, members: Sequence[Alert], why: str, because: str
    ) -> None:
        """These members, none of them suppressed and not all there are, belong to another incident that is open:
        `because` its first is related so, and the others are where that is. Nobody waits longer for a page than where
        they were."""
        self._take_out(incident, members)
        loud = any(alert.firing or alert.flapping_since is not None for alert in members)
        self._wait_no_longer(tx, incident, into, loud=loud)
        members[0].related = because
        for alert in members:
            self._incidents.join(tx, into, alert, alert.full_labels(), "moved")
            tx.save(alert)
        if len(self._state.members[incident.id]) <= LEFT_MAX:
            self._common_again(incident)
        incident.cause_of, incident.root_cause = 0, None
        tx.touch(incident).leave(members)
        tx.say(incident, "moved", f"{named(members)} moved to #{into.number}: {why}")
        tx.say(into, "moved", f"{named(members)} moved here from #{incident.number}: {why}")
        tx.touch(incident).restated.append((members[0], ""))  # what is left may hold it open no more

    def _take_out(self, incident: Incident, members: Sequence[Alert]) -> None:
        for alert in members:
            counts_as_firing = alert.firing or alert.flapping_since is not None
            incident.firing -= counts_as_firing
            incident.ended -= not counts_as_firing
            incident.flapping -= alert.flapping_since is not None
            incident.changed += 1
        self._state.remove_members(incident, members)

    def _common_again(self, incident: Incident) -> None:
        """Of the labels of those that are left more may be common now."""
        rule = self._incidents.rule_of(incident)
        left = [alert.full_labels() for alert in self._state.members[incident.id]]
        common = {n: v for n, v in left[0].items() if all(labels.get(n) == v for labels in left)}
        incident.labels = {**common, **rule.labels}
