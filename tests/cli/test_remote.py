"""Whatever a daemon answers, or does not, is one line on standard error and exit 1."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Imd
from tests.cli.standin import StandIn

OPEN = {"items": [], "next_cursor": None}


def test_nobody_there_says_where_and_how_to_start(imd: Imd, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code, out, err = imd("incidents", "--url", f"http://127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert err.startswith(
        f"imd: nothing listens at http://127.0.0.1:{port} (connection refused); start imd with `imd serve"
    )
    assert err.count("\n") == 1


def test_a_name_that_is_no_host(imd: Imd) -> None:
    code, _, err = imd("incidents", "--url", "http://no.such.host.invalid:9490")
    assert code == 1
    assert err.startswith("imd: no.such.host.invalid: ")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, {"title": "Conflict", "status": 409, "detail": "alerts still fire"}, "alerts still fire (409 Conflict)"),
        (404, {"title": "Not Found", "status": 404, "detail": "no incident 3"}, "no incident 3 (404 Not Found)"),
        (401, {"title": "Unauthorized", "status": 401}, "name a token with --token-file or IMD_TOKEN"),
        (403, {"title": "Forbidden", "status": 403}, "name a token that has it with"),
        (503, {"title": "Service Unavailable", "status": 503, "detail": "the inbox is full"}, "the inbox is full (503"),
        (400, "bad\x1b[2J\nmatcher", "(400 Bad Request)"),
        (400, '"invalid matcher"', "invalid matcher (400 Bad Request)"),
        (422, {"code": 602, "message": "labels in body is required"}, "labels in body is required (422"),
        (502, "<html>proxy</html>", "(502 Bad Gateway)"),
        (302, "", "(302 Found)"),
        (799, "", "(799 unknown status)"),
    ],
)
def test_a_refusal_is_the_daemons_own_words(
    daemon: StandIn, imd: Imd, status: int, body: object, expected: str
) -> None:
    daemon.answers["GET /v1/incidents"] = (status, body)
    code, out, err = imd("incidents")
    assert (code, out) == (1, "")
    assert err.startswith("imd: ")
    assert expected in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "body",
    ["", "not json", "[]", {"items": [{"id": 3}]}, {"items": 3}, "\ud800".encode("utf-8", "surrogatepass").hex()],
)
def test_an_answer_of_another_kind_of_server(daemon: StandIn, imd: Imd, body: object) -> None:
    daemon.answers["GET /v1/incidents"] = (200, body)
    code, out, err = imd("incidents")
    assert (code, out) == (1, "")
    assert "is --url right?" in err


def test_a_hang_up(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/incidents"] = (0, "")
    code, _, err = imd("incidents")
    assert code == 1
    assert err.startswith(f"imd: {daemon.url}: ")


def test_the_token_comes_from_the_file_before_the_environment(
    daemon: StandIn, imd: Imd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answers["GET /v1/incidents"] = (200, OPEN)
    imd("incidents")
    monkeypatch.setenv("IMD_TOKEN", "from-environment")
    imd("incidents")
    (tmp_path / "token").write_text("from-file\nnever mind\n")
    imd("incidents", "--token-file", str(tmp_path / "token"))
    assert [asked.headers.get("Authorization") for asked in daemon.asked] == [
        None,
        "Bearer from-environment",
        "Bearer from-file",
    ]


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\n", b"a\x00b\n"])
def test_a_token_file_without_a_token(daemon: StandIn, imd: Imd, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    code, _, err = imd("incidents", "--token-file", str(tmp_path / "token"))
    assert code == 1
    assert "token" in err
    assert daemon.asked == []


def test_a_token_that_no_header_can_carry_is_not_shown(
    daemon: StandIn, imd: Imd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMD_TOKEN", "s3cr\u00ebt")
    code, _, err = imd("incidents")
    assert code == 1
    assert err.startswith("imd: IMD_TOKEN is no token")
    assert "s3cr" not in err


def test_the_path_of_the_url_is_a_prefix(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /am/imd/v1/incidents"] = (200, OPEN)
    assert imd("incidents", "--url", f"{daemon.url}/am/imd/")[0] == 0
