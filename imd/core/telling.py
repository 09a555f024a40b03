"""What the timeline says of members that came, went, or changed their verdict: one line an incident, step and reason.

Owns these sentences and how alerts are named in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imd.core.state import State
from imd.core.suppress import words
from imd.core.transaction import Touched, Transaction
from imd.model.alert import Alert
from imd.model.policy import Ruleset

NAMED_MAX = 5  # names of alerts in one line; the rest is counted
COUNTED_MAX = 1000  # alerts that one line looks at
NAMELESS = "an alert"
_NONE_KNOWN: Mapping[int, str] = {}

JOINED = {
    "opened": "with the first",
    "counted": "counted with the first",
    "awaited": "waited with the first",
    "joined": "same rule, key and open window",
    "reopened": "within reopen_within",
    "returned": "it opened this incident before",
    "related": "{related}",
    "split": "taken out of another incident with the first",
    "handed": "they came with what a person merged into this",
    "merged": "they came with what was merged into this",
    "moved": "they came over from another incident",
}


class Telling:
    """Writes lines into the transaction."""

    def __init__(self, ruleset: Ruleset, state: State) -> None:
        self._maintenance = {one.name: one for one in ruleset.maintenance}
        self._state = state

    def members(self, tx: Transaction, touched: Touched) -> None:
        """Everything that happened to members of one incident within this step."""
        if not tx.tells:
            return
        incident = touched.incident
        joined = touched.joined
        if joined and joined[0] is touched.opener:
            joined = joined[1:]
        for because in dict.fromkeys([alert.joined_because for alert in joined]):
            alerts = [alert for alert in joined if alert.joined_because == because]
            why = JOINED[because].format(related=alerts[0].related)
            tx.say(incident, "joined", f"{named(alerts, touched.names)} joined: {why}")
        if touched.changed:
            self._changed(tx, touched)

    def _changed(self, tx: Transaction, touched: Touched) -> None:
        """What happened to those that were members before."""
        incident = touched.incident
        self._muted(tx, touched)
        if touched.released:
            tx.say(incident, "released", f"{named(touched.released)}: suppressed no more")
        for change in dict.fromkeys(change for _, change in touched.restated if change):
            alerts = [alert for alert, said in touched.restated if said == change]
            tx.say(incident, "restated", f"{named(alerts)}: {change}")
        if touched.revived:
            tx.say(incident, "revived", f"{named(touched.revived)} fire again")
        for because, alerts in _by_reason(touched.cleared):
            tx.say(incident, "cleared", f"{named(alerts)}: {because}; {incident.holding} still firing")
        for because, alerts in _by_reason(touched.slipped):
            tx.say(incident, "cleared", f"{named(alerts)}: {because}, suppressed to the end")

    def words(self, causes: Iterable[str]) -> str:
        """Causes of a verdict for people."""
        return words(causes, self._state.silences, self._maintenance)

    def _muted(self, tx: Transaction, touched: Touched) -> None:
        muted: dict[tuple[bool, tuple[str, ...]], list[Alert]] = {}
        for alert in touched.muted:
            if alert.firing and alert.suppressed_by:
                muted.setdefault((alert.aside, alert.suppressed_by), []).append(alert)
        for (aside, causes), alerts in muted.items():
            came = "came suppressed" if aside else "suppressed"
            tx.say(touched.incident, "suppressed", f"{named(alerts)} {came} by {self.words(causes)}")


def because_ended(touched: Touched) -> str:
    """Why the incident ends: its alerts resolved, unless the last to go were only not heard of any more."""
    _, because = touched.cleared[-1]
    return "alerts resolved" if because == "resolved" else because


def _by_reason(ended: Iterable[tuple[Alert, str]]) -> Iterable[tuple[str, list[Alert]]]:
    by_reason: dict[str, list[Alert]] = {}
    for alert, because in ended:
        by_reason.setdefault(because, []).append(alert)
    return by_reason.items()


def named(alerts: Sequence[Alert], known: Mapping[int, str] = _NONE_KNOWN) -> str:
    """A few alerts by alertname and the count of the rest. `known`: alertnames by id."""
    names: dict[str, int] = {}
    for alert in alerts[:COUNTED_MAX]:
        name = known.get(alert.id) or alert.full_labels().get("alertname", NAMELESS)
        names[name] = names.get(name, 0) + 1
    shown = [f"{name} x{count}" if count > 1 else name for name, count in list(names.items())[:NAMED_MAX]]
    rest = f" and {len(names) - NAMED_MAX} other names" if len(names) > NAMED_MAX else ""
    return ", ".join(shown) + rest
