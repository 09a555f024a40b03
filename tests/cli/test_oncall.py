"""oncall: what is asked of the daemon, what is shown, the same from files, and the whole way against a real daemon."""

from __future__ import annotations

import builtins
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import icalendar
import pytest

from tests.cli.conftest import Imd
from tests.cli.running import Operator, running
from tests.cli.standin import StandIn

NOW = {
    "schedule": "primary", "timezone": "Europe/Berlin", "at": "2026-03-27T00:00:00Z", "person": "ana\x1b[2J",
    "because": "rotation 1", "until": "2026-03-30T07:00:00Z", "next": "ben",
}  # fmt: skip
EMPTY = {**NOW, "schedule": "office", "person": None, "because": "no layer has anybody", "until": None, "next": None}
RULES = """
people:
  - {name: ana, reach: [{receiver: console}]}
  - {name: ben, reach: [{receiver: console}]}
schedules:
  - name: primary
    timezone: Europe/Berlin
    rotations:
      - {people: [ana, ben], every: 1w, handoff: {weekday: mon, at: "09:00"}, start: "2025-12-29"}
    overrides: [{person: ben, from: "2030-01-01 00:00", to: "2030-01-02 00:00"}]
policies: [{name: default, steps: [{notify: ['schedule:primary']}]}]
"""
CONFIG = "listen: 127.0.0.1:0\nreceivers: [{name: console, type: console}]\nrules: [rules.yaml]\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path / "config.yaml"


def test_who_is_on_call_now_in_local_time(daemon: StandIn, imd: Imd) -> None:
    daemon.answers["GET /v1/oncall"] = 200, {"items": [NOW, EMPTY], "next_cursor": None}
    code, out, err = imd("oncall")
    assert (code, err) == (0, "")
    assert [re.split("  +", line) for line in out.splitlines()] == [
        ["SCHEDULE", "ON CALL", "UNTIL", "THEN", "BECAUSE"],
        ["primary", "ana\N{REPLACEMENT CHARACTER}[2J", "Mon 2026-03-30 09:00 CEST", "ben", "rotation 1"],
        ["office", "nobody", "no layer has anybody"],
    ]
    assert daemon.asked[-1].query == {}
    imd("oncall", "--at", "2026-03-27T01:00:00+01:00", "--schedule", "primary", "--days", "3", "--json")
    assert daemon.asked[-1].query == {"at": ["2026-03-27T00:00:00+00:00"], "schedule": ["primary"], "days": ["3"]}


def test_days_are_shown_shift_by_shift(files: Path, imd: Imd) -> None:
    """From files alone, over the night on which clocks go forward."""
    code, out, _ = imd("oncall", "--config", str(files), "--at", "2026-03-27T00:00:00Z", "--days", "9")
    assert code == 0
    assert [re.split("  +", line) for line in out.splitlines()[1:]] == [
        ["primary", "Fri 2026-03-27 01:00 CET", "Mon 2026-03-30 09:00 CEST", "3d7h", "ana", "rotation 1"],
        ["primary", "Mon 2026-03-30 09:00 CEST", "Sun 2026-04-05 02:00 CEST", "5d17h", "ben", "rotation 1"],
    ]


def test_a_calendar_of_whole_shifts(files: Path, imd: Imd) -> None:
    """Read back by another's library: nothing is cut at the edges, and asking later names the same events."""
    (first, out, _), (later, again, _) = (
        imd("oncall", "--config", str(files), "--at", at, "--days", "9", "--ics")
        for at in ("2026-03-27T00:00:00Z", "2026-03-28T12:00:00Z")
    )
    assert (first, later) == (0, 0)
    events = icalendar.Calendar.from_ical(out).walk("VEVENT")
    assert [(str(one["SUMMARY"]), one.start, one.end) for one in events] == [
        ("ana on call: primary", datetime(2026, 3, 23, 8, tzinfo=UTC), datetime(2026, 3, 30, 7, tzinfo=UTC)),
        ("ben on call: primary", datetime(2026, 3, 30, 7, tzinfo=UTC), datetime(2026, 4, 6, 7, tzinfo=UTC)),
    ]
    uids = [str(one["UID"]) for one in icalendar.Calendar.from_ical(again).walk("VEVENT")]
    assert uids[:2] == [str(one["UID"]) for one in events]


def test_a_calendar_without_its_extra(files: Path, imd: Imd, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to install."""
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == "icalendar":
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    code, out, err = imd("oncall", "--config", str(files), "--ics")
    assert (code, out) == (1, "")
    assert err == "imd: --ics needs an extra that is not installed: pip install 'imd[ics]'\n"


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (("--at", "noon"), 2, "--at wants an instant with its zone"),
        (("--days", "400"), 2, "--days is at most 366"),
        (("--ics", "--json"), 2, "choose one"),
        (("--config", "missing.yaml"), 2, "no such file"),
        (("override", "add", "primary"), 2, "wants a schedule and a person"),
        (("override", "add", "primary", "ben"), 2, "an override has an end"),
        (("override", "remove"), 2, "wants one id"),
        (("override", "list", "x"), 2, "takes no words"),
    ],
)
def test_what_makes_no_sense_is_refused(imd: Imd, argv: tuple[str, ...], code: int, said: str) -> None:
    found, out, err = imd("oncall", *argv)
    assert (found, out) == (code, "")
    assert said in err


def test_files_with_faults(files: Path, imd: Imd) -> None:
    (files.parent / "rules.yaml").write_text("schedules: 5")
    code, _, err = imd("oncall", "--config", str(files))
    assert code == 1
    assert "imd check --config" in err
    (files.parent / "rules.yaml").write_text(RULES)
    assert "no schedule 'x'" in imd("oncall", "--config", str(files), "--schedule", "x")[2]


def test_what_overrides_ask_for(daemon: StandIn, imd: Imd) -> None:
    made = {
        "id": "0d9c5a5e", "schedule": "primary", "person": "ben", "starts_at": "2026-12-24T17:00:00Z",
        "ends_at": "2026-12-25T05:00:00Z", "state": "pending", "by": "ana", "created_at": None, "ended_by": None,
        "comment": "swap", "timezone": "Europe/Berlin",
    }  # fmt: skip
    daemon.answers["POST /v1/oncall/overrides"] = 201, made
    code, out, _ = imd(
        "oncall",
        "override",
        "add",
        "primary",
        "ben",
        "--start",
        "2026-12-24 18:00",
        "--for",
        "12h",
        "--comment",
        "swap",
    )
    assert code == 0
    assert out.startswith("0d9c5a5e pending\nschedule: primary\nperson:   ben\nfrom:     Thu 2026-12-24 18:00 CET\n")
    assert daemon.asked[-1].body == {
        "schedule": "primary", "person": "ben", "by": "ana", "for": "12h", "starts_at": "2026-12-24 18:00",
        "comment": "swap",
    }  # fmt: skip
    daemon.answers["DELETE /v1/oncall/overrides/0d9c5a5e"] = 200, {**made, "state": "ended", "ended_by": "ana"}
    assert imd("oncall", "override", "remove", "0d9c5a5e")[1].startswith("0d9c5a5e ended\n")
    assert daemon.asked[-1].query == {"by": ["ana"]}
    daemon.answers["GET /v1/oncall/overrides"] = 200, {"items": [made, {**made, "id": None}], "next_cursor": None}
    out = imd("oncall", "override", "list", "--schedule", "primary", "--all")[1]
    assert daemon.asked[-1].query == {"schedule": ["primary"], "all": ["true"]}
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["0d9c5a5e", "in"]
    assert "Fri 2026-12-25 06:00 CET" in out
    daemon.answers["GET /v1/oncall/overrides"] = 200, {"items": [], "next_cursor": None}
    assert imd("oncall", "override")[1] == "no override\n"


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("oncall")
    (folder / "rules.yaml").write_text(RULES)
    with running(folder, CONFIG.replace("listen: 127.0.0.1:0\n", ""), os.environ) as operator:
        yield operator


def test_against_a_real_daemon(operator: Operator) -> None:
    """Put on call, seen, on the page of what fires then, taken off again."""
    code, out, err = operator("oncall", "override", "add", "primary", "ben", "--for", "2h", "--by", "ana", "--json")
    assert (code, err) == (0, "")
    which = re.search('"id":"([^"]+)"', out)
    assert which is not None
    shown = operator.json("oncall", "--json")
    assert [(one["person"], one["because"]) for one in shown["items"]] == [("ben", "override by ana")]
    assert operator("oncall", "override", "remove", which[1])[1].startswith(f"{which[1]} ended")
    listed = operator.json("oncall", "override", "list", "--all", "--json")
    assert [(one["person"], one["state"]) for one in listed["items"]] == [("ben", "ended"), ("ben", "pending")]
    assert operator("oncall", "override", "add", "primary", "dai", "--for", "2h")[0] == 1
