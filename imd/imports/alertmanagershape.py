"""What an alertmanager.yml says, key by key inherited and checked; every part knows where it stands."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from imd.config.document import Mapping, Node, Scalar
from imd.model.rule import Matcher

ALL_LABELS = "..."


class Route(msgspec.Struct, kw_only=True, eq=False):
    """One node of the tree, with what it inherits. `group_by` None: every label. `own` are its own matchers; `at` its
    place and `what` the keys that lead there."""

    at: Node
    what: str
    receiver: str
    own: tuple[Matcher, ...] = ()
    goes_on: bool = False
    group_by: tuple[str, ...] | None = ()
    group_wait: timedelta = timedelta(seconds=30)
    group_interval: timedelta = timedelta(minutes=5)
    repeat_interval: timedelta = timedelta(hours=4)
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()
    children: list[Route] = []


class Inhibit(msgspec.Struct, frozen=True, kw_only=True):
    at: Node
    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a time interval, as texts of imd's keys; () is no restriction. All must fit, of `times` one."""

    at: Node
    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    days_of_month: tuple[str, ...] = ()
    months: tuple[str, ...] = ()
    years: tuple[str, ...] = ()
    timezone: str = "UTC"


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A time interval with a name; no span at all never holds."""

    at: Node
    name: str
    spans: tuple[Span, ...]


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """`configs`: each with its key (`slack_configs`), and its place in that list."""

    at: Node
    what: str
    name: str
    configs: tuple[tuple[str, int, Mapping], ...]


class File(msgspec.Struct, frozen=True, kw_only=True):
    root: Route
    receivers: dict[str, Receiver]
    inhibits: tuple[Inhibit, ...]
    intervals: dict[str, Interval]
    settings: dict[str, Node]
    """Those of `global`."""
    templates: tuple[Scalar, ...]
