"""`imd backtest`: two rule sets over one history, each in a process of its own. Needs no daemon, sends nothing.

Owns the two processes and the exit code; what differs is imd.replay.backtest, how it is printed `compared`.
"""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from imd.cli import compared
from imd.cli.failure import Failed, Misused
from imd.cli.files import loaded
from imd.cli.flags import NEVER
from imd.cli.history import STDIN, EventLines, History, StoreLines
from imd.cli.instants import since
from imd.cli.screen import Screen
from imd.clock import SystemClock
from imd.config.load import Loaded
from imd.model.event import SilenceExpired, SilenceSet
from imd.model.policy import Ruleset
from imd.replay.backtest import CONDITIONS, Comparison, held
from imd.replay.journal import BadEvents, EventsReader, Recorded, happened
from imd.replay.outcome import Result, Run
from imd.replay.sides import Side

_PIPE_BYTES = 1 << 20


def run(arguments: Namespace) -> int:
    """0: done, 1: a condition of --fail-on holds. Raises Misused, Failed."""
    _refuse(arguments)
    config, topology = arguments.config, arguments.topology
    after = loaded(config, [arguments.rules], topology)
    before = loaded(config, [arguments.against] if arguments.against else [], topology)
    history = _history(arguments, before)
    work = _Work(history, _since(arguments), _ack_after(arguments.ack_after, history))
    old, new = _both(work, before.ruleset, after.ruleset)
    comparison = Comparison(Side(before.ruleset, old), Side(after.ruleset, new))
    found = comparison.compared()
    if arguments.markdown is not None:
        _write(arguments.markdown, compared.markdown(found))
    if arguments.json:
        print(msgspec.json.encode(found).decode())
    else:
        compared.show(Screen.of_process(), found, new, whole=arguments.all)
    failed = held(arguments.fail_on, comparison, found)
    if failed:
        said = ", ".join(f"{name} ({count})" for name, count in failed.items())
        print(f"imd: failed on {said}", file=sys.stderr)
    return 1 if failed else 0


def _refuse(arguments: Namespace) -> None:
    unknown = [name for name in arguments.fail_on if name not in CONDITIONS]
    if unknown:
        raise Misused(f"--fail-on knows no {unknown[0]!r}; there are {', '.join(CONDITIONS)}")
    if arguments.events is None and arguments.store is None and arguments.config is None:
        raise Misused("`backtest` wants --events FILE, or --store URL, or the store that --config FILE names")
    if arguments.events is not None and arguments.store is not None:
        raise Misused("--events or --store, not both")
    events = None if str(arguments.events) == STDIN else arguments.events
    for path in (arguments.rules, arguments.against, arguments.config, arguments.topology, events):
        if path is not None and not path.exists():
            raise Misused(f"no such file or folder: {path}")
    if arguments.markdown is not None and not arguments.markdown.parent.is_dir():
        raise Misused(f"no such folder: {arguments.markdown.parent}")


def _history(arguments: Namespace, before: Loaded) -> History:
    if arguments.events is not None:
        return EventLines(arguments.events)
    return StoreLines(arguments.store or before.settings.store)


def _since(arguments: Namespace) -> datetime | None:
    if arguments.since is None:
        return None
    try:
        return since(arguments.since, SystemClock().now())
    except ValueError as error:
        raise Misused(f"--since: {error}") from None


def _ack_after(given: timedelta | str | None, history: History) -> timedelta | None:
    """As with `replay`: a recorded run is left as it was."""
    if isinstance(given, timedelta):
        return given
    return None if given == NEVER or happened(history) else timedelta(0)


class _Work:
    """One history, to be run under any rules."""

    def __init__(self, history: History, since: datetime | None, ack_after: timedelta | None) -> None:
        self.history = history
        self._since = since
        self._ack_after = ack_after

    def under(self, ruleset: Ruleset, lines: Iterable[bytes]) -> Result:
        """Raises BadEvents, Failed."""
        reader = EventsReader(self.history.name, ruleset.sources)
        running = Run(ruleset, ack_after=self._ack_after)
        for recorded in self._wanted(reader.read(lines)):
            running.take(recorded)
        return running.result(reader)

    def _wanted(self, steps: Iterable[Recorded]) -> Iterator[Recorded]:
        """From `since` on; silences from before it may still be in force."""
        if self._since is None:
            yield from steps
            return
        for recorded in steps:
            if recorded.at >= self._since or isinstance(recorded.event, SilenceSet | SilenceExpired):
                yield recorded


def _both(work: _Work, old: Ruleset, new: Ruleset) -> tuple[Result, Result]:
    """Side by side: the old rules in a process of their own, which hands its result over. Raises Failed."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        _hand_over(work, old, writable)
    os.close(writable)
    try:
        with os.fdopen(readable, "rb") as pipe:
            mine = work.under(new, work.history.watched())
            theirs = pipe.read()
    except BadEvents as bad:
        count = f"{bad.count} fault{'s' if bad.count != 1 else ''}"
        raise Failed("\n".join([f"{count}, no backtest", *bad.faults])) from None
    finally:
        _end(child)
    if not theirs:
        raise Failed("the run under the old rules ended before it was done; was there too little memory?")
    return msgspec.msgpack.decode(theirs, type=Result), mine


def _hand_over(work: _Work, ruleset: Ruleset, writable: int) -> None:
    """In the child; never returns. Faults of the history are told by the parent, which finds the same ones."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        result = work.under(ruleset, work.history)
        with os.fdopen(writable, "wb", _PIPE_BYTES) as pipe:
            pipe.write(msgspec.msgpack.encode(result))
        code = 0
    except (BadEvents, Failed, BrokenPipeError):
        pass
    finally:
        os._exit(code)


def _end(child: int) -> None:
    """The child is done, or not wanted any more."""
    try:
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
    except (ChildProcessError, ProcessLookupError):
        pass


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from None
