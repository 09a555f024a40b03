"""Fifty thousand alerts at once (row 32 of docs/faults.md)."""

from __future__ import annotations

from tests.faults.flood import send, serials
from tests.faults.pulse import Pulse
from tests.faults.trials import spread, trials
from tests.system.running import Daemons, until
from tests.system.sink import Sink

ALERTS = trials(quick=10_000, long=50_000)
ALERTS_A_BODY = 500
BODIES_A_SECOND = 10  # 5,000 alerts a second
GROUPS = "rules: [{name: storm, match: 'alertname=\"Load\"', group_by: [alertname], hold: 1s}]\n"
RECEIVER = "receivers: [{{name: sink, type: webhook, url: {url}}}]\n"


async def test_the_door_stays_open_in_a_storm(daemons: Daemons, sink: Sink, figures: list[str]) -> None:
    """Every alert is taken, there is a page for each five thousand of them, and the event loop turns on: /-/healthy
    answers in the middle of it."""
    daemon = daemons(RECEIVER.format(url=sink.url), GROUPS)
    daemon.start()
    with Pulse(daemon.port) as pulse:
        sent = await send(daemon, BODIES_A_SECOND, ALERTS / ALERTS_A_BODY / BODIES_A_SECOND, serials(), ALERTS_A_BODY)
    until("all is told", lambda: sink.of("page") and not daemon.pending(), 20)
    held = len(daemon.items("/v1/alerts"))
    figures.append(
        f"row 32, {ALERTS} new alerts at {BODIES_A_SECOND * ALERTS_A_BODY}/s: {len(sent.acked)} acked, {held} "
        f"held, {len(sink.of('page'))} pages; bodies answered in {spread(sent.seconds)}; {pulse}"
    )
    assert set(sent.statuses) == {200}
    assert held == len(sent.acked) == ALERTS
    assert len(sink.of("page")) == -(-ALERTS // 5_000), "max_alerts an incident"
    assert not pulse.wrong
    assert pulse.quantile(0.99) < 0.5, "on a machine with work of its own; alone it is below 50 ms"
    assert daemon.stop(seconds=20) == 0
