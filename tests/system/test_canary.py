"""The whole daemon sings: a canary at its time of day, and an alarm by another way where it does not arrive."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.system.running import Daemons, until
from tests.system.sink import Sink

RULES = """rules:
  - {name: imd, match: 'alertname="ImdCanaryFailed"', hold: 0s, policy: imd}
policies:
  - {name: imd, steps: [{notify: ['receiver:other'], for: 5m}]}
  - {name: default, steps: [{notify: ['receiver:sms'], for: 5m}]}
"""


def test_a_canary_that_does_not_arrive_is_paged_by_another_way(daemons: Daemons, sink: Sink) -> None:
    """Refused for good: one alarm, to the receiver that works. Taken again, after the time was moved, it ends."""
    other = Sink()
    try:
        sink.status = 404
        receivers = (
            f"receivers:\n- {{name: sms, type: webhook, url: '{sink.url}'}}\n"
            f"- {{name: other, type: webhook, url: '{other.url}', send: [page, resolved]}}\n"
        )
        daemon = daemons(f"{receivers}canary: {{receiver: sms, at: '{datetime.now(UTC):%H:%M}'}}\n", RULES)
        daemon.start()
        until("the alarm", lambda: other.of("page"))
        assert len(sink.messages) == 1
        assert sink.messages[0].body["note"].startswith("Canary")
        (alarm,) = other.of("page")
        assert "ImdCanaryFailed" in alarm.incident["title"]
        assert daemon.metric("imd_canary_pages_total", receiver="sms", outcome="failed") == 1
        assert "/pages" not in alarm.incident["title"], "the URL's path may be a secret"
        sink.status = 200
        daemon.kill()
        daemon.start()  # still within its two minutes: it is tried again
        until("it is taken", lambda: daemon.metric("imd_canary_pages_total", receiver="sms", outcome="accepted") == 1)
        until("the alert ends", lambda: daemon.get("/v1/status").json()["counts"]["alerts_open"] == 0)
        assert len(other.of("page")) == 1
    finally:
        other.close()
