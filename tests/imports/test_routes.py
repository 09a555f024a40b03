"""Imported rules page whom Alertmanager pages: its own vectors, and route trees that nobody thought of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from imd.cli.main import main
from imd.core import times
from imd.imports.alertmanagershape import Route
from imd.imports.alternatives import ALTERNATIVES_MAX, TooMany, alternatives
from imd.imports.imported import Unreadable
from imd.model.rule import Matcher, Op, match_test
from tests.imports.oracle import reached
from tests.imports.played import NOON, imported, loaded, paged

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/alertmanager_semantics.json").read_text())
ROUTE_MATCH = VECTORS["route_match"]


def config(route: Mapping[str, Any], **other: Any) -> dict[str, Any]:
    """With a webhook receiver for each name in the tree, called like it."""
    receivers = [{"name": name, "webhook_configs": [{"url": "http://127.0.0.1:9/"}]} for name in sorted(names(route))]
    return {"route": dict(route), "receivers": receivers, **other}


def names(route: Mapping[str, Any]) -> set[str]:
    own = {route["receiver"]} if "receiver" in route else set()
    return own.union(*(names(child) for child in route.get("routes", ())))


@pytest.mark.parametrize("number", range(len(ROUTE_MATCH["cases"])))
def test_vectors_of_route_match(number: int, tmp_path: Path) -> None:
    case = ROUTE_MATCH["cases"][number]
    made = loaded(imported(config(yaml.safe_load(ROUTE_MATCH["route_yaml"]))), tmp_path)
    assert paged(made, [case["labels"]]) == [{route["receiver"] for route in case["routes"]}]
    rule = next(one for one in made.ruleset.rules if match_test(one.match)(case["labels"]))
    first = case["routes"][0]
    assert rule.hold.total_seconds() == first["group_wait_s"]
    assert (rule.group_by is None) == first["group_by_all"]
    assert sorted(rule.group_by or ()) == first["group_by"]
    assert made.ruleset.policies[rule.policy].remind.total_seconds() == min(
        route["repeat_interval_s"] for route in case["routes"]
    )


VALUES = ("", "a", "b", "ab")
LABELS = ("x", "y", "z")
PATTERNS = ("a", "a|b", "a.*", ".*", ".+", "", "[ab]", "(a|b)b?")
MATCHERS = st.builds(
    lambda name, op, value: f'{name}{op}"{value}"',
    st.sampled_from(LABELS),
    st.sampled_from(("=", "!=")),
    st.sampled_from(VALUES),
) | st.builds(
    lambda name, op, value: f'{name}{op}"{value}"',
    st.sampled_from(LABELS),
    st.sampled_from(("=~", "!~")),
    st.sampled_from(PATTERNS),
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> dict[str, Any]:
    """A route below the root; its receiver is often inherited."""
    route: dict[str, Any] = {}
    if draw(st.booleans()):
        route["receiver"] = draw(st.sampled_from(("r1", "r2", "r3", "r4", "r5")))
    form = draw(st.sampled_from(("matchers", "match", "match_re")))
    if form == "matchers":
        route["matchers"] = draw(st.lists(MATCHERS, max_size=2))
    else:
        values = VALUES if form == "match" else PATTERNS
        route[form] = draw(st.dictionaries(st.sampled_from(LABELS), st.sampled_from(values), min_size=1, max_size=2))
    if draw(st.booleans()):
        route["continue"] = True
    if draw(st.booleans()):
        route["group_by"] = draw(st.sampled_from((["x"], ["x", "y"], ["..."], [])))
    if depth:
        route["routes"] = draw(st.lists(trees(depth=depth - 1), max_size=3))
    return route


ROOTS = st.builds(lambda children: {"receiver": "root", "routes": children}, st.lists(trees(), max_size=4))
EVERY_ALERT = [
    {"alertname": "A", **{name: value for name, value in zip(LABELS, (x, y, z), strict=True) if value}}
    for x in VALUES
    for y in VALUES
    for z in VALUES
]


@settings(max_examples=40, deadline=None)
@given(ROOTS)
def test_any_tree_pages_whom_alertmanager_pages(tmp_path_factory: pytest.TempPathFactory, root: dict[str, Any]) -> None:
    """Every combination of the labels' values, through the files that were written and the engine."""
    try:
        made = imported(config(root))
    except Unreadable:
        reject()  # too many combinations, see below
    rules = loaded(made, tmp_path_factory.mktemp("tree"))
    assert paged(rules, EVERY_ALERT) == [set(reached(root, labels)) for labels in EVERY_ALERT]


def test_continue_without_a_child_that_matches_is_the_node_itself(tmp_path: Path) -> None:
    root = {
        "receiver": "root",
        "routes": [
            {"receiver": "log", "continue": True},
            {"receiver": "db", "matchers": ['job="db"'], "routes": [{"receiver": "dba", "matchers": ['tier="1"']}]},
        ],
    }
    made = imported(config(root))
    assert made.counts["rules"] == 3  # what everything reaches first makes no combinations
    alerts = [{"job": "db", "tier": "1"}, {"job": "db"}, {"job": "web"}]
    assert paged(loaded(made, tmp_path), alerts) == [{"log", "dba"}, {"log", "db"}, {"log"}]


def test_too_many_combinations_are_refused_where_they_arise() -> None:
    root = {"receiver": "root", "routes": []}
    for number in range(12):
        root["routes"].append({"receiver": "root", "match": {f"l{number}": "a"}, "continue": True})
    with pytest.raises(Unreadable) as refused:
        imported(config(root))
    [fault] = refused.value.faults
    assert fault.code == "R006"
    assert f"more than {ALTERNATIVES_MAX} combinations" in fault.message
    assert fault.line > 1


def test_a_thousand_routes_are_a_thousand_rules() -> None:
    """Without `continue` nothing grows."""
    at: Any = None
    children = [
        Route(at=at, what="", receiver=f"r{number}", own=(Matcher("team", Op.EQUAL, f"t{number}"),))
        for number in range(ALTERNATIVES_MAX - 1)
    ]
    found = alternatives(Route(at=at, what="", receiver="root", children=children))
    assert [one.routes[0].receiver for one in found] == [*(child.receiver for child in children), "root"]
    more = Route(at=at, what="", receiver="more", own=(Matcher("z", Op.EQUAL, "z"),), goes_on=True)
    both = Route(at=at, what="", receiver="root", children=[more, *children])
    with pytest.raises(TooMany):
        alternatives(both)


# Times.


@pytest.mark.parametrize("number", range(len(VECTORS["time_interval"])))
def test_vectors_of_time_intervals(number: int, tmp_path: Path) -> None:
    case = VECTORS["time_interval"][number]
    route = {"receiver": "root", "routes": [{"receiver": "r", "match": {"x": "a"}, "active_time_intervals": ["t"]}]}
    interval = {"name": "t", "time_intervals": [case["interval"]]}
    made = loaded(imported(config(route, time_intervals=[interval])), tmp_path)
    during = made.ruleset.times["t"]
    assert all(times.in_force(during, datetime.fromisoformat(at)) for at in case["contains"])
    assert not any(times.in_force(during, datetime.fromisoformat(at)) for at in case["excludes"])


@pytest.mark.parametrize("number", range(len(VECTORS["time_range_parse"])))
def test_vectors_of_time_ranges(number: int, tmp_path: Path) -> None:
    case = VECTORS["time_range_parse"][number]
    route = {"receiver": "root", "routes": [{"receiver": "r", "match": {"x": "a"}, "mute_time_intervals": ["t"]}]}
    interval = {"name": "t", "time_intervals": [{"times": [yaml.safe_load(case["yaml"])]}]}
    text = config(route, time_intervals=[interval])
    if case.get("error"):
        with pytest.raises(Unreadable):
            imported(text)
        return
    [window] = loaded(imported(text), tmp_path).ruleset.times["t"].weekly
    assert [span.total_seconds() / 60 for span in (window.begins, window.ends)] == [
        case["start_minute"],
        case["end_minute"],
    ]


OFFICE = {"times": [{"start_time": "09:00", "end_time": "17:00"}], "weekdays": ["monday:friday"]}
LUNCH = {"times": [{"start_time": "11:30", "end_time": "12:30"}]}
NIGHT = {"times": [{"start_time": "00:00", "end_time": "06:00"}], "location": "Asia/Tokyo"}
INTERVALS = [
    {"name": "office", "time_intervals": [OFFICE]},
    {"name": "lunch", "time_intervals": [LUNCH]},
    {"name": "night", "time_intervals": [NIGHT]},
    {"name": "never", "time_intervals": []},
    {"name": "always", "time_intervals": [{}]},
]


@pytest.mark.parametrize(
    ("hours", "pages"),
    [
        ({"active_time_intervals": ["office"]}, True),
        ({"mute_time_intervals": ["office"]}, False),
        ({"active_time_intervals": ["office"], "mute_time_intervals": ["lunch"]}, False),
        ({"mute_time_intervals": ["lunch", "night"]}, False),
        ({"mute_time_intervals": ["night", "lunch"]}, True),  # one time zone's hours are kept, see below
        ({"active_time_intervals": ["night", "office"]}, True),  # in two time zones
        ({"active_time_intervals": ["night"]}, False),
        ({"active_time_intervals": ["never"]}, False),
        ({"mute_time_intervals": ["never"]}, True),
        ({"active_time_intervals": ["always"]}, True),
        ({"mute_time_intervals": ["always"]}, False),
    ],
)
def test_hours_of_a_route(hours: dict[str, list[str]], pages: bool, tmp_path: Path) -> None:
    """At noon on a Wednesday, alone and beside a route that always pages."""
    timed = {"receiver": "timed", "matchers": ['x="a"'], "continue": True, **hours}
    route = {"receiver": "root", "routes": [timed, {"receiver": "beside", "matchers": ['y="a"']}]}
    made = loaded(imported(config(route, time_intervals=INTERVALS)), tmp_path)
    alone, both = paged(made, [{"x": "a"}, {"x": "a", "y": "a"}], NOON)
    assert alone == ({"timed"} if pages else set())
    assert both == ({"timed", "beside"} if pages else {"beside"})


def test_mute_times_of_a_second_time_zone_are_on_the_list() -> None:
    timed = {"receiver": "timed", "matchers": ['x="a"'], "mute_time_intervals": ["night", "lunch"]}
    made = imported(config({"receiver": "root", "routes": [timed]}, time_intervals=INTERVALS))
    [said] = [one for one in made.remarks if "mute_time_intervals" in one.what]
    assert said.text.endswith("night is kept; put lunch into the time zone of night")
    assert said.line > 1


def test_what_is_muted_is_paged_when_its_hours_come(tmp_path: Path) -> None:
    """As Alertmanager does at its next tick, if it still fires; whoever else it reaches has heard long ago."""
    timed = {"receiver": "timed", "matchers": ['x="a"'], "continue": True, "mute_time_intervals": ["lunch"]}
    route = {"receiver": "root", "routes": [timed, {"receiver": "beside", "matchers": ['y="a"']}]}
    made = imported(config(route, time_intervals=INTERVALS))
    rules = loaded(made, tmp_path)
    test = tmp_path / "rules/hours.test.yaml"
    test.write_text(
        "name: lunch is quiet\nstart: 2026-01-07T12:00:00Z\nevents: [{at: 0s, fire: {x: a, y: a}}]\nexpect:\n"
        "  - {at: 20m, pages: [{to: beside}]}\n  - {at: 31m, pages: [{to: beside}, {to: timed}]}\n"
    )
    assert main(["test", str(test), "--config", str(tmp_path / "config.yaml")]) == 0
    assert rules.ruleset.times.keys() == {"lunch"}
