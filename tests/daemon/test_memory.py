"""What bounds the memory of a process, and what is taken near the end of it."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from imd.api.context import MemoryShort
from imd.daemon.memory import HEADROOM, Limit, Memory, known_of, limits
from imd.model.alert import AlertReport, identify
from imd.model.event import AlertsReported
from imd.telemetry import Metrics
from tests.api.server import serving

MIB = 1 << 20


def report(name: str, resolved: bool = False) -> AlertReport:
    return AlertReport(identify({"alertname": name}), resolved, None, None)


@pytest.fixture
def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.usefixtures("unlimited")
def test_the_smallest_bound_of_the_groups_counts(tmp_path: Path) -> None:
    """systemd's MemoryMax is memory.max of the service's group; a slice above it may allow less."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (groups / "system.slice" / "imd.service").mkdir(parents=True)
    proc.mkdir()
    (proc / "cgroup").write_text("0::/system.slice/imd.service\n")
    (proc / "statm").write_text("1000 200 30 4 0 500 0\n")
    assert limits(proc, groups) == []
    (groups / "system.slice" / "imd.service" / "memory.max").write_text("max\n")
    assert limits(proc, groups) == []
    (groups / "system.slice" / "imd.service" / "memory.max").write_text(f"{512 * MIB}\n")
    (groups / "system.slice" / "memory.max").write_text(f"{256 * MIB}\n")
    (found,) = limits(proc, groups)
    assert found.most == 256 * MIB
    assert found.used() == 200 * resource.getpagesize()


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("group", ["memory/docker/abc", "memory"], ids=["host", "container"])
def test_bounds_of_the_older_kind_of_groups_count(tmp_path: Path, group: str) -> None:
    """cgroup v1, where each controller has a tree of its own. A container sees its own group as the root of it."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (groups / group).mkdir(parents=True)
    proc.mkdir()
    (proc / "cgroup").write_text("11:cpu,cpuacct:/docker/abc\n9:memory:/docker/abc\n0::/docker/abc\n")
    (groups / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert limits(proc, groups) == []
    (groups / group / "memory.limit_in_bytes").write_text(f"{160 * MIB}\n")
    assert [one.most for one in limits(proc, groups)] == [160 * MIB]


def test_limits_of_the_shell_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda what: (MIB if what == resource.RLIMIT_AS else -1, -1))
    assert [(one.what, one.most) for one in limits(groups=tmp_path)] == [("address space (ulimit -v)", MIB)]


def test_short_begins_and_ends_at_the_headroom() -> None:
    used = [0]
    memory = Memory(Metrics(), lambda: [Limit("it", 100 * MIB, lambda: used[0])])
    for amount, short in ((0, False), (int(101 * MIB * (1 - HEADROOM)), True), (50 * MIB, False)):
        used[0] = amount
        memory.look()
        assert bool(memory.short) == short


def test_what_cannot_be_read_bounds_nothing() -> None:
    def unreadable() -> list[Limit]:
        raise PermissionError

    memory = Memory(Metrics(), unreadable)
    memory.look()
    assert memory.short == ""


def test_what_is_known_of_an_event() -> None:
    event = AlertsReported("prom", True, (report("A"), report("B")))
    assert known_of(event, {report("A").identity.key, report("B").identity.key}) is event
    assert known_of(event, {report("B").identity.key}).alerts == (report("B"),)
    own = AlertsReported("imd", True, (report("A"),))
    assert known_of(own, set()) is own, "what imd says of itself is little, and needed just then"


async def test_near_the_end_repeats_and_resolves_are_taken_and_new_alerts_are_not(tmp_path: Path) -> None:
    """Of a mixed body what is known is committed, and its sender is told to come again."""
    async with serving(tmp_path) as server:
        known, new = {"labels": {"alertname": "Known"}}, {"labels": {"alertname": "New"}}
        path = "/v1/ingest/alertmanager"
        firing = {**known, "status": "firing"}
        assert (await server.call("POST", path, {"alerts": [firing]}))[0] == 200
        server.loop.crowded = lambda: "it is limited to 512 MiB"
        assert (await server.call("POST", path, {"alerts": [firing]}))[0] == 200
        status, answer, response = await server.call(
            "POST", path, {"alerts": [{**known, "status": "resolved"}, {**new, "status": "firing"}]}
        )
        assert status == 503
        assert "memory is short" in answer["detail"]
        assert int(response.headers["Retry-After"]) > 0
        assert [alert.labels()["alertname"] for alert in server.open_alerts()] == []
        with pytest.raises(MemoryShort):
            await server.loop.submit(AlertsReported("alertmanager", False, (report("New"),)), 0)
        server.loop.crowded = lambda: ""
        assert (await server.call("POST", path, {"alerts": [{**new, "status": "firing"}]}))[0] == 200
        assert b'imd_overload_rejections_total{reason="memory"} 2.0' in server.metrics.render()
