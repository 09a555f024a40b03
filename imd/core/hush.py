"""What suppression does to incidents: members set aside, muted and released; incidents of which nobody hears any more.

Owns the counts of suppressed members and the hush. An incident is hushed while all that hold it open are suppressed:
its escalation stops, with the cause on record, and it stays. Once one of them goes on, it goes on from step 1, unless
somebody has acknowledged it. Whether an alert is suppressed is `suppress`, which incident it belongs to `incidents`.
"""

from __future__ import annotations

from imd.core.escalation import Escalation
from imd.core.notify import arm
from imd.core.state import State
from imd.core.telling import Telling, named
from imd.core.transaction import Touched, Transaction
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState
from imd.model.rule import Rule

CAUSES_NAMED_MAX = 3


class Hush:
    """Keeps incidents' counts and members in line with verdicts. The caller has set `alert.suppressed_by`."""

    def __init__(self, state: State, escalation: Escalation, telling: Telling) -> None:
        self._telling = telling
        self._state = state
        self._escalation = escalation

    # -- members --------------------------------------------------------------------------------------------------

    def set_aside(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """It came suppressed: a member that opens, raises and holds nothing, and of which nobody is told."""
        alert.incident = incident.id
        alert.joined_at = tx.now
        alert.joined_because = "suppressed"
        alert.aside = True
        self._state.add_member(incident, alert)
        incident.suppressed += 1
        incident.aside += 1
        tx.touch(incident).muted.append(alert)

    def fires_aside(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """A member fires again, suppressed."""
        alert.aside = True
        incident.suppressed += 1
        incident.ended -= 1
        tx.touch(incident).muted.append(alert)

    def mute(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """A member that fires is suppressed from now on. It still holds the incident open."""
        incident.firing -= 1
        incident.suppressed += 1
        incident.held += 1
        tx.touch(incident).muted.append(alert)

    def release(self, tx: Transaction, incident: Incident, alert: Alert) -> bool:
        """A suppressed member goes on. Whether it came suppressed and only now counts."""
        fresh = alert.joined_because == "suppressed"
        self._uncount(incident, alert)
        incident.firing += 1
        if fresh:
            alert.joined_because = "released"
            incident.aside -= 1
        tx.touch(incident).released.append(alert)
        return fresh

    def clear(self, tx: Transaction, incident: Incident, alert: Alert, because: str) -> bool:
        """A suppressed member has ended. Whether it held the incident open."""
        held = not alert.aside
        self._uncount(incident, alert)
        incident.ended += 1
        if not held:
            tx.touch(incident).slipped.append((alert, because))
        return held

    def detach(self, tx: Transaction, incident: Incident, alert: Alert) -> None:
        """A suppressed member goes on and this incident would not take it in now: it leaves, for another."""
        self._uncount(incident, alert)
        if alert.joined_because == "suppressed":
            incident.aside -= 1
        self._state.remove_members(incident, (alert,))
        alert.incident, alert.joined_at, alert.joined_because, alert.related = "", None, "", ""
        tx.say(incident, "released", f"{named([alert])} left: suppressed no more, it is placed anew")

    def _uncount(self, incident: Incident, alert: Alert) -> None:
        incident.suppressed -= 1
        incident.held -= not alert.aside
        alert.aside = False

    # -- the hush, once an incident and step ----------------------------------------------------------------------

    def settle(self, tx: Transaction, touched: Touched, rule: Rule) -> None:
        """Begins or ends the hush. `touched.woken` says that step 1 is to follow."""
        incident = touched.incident
        if incident.open and incident.firing == 0 and incident.held:
            if not incident.hushed:
                self._begin(tx, touched)
        elif incident.hushed:
            self._end(tx, touched, rule)

    def _begin(self, tx: Transaction, touched: Touched) -> None:
        incident = touched.incident
        holding = (one for one in self._state.members[incident.id] if one.firing and not one.aside)
        causes = dict.fromkeys(cause for alert in holding for cause in alert.suppressed_by)
        incident.hushed = self._telling.words(list(causes)[:CAUSES_NAMED_MAX])
        if len(causes) > CAUSES_NAMED_MAX:
            incident.hushed += f" and {len(causes) - CAUSES_NAMED_MAX} more"
        self._escalation.stop(tx, incident, cancel=True)
        incident.timers.pop("hold", None)
        firing = "the one firing alert is" if incident.held == 1 else f"all {incident.held} firing alerts are"
        because = f"{firing} suppressed by {incident.hushed}"
        tx.say(incident, "not_notified", f"not notified any more: anybody, because {because}")

    def _end(self, tx: Transaction, touched: Touched, rule: Rule) -> None:
        incident = touched.incident
        incident.hushed = ""
        if not incident.open or not incident.firing:
            return
        if incident.state is IncidentState.PENDING:
            if "hold" not in incident.timers:
                arm(self._state, incident, "hold", tx.now + rule.hold)
            tx.say(incident, "released", "an alert fires that is not suppressed: hold begins")
        elif incident.state is IncidentState.TRIGGERED:
            touched.woken = True
            tx.say(incident, "released", "an alert fires that is not suppressed: the policy begins at step 1")
        else:
            tx.say(incident, "released", "an alert fires that is not suppressed; somebody has it already")
