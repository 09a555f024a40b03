"""The `exec` receiver: a command with the body on its standard input; its exit code is the answer.

Owns the process and its group. No shell, hardly any environment, a bounded time and a bounded memory of what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from asyncio.subprocess import Process, SubprocessStreamProtocol
from collections.abc import Sequence

from imd.channels.contract import Answer, BadSettings, Conversation, Pace, Permanent, Receipt, Temporary, body_of
from imd.model.effect import Delivery

TIMEOUT_SECONDS = 10.0
STDERR_BYTES_MAX = 1024
LAST_WORDS_SECONDS = 0.2
"""How long to wait for standard error to end after the process did; a child of its own may hold it open for ever."""
_KEPT_VARIABLES = ("PATH", "HOME", "LANG")
_NO_ROOM = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


class Exec:
    """Runs `command` (program and arguments) once for each attempt. Raises BadSettings for an empty command."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, command: Sequence[str], timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        if not command or not command[0]:
            raise BadSettings("command is empty")
        self._command = tuple(command)
        self._timeout_seconds = timeout_seconds

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        try:
            transport, protocol = await self._start(delivery)
        except OSError as error:
            text = f"{self._command[0]} does not start: {error.strerror}"
            return Temporary(text) if error.errno in _NO_ROOM else Permanent(text)
        except ValueError as error:  # a NUL byte in an argument
            return Permanent(f"{self._command[0]} does not start: {error}")
        process = Process(transport, protocol, asyncio.get_running_loop())
        words = _Tail(STDERR_BYTES_MAX)
        talk = asyncio.ensure_future(_talk(process, body_of(delivery, attempt), words))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await protocol.exited
            await asyncio.wait({talk}, timeout=LAST_WORDS_SECONDS)
        except TimeoutError:
            return Temporary(f"killed after {self._timeout_seconds:g} s{words.text()}", ambiguous=True)
        finally:
            await _end(process, talk)
            transport.close()
        assert process.returncode is not None, "it has exited"
        return _judge(process.returncode, words.text())

    async def close(self) -> None:
        """Nothing: no process outlives its `send`."""

    async def _start(self, delivery: Delivery) -> tuple[asyncio.SubprocessTransport, _Protocol]:
        """As asyncio.create_subprocess_exec, which keeps the transport to itself: closing that is what frees pipes
        that a grandchild holds open."""
        loop = asyncio.get_running_loop()
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        own = {
            "IMD_KIND": delivery.kind.value,
            "IMD_PRIORITY": delivery.priority.value,
            "IMD_INCIDENT": delivery.incident,
        }
        return await loop.subprocess_exec(
            lambda: _Protocol(loop),
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a group of its own, to be killed as a whole
            env=kept | own,
        )


class _Protocol(SubprocessStreamProtocol):
    """Tells when the process itself ended. Process.wait also waits for its pipes, which a daemon that the command left
    behind may hold open for ever."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=65_536, loop=loop)
        self.exited: asyncio.Future[None] = loop.create_future()

    def process_exited(self) -> None:
        super().process_exited()
        if not self.exited.done():
            self.exited.set_result(None)


class _Tail:
    """The last bytes of a stream."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._kept = b""

    def add(self, piece: bytes) -> None:
        self._kept = (self._kept + piece)[-self._bytes_max :]

    def text(self) -> str:
        words = " ".join(self._kept.decode("utf-8", "replace").split())
        return ": " + "".join(char if char.isprintable() else "?" for char in words) if words else ""


async def _talk(process: Process, body: bytes, words: _Tail) -> None:
    """Writes the body and reads standard error, side by side: a command may do either first, or neither."""
    assert process.stdin is not None
    assert process.stderr is not None
    feeding = asyncio.ensure_future(_feed(process.stdin, body))
    try:
        while piece := await process.stderr.read(65_536):
            words.add(piece)
        await feeding
    finally:
        feeding.cancel()


async def _feed(stdin: asyncio.StreamWriter, body: bytes) -> None:
    with contextlib.suppress(OSError):  # it need not read what it does not want
        stdin.write(body)
        await stdin.drain()
    stdin.close()


async def _end(process: Process, talk: asyncio.Future[None]) -> None:
    """Kills what is left of the group, ends the talk."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
    talk.cancel()
    await asyncio.wait({talk})


def _judge(code: int, words: str) -> Answer:
    """Exit codes: 0, sysexits.h's EX_TEMPFAIL, all others. A negative code is the signal that ended it."""
    if code == 0:
        return Receipt("exit code 0")
    if code < 0:
        return Temporary(f"ended by signal {-code}{words}", ambiguous=True)
    error = f"exit code {code}{words}"
    return Temporary(error) if code == os.EX_TEMPFAIL else Permanent(error)
