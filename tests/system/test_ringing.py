"""The whole daemon and Pushover's server: an emergency taken on a phone is acknowledged here though nobody can call imd
back, and one that somebody else has taken stops ringing."""

from __future__ import annotations

from itertools import pairwise

from tests.channels.vendors import CANARY, Pushover
from tests.system.running import Daemons, until
from tests.system.test_conversations import alert, serving

RULES = """rules:
  - {name: each, match: 'alertname=~".+"', group_by: [serial], hold: 0s, priority: P1, resolve: {after: 0s}}
people:
  - {name: ana, reach: [{receiver: push}]}
policies:
  - {name: default, steps: [{notify: ['person:ana'], for: 5m}]}
"""


def test_an_emergency_is_answered_where_it_rings(daemons: Daemons) -> None:
    """Two of them: one is taken on the phone, killed in between; the other is acknowledged by CLI's door, and imd is
    told to send no more than pages."""
    with serving("pushover") as at:
        vendor = at.vendor
        assert isinstance(vendor, Pushover)
        push = (
            f"{{name: push, type: pushover, token: {CANARY}, user: {CANARY[::-1]}, api_url: '{at.url}', send: [page]}}"
        )
        daemon = daemons(f"receivers: [{push}]\n", RULES)
        daemon.start()
        alert(daemon, serial="1")
        alert(daemon, serial="2")
        until("both ring", lambda: len(vendor.receipts) == 2 and daemon.pending() == 0)
        first, second = vendor.receipts
        by_number = {1: first, 2: second} if "#1" in vendor.seen[0][1]["title"] else {1: second, 2: first}
        daemon.kill()
        daemon.start()
        until(
            "both are looked at", lambda: {name for what, name in vendor.seen if what == "look"} == {first, second}, 20
        )
        vendor.receipts[by_number[1]] = 4_000_000_000
        until("it is acknowledged", lambda: daemon.get("/v1/incidents/1").json()["state"] == "acknowledged", 20)
        assert daemon.get("/v1/incidents/1").json()["acknowledged_by"] == "ana"
        assert daemon.post("/v1/incidents/2/ack", {"by": "ben"}).status == 200
        until("the other one stops", lambda: ("cancel", by_number[2]) in vendor.seen, 20)
        assert daemon.metric("imd_answers_total", through="pushover", outcome="done") == 1
        assert CANARY not in daemon.log()
        assert CANARY[::-1] not in daemon.log()
    looks = [when for when, (what, name) in zip(at.times, vendor.seen, strict=True) if (what, name) == ("look", first)]
    assert all(later - earlier > 4.9 for earlier, later in pairwise(looks[1:]))
