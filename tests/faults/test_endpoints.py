"""Receivers that are slow, hang, lie, break off or are not who they say (rows 13 to 18 and 20 of docs/faults.md).

Every fault has a receiver of its own behind a proxy of its own, and all strike at once, while pages to a receiver that
is well are timed. Then all are mended, and what is owed must arrive.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.faults import proxy as faults
from tests.faults.flood import send, serials
from tests.faults.proxy import Fault, Proxies, Proxy
from tests.faults.trials import spread, trials
from tests.system.running import Daemon, Daemons, until
from tests.system.sink import Message, Sink

SEND_SECONDS = 1.0
DELIVER_SECONDS = float(trials(quick=2, long=8))  # sixteen at once, a second each where a body never comes
INCIDENTS = trials(quick=3, long=50)
OUTAGE_SECONDS = trials(quick=4, long=30)


class Case(NamedTuple):
    """`passes`: another way is taken while it lasts. `after`: what becomes of the page itself once all is well."""

    fault: Fault | None
    passes: bool
    after: str = "delivered"  # or "refused", "held"
    doubles: bool = False  # its receiver had it the first time already
    tls: str = ""


REDIRECT = "redirect-"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CASES: dict[str, Case] = {
    "well": Case(None, False),
    "late": Case(faults.late(0.5), False),
    "silent": Case(faults.hangs(), True),
    "silent-once-delivered": Case(faults.hangs(delivered=True), True, doubles=True),
    "half-a-head": Case(faults.hangs(b"HTTP/1.1 200 OK\r\nContent-Le"), True),
    "head-without-body": Case(faults.hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", delivered=True), False),
    "reset": Case(faults.resets(delivered=False), True),
    "reset-once-delivered": Case(faults.resets(delivered=True), True, doubles=True),
    "half-closed": Case(faults.half_closes, True, doubles=True),
    "garbage": Case(faults.says(b"\x00\xff\x80SSH-2.0-nothing\r\n\r\n", then_closes=True), True),
    "bit-flipped": Case(faults.flips(1), True, doubles=True),
    "dripping": Case(faults.drips(0.2), True, doubles=True),
    "status-500": Case(faults.answers(500), True),
    "status-502": Case(faults.answers(502), True),
    "status-503": Case(faults.answers(503, Retry_After="1"), True),
    "status-404": Case(faults.answers(404), True, after="refused"),
    "status-429-for-an-hour": Case(faults.answers(429, Retry_After="3600"), True, after="held"),
    "status-429-garbage": Case(faults.answers(429, Retry_After="soon, \u00fc"), True),
    **{f"{REDIRECT}{status}": Case(None, True, "refused") for status in (301, 302, 307, 308)},
    "malformed-body": Case(faults.says(CHUNKED + b"zz\r\n", True), False, "accepted"),
    "flood": Case(faults.floods(100_000_000), False),
    "tls": Case(None, False, tls="valid"),
    "tls-expired": Case(None, True, tls="expired"),
    "tls-of-another": Case(None, True, tls="another's"),
    "tls-self-signed": Case(None, True, tls="self-signed"),
    "tls-1.1": Case(None, True, tls="old"),
    "tls-stalled": Case(None, True, tls="stalled"),
}  # fmt: skip


class Authority:
    """Certificates of an authority that the daemon trusts, and of one that it does not."""

    def __init__(self, folder: Path) -> None:
        self._ours = trustme.CA()
        self.file = folder / "authority.pem"
        self._ours.cert_pem.write_to_path(self.file)

    def context(self, kind: str) -> ssl.SSLContext:
        ended = datetime.now(UTC) - timedelta(days=1)
        host, authority = "127.0.0.1", self._ours
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind == "self-signed":
            authority = trustme.CA()
        elif kind == "another's":
            host = "192.0.2.1"
        elif kind == "old":
            made.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is deprecated; that is the point
                made.minimum_version = made.maximum_version = ssl.TLSVersion.TLSv1_1
        if kind == "expired":
            leaf = authority.issue_cert(host, not_before=ended - timedelta(days=9), not_after=ended)
        else:
            leaf = authority.issue_cert(host)
        leaf.configure_cert(made)
        return made


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    made = Proxies()
    yield made
    made.close()


def _files(made: dict[str, Proxy], spare: str) -> tuple[str, str]:
    receivers, rules = [f"  - {{name: spare, type: webhook, url: '{spare}/spare'}}"], ["policies:"]
    receivers.append(f"  - {{name: healthy, type: webhook, url: '{spare}/healthy'}}")
    for name, proxy in made.items():
        url = f"{'https' if CASES[name].tls else 'http'}://127.0.0.1:{proxy.port}/{name}"
        receivers.append(f"  - {{name: {name}, type: webhook, url: '{url}', deliver_within: {DELIVER_SECONDS:g}s}}")
        steps = f"[{{notify: ['receiver:{name}'], for: 1h}}, {{notify: ['receiver:spare'], for: 1h}}]"
        rules.append(f"  - {{name: {name}, steps: {steps}}}")
    rules.append("  - {name: healthy, steps: [{notify: ['receiver:healthy'], for: 1h}]}")
    rules.append("routes:")
    rules += [f"  - {{match: 'fault=\"{name}\"', policy: {name}}}" for name in made]
    rules.append("  - {policy: healthy}")
    each = "  - {name: each, match: 'alertname=~\".+\"', group_by: [alertname, fault, serial], hold: 0s, priority: P2}"
    limits = f"limits: {{send_timeout: {SEND_SECONDS:g}s}}"
    return "\n".join(["receivers:", *receivers, limits, ""]), "\n".join(["rules:", each, *rules, ""])


def _pages(sink: Sink, receiver: str, alertname: str = "Load") -> list[Message]:
    end = f"/{receiver}"
    return [
        one for one in sink.of("page") if one.path.endswith(end) and one.incident["labels"]["alertname"] == alertname
    ]


def test_every_fault_of_a_receiver_at_once(
    daemons: Daemons, sink: Sink, proxies: Proxies, tmp_path: Path, figures: list[str]
) -> None:
    """A fault is that receiver's own: pages to others are as fast as ever, another way is taken where the page is late,
    and the page itself arrives once the fault has ended, under the key and the id that it had."""
    authority, elsewhere = Authority(tmp_path), proxies.make(Proxy(0))
    made = {name: proxies.make(_proxy(name, sink, authority, elsewhere)) for name, case in CASES.items()}
    daemon = daemons(*_files(made, sink.url))
    daemon.start(SSL_CERT_FILE=str(authority.file))
    labels = [{"alertname": "Load", "fault": name, "serial": str(n)} for name in CASES for n in range(INCIDENTS)]
    began = time.monotonic()
    assert daemon.post("/api/v2/alerts", [{"labels": one} for one in labels]).status == 200
    healthy = asyncio.run(_healthy(daemon, sink))

    passed = {name for name, case in CASES.items() if case.passes}
    until("each late page took the other way", lambda: len(_spared(sink)) >= len(passed) * INCIDENTS, 20)
    assert _by_fault(_spared(sink)) == dict.fromkeys(passed, INCIDENTS), "who was in time took no other way"
    waited = [message.at - began for message in _spared(sink)]

    for name, case in CASES.items():
        made[name].fault, made[name].stalls = None, False
        made[name].tls = authority.context("valid") if case.tls else None
    mended = time.monotonic()
    held = sum(case.after == "held" for case in CASES.values()) * INCIDENTS
    until("all that is not held has left", lambda: daemon.pending() <= held, 90)
    recovered = time.monotonic() - mended

    doubles = _judge(sink)
    assert elsewhere.connections == 0, "no redirect is followed"
    assert daemon.metric("imd_delivery_attempts_total", receiver="tls-stalled", outcome="temporary") > 0
    figures.append(
        f"rows 13-18, 20: {len(CASES)} faults of receivers at once, {len(labels)} incidents, M 0, D {doubles}, K 0; "
        f"others' pages meanwhile in {spread(healthy)}; another way taken after {spread(waited)}; all told "
        f"{recovered:.1f} s after the faults ended"
    )
    assert sorted(healthy)[int(0.99 * len(healthy))] < 1.0
    assert _resident_mib(daemon) < 250
    assert daemon.stop() == 0


def _proxy(name: str, sink: Sink, authority: Authority, elsewhere: Proxy) -> Proxy:
    case = CASES[name]
    port = int(sink.url.split(":")[2].split("/")[0])
    fault = (
        faults.answers(int(name[-3:]), Location=f"http://127.0.0.1:{elsewhere.port}/")
        if REDIRECT in name
        else case.fault
    )
    made = Proxy(port, fault, authority.context(case.tls) if case.tls else None)
    made.stalls = case.tls == "stalled"
    return made


async def _healthy(daemon: Daemon, sink: Sink) -> list[float]:
    """Seconds from POST to page for a receiver that is well, for as long as the faults last."""
    loop_began = time.monotonic()
    pace = 10.0
    sent = await send(daemon, pace, OUTAGE_SECONDS, serials(), name="Other")
    assert set(sent.statuses) == {200}
    await asyncio.to_thread(
        until, "the others are told", lambda: len(_pages(sink, "healthy", "Other")) == len(sent.acked), 10
    )
    return [
        message.at - loop_began - int(message.incident["labels"]["serial"]) / pace
        for message in _pages(sink, "healthy", "Other")
    ]


def _spared(sink: Sink) -> list[Message]:
    return _pages(sink, "spare")


def _by_fault(messages: list[Message]) -> dict[str, int]:
    found: dict[str, int] = {}
    for message in messages:
        fault = str(message.incident["labels"]["fault"])
        found[fault] = found.get(fault, 0) + 1
    return found


def _judge(sink: Sink) -> int:
    """How many doubles there were. Each incident has one key, each page one id."""
    doubles = 0
    for name, case in CASES.items():
        pages = _pages(sink, name)
        ids = {message.id for message in pages}
        doubles += len(pages) - len(ids)
        assert len(ids) == (INCIDENTS if case.after == "delivered" else 0), f"{name}: {len(ids)} of {INCIDENTS}"
        assert (len(pages) > len(ids)) == case.doubles, f"{name}: {len(pages)} receipts of {len(ids)} pages"
    keys: dict[str, set[str]] = {}
    for message in sink.messages:
        keys.setdefault(message.incident["id"], set()).add(message.key)
    assert {len(found) for found in keys.values()} == {1}
    return doubles


def _resident_mib(daemon: Daemon) -> float:
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
