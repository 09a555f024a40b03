"""`imd tee`: what imd would have done beside another pager, and how that compares with what was sent.

Owns reading the two histories and the printing; what is compared is `replay.beside`. Needs no daemon, sends nothing.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.files import loaded
from imd.cli.flags import NEVER
from imd.cli.history import STDIN, EventLines, History, StoreLines
from imd.cli.instants import since, stamp
from imd.cli.screen import Column, Screen
from imd.clock import SystemClock
from imd.config.load import Loaded
from imd.model.event import SilenceExpired, SilenceSet
from imd.replay.beside import BadSent, Report, Row, Sent, read_sent, report
from imd.replay.journal import BadEvents, EventsReader, Recorded
from imd.replay.outcome import Run
from imd.replay.sides import Side

_SHOWN_MAX = 10


class _Line(msgspec.Struct):
    """Of a firing line of EVENTS.jsonl."""

    labels: dict[str, str] = {}


def run(arguments: Namespace) -> int:
    """0. Raises Misused, Failed."""
    events: Path | None = arguments.events
    if events is not None and arguments.store is not None:
        raise Misused("--events or --store, not both")
    for path in (arguments.config, None if str(events) == STDIN else events, arguments.sent):
        if path is not None and not path.exists():
            raise Misused(f"no such file: {path}")
    files = loaded(arguments.config, [], None)
    history = EventLines(events) if events is not None else StoreLines(arguments.store or files.settings.store)
    sent = _sent(arguments.sent)
    side = _side(files, history, _since(arguments.since), _ack_after(arguments.ack_after))
    found = report(side, _members(side, history), sent)
    if arguments.json:
        print(msgspec.json.encode(found).decode())
    else:
        _show(Screen.of_process(), found, compared=arguments.sent is not None, whole=arguments.all)
    return 0


def _ack_after(given: timedelta | str | None) -> timedelta | None:
    if given == NEVER:
        return None
    return given if isinstance(given, timedelta) else timedelta(0)


def _since(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return since(given, SystemClock().now())
    except ValueError as error:
        raise Misused(f"--since: {error}") from None


def _sent(path: Path | None) -> Sequence[Sent]:
    if path is None:
        return ()
    try:
        return read_sent(str(path), EventLines(path))
    except BadSent as bad:
        raise Failed("\n".join([f"{path} is not read:", *bad.faults])) from None


def _side(files: Loaded, history: History, begin: datetime | None, ack_after: timedelta | None) -> Side:
    """The history under the same rules, with everybody paged."""
    ruleset = msgspec.structs.replace(files.ruleset, tee=False)
    reader = EventsReader(history.name, ruleset.sources)
    running = Run(ruleset, ack_after=ack_after)
    try:
        for recorded in _wanted(reader.read(history.watched()), begin):
            running.take(recorded)
    except BadEvents as bad:
        raise Failed("\n".join([f"{bad.count} faults", *bad.faults])) from None
    return Side(ruleset, running.result(reader))


def _wanted(steps: Iterable[Recorded], begin: datetime | None) -> Iterator[Recorded]:
    """From then on; silences from before it may still be in force."""
    return (
        one for one in steps if begin is None or one.at >= begin or isinstance(one.event, SilenceSet | SilenceExpired)
    )


def _members(side: Side, history: History) -> Mapping[int, list[Mapping[str, str]]]:
    """The labels of each incident's alerts, from the lines that were read."""
    found: dict[int, list[Mapping[str, str]]] = {}
    decode = msgspec.json.Decoder(_Line).decode
    for number, line in enumerate(history, 1):
        if number < len(side.lines) and side.lines[number]:
            found.setdefault(side.lines[number], []).append(decode(line).labels)
    return found


def _show(screen: Screen, found: Report, compared: bool, whole: bool) -> None:
    imd = found.imd
    span = f"{stamp(found.began_at)} to {stamp(found.ended_at)}" if found.began_at and found.ended_at else "no event"
    screen.fields(
        {
            "history": span,
            "imd": f"{imd.alerts} alerts would have been {imd.incidents} incidents, {imd.paged} of them paged, "
            f"in {imd.pages} pages",
            "to": _counts(imd.by_recipient),
            "sent": f"{found.sent_messages} messages by the other pager" if compared else "",
            "of it to": _counts(found.sent_by_receiver) if compared else "",
            "both": f"{len(found.both)} incidents, imd {_later(found.seconds_later)}" if compared else "",
            "imd alone": f"{len(found.imd_only)} incidents" if compared else "",
            "other alone": f"{len(found.sent_only)} incidents or messages" if compared else "",
        }
    )
    if not compared:
        _table(screen, "WOULD HAVE BEEN PAGED", found.imd_only, whole)
        return
    _table(screen, "IMD ALONE WOULD HAVE PAGED", found.imd_only, whole)
    _table(screen, "THE OTHER PAGER ALONE SENT", found.sent_only, whole)
    _table(screen, "BOTH", found.both, whole)


def _later(seconds: float | None) -> str:
    if seconds is None:
        return "not to be compared"
    return f"{abs(seconds):g} s {'later' if seconds > 0 else 'earlier'} (median of first pages)"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name or '(unnamed)'} {count}" for name, count in counts.items())


def _table(screen: Screen, heading: str, rows: Sequence[Row], whole: bool) -> None:
    if not rows:
        return
    shown = rows if whole else rows[:_SHOWN_MAX]
    screen.line()
    screen.line(f"{heading} ({len(rows)})")
    screen.table(
        (
            Column("IMD", leave_out=2),
            Column("PRIORITY", leave_out=1),
            Column("TITLE", elastic=True),
            Column("IMD PAGES"),
            Column("OTHER SENT"),
            Column("WHY NOT", elastic=True, leave_out=3),
        ),
        [
            [
                "" if one.incident is None else f"#{one.incident}",
                one.priority,
                one.title,
                _when(one.imd_at, one.imd_pages),
                _when(one.sent_at, one.sent_messages),
                one.because,
            ]
            for one in shown
        ],
    )
    if len(rows) > len(shown):
        screen.line(f"… and {len(rows) - len(shown)} more; --all shows them")


def _when(at: datetime | None, count: int) -> str:
    return "" if at is None else f"{count}, from {stamp(at)}"
