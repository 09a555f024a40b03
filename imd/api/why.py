"""Why an incident is as it is: the record and the timeline set out by question.

Owns the answer of GET /v1/incidents/{id}/why and its sentences. Everything is read from what was recorded when it was
decided; only who was not reached, and what comes next, is worked out here, from where the record stands in its policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from imd.api.views import DeliveryView, LineView, delivery_view, line_view
from imd.core.suppress import words
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState, Reach, RootCause, TimelineEntry, Walk
from imd.model.policy import Policy, Ruleset
from imd.model.quiet import Silence
from imd.model.rule import Rule
from imd.model.view import AlertView, IncidentView, alert_view, incident_view, key_text
from imd.store.contract import DeliveryRow


class Next(msgspec.Struct, frozen=True):
    """What imd does by itself at an instant, unless something happens before."""

    at: datetime
    what: str


class WhyView(msgspec.Struct, frozen=True, kw_only=True):
    """`exists` are sentences. `priority`, `suppressed` and `lines` are lines of the timeline: how it came to its
    priority, what was suppressed by what and went on, and everything about who was paged or not. `causes` says in words
    what suppresses its alerts. `not_paged` are sentences: who was not notified and why, and which steps were not
    reached. `pages` are its deliveries, with their errors. `next` is empty where nothing comes by itself."""

    incident: IncidentView
    exists: list[str]
    root_cause: RootCause | None
    alerts: list[AlertView]
    causes: dict[str, str]
    priority: list[LineView]
    suppressed: list[LineView]
    pages: list[DeliveryView]
    lines: list[LineView]
    not_paged: list[str]
    next: list[Next]


_ABOUT_EXISTENCE = frozenset(
    {"opened", "triggered", "reopened", "resolved", "closed", "cancelled", "window", "merged", "moved", "flapping",
     "settled"}
)  # fmt: skip
_ABOUT_PRIORITY = frozenset({"triggered", "priority"})
_ABOUT_SUPPRESSION = frozenset({"suppressed", "released"})
_ABOUT_PAGES = frozenset(
    {"route", "paged", "not_notified", "delivery_failed", "passed_on", "exhausted", "reminded", "notified", "updated",
     "acknowledged", "unacknowledged", "ack_lapsed", "late", "priority", "suppressed", "released", "restarted"}
)  # fmt: skip


def why_view(
    incident: Incident,
    alerts: Sequence[Alert],
    timeline: Sequence[TimelineEntry],
    rows: Iterable[DeliveryRow],
    ruleset: Ruleset,
    silences: Mapping[str, Silence],
) -> WhyView:
    """`rows` are the incident's deliveries, oldest first; `silences` those that are known, by id."""
    rules = {rule.name: rule for rule in ruleset.rules}
    maintenance = {one.name: one for one in ruleset.maintenance}
    causes = dict.fromkeys(cause for alert in alerts for cause in alert.suppressed_by)
    return WhyView(
        incident=incident_view(incident),
        exists=[*_existence(incident, rules.get(incident.rule)), *_texts(timeline, _ABOUT_EXISTENCE)],
        root_cause=incident.root_cause,
        alerts=[alert_view(alert, incident) for alert in alerts],
        causes={cause: words((cause,), silences, maintenance) for cause in causes},
        priority=_lines(timeline, _ABOUT_PRIORITY),
        suppressed=_lines(timeline, _ABOUT_SUPPRESSION),
        pages=[delivery_view(row) for row in rows],
        lines=_lines(timeline, _ABOUT_PAGES),
        not_paged=[*_texts(timeline, frozenset({"not_notified"})), *_unreached(incident, ruleset)],
        next=sorted(_coming(incident, ruleset), key=lambda one: one.at),
    )


def _lines(timeline: Iterable[TimelineEntry], kinds: frozenset[str]) -> list[LineView]:
    return [line_view(line) for line in timeline if line.kind in kinds]


def _texts(timeline: Iterable[TimelineEntry], kinds: frozenset[str]) -> list[str]:
    """Each once, in order: an incident that is reminded of every four hours says the same each time."""
    return list(dict.fromkeys(line.text for line in timeline if line.kind in kinds))


def _existence(incident: Incident, rule: Rule | None) -> list[str]:
    where = f" ({rule.where})" if rule is not None and rule.where else ""
    said = [f"Rule {incident.rule}{where} took its alerts under the key {key_text(incident.group_key)}."]
    if incident.previous:
        said.append(f"It follows incident {incident.previous}, whose window had ended.")
    if incident.merged_into:
        said.append(f"It was merged into incident {incident.merged_into}.")
    said.append(f"It was decided under the configuration {incident.config_hash or 'without a hash'}.")
    return said


# -- who was not reached ----------------------------------------------------------------------------------------------


def _walks(incident: Incident, ruleset: Ruleset) -> Iterator[tuple[Walk, Policy]]:
    """Where it stands in each of its policies, as they are now."""
    own = Walk(incident.policy, incident.round, incident.step, incident.exhausted)
    for walk in (own, *incident.also):
        policy = ruleset.policies.get(walk.policy)
        if policy is not None:
            yield walk, policy


def _unreached(incident: Incident, ruleset: Ruleset) -> Iterator[str]:
    """The steps behind the one that was notified last, once none of them will be by itself."""
    because = _stopped(incident)
    if not because:
        return
    for walk, policy in _walks(incident, ruleset):
        if walk.round or walk.exhausted:
            continue  # each step was notified once at least
        for number, step in enumerate(policy.steps[walk.step + 1 :], start=walk.step + 2):
            targets = ", ".join(str(target) for target in step.notify)
            yield f"step {number} of policy {policy.name} ({targets}) was not reached: {because}"


def _stopped(incident: Incident) -> str:
    """Why nothing escalates any more; "" where it may."""
    match incident.state:
        case IncidentState.ACKNOWLEDGED | IncidentState.SNOOZED:
            return f"it was acknowledged by {incident.acknowledged_by}"
        case IncidentState.RESOLVED | IncidentState.CLOSED:
            return f"it was over before: {incident.resolved_because or 'closed'}"
        case IncidentState.MERGED:
            return f"it was merged into {incident.merged_into}"
        case IncidentState.CANCELLED:
            return "it was cancelled before its hold was over"
        case _:
            return ""


# -- what comes by itself ---------------------------------------------------------------------------------------------

_COMING = {
    "hold": "its hold is over: it pages, if something still fires",
    "rate": "it may resolve, if too few alerts are new",
    "resolve": "it resolves, if nothing fires again",
    "ack": "the acknowledgement runs out",
    "route": "its routes are read again, for hours begin or end",
    "accept": "it passes on, if a page is not accepted by then",
    "remind": "the fallback and the last step hear of it again, if it still fires",
    "still": "it reopens, if its alerts are still reported",
}


def _coming(incident: Incident, ruleset: Ruleset) -> Iterator[Next]:
    walks = {walk.policy: (walk, policy) for walk, policy in _walks(incident, ruleset)}
    for name, at in incident.timers.items():
        kind, _, which = name.partition(":")
        if kind == "escalate":
            known = walks.get(which or incident.policy)
            yield Next(at, _escalates(*known) if known is not None else "it escalates")
        elif kind == "update":
            yield Next(at, f"an update to {which}")
        elif kind == "reach":
            yield from (Next(one.due_at, _reaches(one, incident, ruleset)) for one in incident.reaches if one.due_at)
        else:
            yield Next(at, _COMING.get(kind, kind) + (f" (policy {which})" if which else ""))


def _reaches(reach: Reach, incident: Incident, ruleset: Ruleset) -> str:
    if reach.way == 0:
        return f"{reach.person} is paged, for quiet hours are over"
    person = ruleset.people.get(reach.person)
    ways = person.ways(incident.priority) if person is not None else ()
    by = f" by {ways[reach.way].receiver}" if reach.way < len(ways) else " by the next way"
    return f"{reach.person} is paged{by}, if nobody answers"


def _escalates(walk: Walk, policy: Policy) -> str:
    if walk.step + 1 < len(policy.steps):
        targets = ", ".join(str(target) for target in policy.steps[walk.step + 1].notify)
        return f"step {walk.step + 2} of policy {policy.name} ({targets}), if nobody acknowledges"
    if walk.round < policy.repeat:
        return f"policy {policy.name} starts over ({walk.round + 1} of {policy.repeat}), if nobody acknowledges"
    return f"policy {policy.name} is exhausted and the fallback is paged, if nobody acknowledges"
