"""The keys of `*.test.yaml`, and those of what is expected. What may happen is `testevents`."""

from __future__ import annotations

import enum

from imd.config import form
from imd.config.form import ByName, Several, Table
from imd.config.reading import labels
from imd.config.shape import Key, Keys, any_text, boolean, choice, form_of, listed, text, whole
from imd.config.testevents import EVENT
from imd.config.testvalues import ALERT_REF, COUNT_MAX, NUMBER, alert_ref, moment, named_alert
from imd.model.event import Outcome
from imd.model.incident import IncidentState, Level, Priority
from imd.model.policy import PageKind, PageReason

_COUNT = whole(0, COUNT_MAX)
INCIDENT: Keys = {
    "rule": Key(text, "The rule that opened it."),
    "state": Key(choice(IncidentState), "Its state."),
    "priority": Key(choice(Priority), "Its priority."),
    "impact": Key(choice(Level), "Its impact."),
    "urgency": Key(choice(Level), "Its urgency."),
    "title": Key(any_text, "Its title, whole."),
    "alerts": Key(_COUNT, "Member episodes so far."),
    "firing": Key(_COUNT, "Members that fire and are not suppressed."),
    "suppressed": Key(_COUNT, "Members that fire and are suppressed."),
    "members": Key(listed(alert_ref), "The alerts that were ever in it, each once."),
    "group_key": Key(labels, "Labels of its group key; an empty value is a missing one."),
    "labels": Key(labels, "Labels of the incident; an empty value is a missing one."),
    "root_cause": Key(
        any_text, "The probable cause: its entity, fingerprint, alertname or name in the test; '' for none."
    ),
    "policy": Key(any_text, "The policy that it escalates by."),
    "assignee": Key(any_text, "Who it is assigned to; '' for nobody."),
    "acknowledged_by": Key(any_text, "Who has acknowledged it; '' for nobody."),
    "reopened": Key(_COUNT, "How often it was reopened."),
    "exhausted": Key(boolean, "Its policy is exhausted."),
    "number": Key(NUMBER, "Its number."),
    "merged_into": Key(_COUNT, "The number of the incident that it was merged into; 0 for none."),
    "previous": Key(_COUNT, "The number of the incident that it follows; 0 for none."),
    "opened_at": Key(moment, "When it was opened."),
    "resolved_at": Key(moment, "When it was resolved."),
    "timeline": Key(listed(text), "Words, each of which stands in some line of its timeline."),
}
PAGE: Keys = {
    "to": Key(text, "A person or receiver."),
    "receiver": Key(text, "The receiver, where `to` is a person."),
    "kind": Key(choice(PageKind), "The kind of message.", "page"),
    "reason": Key(choice(PageReason), "Why it was sent."),
    "priority": Key(choice(Priority), "The priority in it."),
    "step": Key(_COUNT, "The escalation step, from 1; 0 is outside the policy."),
    "incident": Key(NUMBER, "The number of the incident."),
    "outcome": Key(choice(Outcome), "How the delivery ended."),
    "times": Key(_COUNT, "How many there are, exactly.", 1),
}


class VerdictKind(enum.StrEnum):
    """First words of causes (core.suppress)."""

    SILENCE = "silence"
    INHIBITION = "inhibition"
    MAINTENANCE = "maintenance"
    PAUSE = "pause"
    RULE = "rule"


VERDICT: Keys = {
    "alert": Key(alert_ref, "The alert.", required=True),
    "by": Key(choice(VerdictKind), "By what it is suppressed."),
    "name": Key(text, "The name of the silence, inhibition, maintenance or rule."),
}
_INCIDENTS = Several(Table(INCIDENT))
_ALERTS = Several(ALERT_REF)
EXPECT: Keys = {
    "at": Key(moment, "When this is to be so; whatever is due at this very instant has happened."),
    "from": Key(moment, "In place of `at`: from then on, after each step…"),
    "to": Key(moment, "…up to then."),
    "since": Key(moment, "Messages count from then on; without it from the start."),
    "incidents": Key(
        any_text,
        "All incidents that were opened by then, but cancelled and merged ones, in order, by the given keys.",
        form=_INCIDENTS,
    ),
    "incidents_include": Key(any_text, "Incidents that must be among them.", form=_INCIDENTS),
    "pages": Key(
        any_text,
        "All messages of kind page, and of each kind that is named here; one that is not listed fails.",
        form=Several(Table(PAGE)),
    ),
    "suppressed": Key(any_text, "All alerts that fire and are suppressed, and by what.", form=Several(Table(VERDICT))),
    "unmatched": Key(listed(alert_ref), "All alerts so far that no rule took: they went to the rule `default`."),
    "dropped": Key(listed(alert_ref), "All alerts so far that enrichment stopped or a rule of mode drop took."),
    "waiting": Key(listed(alert_ref), "All alerts that wait for the `open_when` of their rule."),
}
EXPECTATIONS = ("incidents", "incidents_include", "pages", "suppressed", "unmatched", "dropped", "waiting")
EXPECT_FORM = Table(
    EXPECT,
    {
        "oneOf": [{"required": ["at"]}, {"required": ["from", "to"]}],
        "anyOf": [{"required": [word]} for word in EXPECTATIONS],
    },
)

TEST: Keys = {
    "name": Key(text, "What the test shows, in a sentence."),
    "rules": Key(
        listed(text, least=1),
        "Rule files and folders, relative to this file; without it the folder's, or those that config.yaml names.",
    ),
    "config": Key(text, "A config.yaml, relative to this file: its receivers, sources and bounds."),
    "start": Key(moment, "What 0s means.", "2026-01-01T00:00:00Z", form=form.INSTANT),
    "alerts": Key(any_text, "Alerts with a name of the test's own.", {}, form=ByName(form_of(named_alert))),
    "events": Key(any_text, "What happens; events of one instant in this order.", [], form=Several(EVENT)),
    "expect": Key(any_text, "What must come of it.", required=True, form=Several(EXPECT_FORM, 1)),
}
