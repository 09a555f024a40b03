"""The link in a page that a real daemon sent: it acknowledges, and no link that works is on disk or in the log."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.running import Daemons, until

EACH = "rules: [{name: each, match: 'alertname=~\".+\"', hold: 0s}]\n"


def test_a_pages_link_acknowledges_after_kill_9_too(daemons: Daemons, tmp_path: Path) -> None:
    pages = tmp_path / "pages.jsonl"
    receiver = f"{{name: pages, type: file, path: {pages}, send: [page, acknowledged]}}"
    daemon = daemons(f"external_url: https://imd.example/base\nreceivers: [{receiver}]\n", EACH)
    daemon.start()
    assert daemon.post("/api/v2/alerts", [{"labels": {"alertname": "Down"}}]).status == 200
    sent = until(
        "the page", lambda: [json.loads(one) for one in pages.read_text().splitlines()] if pages.exists() else []
    )
    path = sent[0]["links"]["ack"].removeprefix("https://imd.example")
    until("its end is on disk", lambda: daemon.pending() == 0)
    daemon.kill()
    token = path.rpartition("/")[2].encode()
    assert not any(token in file.read_bytes() for file in tmp_path.rglob("imd.db*"))
    daemon.start()
    assert daemon.get(path).status == 200
    assert daemon.get("/v1/incidents/1").json()["state"] == "triggered"
    assert daemon.post(path).status == 200
    until("the acknowledgement", lambda: len(pages.read_text().splitlines()) == 2)
    told = json.loads(pages.read_text().splitlines()[1])
    assert (told["kind"], told["links"]["ack"]) == ("acknowledged", None)
    assert told["incident"]["acknowledged_by"] == "pages"
    assert token.decode() not in daemon.log()
