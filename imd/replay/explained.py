"""What is told of one alert's way: the shapes, and the sentence that sums them up.

Owns the JSON of `imd explain --json` and POST /v1/explain. Decides nothing and runs nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from imd.core.opening import span_text


class Known(msgspec.Struct, frozen=True):
    """This very alert fires already, so that a report of it changes nothing."""

    since: datetime
    count: int
    incident: str | None
    suppressed_by: tuple[str, ...]


class Entry(msgspec.Struct, frozen=True):
    """What one enrichment entry does. `stops`: no entry behind it and no rule sees the alert."""

    name: str
    added: dict[str, str]
    removed: tuple[str, ...]
    stops: bool


class TriedRule(msgspec.Struct, frozen=True):
    """A rule that does not take it; `failed` says what does not hold, a line for each of its lists of matchers."""

    rule: str
    where: str
    failed: list[str]


class TakenRule(msgspec.Struct, frozen=True, kw_only=True):
    """The rule that takes it. `number` counts rules in order of trial from 1."""

    rule: str
    where: str
    number: int
    description: str
    mode: str
    when: str | None
    group_by: list[str]
    window: str
    hold: str
    open_when: str | None
    relate: str | None
    resolve: str


class Cause(msgspec.Struct, frozen=True):
    """What suppresses it: `silence/UUID`…, and the same in words."""

    cause: str
    words: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`verdict`: opens, joins, waits, none. `incident` and `number` are of one that is open already. `entities` are
    where it stands on the map, for rules that relate."""

    verdict: str
    because: str
    incident: str | None = None
    number: int | None = None
    title: str = ""
    entities: tuple[str, ...] = ()


class Level(msgspec.Struct, frozen=True):
    level: str
    because: str


class Weighed(msgspec.Struct, frozen=True, kw_only=True):
    """`impact` and `urgency` are what this alert says; `priority` is the incident's with it."""

    priority: str
    because: str
    impact: Level
    urgency: Level
    raises: list[str]


class TriedRoute(msgspec.Struct, frozen=True):
    """`because` is why it does not take the incident; "" for the one that does."""

    route: int
    policy: str
    because: str


class Routed(msgspec.Struct, frozen=True):
    """`also` are the policies that routes with `continue` put beside it, each with its reason."""

    policy: str
    because: str
    also: list[str]
    tried: list[TriedRoute]


class PlannedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page as it would leave. `step` 0: outside the policy's steps."""

    at: datetime
    after_seconds: float
    to: str
    receiver: str
    reason: str
    priority: str
    step: int


class PlannedLine(msgspec.Struct, frozen=True):
    at: datetime
    kind: str
    text: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Stage by stage; None where the alert does not get so far. `live`: beside what fires in a running daemon, else as
    if nothing else fired. `labels` are the sender's, `seen` what rules see. `tried` are rules before the one that takes
    it, `untold` how many more of them there are. `pages` are those of its incident from now on, if nobody answers, and
    `lines` its timeline. `once_open`: what would follow if `open_when` were met by this alert.
    """

    verdict: str
    at: datetime
    source: str
    live: bool
    config_hash: str
    fingerprint: str
    labels: dict[str, str]
    seen: dict[str, str]
    known: Known | None
    enrichment: list[Entry]
    heartbeat: str | None
    rule: TakenRule | None
    tried: list[TriedRule]
    untold: int
    suppressed_by: list[Cause]
    group_key: dict[str, str] | None
    place: Place
    priority: Weighed | None
    route: Routed | None
    pages: list[PlannedPage]
    lines: list[PlannedLine]
    once_open: Explained | None = None


def verdict(one: Explained) -> str:
    """The whole of it in one sentence."""
    return f"{_what(one)}; {_who(one)}." if one.rule is not None and not one.heartbeat else f"{_what(one)}."


def _what(one: Explained) -> str:
    stopped = next((entry.name for entry in one.enrichment if entry.stops), "")
    if stopped:
        return f"The enrichment {stopped} stops it: no rule sees it and nobody is paged"
    if one.heartbeat:
        return f"It feeds the heartbeat {one.heartbeat}: no rule sees it and nobody is paged"
    assert one.rule is not None
    if one.rule.mode == "drop":
        return f"Rule {one.rule.rule} drops it"
    quiet = f"It is suppressed by {', '.join(cause.cause for cause in one.suppressed_by)}" if one.suppressed_by else ""
    which = f"#{one.place.number}"
    match one.place.verdict:
        case "opens":
            assert one.priority is not None
            return f"It opens an incident of {one.priority.priority} under rule {one.rule.rule}"
        case "joins":
            return f"{quiet} and joins {which} so" if quiet else f"It joins incident {which} under rule {one.rule.rule}"
        case "waits":
            return f"Rule {one.rule.rule} takes it, and it waits for {one.rule.open_when}"
        case _:
            return quiet or f"Rule {one.rule.rule} takes it and it is in no incident"


def _who(one: Explained) -> str:
    if not one.pages:
        return "nobody is paged"
    first = one.pages[0]
    people = list(dict.fromkeys(page.to for page in one.pages if page.at == first.at))
    return f"{' and '.join(people)} {'is' if len(people) == 1 else 'are'} paged {after(first.after_seconds)}"


def after(seconds: float) -> str:
    """`at once`, `after 10s`, `after 1h30m`."""
    span = span_text(timedelta(seconds=round(seconds)))
    return "at once" if round(seconds) == 0 else f"after {span}"
