"""What is special to the channels without a network: console, file, exec."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import time
from pathlib import Path

import pytest

from imd.channels.console import Console, one_line
from imd.channels.contract import BadSettings, Permanent, Receipt, Temporary
from imd.channels.exec import Exec
from imd.channels.file import File, append
from tests.channels.samples import delivery

LINE = b'{"attempt":1,"delivery_id":"d1"}\n'


async def test_the_console_prints_the_headline(capfd: pytest.CaptureFixture[str]) -> None:
    """One line on standard output, whatever the title holds."""
    console = Console()
    assert await console.send(delivery(headline="PAGE P2 #1 disk full"), 1) == Receipt()
    assert await console.send(delivery(headline="PAGE P1 #2 a\nb\x1b[2J\u202e\ud800 ünï"), 1) == Receipt()
    await console.close()
    assert capfd.readouterr().out == "PAGE P2 #1 disk full\nPAGE P1 #2 a\\nb\\x1b[2J\\u202e\\ud800 ünï\n"


@pytest.mark.parametrize("char", ["\r", "\0", "\x7f", "\x9b", "\u2028", "\u2066", "\t"])
def test_steering_characters_are_escaped(char: str) -> None:
    assert one_line(f"a{char}b").isprintable()


async def test_a_reader_that_went_away_is_temporary() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    console = Console(writing)
    given = await console.send(delivery(), 1)
    await console.close()
    os.close(writing)
    assert given == Temporary("standard output: Broken pipe")


async def test_the_file_survives_rotation(tmp_path: Path) -> None:
    """Renamed away, it is made anew by the next write; its folders too."""
    path = tmp_path / "deep" / "er" / "pages.jsonl"
    channel = File(path)
    await channel.send(delivery(1), 1)
    path.rename(path.with_suffix(".1"))
    await channel.send(delivery(2), 1)
    await channel.close()
    assert [json.loads(each.read_text())["delivery_id"] for each in (path.with_suffix(".1"), path)] == ["d1", "d2"]
    assert path.stat().st_mode & 0o007 == 0


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """The write stops in the middle (a size limit stands in for the disk): cut back, told, and fine again later."""
    path = tmp_path / "pages.jsonl"
    assert append(path, LINE) == Receipt()
    child = os.fork()
    if child == 0:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(LINE) + 10, len(LINE) + 10))
        given = append(path, LINE)
        os._exit(0 if given == Temporary(f"{path}: {os.strerror(errno.EFBIG)}") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert path.read_bytes() == LINE
    assert append(path, LINE) == Receipt()
    assert path.read_bytes() == LINE * 2


@pytest.mark.parametrize("torn", [1, 5, 20, len(LINE) - 1])
def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path, torn: int) -> None:
    """Its delivery was never settled and comes again; readers meet whole lines only."""
    path = tmp_path / "pages.jsonl"
    path.write_bytes(LINE + LINE[:torn])
    assert append(path, LINE) == Receipt()
    assert path.read_bytes() == LINE * 2


def test_what_others_wrote_stays(tmp_path: Path) -> None:
    path = tmp_path / "pages.jsonl"
    path.write_bytes(b"# a comment without an end")
    append(path, LINE)
    assert path.read_bytes() == b"# a comment without an end\n" + LINE


async def test_the_command_sees_little_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH, HOME, LANG and what the page is about; no token of ours."""
    monkeypatch.setenv("IMD_TOKEN", "canary")
    path = tmp_path / "env"
    assert await Exec(["sh", "-c", f"env > {path}"]).send(delivery(), 1) == Receipt("exit code 0")
    seen = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert {seen["IMD_KIND"], seen["IMD_PRIORITY"], seen["IMD_INCIDENT"]} == {"page", "P2", "i1"}
    assert set(seen) - {"PWD", "SHLVL", "_", "OLDPWD"} <= {
        "PATH", "HOME", "LANG", "IMD_KIND", "IMD_PRIORITY", "IMD_INCIDENT",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "given"),
    [
        ("exit 75", Temporary("exit code 75")),
        ("echo no such pager >&2; exit 3", Permanent("exit code 3: no such pager")),
        ("kill -9 $$", Temporary("ended by signal 9", ambiguous=True)),
        ("exec <&-; exit 0", Receipt("exit code 0")),
    ],
)
async def test_exit_codes(script: str, given: object) -> None:
    assert await Exec(["sh", "-c", script]).send(delivery(body=b'{"x":"' + b"y" * 300_000 + b'"}'), 1) == given


async def test_only_the_tail_of_standard_error_is_kept() -> None:
    """A megabyte of complaints does not block the command, and its end is what we quote."""
    given = await Exec(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1"]).send(
        delivery(), 1
    )
    assert isinstance(given, Permanent)
    assert len(given.error) < 1100
    assert given.error.endswith("xthe end")


async def test_the_whole_group_is_killed(tmp_path: Path) -> None:
    """A child of the command does not outlive the time-out."""
    path = tmp_path / "child"
    given = await Exec(["sh", "-c", f"sleep 60 & echo $! > {path}; wait"], 0.3).send(delivery(), 1)
    assert given == Temporary("killed after 0.3 s", ambiguous=True)
    child = int(path.read_text())
    for _ in range(100):
        if not runs(child):
            return
        await asyncio.sleep(0.02)
    pytest.fail("the child still runs")


def runs(process: int) -> bool:
    """Neither gone nor a zombie that waits for its reaper."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


async def test_a_daemon_left_behind_does_not_hold_up_the_answer() -> None:
    """It keeps our pipes open; the command itself has answered."""
    began = time.monotonic()
    assert await Exec(["sh", "-c", "sleep 3 & exit 0"]).send(delivery(), 1) == Receipt("exit code 0")
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("command", [["/no/such/program"], ["/etc/passwd"], ["sh", "a\0b"]])
async def test_what_cannot_start_is_permanent(command: list[str]) -> None:
    given = await Exec(command).send(delivery(), 1)
    assert isinstance(given, Permanent)
    assert f"{command[0]} does not start" in given.error


@pytest.mark.parametrize("command", [[], [""]])
def test_an_empty_command_is_a_fault(command: list[str]) -> None:
    with pytest.raises(BadSettings):
        Exec(command)
