"""System calls that fail or linger, in a daemon that runs: strace is put to it, and taken away again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.running import until

SYNC = "fdatasync,fsync"
WRITE = "pwrite64,ftruncate,fallocate"  # what SQLite writes files with; sockets, pipes and the log use others


def needs_strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")


@contextmanager
def injecting(pid: int, calls: str, what: str) -> Iterator[None]:
    """`calls` by name, `what` as strace has it after them: "error=EIO:when=3", "delay_exit=500000" (microseconds)."""
    strace = subprocess.Popen(
        [
            "strace",
            "-f",
            "-qq",
            "-p",
            str(pid),
            "-o",
            os.devnull,
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:{what}",
        ],
        stderr=subprocess.PIPE,
    )
    try:
        until("strace holds every thread", lambda: strace.poll() is not None or _held(pid))
        if strace.poll() is not None:
            assert strace.stderr is not None
            pytest.skip(f"strace cannot attach: {strace.stderr.read().decode().strip()}")
        yield
    finally:
        if strace.poll() is None:
            strace.send_signal(signal.SIGINT)
        try:
            strace.wait(10)
        except subprocess.TimeoutExpired:
            strace.kill()  # it holds a call back for longer than that
            strace.wait()
        if strace.stderr is not None:
            strace.stderr.close()


def _held(pid: int) -> bool:
    statuses = [task / "status" for task in Path(f"/proc/{pid}/task").iterdir()]
    return all("TracerPid:\t0\n" not in status.read_text() for status in statuses)
