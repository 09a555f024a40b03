"""A comparison of two rule sets, for a terminal and as Markdown for a merge request.

Owns the layout; adds nothing to what was compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imd.cli.instants import stamp
from imd.cli.screen import Cell, Column, Screen
from imd.replay.backtest import KINDS, Compared, Difference
from imd.replay.outcome import Result
from imd.replay.sides import Summary, Tally

SHOWN = 10  # differences of a kind on a terminal, without --all
SHOWN_MARKDOWN = 50
IDS_SHOWN = 5

TITLES = {
    "lost": "no incident any more",
    "new": "new incidents",
    "merged": "several that are one now",
    "split": "one that is several now",
    "priority": "another priority",
    "earlier": "paged earlier",
    "later": "paged later",
    "recipient": "other people are paged",
}
_SUMMARY = (
    Column("", elastic=True),
    Column("INCIDENTS", right=True),
    Column("NOW", right=True),
    Column("", right=True),
    Column("PAGES", right=True),
    Column("NOW", right=True),
    Column("", right=True),
)
_NOTHING = Tally()


def show(screen: Screen, compared: Compared, result: Result, whole: bool) -> None:
    """`result` is that of the new rules, for what the history asked for and could not be done."""
    old, new = compared.summary["old"], compared.summary["new"]
    screen.table(_SUMMARY, [[*row] for row in _rows(old, new)])
    for kind in KINDS:
        found = [one for one in compared.differences if one.kind == kind]
        if found:
            screen.line()
            screen.line(Cell(f"{kind}: {len(found)}", "bold"), Cell(TITLES[kind], "dim"))
        for one in found if whole else found[:SHOWN]:
            screen.item(_line(one))
        if len(found) > SHOWN and not whole:
            screen.item(f"and {len(found) - SHOWN} more; --all shows them, --json has all")
    screen.line()
    span = (
        ""
        if result.began_at is None or result.ended_at is None
        else (f", {stamp(result.began_at)} to {stamp(result.ended_at)}")
    )
    screen.line(f"{new.events} events{span}: {_differences(compared)}")
    for what, count in result.skipped.items():
        screen.line(Cell(f"not replayed: {count} lines of {what}", "yellow"))
    if result.unmet:
        screen.line(
            Cell(f"{_count(result.unmet, 'action')} of the history could not be done under the new rules", "yellow")
        )


def markdown(compared: Compared) -> str:
    """For a merge request: the summary as a table, the differences folded away by kind."""
    return "\n".join(_markdown(compared)) + "\n"


def _markdown(compared: Compared) -> Iterator[str]:
    old, new = compared.summary["old"], compared.summary["new"]
    yield f"### Backtest: {_differences(compared)}"
    yield ""
    yield f"Configuration `{old.config_hash}` against `{new.config_hash}`, {new.events:,} events."
    yield ""
    yield "| | incidents before | now | | pages before | now | |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for row in _rows(old, new):
        yield f"| {' | '.join(_escaped(cell) for cell in row)} |"
    for kind in KINDS:
        found = [one for one in compared.differences if one.kind == kind]
        if not found:
            continue
        yield ""
        yield f"<details><summary>{kind}: {len(found)}, {TITLES[kind]}</summary>"
        yield ""
        for one in found[:SHOWN_MARKDOWN]:
            yield f"- {_escaped(_line(one))}"
        if len(found) > SHOWN_MARKDOWN:
            yield f"- and {len(found) - SHOWN_MARKDOWN} more"
        yield ""
        yield "</details>"


def _rows(old: Summary, new: Summary) -> Iterator[tuple[str, ...]]:
    yield _row("all", Tally(old.incidents, old.pages), Tally(new.incidents, new.pages))
    for priority in sorted({*old.by_priority, *new.by_priority}):
        yield _row(priority, old.by_priority.get(priority, _NOTHING), new.by_priority.get(priority, _NOTHING))
    for rule in sorted({*old.by_rule, *new.by_rule}):
        yield _row(f"rule {rule}", old.by_rule.get(rule, _NOTHING), new.by_rule.get(rule, _NOTHING))
    for to in sorted({*old.by_recipient, *new.by_recipient}):
        before, after = old.by_recipient.get(to, 0), new.by_recipient.get(to, 0)
        yield f"to {to}", "", "", "", str(before), str(after), _change(before, after)


def _row(what: str, old: Tally, new: Tally) -> tuple[str, ...]:
    return (
        what,
        str(old.incidents),
        str(new.incidents),
        _change(old.incidents, new.incidents),
        str(old.pages),
        str(new.pages),
        _change(old.pages, new.pages),
    )


def _change(before: int, after: int) -> str:
    return f"{after - before:+}" if after != before else ""


def _line(one: Difference) -> str:
    """`old #3 > new #5, #6 "title", 2026-01-01T00:00:00Z, P2 > P1: reason`."""
    which = " > ".join(f"{side} {_numbers(ids)}" for side, ids in (("old", one.old), ("new", one.new)) if ids)
    changed = f", {one.was} > {one.now}" if one.was or one.now else ""
    return f'{which} "{one.title}", {stamp(one.at)}{changed}: {one.reason}'


def _numbers(ids: Sequence[str]) -> str:
    shown = ", ".join(f"#{int(one[1:])}" for one in ids[:IDS_SHOWN])
    return shown + (f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else "")


def _differences(compared: Compared) -> str:
    return _count(len(compared.differences), "difference") if compared.differences else "no difference"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _escaped(text: str) -> str:
    """Nothing of an alert may become Markdown or HTML; a bar would end the table's cell."""
    for char in "\\`*_{}[]<>#|!~":
        text = text.replace(char, f"\\{char}" if char not in "<>" else {"<": "&lt;", ">": "&gt;"}[char])
    return text
