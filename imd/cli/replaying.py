"""Commands over recorded history: replay. Needs no daemon, sends nothing.

Owns what a person reads of the outcome; the run itself is imd.replay.
"""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.files import loaded
from imd.cli.flags import NEVER
from imd.cli.history import STDIN, EventLines
from imd.cli.instants import ago, stamp
from imd.cli.rows import priority_cell, state_cell
from imd.cli.screen import Cell, Column, Screen
from imd.model.incident import Incident
from imd.model.policy import PageKind
from imd.replay.journal import BadEvents, EventsReader, Glance, glance
from imd.replay.report import IncidentLine, PageLine, Report
from imd.replay.run import Story, replay

_UNMET_MAX = 10  # sentences


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
    ruleset = loaded(arguments.config, [arguments.rules] if arguments.rules else [], arguments.topology).ruleset
    lines = EventLines(arguments.events)
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
        raise Failed("\n".join([f"{bad.count} fault{'s' if bad.count != 1 else ''}, no replay", *bad.faults])) from None
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


def _ack_after(given: timedelta | str | None, seen: Glance) -> timedelta | None:
    """A file in which nobody could act is given a person who acknowledges at once; a recorded run is left as it was."""
    if isinstance(given, timedelta):
        return given
    return None if given == NEVER or seen.actions or seen.deliveries else timedelta(0)


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
    pages.update(incident for paged in story.digests.values() for incident in paged)
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
        str(int(page.incident.removeprefix("i"))) if page.incident else "",
        priority_cell(page.priority),
        page.kind,
        page.reason or (f"{len(page.incidents or ())} paged" if page.incident is None else ""),
        page.to,
        page.receiver,
    ]
