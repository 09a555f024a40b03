"""More distinct alerts than memory holds (rows 33 and 38 of docs/faults.md)."""

from __future__ import annotations

import resource
from collections import Counter
from pathlib import Path

from tests.faults.flood import Sent, send, serials
from tests.faults.trials import trials
from tests.system.running import Daemon, Daemons

MIB = 1 << 20
ROOM_MIB = trials(quick=140, long=300)
EACH = "rules: [{name: load, match: 'alertname=\"Load\"', group_by: [serial], hold: 1h}]\n"
ALERTS_A_BODY = 500


def _status(daemon: Daemon, name: str) -> int:
    """Bytes."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _series(daemon: Daemon) -> Counter[str]:
    lines = daemon.get("/metrics").body.decode().splitlines()
    return Counter(line.split("{")[0].split(" ")[0] for line in lines if line and line[0] != "#")


async def test_address_space_that_nobody_uses_keeps_no_alert_out(daemons: Daemons, figures: list[str]) -> None:
    """Under `ulimit -v`, with which it starts: threads' reserves counted as memory, and every alert got 503."""
    daemon = daemons("", EACH)
    daemon.program = ["prlimit", f"--as={300 * MIB}", *daemon.program]
    daemon.start()
    sent = await send(daemon, 20, 1, serials(), ALERTS_A_BODY)
    assert set(sent.statuses) == {200}
    assert daemon.metric("imd_memory_short") == 0
    figures.append(f"row 38, 300 MiB of address space: {len(sent.acked)} alerts acked, L 0")
    assert {alert["labels"]["serial"] for alert in daemon.items("/v1/alerts")} == set(sent.acked)
    assert daemon.stop(seconds=20) == 0


async def test_a_flood_of_new_alerts_is_turned_away_before_memory_ends(daemons: Daemons, figures: list[str]) -> None:
    """503 to what is new, while repeats and resolves of what is known are taken on. No label becomes a metric's."""
    daemon = daemons("", EACH)
    daemon.start()
    limit = _status(daemon, "VmSize") + ROOM_MIB * MIB
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (limit, limit))
    series, serial = _series(daemon), serials()
    acked: list[str] = []
    answers: Counter[int] = Counter()
    while answers[503] < 40:
        sent = await send(daemon, 20, 1, serial, ALERTS_A_BODY)
        _count(sent, acked, answers)
    assert len(acked) > 10 * ALERTS_A_BODY
    assert daemon.get("/-/healthy").status == 200
    assert daemon.metric("imd_memory_short") == 1

    known = [{"labels": {"alertname": "Load", "serial": one}} for one in acked[:ALERTS_A_BODY]]
    assert daemon.post("/api/v2/alerts", known).status == 200
    past = {"startsAt": "2026-01-01T00:00:00Z", "endsAt": "2026-01-01T00:00:01Z"}
    assert daemon.post("/api/v2/alerts", [{**one, **past} for one in known]).status == 200
    held = {alert["labels"]["serial"] for alert in daemon.items("/v1/alerts")}
    assert _status(daemon, "VmPeak") <= limit
    grown = {name: count - series[name] for name, count in _series(daemon).items() if count > series[name]}
    figures.append(
        f"rows 33, 38, {ROOM_MIB} MiB of room: {len(acked)} alerts acked, L 0, then {answers[503]} bodies of "
        f"{ALERTS_A_BODY} answered 503; most memory {_status(daemon, 'VmHWM') // MIB} MiB resident; "
        f"series grew by {sum(grown.values())}"
    )
    assert set(acked) - held <= set(acked[:ALERTS_A_BODY])
    assert sum(grown.values()) < 200, grown
    assert set(answers) == {200, 503}
    assert daemon.stop(seconds=20) == 0


def _count(sent: Sent, acked: list[str], answers: Counter[int]) -> None:
    assert sent.broken == 0
    acked += sent.acked
    answers += sent.statuses
