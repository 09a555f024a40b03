"""`*.test.yaml` played: every verb does what it says, and every expectation can fail."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imd.config.testevents import RESOLVE_BY_HAND, VERBS
from imd.config.testfile import read_tests
from imd.config.testkeys import EXPECTATIONS, INCIDENT, PAGE
from imd.model.event import ActionKind, ActionTaken
from imd.model.incident import Level
from imd.replay.coverage import Coverage
from imd.replay.ruletest import Result, RuleSets, Unrunnable, find_files, run_file, run_test
from imd.replay.seen import INCIDENT_VALUES, MESSAGE_VALUES

RULES = """\
rules:
  - name: node-loss
    match: ['alertname=~"Node.*|Pod.*"', 'severity!="none"']
    group_by: [cluster, node]
    title: '{{ labels.cluster }}: {{ labels.node }}'
    labels: {team: platform}
    policy: platform
  - {name: junk, match: 'alertname="Junk"', mode: drop}
  - {name: storm, match: 'alertname="Login"', group_by: [realm], open_when: {count: {at_least: 2, within: 5m}}}
  - {name: quiet, match: 'alertname="Quiet"', mode: suppress}
  - {name: turn, match: 'alertname="Turn"', group_by: [n], policy: on-call}
inhibit:
  - {name: dc-hides-pods, source: 'alertname="DcDown"', target: 'alertname=~"Pod.*"', equal: [cluster]}
maintenance:
  - {name: friday, match: 'alertname="Backup"', weekly: {weekdays: [fri]}}
heartbeats:
  - {name: beat, every: 5m, grace: 1m}
  - {name: dog, match: 'alertname="Watchdog"', by: [cluster], every: 5m, grace: 1m}
people: [{name: ana, reach: [{receiver: ntfy-ana}]}, {name: ben, reach: [{receiver: ntfy-ben}]}]
schedules:
  - name: primary
    rotations: [{people: [ana, ben], every: 1w, handoff: {weekday: mon, at: "09:00"}, start: "2025-12-29"}]
policies:
  - {name: on-call, steps: [{notify: ['schedule:primary']}]}
  - name: platform
    steps: [{notify: ['person:ana'], for: 5m}, {notify: ['person:ben', 'receiver:chat'], for: 10m}]
  - {name: default, steps: [{notify: ['receiver:chat']}]}
"""
HEAD = """\
name: a test
alerts:
  node: {alertname: NodeDown, node: n1, cluster: c1, severity: critical}
  pod: {alertname: PodDown, node: n1, cluster: c1, pod: web-1, severity: warning}
  other: {alertname: NodeDown, node: n2, cluster: c1, severity: critical}
  pair: {alertname: PodDown, node: n2, cluster: c1, pod: web-2, severity: warning}
"""

RULES_FILE = Path(__file__).parents[2] / "rules/x.test.yaml"
RULE_SETS = RuleSets()

Play = Callable[[str], Result]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays events and expectations against the rules above."""
    (tmp_path / "rules.yaml").write_text(RULES)

    def played(told: str) -> Result:
        file = tmp_path / "a.test.yaml"
        file.write_text(HEAD + told)
        try:
            [result] = run_file(file, RuleSets())
        except Unrunnable as faulty:
            raise AssertionError("\n".join(one.render() for one in faulty.diagnostics)) from None
        return result

    return played


def told(result: Result) -> str:
    return "\n".join(map(str, result.failures))


SOUND = {
    "a page after hold": "events: [{at: 0s, fire: node}]\nexpect: [{at: 9s, pages: []}, {at: 10s, pages: [{to: ana}]}]",
    "any incident and any page": "events: [{at: 0s, fire: node}]\nexpect: [{at: 1m, incidents: [{}], pages: [{}]}]",
    "a person's receiver": "events: [{at: 0s, fire: node}]\nexpect: [{at: 1m, pages: [{to: ntfy-ana, step: 1}]}]",
    "escalation": (
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 6m, since: 1m, pages: [{to: ben, reason: escalated, step: 2}, {to: chat}]}]"
    ),
    "ack stops it": (
        "events: [{at: 0s, fire: node}, {at: 1m, ack: 1, by: ana, note: on it}]\n"
        "expect: [{at: 1h, incidents: [{state: acknowledged, acknowledged_by: ana, timeline: [on it]}],"
        " pages: [{to: ana}]}]"
    ),
    "unack starts it again": (
        "events: [{at: 0s, fire: node}, {at: 1m, ack: 1}, {at: 2m, unack: 1}]\n"
        "expect: [{at: 2m, pages: [{to: ana, reason: first}, {to: ana, reason: repeated}]}]"
    ),
    "resolve by hand": (
        "events: [{at: 0s, fire: node}, {at: 1m, resolve: 1, by: ana, refused: firing},"
        " {at: 2m, resolve: [1], by: ana, force: true, note: done}]\n"
        "expect: [{at: 3m, incidents: [{state: resolved, firing: 1, resolved_at: 2m}]}]"
    ),
    "a note": (
        "events: [{at: 0s, fire: node}, {at: 1m, note: 1, text: vendor called}]\n"
        "expect: [{at: 1m, incidents: [{timeline: [vendor called]}]}]"
    ),
    "snooze, and after it": (
        "events: [{at: 0s, fire: node}, {at: 1m, snooze: 1, for: 1h, by: ana}]\n"
        "expect: [{at: 1h, incidents: [{state: snoozed}], pages: [{to: ana}]},"
        " {at: 61m, pages: [{to: ana}, {to: ana, reason: ack_lapsed}]}]"
    ),
    "assign, responder and escalate": (
        "events: [{at: 0s, fire: node}, {at: 20s, assign: 1, to: ben, by: ana}, {at: 30s, responder: 1, to: ana},"
        " {at: 40s, escalate: 1}]\n"
        "expect: [{at: 25s, since: 15s, pages: [{to: ben}]}, {at: 35s, since: 26s, pages: [{to: ana}]},"
        " {at: 45s, since: 36s, pages: [{to: ben, step: 2}, {to: chat}]}]"
    ),
    "merge and split": (
        "events: [{at: 0s, fire: [node, pod]}, {at: 0s, fire: other}, {at: 1m, merge: 2, into: 1},"
        " {at: 2m, split: 1, alerts: pod}]\n"
        "expect: [{at: 1m, incidents: [{firing: 3}]}, {at: 2m, incidents: [{firing: 2}, {members: [pod]}]}]"
    ),
    "reopen and close": (
        "events: [{at: 0s, fire: node}, {at: 1m, resolve: 1, force: true}, {at: 2m, reopen: 1},"
        " {at: 3m, resolve: 1, force: true}, {at: 4m, close: 1, outcome: fixed, cause: disk, actionable: true}]\n"
        "expect: [{at: 2m, incidents: [{state: triggered}]}, {at: 4m, incidents: [{state: closed}]}]"
    ),
    "a report": (
        "events: [{at: 0s, report: the shop is slow, by: ana, priority: P2}]\n"
        "expect: [{at: 1s, incidents: [{title: the shop is slow, priority: P2, alerts: 0}], pages: [{to: chat}]}]"
    ),
    "alerts end": (
        "events: [{at: 0s, fire: [node, pod]}, {at: 1m, resolve: [node, pod]}]\n"
        "expect: [{at: 1m, incidents: [{alerts: 2, firing: 0, members: [pod, node]}]},"
        " {at: 2m, incidents: [{state: resolved}], pages: [{to: ana}, {to: ana, kind: resolved}]}]"
    ),
    "an alert's own end": (
        "events: [{at: 0s, fire: node, ends_at: 5m}]\n"
        "expect: [{at: 4m59s, incidents: [{firing: 1}]},"
        " {at: 5m, incidents: [{firing: 0}]}]"
    ),
    "expiry": (
        "events: [{at: 0s, fire: node}, {at: 3m, expire: node}]\n"
        "expect: [{at: 10m, incidents: [{state: resolved, timeline: [no longer reported]}]}]"
    ),
    "repeats are one episode": (
        "events: [{at: 0s, fire: node, every: 1m, until: 10m}, {at: 11m, repeat: node, annotations: {summary: x}}]\n"
        "expect: [{at: 12m, incidents: [{alerts: 1}]}]"
    ),
    "fired again once ended is another episode": (
        "events: [{at: 0s, fire: node}, {at: 2m, resolve: node}, {at: 10m, fire: node}]\n"
        "expect: [{at: 11m, incidents: [{alerts: 2, members: [node], reopened: 1}]}]"
    ),
    "a start before the test": (
        "events: [{at: 0s, fire: {alertname: Login, realm: r, user: a}, starts_at: -10m},"
        " {at: 0s, fire: {alertname: Login, realm: r, user: b}}]\n"
        "expect: [{at: 1m, incidents: [{rule: storm}]}]"
    ),
    "silence": (
        "events: [{at: 0s, silence: ['node=\"n1\"', 'cluster=\"c1\"'], for: 1h, by: ben, comment: works, name: w},"
        " {at: 1m, fire: node}, {at: 30m, unsilence: w}]\n"
        "expect: [{at: 29m, incidents: [], pages: [], suppressed: [{alert: node, by: silence, name: w}]},"
        " {at: 31m, suppressed: [], pages: [{to: ana}]}]"
    ),
    "a silence ends by itself": (
        "events: [{at: 0s, silence: 'node=\"n1\"', for: 10m}, {at: 1m, fire: node}]\n"
        "expect: [{at: 9m, suppressed: [{alert: node, name: '1'}]}, {at: 11m, pages: [{to: ana}]}]"
    ),
    "an override": (
        "events: [{at: 0s, override: primary, person: ben, for: 2h, by: ana, comment: dentist},"
        " {at: 1m, fire: {alertname: Turn, n: '1'}}, {at: 1h, unoverride: primary},"
        " {at: 61m, fire: {alertname: Turn, n: '2'}}, {at: 62m, override: primary, person: ben, from: 63m, for: 1h},"
        " {at: 65m, fire: {alertname: Turn, n: '3'}}]\n"
        "expect: [{at: 30m, pages: [{to: ben}]}, {at: 62m, pages: [{to: ben}, {to: ana}]},"
        " {at: 66m, pages: [{to: ben, times: 2}, {to: ana}]}]"
    ),
    "pause": (
        "events: [{at: 0s, pause: 1h, reason: drill}, {at: 1m, fire: node}, {at: 2m, unpause: true}]\n"
        "expect: [{at: 1m, suppressed: [{alert: node, by: pause}]}, {at: 3m, pages: [{to: ana}]}]"
    ),
    "inhibition and a rule's mode": (
        "events: [{at: 0s, fire: {alertname: DcDown, cluster: c1}}, {at: 1s, fire: pod},"
        " {at: 1s, fire: {alertname: Quiet}}]\n"
        "expect: [{at: 1m, suppressed: [{alert: pod, by: inhibition, name: dc-hides-pods},"
        " {alert: {alertname: Quiet}, by: rule, name: quiet}]}]"
    ),
    "maintenance by the start": (
        "start: 2026-01-02T12:00:00Z\nevents: [{at: 0s, fire: {alertname: Backup}}]\n"
        "expect: [{at: 1m, suppressed: [{alert: {alertname: Backup}, by: maintenance, name: friday}]}]"
    ),
    "instants in place of durations": (
        "start: 2026-03-29T00:00:00Z\nevents: [{at: 2026-03-29T02:00:00+01:00, fire: node}]\n"
        "expect: [{at: 2026-03-29T01:00:10Z, incidents: [{opened_at: 1h}], pages: [{to: ana}]}]"
    ),
    "unmatched, dropped, waiting": (
        "events: [{at: 0s, fire: {alertname: X}}, {at: 0s, fire: {alertname: Junk}},"
        " {at: 0s, fire: {alertname: Login, realm: r}}]\n"
        "expect: [{at: 1m, unmatched: [{alertname: X}], dropped: [{alertname: Junk}],"
        " waiting: [{alertname: Login}]}]"
    ),
    "a receiver that refuses": (
        "events: [{at: 0s, fail: ntfy-ana, error: no such topic}, {at: 0s, fire: node}]\n"
        "expect: [{at: 1m, pages: [{to: ana, outcome: failed}, {to: ben, outcome: accepted}, {to: chat}],"
        " incidents: [{timeline: [no such topic]}]}]"
    ),
    "for a time": (
        "events: [{at: 0s, fail: ntfy-ana, for: 5m}, {at: 6m, fire: node}]\nexpect: [{at: 7m, pages: [{to: ana}]}]"
    ),
    "a receiver that hangs": (
        "events: [{at: 0s, hang: ntfy-ana}, {at: 0s, fire: node}, {at: 1m, recover: ntfy-ana}]\n"
        "expect: [{at: 29s, pages: [{to: ana}]}, {at: 31s, pages: [{to: ana}, {to: ben}, {to: chat}]},"
        " {at: 1m, pages: [{to: ana, outcome: accepted}, {to: ben}, {to: chat}]}]"
    ),
    "what hangs is settled": (
        "events: [{at: 0s, hang: ntfy-ana}, {at: 0s, fire: node}, {at: 15s, deliver: ntfy-ana, outcome: failed}]\n"
        "expect: [{at: 16s, pages: [{to: ana, outcome: failed}, {to: ben}, {to: chat}]}]"
    ),
    "a clock that jumps fires no crowd": (
        "events: [{at: 0s, fire: node}, {at: 1m, clock: +4h}]\n"
        "expect: [{at: 2m, pages: [{to: ana}]},"
        " {at: 6m, since: 2m, pages: [{to: ben}, {to: chat}]}]"
    ),
    "nor does one set back": (
        "events: [{at: 0s, fire: node}, {at: 1m, clock: -30m}]\n"
        "expect: [{at: 6m, pages: [{to: ana}, {to: ben}, {to: chat}]}]"
    ),
    "a restart": (
        "events: [{at: 0s, fire: node}, {at: 1m, restart: 30m}]\n"
        "expect: [{at: 30m, pages: [{to: ana}]}, {at: 40m, pages: [{to: ana}, {to: ben}, {to: chat}]}]"
    ),
    "heartbeats": (
        "events: [{at: 0s, heartbeat: beat}, {at: 0s, heartbeat: dog, labels: {cluster: c1}},"
        " {at: 8m, heartbeat: beat}]\n"
        "expect: [{at: 7m, incidents: [{rule: 'heartbeat:beat', state: triggered},"
        " {rule: 'heartbeat:dog', group_key: {cluster: c1}}]},"
        " {at: 8m, incidents_include: [{rule: 'heartbeat:beat', state: resolved}]}]"
    ),
    "only given labels of a key count": (
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 1m, incidents: [{group_key: {node: n1}, labels: {team: platform, x: ''}}]}]"
    ),
    "throughout": (
        "events: [{at: 0s, fire: node}]\nexpect: [{from: 11s, to: 5m, incidents: [{state: triggered}], pages: []}]"
    ),
    "times nought is none": "events: [{at: 0s, fire: node}]\n"
    "expect: [{at: 1m, pages: [{to: ben, times: 0}, {to: ana}]}]",
    "some of the incidents": (
        "events: [{at: 0s, fire: node}, {at: 1m, fire: other}]\n"
        "expect: [{at: 2m, incidents_include: [{group_key: {node: n2}, number: 2}]}]"
    ),
    "everything of one incident": (
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 1m, incidents: [{rule: node-loss, state: triggered, priority: P2,"
        " impact: medium, urgency: high, title: 'c1: n1', alerts: 1, firing: 1, suppressed: 0, policy: platform,"
        " assignee: '', acknowledged_by: '', reopened: 0, exhausted: false, number: 1, merged_into: 0, previous: 0,"
        " opened_at: 0s, root_cause: ''}]}]"
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_happens(name: str, play: Play) -> None:
    result = play(SOUND[name])
    assert result.passed, told(result)


FAILS = {
    "one too many": (
        "events: [{at: 0s, fire: node}, {at: 1m, fire: other}]\n"
        "expect: [{at: 2m, incidents: [{group_key: {node: n1}}]}]",
        "at 2m: 2 incidents, expected 1",
        [
            "  #1 {group_key: {node: n1}}",
            "+ #2 {rule: node-loss, state: triggered, priority: P2, alerts: 1, group_key: {cluster: c1, node: n2}}",
        ],
    ),
    "one more of any": (
        "events: [{at: 0s, fire: node}]\nexpect: [{at: 2m, incidents: [{}, {}]}]",
        "at 2m: 1 incident, expected 2",
        ["  #1 {}", "- {}"],
    ),
    "one missing": (
        "expect: [{at: 2m, incidents: [{rule: node-loss}]}]",
        "no incidents, expected 1",
        ["- {rule: node-loss}"],
    ),
    "another value": (
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 2m, incidents: [{rule: node-loss, priority: P1, members: [node]}]}]",
        "8:59: at 2m: incidents are not as expected",
        [
            "- #1 {rule: node-loss, priority: P1, members: [node]}",
            "+ #1 {rule: node-loss, priority: P2, members: [node]}",
        ],
    ),
    "the wrong order": (
        "events: [{at: 0s, fire: node}, {at: 1m, fire: other}]\n"
        "expect: [{at: 2m, incidents: [{group_key: {node: n2}}, {group_key: {node: n1}}]}]",
        "incidents are not as expected",
        [
            "- {group_key: {node: n2}}",
            "  #1 {group_key: {node: n1}}",
            "+ #2 {rule: node-loss, state: triggered, priority: P2, alerts: 1, group_key: {cluster: c1, node: n2}}",
        ],
    ),
    "two that want the same one": (
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 2m, incidents_include: [{rule: node-loss}, {state: triggered}]}]",
        "no further incident is so",
        ["- {state: triggered}", "+ #1 {state: triggered}"],
    ),
    "a page that nobody expected": (
        "events: [{at: 0s, fire: node}]\nexpect: [{at: 6m, pages: [{to: ana}]}]",
        "3 pages, not as expected",
        [
            "  {to: ana}",
            "+ {to: ben, reason: escalated, incident: 1, times: 1}  # at 5m10s",
            "+ {to: chat, reason: escalated, incident: 1, times: 1}  # at 5m10s",
        ],
    ),
    "a page that never came": (
        "expect: [{at: 6m, pages: [{to: ana, times: 2}]}]",
        "no pages, not as expected",
        ["- {to: ana, times: 2}", "+ {to: ana, times: 0}"],
    ),
    "nothing was to be sent": (
        "events: [{at: 0s, fire: node}]\nexpect: [{at: 1m, pages: []}]",
        "1 page, not as expected",
        ["+ {to: ana, reason: first, incident: 1, times: 1}  # at 10s"],
    ),
    "another verdict": (
        "events: [{at: 0s, pause: 1h}, {at: 0s, fire: node}, {at: 0s, fire: pod}]\n"
        "expect: [{at: 1m, suppressed: [{alert: node, by: silence}]}]",
        "2 alerts suppressed, not as expected",
        ["- {alert: node, by: silence}", "+ {alert: node, by: pause}", "+ {alert: pod, by: pause}"],
    ),
    "not unmatched": (
        "events: [{at: 0s, fire: {alertname: X}}]\nexpect: [{at: 1m, unmatched: [node], waiting: [pod]}]",
        "1 alert unmatched, not as expected",
        ["- node", "+ {alertname: X}"],
    ),
    "throughout fails at its first instant": (
        "events: [{at: 0s, fire: node}]\nexpect: [{from: 0s, to: 1h, incidents: [{state: pending}]}]",
        "at 10s: incidents are not as expected",
        ["- #1 {state: pending}", "+ #1 {state: triggered}"],
    ),
    "refused": (
        "events: [{at: 1m, ack: 9}]\nexpect: [{at: 1m, incidents: []}]",
        "7:19: at 1m: there is no incident 9 so far",
        [],
    ),
    "taken": (
        "events: [{at: 0s, fire: node}, {at: 1m, ack: 1, refused: over}]\nexpect: [{at: 1m, pages: [{to: ana}]}]",
        "at 1m: not refused so",
        ["- refused: over", "+ (imd took it)"],
    ),
    "nothing to repeat": (
        "events: [{at: 1m, repeat: node}]\nexpect: [{at: 1m, incidents: []}]",
        "node does not fire, so there is nothing to repeat",
        [],
    ),
    "no such receiver": (
        "events: [{at: 1m, fail: ntfy-anna}]\nexpect: [{at: 1m, incidents: []}]",
        'there is no receiver "ntfy-anna"; did you mean "ntfy-ana"?',
        [],
    ),
    "imd is away": (
        "events: [{at: 1m, restart: 5m}, {at: 2m, fire: node}]\nexpect: [{at: 10m, incidents: []}]",
        "at 2m: imd is stopped just now",
        [],
    ),
}


@pytest.mark.parametrize("name", FAILS)
def test_what_is_not_as_expected(name: str, play: Play) -> None:
    """The first failure: where, when, and the difference."""
    test, headline, diff = FAILS[name]
    result = play(test)
    assert not result.passed
    assert headline in result.failures[0].headline(), told(result)
    assert list(result.failures[0].diff) == diff, told(result)


def test_a_name_that_the_rules_do_not_have_is_told(play: Play) -> None:
    result = play(
        "events: [{at: 0s, fire: node}]\n"
        "expect: [{at: 2m, incidents: [{rule: node-los, policy: none}], pages: [{to: anna}]}]"
    )
    assert result.failures[0].help == (
        'there is no rule "node-los"; did you mean "node-loss"?; there is no policy "none"; '
        'there is no person or receiver "anna"; did you mean "ana"?'
    )


def test_what_led_there_is_told(play: Play) -> None:
    result = play("events: [{at: 0s, fire: node}, {at: 1m, ack: 1, by: ana}]\nexpect: [{at: 2m, pages: []}]")
    lines = [(str(line.at), line.incident, line.text) for line in result.timeline]
    assert lines[0] == ("0:00:00", 0, "fire: node")
    assert ("0:00:10", 1, "paged ana by ntfy-ana (first), step 1 of policy platform") in lines
    assert ("0:01:00", 0, "ack: 1, by: ana") in lines
    assert lines[-1][2].startswith("acknowledged by ana")


# Files.


def test_the_folders_rules_are_the_default_and_a_config_brings_its_own(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/r.yaml").write_text("rules: [{name: all, match: 'a=\"b\"', group_by: [a]}]\n")
    (tmp_path / "config.yaml").write_text(
        "rules: [rules/]\nreceivers: [{name: hook, type: webhook, url_file: nowhere, send: [page, note]}]\n"
        "sources: [{name: prom, type: alertmanager, tokens: [{token_file: nowhere}], labels: {region: eu}}]\n"
    )
    told = (
        "events: [{at: 0s, fire: {a: b}, source: prom}, {at: 1m, note: 1, text: x}]\n"
        "expect: [{at: 1m, incidents: [{rule: all, members: [{a: b, region: eu}]}],"
        " pages: [{to: hook}, {to: hook, kind: note}]}]\n"
    )
    file = tmp_path / "tests/a.test.yaml"
    file.write_text("config: ../config.yaml\n" + told)
    assert [one.passed for one in run_file(file, RuleSets())] == [True], "no secret is read for it"
    file.write_text(told)
    assert [one.passed for one in run_file(file, RuleSets(tmp_path / "config.yaml"))] == [True]
    assert [one.passed for one in run_file(file, RuleSets())] == [False], "the folder has no rules"


def test_heartbeats_are_awaited_over_a_reload(tmp_path: Path) -> None:
    """Those that stay are missed, and back, as before; those taken out end; those put in wait for their first beat."""
    dog = "{name: dog, match: 'alertname=\"Watchdog\"', by: [cluster], every: 5m, grace: 1m}"
    (tmp_path / "rules.yaml").write_text(f"heartbeats: [{dog}, {{name: old, every: 5m, grace: 1m}}]\n")
    (tmp_path / "new.yaml").write_text(f"heartbeats: [{dog}, {{name: fresh, every: 5m}}]\n")
    file = tmp_path / "a.test.yaml"
    file.write_text(
        "rules: [rules.yaml]\n"
        "events:\n"
        "  - {at: 0s, fire: [{alertname: Watchdog, cluster: c1}, {alertname: Watchdog, cluster: c2}]}\n"
        "  - {at: 0s, heartbeat: old}\n"
        "  - {at: 4m, repeat: {alertname: Watchdog, cluster: c2}}\n"
        "  - {at: 7m, reload: [new.yaml]}\n"
        "  - {at: 11m, repeat: {alertname: Watchdog, cluster: c1}}\n"
        "expect:\n"
        "  - {at: 7m, incidents: [{group_key: {cluster: c1}, state: triggered}, {rule: 'heartbeat:old'}]}\n"
        "  - {at: 9m, incidents_include: [{rule: 'heartbeat:old', state: resolved}]}\n"
        "  - {at: 10m, incidents_include: [{group_key: {cluster: c2}, state: triggered}]}\n"
        "  - {at: 13m, incidents: [{group_key: {cluster: c1}, state: resolved}, {}, {group_key: {cluster: c2}}]}\n"
    )
    assert [one.passed for one in run_file(file, RuleSets())] == [True]


def test_a_reload_brings_other_rules(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text("rules: [{name: old, match: 'a=\"b\"', group_by: [a, c]}]\n")
    (tmp_path / "new.yaml").write_text("rules: [{name: new, match: 'a=\"b\"', group_by: [a, c]}]\n")
    file = tmp_path / "a.test.yaml"
    file.write_text(
        "rules: [old.yaml]\n"
        "events: [{at: 0s, fire: {a: b}}, {at: 1m, reload: [new.yaml]}, {at: 2m, fire: {a: b, c: d}}]\n"
        "expect: [{at: 3m, incidents: [{rule: old}, {rule: new}]}]\n"
    )
    coverage = Coverage()
    assert [one.passed for one in run_file(file, RuleSets(), coverage)] == [True]
    assert coverage.counts() == {"rule": (2, 2)}


def test_several_tests_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.test.yaml"
    file.write_text(
        "---\nname: one\nexpect: [{at: 1m, incidents: []}]\n---\nexpect: [{at: 1m, pages: [{to: ana}]}]\n---\n"
    )
    assert [(one.name, one.passed, one.line) for one in run_file(file, RuleSets())] == [
        ("one", True, 2),
        ("a.test.yaml 2", False, 5),
    ]


def test_faults_of_the_rules_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("rules: [{name: a, match: 'a=\"b\"', widow: 5m}]\n")
    file = tmp_path / "a.test.yaml"
    file.write_text("expect: [{at: 1m, incidents: []}]\n")
    rule_sets = RuleSets()
    for _ in range(2):  # read once, and told each time
        with pytest.raises(Unrunnable, match="unknown key"):
            run_file(file, rule_sets)


def test_files_are_found_by_name_and_hidden_folders_left_out(tmp_path: Path) -> None:
    for name in ("b/z.test.yaml", "b/a.test.yml", ".git/x.test.yaml", "a.test.yaml", "rules.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "b/loop").symlink_to(tmp_path)
    found = [str(one.relative_to(tmp_path)) for one in find_files([tmp_path, tmp_path / "a.test.yaml"])]
    assert found == ["a.test.yaml", "b/a.test.yml", "b/z.test.yaml"]


def test_coverage_names_what_no_test_reached(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    file = tmp_path / "a.test.yaml"
    file.write_text(HEAD + "events: [{at: 0s, fire: node}]\nexpect: [{at: 1m, pages: [{to: ana}]}]")
    coverage = Coverage()
    run_file(file, RuleSets(), coverage)
    assert coverage.counts() == {"rule": (1, 5), "step": (1, 4), "inhibition": (0, 1), "maintenance": (0, 1)}
    assert [str(part) for part in coverage.unreached()] == [
        "rule junk",
        "rule storm",
        "rule quiet",
        "rule turn",
        "policy on-call, step 1 (schedule:primary)",
        "policy platform, step 2 (person:ben, receiver:chat)",
        "policy default, step 1 (receiver:chat)",
        "inhibition dc-hides-pods",
        "maintenance friday",
    ]
    assert round(coverage.percent) == 18


# The tables.


def test_every_key_that_may_be_expected_has_a_value() -> None:
    assert INCIDENT_VALUES.keys() == INCIDENT.keys()
    assert MESSAGE_VALUES.keys() == PAGE.keys() - {"times"}


def test_every_action_is_a_verb_and_every_field_of_it_a_key_beside_some() -> None:
    """`until` is said as `for`, fingerprints by `alerts`; the record is the engine's own."""
    fields = {field.name for field in msgspec.structs.fields(ActionTaken)} - {"kind", "incident", "through", "record"}
    verbs = [RESOLVE_BY_HAND if kind is ActionKind.RESOLVE else VERBS[kind.value] for kind in ActionKind]
    beside = {{"for": "until", "alerts": "fingerprints"}.get(word, word) for verb in verbs for word in verb.beside}
    assert fields <= beside


def test_every_verb_and_every_expectation_is_played_above() -> None:
    played = HEAD + "".join(SOUND.values()) + Path(__file__).read_text()
    assert [verb for verb in VERBS if f" {verb}: " not in played] == []
    assert [word for word in EXPECTATIONS if f" {word}: " not in played] == []


class Postponed(msgspec.Struct):
    """An action as one of a later version may be."""

    to: str
    until: datetime | None = None
    wait: timedelta = timedelta(0)
    times: int = 0
    quietly: bool = False
    level: Level = Level.LOW
    alerts: tuple[str, ...] = ()


def test_time_is_bounded(play: Play) -> None:
    result = play("events: [{at: 0s, clock: +9y}, {at: 1m, clock: +9y}]\nexpect: [{at: 2m, incidents: []}]")
    assert "off by more than 10y" in told(result)
    read = read_tests("x.test.yaml", b"expect: [{at: 100y, pages: []}]\n")
    assert [one.code for one in read.document.faults] == ["R006"]


SEEDS = [file.read_bytes() for file in sorted(Path(__file__).parents[2].glob("rules/*.test.yaml"))]
LINES = sorted({line for seed in [*SEEDS, *(test.encode() for test in SOUND.values())] for line in seed.split(b"\n")})


@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(LINES)), max_size=4))
@settings(max_examples=150, deadline=timedelta(seconds=5))
def test_whatever_stands_in_a_test_it_is_refused_or_run(seed: bytes, changes: list[tuple[int, bytes]]) -> None:
    """Lines of one test put into another, in place of one or beside it."""
    lines = seed.split(b"\n")
    for at, line in changes:
        place = at % len(lines)
        lines[place : place + at % 2] = [line]
    read = read_tests("x.test.yaml", b"\n".join(lines))
    assert read.document.failed != bool(read.tests)
    for test in read.tests:
        with suppress(Unrunnable):  # a `reload` may name files that are not there
            run_test(msgspec.structs.replace(test, rules=(), config=""), read, RULES_FILE, RULE_SETS)


def test_reading_never_raises() -> None:
    for raw in (
        b"",
        b"\xff",
        b"[",
        b"---\n---\n",
        b"a: &x b",
        b"- 1",
        b"5",
        b"events: [[]]\nexpect: {}\n",
        b"alerts: 5",
    ):
        read = read_tests("x.test.yaml", raw)
        assert read.document.failed
        assert read.tests == ()


OUTAGES = """\
topology:
  entities:
    - {id: db/orders, match: 'db="orders"'}
    - {id: service/pay, match: 'service="pay"', depends_on: [db/orders]}
    - {id: service/shop, match: 'service="shop"', depends_on: [db/orders]}
  from_labels: [{entity: 'nothing/{nothing}'}]
rules: [{name: outages, match: 'env="x"', group_by: [env], relate: {along: topology}}]
"""


@pytest.mark.parametrize("cause", ["db/orders", "PostgresqlDown", "database", "c4084633a122fbc8"])
def test_causes_and_merged_incidents(cause: str, tmp_path: Path) -> None:
    """The cause by its entity, alertname, name in the test and fingerprint; members of what was merged in count."""
    (tmp_path / "outages.yaml").write_text(OUTAGES)
    file = tmp_path / "a.test.yaml"
    file.write_text(
        "alerts:\n"
        "  pay: {alertname: HighErrorRate, service: pay, env: x, severity: critical}\n"
        "  shop: {alertname: HighErrorRate, service: elsewhere, env: x}\n"
        "  database: {alertname: PostgresqlDown, db: orders, env: x}\n"
        "events: [{at: 0s, fire: pay}, {at: 1s, fire: shop}, {at: 8s, fire: database},"
        " {at: 30s, merge: 2, into: 1}]\n"
        "expect:\n"
        f"  - {{at: 1m, incidents: [{{alerts: 3, members: [pay, shop, database], root_cause: '{cause}'}}]}}\n"
        "  - {at: 1m, incidents_include: [{state: merged, merged_into: 1, number: 2}, {number: 1}]}\n"
        "  - {at: 1m, pages: [{to: default, incident: 1}, {to: default, incident: 2},"
        " {kind: resolved, incident: 2}]}\n"
    )
    [result] = run_file(file, RuleSets())
    assert result.passed, told(result)
