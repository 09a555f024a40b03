"""Commands over recorded history: replay. Needs no daemon, sends nothing.

Owns the files, the progress bar and what a person reads of the outcome; the run itself is imd.replay.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from imd.cli.arguments import NEVER
from imd.cli.failure import Failed, Misused
from imd.cli.instants import ago, stamp
from imd.cli.rows import priority_cell, state_cell
from imd.cli.screen import Cell, Column, Screen
from imd.config.load import Faulty, load
from imd.model.incident import Incident
from imd.model.policy import PageKind, Ruleset
from imd.replay.journal import BadEvents, EventsReader, Glance, glance
from imd.replay.report import IncidentLine, PageLine, Report
from imd.replay.run import Story, replay

STDIN = "-"
_UNMET_MAX = 10  # sentences
_BAR_EVERY = 2000  # lines
_BAR_FROM_BYTES = 4_000_000  # a shorter file is done before one would have read the bar


class _Summary(msgspec.Struct):
    events: int
    incidents: int
    pages: int
    messages: int
    skipped: dict[str, int]
    late: int
    unmet: dict[str, int]


class _Replayed(msgspec.Struct):
    """What `replay --json` prints."""

    summary: _Summary
    incidents: list[IncidentLine]
    pages: list[PageLine]


def run(arguments: Namespace) -> int:
    """0: done. Raises Misused, Failed."""
    _refuse_missing(arguments)
    ruleset = _ruleset(arguments)
    lines = _Lines(arguments.events)
    seen = glance(lines)
    reader = EventsReader(lines.name, ruleset.sources)
    try:
        story = replay(
            reader.read(lines.watched()),
            ruleset,
            ack_after=_ack_after(arguments.ack_after, seen),
            expire=arguments.expire,
            deliveries=seen.deliveries,
        )
    except BadEvents as bad:
        raise Failed("\n".join([f"{bad.count} faults, no replay", *bad.faults])) from None
    report = Report(story)
    if arguments.out is not None:
        _write(arguments.out, report)
    summary = _summary(story, reader)
    if arguments.json:
        replayed = _Replayed(summary, list(report.incidents()), list(report.pages()))
        print(msgspec.json.encode(replayed).decode())
    else:
        _print(Screen.of_process(), story, summary)
    return 0


def _refuse_missing(arguments: Namespace) -> None:
    named = [arguments.config, arguments.rules, arguments.topology]
    events = [] if str(arguments.events) == STDIN else [arguments.events]
    for path in [*events, *(one for one in named if one is not None)]:
        if not path.exists():
            raise Misused(f"no such file or folder: {path}")
    if arguments.out is not None and not arguments.out.parent.is_dir():
        raise Misused(f"no such folder: {arguments.out.parent}")


def _ruleset(arguments: Namespace) -> Ruleset:
    try:
        rules = [] if arguments.rules is None else [arguments.rules]
        maps = [] if arguments.topology is None else [arguments.topology]
        return load(arguments.config, rules, maps=maps).ruleset
    except Faulty as faulty:
        color = Screen.of_process(sys.stderr).colour
        print("\n".join(found.render(color=color) for found in faulty.diagnostics), file=sys.stderr)
        raise Failed(str(faulty)) from None


def _ack_after(given: timedelta | str | None, seen: Glance) -> timedelta | None:
    """A file in which nobody could act is given a person who acknowledges at once; a recorded run is left as it was."""
    if isinstance(given, timedelta):
        return given
    return None if given == NEVER or seen.actions or seen.deliveries else timedelta(0)


class _Lines:
    """The lines of a file, or of standard input, as often as they are asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        piped = str(path) == STDIN
        self.name = "<stdin>" if piped else str(path)
        self._kept = sys.stdin.buffer.readlines() if piped else None

    def __iter__(self) -> Iterator[bytes]:
        if self._kept is not None:
            yield from self._kept
            return
        try:
            with self._path.open("rb") as file:
                yield from file
        except OSError as error:
            raise Failed(f"cannot read {self._path}: {error.strerror}") from None

    def watched(self) -> Iterable[bytes]:
        """The same, with a bar on a terminal where it takes long."""
        size = sum(map(len, self._kept)) if self._kept is not None else self._path.stat().st_size
        return _with_bar(self, size) if sys.stderr.isatty() and size >= _BAR_FROM_BYTES else self


def _with_bar(lines: Iterable[bytes], size: int) -> Iterator[bytes]:
    done = 0
    for number, line in enumerate(lines):
        if number % _BAR_EVERY == 0:
            part = done / size
            print(f"\r[{'#' * int(part * 40):<40}] {part:4.0%}", end="", file=sys.stderr, flush=True)
        done += len(line)
        yield line
    print("\r" + " " * 50 + "\r", end="", file=sys.stderr, flush=True)


def _write(path: Path, report: Report) -> None:
    try:
        with path.open("wb") as file:
            file.writelines(report.lines())
    except OSError as error:
        raise Failed(f"cannot write {path}: {error.strerror}") from None


def _summary(story: Story, reader: EventsReader) -> _Summary:
    return _Summary(
        events=story.events,
        incidents=sum(1 for _ in Report(story).incidents()),
        pages=sum(1 for page in story.pages if page.kind is PageKind.PAGE),
        messages=len(story.pages),
        skipped=dict(reader.skipped),
        late=reader.late,
        unmet=dict(story.unmet),
    )


# -- for people -------------------------------------------------------------------------------------------------------

_INCIDENTS = (
    Column("#", right=True),
    Column("PRIO"),
    Column("STATE"),
    Column("OPENED", leave_out=3),
    Column("LASTED", right=True, leave_out=4),
    Column("ALERTS", right=True, leave_out=2),
    Column("PAGES", right=True, leave_out=1),
    Column("RULE", elastic=True, leave_out=5),
    Column("TITLE", elastic=True),
)
_PAGES = (
    Column("AT"),
    Column("#", right=True),
    Column("PRIO", leave_out=2),
    Column("KIND"),
    Column("REASON", leave_out=1),
    Column("TO", elastic=True),
    Column("RECEIVER", elastic=True, leave_out=3),
)


def _print(screen: Screen, story: Story, summary: _Summary) -> None:
    lines = list(Report(story).incidents())
    pages = Counter(page.incident for page in story.pages if page.kind is PageKind.PAGE)
    rows = [_incident_row(line, story.incidents[line.id], pages[line.id]) for line in lines]
    screen.list(_INCIDENTS, rows, "no incident")
    if story.pages:
        screen.line()
        screen.table(_PAGES, [_page_row(page) for page in Report(story).pages()])
    screen.line()
    screen.line(
        f"{summary.events} events, {summary.incidents} incidents, {summary.pages} pages, "
        f"{summary.messages - summary.pages} other messages{_span(story)}"
    )
    for what, count in summary.skipped.items():
        screen.line(Cell(f"not replayed: {count} lines of {what}", "yellow"))
    unmet = Counter(summary.unmet).most_common()
    for what, count in unmet[:_UNMET_MAX]:
        screen.line(Cell(f"not done: {what}" + (f" ({count} times)" if count > 1 else ""), "yellow"))
    if len(unmet) > _UNMET_MAX:
        screen.line(Cell(f"and {len(unmet) - _UNMET_MAX} more that was not done; --json has all", "yellow"))
    if summary.late:
        screen.line(
            Cell(f"{summary.late} lines are older than a line before them and were taken at its time", "yellow")
        )


def _span(story: Story) -> str:
    if story.began_at is None or story.ended_at is None:
        return ""
    return f", {stamp(story.began_at)} to {stamp(story.ended_at)}"


def _incident_row(line: IncidentLine, incident: Incident, pages: int) -> list[Cell | str]:
    lasted = "" if incident.resolved_at is None else ago(incident.opened_at, incident.resolved_at)
    return [
        str(incident.number),
        priority_cell(line.priority),
        state_cell(line.state),
        stamp(incident.opened_at),
        lasted,
        str(line.alerts),
        str(pages),
        line.rule,
        incident.title,
    ]


def _page_row(page: PageLine) -> list[Cell | str]:
    return [
        stamp(datetime.fromtimestamp(page.ts, UTC)),
        str(int(page.incident.removeprefix("i"))),
        priority_cell(page.priority),
        page.kind,
        page.reason or "",
        page.to,
        page.receiver,
    ]
