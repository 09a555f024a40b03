"""`send` speaks as any sender does; `page` says what the receiver said."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import Imd
from tests.cli.standin import StandIn


def test_a_bare_first_word_is_the_alertname(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /api/v2/alerts"] = (200, "")
    code, out, err = imd("send", "DiskFull", "instance=db1", "severity=critical", "--annotation", "summary=2% left")
    assert (code, out, err) == (0, 'firing: DiskFull{instance="db1", severity="critical"}\n', "")
    [asked] = daemon.asked
    labels = {"alertname": "DiskFull", "instance": "db1", "severity": "critical"}
    assert asked.body == [{"labels": labels, "annotations": {"summary": "2% left"}}]
    assert asked.headers["Content-Type"] == "application/json"


def test_a_value_may_hold_an_equals_sign_and_be_empty(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /api/v2/alerts"] = (200, "")
    imd("send", "alertname=A", "query=a=b", "team=")
    [body] = daemon.asked[0].body
    assert body["labels"] == {"alertname": "A", "query": "a=b", "team": ""}


def test_a_resolve_ends_now(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /api/v2/alerts"] = (200, "")
    before = datetime.now(UTC)
    _, out, _ = imd("send", "A", "--resolve", "--json")
    [body] = daemon.asked[0].body
    assert json.loads(out) == body
    assert before <= datetime.fromisoformat(body["endsAt"]) <= datetime.now(UTC), "not before what it is to end"


def test_alertmanagers_kind_of_error_is_understood(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["POST /api/v2/alerts"] = (400, '"invalid label set: invalid label name \\"\\""')
    assert imd("send", "A") == (1, "", 'imd: invalid label set: invalid label name "" (400 Bad Request)\n')


@pytest.mark.parametrize(
    ("answer", "code", "out", "err"),
    [
        ({"accepted": True, "detail": "printed"}, 0, "ops took it: printed\n", ""),
        ({"accepted": False, "detail": "channel_not_found"}, 1, "", "imd: ops did not take it: channel_not_found\n"),
    ],
)
def test_page_says_what_the_receiver_said(
    daemon: StandIn, imd: Imd, answer: dict[str, object], code: int, out: str, err: str
) -> None:
    daemon.answers["POST /v1/receivers/ops/test"] = (200, {"receiver": "ops", **answer})
    assert imd("page", "ops", "a", "test") == (code, out, err)
    assert daemon.asked[0].body == {"by": "ana", "text": "a test"}
    assert imd("page", "ops", "x", "--json")[0] == code
