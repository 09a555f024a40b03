"""The configuration files of simulated sites: for each two that are good and one that is not, read once by imd's own
loader.

Short steps and holds, so that a walk to the end of a policy takes minutes. Groups of alerts: two clusters (rule web),
two services (rule db), and what can wait (rule low). Sites:

    plain   a few rules and policies; every receiver is a program
    crowd   people read all receivers but ops, so that storms reach them in digests and old pages are called back
    wide    what most sites have a little of: a map, inhibition, maintenance, a heartbeat, a schedule, a Prometheus
    late    hosts die, services fail, and what they suffer from is told of last: alerts move between incidents

In all but plain a page is soon too old to be sent singly.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec

from imd.config.load import Loaded, load_config
from imd.model.policy import PageKind, Receiver

CONFIG = """
listen: 127.0.0.1:9490
store: sqlite:///simulated.db
rules: [rules.yaml]
receivers:
  - {name: ana, type: webhook, url: "http://ana.example/hook"}
  - {name: ana-sms, type: webhook, url: "http://ana-sms.example/hook", send: [page]}
  - {name: ben, type: webhook, url: "http://ben.example/hook"}
  - {name: ops, type: webhook, url: "http://ops.example/hook", send: [page, update, acknowledged, resolved]}
  - {name: desk, type: webhook, url: "http://desk.example/hook"}
fallback: desk
sources:
  - {name: am, type: alertmanager}
"""

RULES = """
rules:
  - name: web
    match: 'team="web"'
    group_by: [cluster]
    hold: 5s
    resolve: {after: 20s}
    reopen_within: 4m
    flapping: {changes: 6, within: 8m, calm: 1m}
    priority: P2
    policy: web
  - name: db
    match: 'team="db"'
    group_by: [service]
    hold: 0s
    resolve: {after: 5s}
    reopen_within: 2m
    flapping: {changes: 6, within: 8m, calm: 1m}
    raise: [{alerts: 3, impact: high}]
    policy: db
  - name: low
    match: 'team="low"'
    group_by: [cluster]
    hold: 10s
    resolve: {after: 10s}
    flapping: {changes: 6, within: 8m, calm: 1m}
    priority: P4
    policy: web
people:
  - {name: ana, reach: [{receiver: ana}, {receiver: ana-sms, after: 25s}]}
  - {name: ben, reach: [{receiver: ben}]}
policies:
  - name: web
    steps:
      - {notify: ['person:ana'], for: 1m}
      - {notify: ['person:ben', 'receiver:ops'], for: 1m}
    repeat: 1
    ack_timeout: 5m
    remind: 6m
  - name: db
    steps:
      - {notify: ['person:ben'], for: 90s}
      - {notify: ['receiver:ops'], for: 1m}
      - {notify: ['person:ana'], for: 1m}
    remind: 10m
"""

CROWD = """
storm: {pages: 1, per: 2m}
"""
STALE_AFTER = timedelta(seconds=70)
READ_BY_PEOPLE = ("ana", "ana-sms", "ben", "desk")  # a webhook is a program's; here it stands for a chat or a phone

PROMETHEUS = """
  - {name: alertmanager, type: alertmanager, silent_after: 2m}
"""
WIDE = """
  - name: net
    match: 'team="net"'
    group_by: []
    relate: {along: topology, max_hops: 3, within: 2m}
    hold: 5s
    resolve: {after: 10s}
    reopen_within: 3m
    flapping: {changes: 6, within: 8m, calm: 1m}
    policy: duty
  - name: count
    match: 'team="count"'
    group_by: [cluster]
    hold: 0s
    open_when: {count: {at_least: 2, within: 2m}}
    resolve: {after: 5s}
    reopen_within: 2m
    flapping: {changes: 6, within: 8m, calm: 1m}
    priority: P1
    policy: duty
topology:
  entities:
    - {id: service/s1, match: 'service="s1"', depends_on: [service/s3]}
    - {id: service/s2, match: 'service="s2"', depends_on: [service/s3]}
    - {id: service/s3, match: 'service="s3"'}
inhibit:
  - {name: a0-hides-low, source: 'alertname="A0"', target: 'team="low"'}
maintenance:
  - {name: users, match: 'service="users"', weekly: {from: "09:04", to: "09:08"}}
heartbeats:
  - {name: job, every: 1m, grace: 30s}
schedules:
  - name: duty
    rotations: [{people: [ana, ben], every: 1h, handoff: {at: "09:07"}, start: "2026-03-01"}]
"""
DUTY = """
  - name: duty
    steps:
      - {notify: ['schedule:duty'], for: 1m}
      - {notify: ['receiver:ops'], for: 1m}
    remind: 6m
"""
LATE = """
  - name: out
    match: 'team="out"'
    group_by: [zone]
    relate: {along: topology, max_hops: 3, within: 5m}
    hold: 5s
    resolve: {after: 10s}
    reopen_within: 3m
    flapping: {changes: 6, within: 8m, calm: 1m}
    policy: web
topology:
  entities:
    - {id: host/n1, match: 'node="n1"'}
    - {id: db/orders, match: 'db="orders"'}
    - {id: service/pay, match: 'svc="pay"', depends_on: [db/orders], runs_on: [host/n1]}
    - {id: service/web, match: 'svc="web"', depends_on: [service/pay]}
    - {id: service/api, match: 'svc="api"', depends_on: [service/pay]}
"""


def _late(rules: str) -> str:
    head, people, rest = rules.partition("people:")
    first, topology, last = LATE.lstrip("\n").partition("topology:")
    return head + first + people + rest.rstrip() + "\n" + topology + last


def _wide(rules: str) -> str:
    head, people, rest = rules.partition("people:")
    return head + WIDE.lstrip("\n").replace("topology:", people + rest.rstrip() + DUTY + "topology:")


CHANGED = RULES.replace("hold: 5s", "hold: 8s").replace("for: 90s", "for: 2m").replace("remind: 6m", "remind: 5m")
BROKEN = RULES.replace("policy: web", "policy: wbe")
VERSIONS = {"first": RULES, "changed": CHANGED, "broken": BROKEN}
SITES = ("plain", "crowd", "wide", "late")


@functools.cache
def version(name: str, site: str = "plain") -> Callable[[], Loaded]:
    """What the files of this version load as: called, it answers or raises Faulty, as `load_config` would."""
    rules = {"wide": _wide, "late": _late}.get(site, str)(VERSIONS[name])
    if site == "wide" and name == "changed":  # and the inhibition is gone
        rules = rules.replace("source: 'alertname=\"A0\"'", "source: 'alertname=\"none\"'")
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG + {"crowd": CROWD, "wide": PROMETHEUS.lstrip("\n")}.get(site, ""))
        (Path(folder) / "rules.yaml").write_text(rules)
        try:
            loaded = load_config(config)
        except Exception as error:
            fault = error

            def refuse() -> Loaded:
                raise fault

            return refuse
    if site != "plain":
        read_by_people = READ_BY_PEOPLE if site == "crowd" else ()
        readers = {name: _reader(one, name in read_by_people) for name, one in loaded.ruleset.receivers.items()}
        ruleset = msgspec.structs.replace(loaded.ruleset, receivers=readers)
        loaded = msgspec.structs.replace(loaded, ruleset=ruleset)
    return lambda: loaded


def _reader(receiver: Receiver, people: bool) -> Receiver:
    """People want to hear that somebody has it, but for what is sent nothing but pages."""
    too = {PageKind.ACKNOWLEDGED} if people and PageKind.RESOLVED in receiver.send else set()
    return msgspec.structs.replace(receiver, people=people, stale_after=STALE_AFTER, send=receiver.send | too)
