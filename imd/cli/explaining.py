"""`imd explain`: what would happen to an alert, offline by files or beside what fires in a running daemon.

Owns the asking and how it is printed; what is told is imd.replay.explained. Loads the daemon's side only where a daemon
is asked, and the engine only where none is: the command is typed while somebody waits for it.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from imd.cli.failure import Misused
from imd.cli.instants import moment, stamp
from imd.cli.pairs import labels_of, pairs
from imd.cli.screen import Cell, Column, Screen, cut
from imd.clock import SystemClock
from imd.replay.explained import Explained, PlannedPage, after

if TYPE_CHECKING:
    from imd.model.policy import Source
    from imd.replay.explain import Asked

EXPLAINED_MAX = 20  # alerts of one body
YEARS = range(1971, 8000)  # as the daemon takes: deadlines of theirs can be worked out, in any zone
IDLE_SHOWN = 3  # enrichments that add nothing, by name
MATCHER_CHARS_MAX = 70  # of one that does not hold; --json has the whole of it


def run(arguments: Namespace) -> int:
    """0: explained. Raises Misused, Failed."""
    offline = arguments.config is not None or arguments.rules is not None
    _refuse(arguments, offline)
    at = _at(arguments)
    explained = _offline(arguments, at or SystemClock().now()) if offline else [_by_daemon(arguments, at)]
    if arguments.json:
        print(msgspec.json.encode(explained if arguments.body is not None else explained[0]).decode())
        return 0
    screen = Screen.of_process()
    for number, one in enumerate(explained):
        if number:
            screen.line()
        _show(screen, one)
    return 0


def _refuse(arguments: Namespace, offline: bool) -> None:
    if offline and arguments.url is not None:
        raise Misused("--url asks a running daemon, --config and --rules ask the files: not both")
    if arguments.body is not None and arguments.labels:
        raise Misused("labels or --body FILE, not both")
    if arguments.body is None and not arguments.labels:
        raise Misused("`imd explain` wants labels, such as: imd explain DiskFull instance=db1 severity=critical")
    if arguments.body is not None and (arguments.source is None or not offline):
        raise Misused("--body FILE wants --source NAME, which says how to read it, and --config or --rules")
    for path in (arguments.config, arguments.rules, arguments.topology, arguments.body):
        if path is not None and not path.exists():
            raise Misused(f"no such file or folder: {path}")


def _at(arguments: Namespace) -> datetime | None:
    try:
        at = moment(arguments.at) if arguments.at is not None else None
    except ValueError as error:
        raise Misused(f"--at: {error}") from None
    if at is not None and at.year not in YEARS:
        raise Misused(f"--at: it is in the year {at.year}")
    return at


def _by_daemon(arguments: Namespace, at: datetime | None) -> Explained:
    from imd.cli.flags import DEFAULT_URL
    from imd.cli.remote import Daemon, read

    arguments.url = arguments.url or os.environ.get("IMD_URL") or DEFAULT_URL
    asked = {
        "labels": labels_of(arguments.labels, "explain"),
        "annotations": pairs(arguments.annotation, "--annotation"),
        "at": at,
        "source": arguments.source,
        "all": arguments.all,
    }
    content = Daemon.of(arguments, os.environ).post("/v1/explain", {name: one for name, one in asked.items() if one})
    return read(content, Explained)


def _offline(arguments: Namespace, at: datetime) -> list[Explained]:
    from imd.cli.files import loaded
    from imd.replay.explain import asked_of, explain

    rules = [] if arguments.rules is None else [arguments.rules]
    ruleset = loaded(arguments.config, rules, arguments.topology).ruleset
    source = _source(ruleset.sources, arguments.source)
    if arguments.body is not None:
        asked = _of_body(source, arguments, at)
    else:
        labels, annotations = labels_of(arguments.labels, "explain"), pairs(arguments.annotation, "--annotation")
        asked = [asked_of(source, labels, annotations, at)]
    return [explain(ruleset, one, whole=arguments.all) for one in asked]


def _source(configured: Mapping[str, Source], name: str | None) -> Source:
    """A configured one, or a built-in type by its name. Loads the decoders only to say that there is neither."""
    from imd.model.policy import Source

    if name is None:
        return Source(name="", type="alertmanager")
    if name not in configured:
        from imd.sources import BUILT_IN

        if name not in BUILT_IN:
            known = ", ".join(sorted({*configured, *BUILT_IN}))
            raise Misused(f"--source knows no {name!r}; there are {known}")
    return configured.get(name) or Source(name=name, type=name)


def _of_body(source: Source, arguments: Namespace, at: datetime) -> list[Asked]:
    """What the source makes of a body that it was sent: those alerts that fire."""
    from imd.cli.bodies import firing
    from imd.replay.explain import Asked

    alerts, by_api = firing(source, arguments, at)
    if len(alerts) > EXPLAINED_MAX:
        print(f"imd: the first {EXPLAINED_MAX} of {len(alerts)} alerts are explained", file=sys.stderr)
    return [Asked(report=one, at=at, source=source.name, by_api=by_api) for one in alerts[:EXPLAINED_MAX]]


# -- for people -------------------------------------------------------------------------------------------------------

_PAGES = (
    Column("AFTER", right=True),
    Column("AT", leave_out=2),
    Column("TO", elastic=True),
    Column("RECEIVER", elastic=True, leave_out=1),
    Column("PRIO"),
    Column("REASON"),
    Column("STEP", right=True, leave_out=3),
)


def _show(screen: Screen, one: Explained) -> None:
    screen.line(Cell(_named(one.labels), "bold"))
    beside = "beside what fires in the daemon" if one.live else "as if nothing else fired"
    sender = f" from {one.source}" if one.source else ""
    screen.line(f"at {stamp(one.at)}{sender}, {beside}; configuration {one.config_hash}")
    screen.line(Cell(one.verdict, "bold"))
    for title, items in (
        ("What is known of it", _known(one)),
        ("Which rule takes it", _rule(one)),
        ("What keeps it quiet", _quiet(one)),
        ("Which incident", _place(one)),
        ("How urgent it is", _priority(one)),
        ("Who is paged, if nobody answers", _people(one)),
    ):
        _section(screen, title, list(items))
    _pages(screen, one)
    if one.once_open is not None:
        _section(screen, f"Once there is {one.rule.open_when if one.rule else ''}", [one.once_open.verdict])
        _pages(screen, one.once_open)


def _section(screen: Screen, title: str, items: list[str | list[str]]) -> None:
    if items:
        screen.line()
        screen.line(Cell(title, "bold"))
    for item in items:
        for text in [item] if isinstance(item, str) else item:
            screen.item(text, depth=0 if isinstance(item, str) else 1)


def _known(one: Explained) -> Iterator[str]:
    if one.known is not None:
        where = f" in incident {one.known.incident}" if one.known.incident else ""
        yield f"it fires already{where}, since {stamp(one.known.since)}: a report of it is a repeat"
        yield "what follows is of a new one"
    for entry in one.enrichment:
        done = [f'{name}="{value}"' for name, value in entry.added.items()]
        done += [f"without {name}" for name in entry.removed]
        done += ["stops it here"] if entry.stops else []
        if done:
            yield f"enrichment {entry.name}: {', '.join(done)}"
    idle = [entry.name for entry in one.enrichment if not (entry.added or entry.removed or entry.stops)]
    if len(idle) > IDLE_SHOWN:
        yield f"nothing from {len(idle)} other enrichments"
    elif idle:
        yield f"nothing from the enrichment{'s' if len(idle) > 1 else ''} {', '.join(idle)}"
    if one.heartbeat:
        yield f"it feeds the heartbeat {one.heartbeat}"


def _rule(one: Explained) -> Iterator[str | list[str]]:
    if one.rule is None:
        return
    rule = one.rule
    about = f": {rule.description}" if rule.description else ""
    yield f"rule {_at_place(rule.rule, rule.where)}, the {_ordinal(rule.number)} that is tried{about}"
    if rule.when is not None:
        yield f"its condition holds: {rule.when}"
    if one.tried:
        yield "before it" if not one.untold else f"before it, of {len(one.tried) + one.untold} the nearest"
        yield [f"{_at_place(tried.rule, tried.where)}: {_failed(tried.failed)}" for tried in one.tried]
    if one.untold:
        yield f"and {one.untold} more; --all shows them"


def _failed(failed: list[str]) -> str:
    """The nearest list of matchers; the others are counted."""
    matcher, _, reason = failed[0].partition(" does not hold: ")
    more = len(failed) - 1
    others = f"; nor does any of its {more} other lists" if more > 1 else "; nor does its other list" if more else ""
    return (f"{cut(matcher, MATCHER_CHARS_MAX)} does not hold: {reason}" if reason else failed[0]) + others


def _quiet(one: Explained) -> Iterator[str]:
    if one.rule is not None:
        yield from (cause.words for cause in one.suppressed_by)
        if not one.suppressed_by:
            yield "nothing: no silence, inhibition, maintenance or pause takes it"


def _place(one: Explained) -> Iterator[str]:
    if one.rule is None or one.group_key is None:
        return
    rule, place = one.rule, one.place
    yield f"key {_named(one.group_key)}, by group_by [{', '.join(rule.group_by)}]"
    yield f"window {rule.window}; hold {rule.hold}; resolves: {rule.resolve}"
    if rule.open_when is not None:
        yield f"opens when there is {rule.open_when}"
    if rule.relate is not None:
        yield f"related {rule.relate}; it stands on {', '.join(place.entities) or 'no entity of the map'}"
    if place.verdict == "joins":
        yield f'joins #{place.number} "{place.title}": {place.because}'
    elif place.verdict == "opens":
        yield f'opens a new one: "{place.title}"'
    else:
        yield f"none: {place.because}"


def _priority(one: Explained) -> Iterator[str]:
    if one.priority is not None:
        weighed = one.priority
        yield f"{weighed.priority}: {weighed.because}"
        yield f"impact {weighed.impact.level}: {weighed.impact.because}"
        yield f"urgency {weighed.urgency.level}: {weighed.urgency.because}"
        yield from (f"breadth raises it: {text}" for text in weighed.raises)


def _people(one: Explained) -> Iterator[str | list[str]]:
    if one.route is not None:
        yield f"policy {one.route.policy}: {one.route.because}"
        yield from (f"beside it {text}" for text in one.route.also)
        passed = [
            f"route {tried.route} to {tried.policy}: {tried.because}" for tried in one.route.tried if tried.because
        ]
        if passed:
            yield passed
    for line in one.lines:
        if line.kind in ("not_notified", "exhausted", "suppressed", "released"):
            yield f"{stamp(line.at)} {line.text}"
    if one.rule is not None and not one.pages:
        yield "nobody"


def _pages(screen: Screen, one: Explained) -> None:
    if one.pages:
        screen.line()
        screen.table(_PAGES, [_page(page) for page in one.pages])


def _page(page: PlannedPage) -> list[str]:
    waited = after(page.after_seconds).removeprefix("after ")
    step = str(page.step) if page.step else ""
    return [waited, stamp(page.at), page.to, page.receiver, page.priority, page.reason, step]


def _named(labels: Mapping[str, str]) -> str:
    """`DiskFull{instance="db1"}`."""
    others = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "alertname" or not value)
    return labels.get("alertname", "") + (f"{{{others}}}" if others or "alertname" not in labels else "")


def _at_place(name: str, where: str) -> str:
    return f"{name} ({where})" if where else name


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
