"""Tables keep to the width and to one line a row; strangers' text cannot steer the terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from imd.cli.instants import ago
from imd.cli.screen import Cell, Column, Screen, clean, columns_of, cut

COLUMNS = (
    Column("#", right=True),
    Column("STATE"),
    Column("AGE", leave_out=1),
    Column("WHO", elastic=True, leave_out=3),
    Column("RULE", elastic=True, leave_out=4),
    Column("TITLE", elastic=True),
)
LONG = "KubeNodeNotReady c1: node n1 lost and everything on it, 17 alerts over 4 services of 2 teams"
ROWS = [
    ["7", "triggered", "3m", "", "node-loss", LONG],
    ["12", "acknowledged", "2h05m", "ana", "a-rule-with-a-rather-long-name", "磁盘已满" * 30],
]


def printed(width: int | None, colour: bool = False) -> list[str]:
    out = io.StringIO()
    Screen(out, width, colour).table(COLUMNS, ROWS)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [30, 40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = printed(width)
    assert len(lines) == 3
    assert max(map(columns_of, lines)) <= width


def test_a_narrow_terminal_loses_the_least_important_columns() -> None:
    assert printed(36)[0].split() == ["#", "STATE", "AGE", "TITLE"]
    assert printed(80)[0].split() == ["#", "STATE", "AGE", "WHO", "RULE", "TITLE"]


def test_what_is_cut_says_so_and_what_fits_is_whole() -> None:
    assert printed(80)[1].endswith("…")
    assert "a-rule-with-a-rather-long-name" in printed(200)[2]


def test_into_a_pipe_nothing_is_cut() -> None:
    assert printed(None)[1].endswith(LONG)


def test_colour_changes_no_width() -> None:
    out = io.StringIO()
    Screen(out, 80, colour=True).table((Column("A"), Column("B")), [[Cell("x", "red"), "y"]])
    heading, row = out.getvalue().splitlines()
    assert row == "\x1b[1;31mx\x1b[0m  y"
    assert heading == "\x1b[2mA\x1b[0m  \x1b[2mB\x1b[0m"


class _Out(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(("environ", "terminal", "colour"), [
    ({}, True, True),
    ({}, False, False),
    ({"NO_COLOR": "1"}, True, False),
    ({"TERM": "dumb"}, True, False),
])  # fmt: skip
def test_colour_is_for_terminals_that_want_it(environ: dict[str, str], terminal: bool, colour: bool) -> None:
    screen = Screen.of_process(_Out(terminal), environ)
    assert screen.colour is colour
    assert (screen.width is not None) is terminal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a b c"),
        ("\x1b[2Jgone", "\N{REPLACEMENT CHARACTER}[2Jgone"),
        ("pay\u202eload", "pay\N{REPLACEMENT CHARACTER}load"),
        ("磁盘 é", "磁盘 é"),
    ],
)
def test_what_strangers_wrote_is_made_harmless(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_wide_characters_take_two_columns() -> None:
    assert columns_of("磁盘") == 4
    assert cut("磁盘已满", 5) == "磁盘…"
    assert cut("abc", 3) == "abc"


NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-5, "0s"), (40, "40s"), (200, "3m"), (7500, "2h05m"), (4 * 86_400 + 3 * 3600, "4d03h")]
)
def test_ages(seconds: int, expected: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == expected
