"""The configuration files of a simulated site: two that are good and one that is not, read once by imd's own loader.

Short steps and holds, so that a walk to the end of a policy takes minutes. Groups of alerts: two clusters (rule web),
two services (rule db), and what can wait (rule low).
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

from imd.config.load import Loaded, load_config

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

CHANGED = RULES.replace("hold: 5s", "hold: 8s").replace("for: 90s", "for: 2m").replace("remind: 6m", "remind: 5m")
BROKEN = RULES.replace("policy: web", "policy: wbe")
VERSIONS = {"first": RULES, "changed": CHANGED, "broken": BROKEN}


@functools.cache
def version(name: str) -> Callable[[], Loaded]:
    """What the files of this version load as: called, it answers or raises Faulty, as `load_config` would."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(CONFIG)
        (Path(folder) / "rules.yaml").write_text(VERSIONS[name])
        try:
            loaded = load_config(config)
        except Exception as error:
            fault = error

            def refuse() -> Loaded:
                raise fault

            return refuse
    return lambda: loaded
