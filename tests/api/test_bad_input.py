"""Whatever a client sends: never a 5xx, never a traceback in the log, good alerts of a body kept, and the next request
is answered as usual."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from imd.config.settings import Limits, Settings
from imd.daemon.loop import Loop
from imd.model.effect import Refused
from imd.model.event import AlertsReported, Event
from tests.api.server import BENCH, Logged, Server, serving

GOOD = {"labels": {"alertname": "Good"}, "status": "firing"}
DEEP = b"[" * 100_000 + b"]" * 100_000
LABELS = b'{"labels":{"alertname":"A","x":%s},"status":"firing"}'
BAD_VALUES = {
    "invalid UTF-8": b'"\xff"',
    "NaN": b"NaN",
    "infinite": b"1e999",
    "a number of 10,000 digits": b"1" * 10_000,
    "lone surrogate": b'"\\ud800"',
    "NUL": b'"\\u0000"',
    "deep": DEEP,
    "object": b'{"a":"b"}',
    "5 KB": b'"' + b"x" * 5000 + b'"',
    "1 MB": b'"' + b"x" * 1_000_000 + b'"',
    "cut off": b'"',
}
WHOLE = {
    "empty": b"",
    "not JSON": b"hello",
    "half": b'[{"labels":{"a":"b"}},',
    "deep": DEEP,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep in an unknown key": b'{"alerts":[],"x":' + b"[" * 60 + b"]" * 60 + b"}",
    "a string": b'"x"',
    "a number": b"1",
    "UTF-16": '[{"labels":{"a":"b"}}]'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf[]",
    "trailing": b"[]{}",
    "objects without end": b"[" + b"{}," * 600_000 + b"{}]",
    "alerts is a number": b'{"alerts":1}',
}
PATHS = ["/api/v2/alerts", "/v1/ingest/alertmanager"]


def no_traceback(log: Logged) -> None:
    text = log.text()
    assert "Traceback" not in text
    assert "http.failed" not in text


async def answers_as_usual(server: Server) -> None:
    status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", {"alerts": [GOOD]})
    assert (status, answer) == (200, {"accepted": 1, "rejected": []})


def as_body(path: str, *alerts: bytes) -> bytes:
    array = b"[" + b",".join(alerts) + b"]"
    return array if path.startswith("/api") else b'{"version":"4","alerts":' + array + b"}"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", WHOLE)
async def test_a_body_that_is_nothing_is_refused(server: Server, log: Logged, path: str, name: str) -> None:
    status, answer, _ = await server.call("POST", path, raw=WHOLE[name], Content_Type="application/json")
    assert 400 <= status < 500, answer
    await answers_as_usual(server)
    no_traceback(log)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", BAD_VALUES)
async def test_a_bad_label_value_costs_its_own_alert(server: Server, log: Logged, path: str, name: str) -> None:
    """Where the body is JSON at all, the good alerts beside the bad one are kept and it is named by its place."""
    good = json.dumps(GOOD).encode()
    body = as_body(path, good, LABELS % BAD_VALUES[name], good.replace(b"Good", b"Better"))
    status, answer, _ = await server.call("POST", path, raw=body, Content_Type="application/json")
    assert 200 <= status < 500, answer
    whole = name in ("invalid UTF-8", "NaN", "deep", "cut off")  # no JSON, so no alert to keep
    mended = name == "lone surrogate"
    kept = {alert.labels()["alertname"] for alert in server.open_alerts()}
    assert kept == (set() if whole else {"Good", "Better", *(["A"] if mended else [])})
    if not whole and path != "/api/v2/alerts":
        assert [part["index"] for part in answer["rejected"]] == ([] if mended else [1])
    await answers_as_usual(server)
    no_traceback(log)


async def test_a_hundred_thousand_labels_are_one_refusal(server: Server, log: Logged) -> None:
    labels = json.dumps({"labels": {f"l{n}": "v" for n in range(60_000)}, "status": "firing"}).encode()
    body = as_body("/v1", json.dumps(GOOD).encode(), labels)
    status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", raw=body)
    assert (status, answer["accepted"]) == (200, 1)
    assert "60000 labels" in answer["rejected"][0]["error"]
    labels = json.dumps({"labels": {f"l{n}": "v" * 20 for n in range(100_000)}, "status": "firing"}).encode()
    status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", raw=as_body("/v1", labels))
    assert (status, answer["accepted"]) == (400, 0)
    assert log.text().count("alerts.rejected") == 2


async def test_a_large_body_is_taken_in_slices(server: Server) -> None:
    alerts = [{"labels": {"alertname": "A", "n": str(n)}, "status": "firing"} for n in range(3_000)]
    alerts[700]["status"] = alerts[2999]["status"] = "burning"
    status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", {"alerts": alerts})
    assert (status, answer["accepted"]) == (200, 2_998)
    assert [part["index"] for part in answer["rejected"]] == [700, 2999]
    assert len(list(server.open_alerts())) == 2_998


@pytest.mark.parametrize(("most", "sizes"), [(10_000, [100, 100, 50]), (60, [60, 60, 60, 60, 10])])
async def test_a_slice_is_no_larger_than_the_limit(
    most: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no larger than leaves others their turn. Places of what the engine refuses are those in the body."""
    limits = Limits(slice_alerts_max=most, open_alerts_max=200)
    slices: list[int] = []
    submit = Loop.submit

    async def seen(loop: Loop, event: Event, *more: Any) -> tuple[Refused, ...]:
        if isinstance(event, AlertsReported):
            slices.append(len(event.alerts))
        return await submit(loop, event, *more)

    monkeypatch.setattr(Loop, "submit", seen)
    ruleset = msgspec.structs.replace(BENCH, bounds=limits.engine_bounds())
    async with serving(tmp_path, ruleset=ruleset, settings=Settings(limits=limits)) as server:
        alerts = [{"labels": {"alertname": "A", "n": str(n)}, "status": "firing"} for n in range(250)]
        status, answer, _ = await server.call("POST", "/v1/ingest/alertmanager", {"alerts": alerts})
    assert (status, answer["accepted"]) == (200, 200)
    assert [part["index"] for part in answer["rejected"]] == list(range(200, 250))
    assert slices == sizes


PACKED = {
    "truncated gzip": (gzip.compress(json.dumps({"alerts": [GOOD]}).encode())[:-9], "gzip", 400),
    "no gzip": (b'{"alerts":[]}', "gzip", 400),
    "40,000 empty members": (gzip.compress(b"") * 40_000, "gzip", 400),
    "bomb": (gzip.compress(b" " * (200 << 20), 1), "gzip", 413),
    "deflate bomb": (zlib.compress(b" " * (200 << 20), 1), "deflate", 413),
    "unknown": (b"{}", "br", 415),
    "garbage name": (b"{}", "\u00fc\u00fc", 415),
    "good": (gzip.compress(json.dumps({"alerts": [GOOD]}).encode()), "gzip", 200),
    "two members": (gzip.compress(b'{"alerts":') + gzip.compress(b"[]}"), "gzip", 200),
}


@pytest.mark.parametrize("name", PACKED)
async def test_packed_bodies(server: Server, log: Logged, name: str) -> None:
    body, encoding, want = PACKED[name]
    head = f"POST /v1/ingest/alertmanager HTTP/1.1\r\nHost: x\r\nContent-Encoding: {encoding}\r\n"
    answer = await raw(server, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert status_of(answer) == want, answer
    await answers_as_usual(server)
    no_traceback(log)


async def raw(server: Server, request: bytes, half_close: bool = False) -> bytes:
    """The first bytes that come back, or b"" where the server just closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        if half_close:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(65536), 5)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


HEAD = b"POST /v1/ingest/alertmanager HTTP/1.1\r\nHost: x\r\n"
RAW = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "garbage": b"\x00\xff\x80garbage\r\n\r\n",
    "300 headers": HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(300)) + b"\r\n",
    "9 KB header": HEAD + b"X: " + b"y" * 9000 + b"\r\n\r\n",
    "long path": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "length is a word": HEAD + b"Content-Length: ten\r\n\r\n",
    "length over the bound": HEAD + b"Content-Length: 99999999999\r\n\r\n{}",
    "chunk size is a word": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "chunk broken later": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\n",
    "escapes in the path": b"GET /v1/incidents/%00%ff%2f.. HTTP/1.1\r\nHost: x\r\n\r\n",
    "dots in the path": b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "upgrade": b"GET /v1/incidents HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "expect": HEAD + b"Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"GET /-/healthy HTTP/1.1\r\n\r\n",
    "bad escape in the query": b"GET /v1/incidents?match=%zz&limit=x HTTP/1.1\r\nHost: x\r\n\r\n",
    "CRLF in a source": b"POST /v1/ingest/a%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("name", RAW)
async def test_what_is_hardly_http(server: Server, log: Logged, name: str) -> None:
    answer = await raw(server, RAW[name])
    assert status_of(answer) < 500, answer
    assert b"Set-Cookie" not in answer.split(b"\r\n\r\n")[0]
    assert b"aiohttp" not in answer
    await answers_as_usual(server)
    no_traceback(log)


async def test_a_length_that_lies_is_waited_for_so_long_and_no_longer(server: Server, log: Logged) -> None:
    """The body is shorter than said: refused when the time is up, or when the client hangs up."""
    answer = await raw(server, HEAD + b"Content-Length: 100\r\n\r\n{}")
    assert status_of(answer) == 408
    assert status_of(await raw(server, HEAD + b"Content-Length: 100\r\n\r\n{}", half_close=True)) in (0, 400)
    await answers_as_usual(server)
    no_traceback(log)


async def test_a_body_byte_by_byte_is_cut_off(server: Server, log: Logged) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    answering = asyncio.ensure_future(reader.read(65536))
    while not answering.done():
        writer.write(b"1\r\n \r\n")
        await asyncio.wait([answering], timeout=0.05)
    assert status_of(await answering) == 408
    writer.close()
    no_traceback(log)


async def test_a_client_that_is_gone_leaves_no_trace(server: Server, log: Logged) -> None:
    for sent in (
        HEAD + b"Content-Length: 50\r\n\r\n{",
        HEAD + b"Content-Le",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n",
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()
    await answers_as_usual(server)
    no_traceback(log)


async def test_a_body_too_large_is_drained_told_and_pages_somebody(tmp_path: Path, log: Logged) -> None:
    """413 reaches a client that writes all before it reads, and an alert of imd's own names the sender."""
    settings = Settings(limits=Limits(body_bytes_max=100_000, body_read_timeout=timedelta(seconds=2)))
    async with serving(tmp_path, settings=settings) as server:
        body = b" " * 5_000_000
        answer = await raw(server, HEAD + b"Content-Length: 5000000\r\n\r\n" + body)
        assert status_of(answer) == 413
        chunks = b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
        assert status_of(await raw(server, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)) == 413
        own = [alert for alert in server.open_alerts() if alert.source == "imd"]
        assert [alert.labels()["sender"] for alert in own] == ["alertmanager"]
        _, rejected, _ = await server.call("GET", "/v1/rejected")
        assert "larger than 100000 bytes" in rejected["items"][0]["error"]
        assert b'imd_alerts_rejected_total{reason="too_large",source="alertmanager"} 2.0' in server.metrics.render()
    no_traceback(log)


@pytest.mark.parametrize("path", ["/api/v2/alerts", "/v1/ingest/alertmanager"])
async def test_a_large_body_is_decoded_in_parts(server: Server, path: str) -> None:
    """Each refusal has its place in the whole body, and what is wrong with the whole refuses all of it."""
    alerts = [
        {"labels": {"alertname": f"A{n}"}, "annotations": {"text": "x" * 1000}, "status": "firing"} for n in range(700)
    ]
    alerts[333]["labels"] = {"alertname": 7}
    alerts[650]["labels"] = {}
    sent = {"alerts": alerts} if "ingest" in path else alerts
    status, answer, _ = await server.call("POST", path, sent)
    assert len(list(server.open_alerts())) == 698
    _, kept, _ = await server.call("GET", "/v1/rejected")
    assert [one["index"] for one in kept["items"]] == [650, 333]
    if "ingest" in path:
        assert (status, answer["accepted"], [one["index"] for one in answer["rejected"]]) == (200, 698, [333, 650])
    deep = json.dumps([{"labels": {"alertname": "B"}, "x": "y" * 600_000, "deep": "@"}]).replace(
        '"@"', "[" * 50 + "]" * 50
    )
    deep = deep if "ingest" not in path else f'{{"alerts": {deep}}}'
    status, _, _ = await server.call("POST", path, raw=deep.encode(), Content_Type="application/json")
    assert status == 400
    assert len(list(server.open_alerts())) == 698
