"""The same alerts through a real Alertmanager and through imd with its imported file: the same receivers hear."""

from __future__ import annotations

import itertools
import json
import os
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from imd.cli.main import main
from tests.imports.oracle import reached
from tests.system.clients import Client, Clients
from tests.system.running import Daemon, Daemons, programs, until
from tests.system.sink import Sink

PROGRAM = "prometheus-alertmanager"
REQUIRED = os.environ.get("IMD_REQUIRE_REAL") == "1"
MISSING = list(programs(PROGRAM))
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING) and not REQUIRED, reason=f"not installed: {PROGRAM}"),
]
VECTORS = json.loads((Path(__file__).parents[1] / "vectors/alertmanager_semantics.json").read_text())["route_match"]
SOON = 30.0
TREES, SEED = 6, 20261122
LABELS, VALUES = ("x", "y", "z"), ("", "a", "b", "ab")
PATTERNS = ("a", "a|b", "a.*", ".*", ".+", "", "[ab]", "(a|b)b?")
Alert = dict[str, str]


@pytest.fixture
def other_sink() -> Iterator[Sink]:
    made = Sink()
    try:
        yield made
    finally:
        made.close()


def _random_route(chance: random.Random, depth: int) -> dict[str, Any]:
    def matcher() -> str:
        op = chance.choice(("=", "!=", "=~", "!~"))
        return f'{chance.choice(LABELS)}{op}"{chance.choice(PATTERNS if "~" in op else VALUES)}"'

    route: dict[str, Any] = {"matchers": [matcher() for _ in range(chance.randint(0, 2))]}
    if chance.random() < 0.6:
        route["receiver"] = f"r{chance.randint(1, 6)}"
    if chance.random() < 0.5:
        route["continue"] = True
    if chance.random() < 0.5:
        route["group_by"] = chance.choice((["x"], ["x", "alertname"], ["..."], []))
    if depth:
        route["routes"] = [_random_route(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return route


def _forest() -> tuple[dict[str, Any], list[Alert]]:
    """Alertmanager's own tree and random ones below one root, and the alerts to try; each has a name of its own."""
    own = yaml.safe_load(VECTORS["route_yaml"])
    trees = [{**own, "match": {"tree": "own"}}]
    alerts: list[Alert] = [{**case["labels"], "tree": "own"} for case in VECTORS["cases"]]
    for number in range(TREES):
        chance = random.Random(SEED + number)
        tree = _random_route(chance, 3)
        trees.append({**tree, "matchers": [f'tree="{number}"'], "receiver": f"tree{number}"})
        every = [dict(zip(LABELS, values, strict=True)) for values in itertools.product(VALUES, repeat=len(LABELS))]
        alerts += [{**labels, "tree": str(number)} for labels in chance.sample(every, 24)]
    named = [
        {"alertname": f"a{number}", **{name: value for name, value in labels.items() if value}}
        for number, labels in enumerate(alerts)
    ]
    return {"receiver": "root", "routes": trees}, named


def _quick(route: dict[str, Any]) -> dict[str, Any]:
    """The same tree at a test's pace."""
    pace = {"group_wait": "200ms", "group_interval": "1s", "repeat_interval": "1h"}
    return {**route, **pace, "routes": [_quick(child) for child in route.get("routes", ())]}


def _names(route: Mapping[str, Any]) -> set[str]:
    own = {str(route["receiver"])} if "receiver" in route else set()
    return own.union(*(_names(child) for child in route.get("routes", ())))


def _config(route: dict[str, Any], sink: Sink, **other: Any) -> str:
    base = sink.url.removesuffix("/pages")
    receivers = [
        {"name": name, "webhook_configs": [{"url": f"{base}/{name}", "max_alerts": 0}]}
        for name in sorted(_names(route))
    ]
    return yaml.safe_dump({"route": route, "receivers": receivers, **other}, sort_keys=False)


def _imported(config: str, folder: Path, daemons: Daemons) -> Daemon:
    """imd with nothing but what the import wrote, its port apart."""
    (folder / "alertmanager.yml").write_text(config)
    assert main(["import", "alertmanager", str(folder / "alertmanager.yml"), "--out", str(folder / "imd")]) == 0
    daemon = daemons("")
    text = (folder / "imd/config.yaml").read_text().replace("127.0.0.1:9490", f"127.0.0.1:{daemon.port}")
    for name in ("rules", "secrets"):
        (folder / "imd" / name).rename(daemon.folder / name)
    (daemon.folder / "config.yaml").write_text(text.replace("sqlite:///var/imd.db", "sqlite:///imd.db"))
    daemon.start()
    return daemon


def _told(sink: Sink) -> dict[str, set[str]]:
    """Whom the sink was told of each alert, by its name; the last part of the path is the receiver."""
    told: dict[str, set[str]] = {}
    for message in list(sink.messages):
        for alert in message.body["alerts"]:
            told.setdefault(alert["labels"]["alertname"], set()).add(message.path.rpartition("/")[2])
    return told


def _fire(alertmanager: Client, imd: Daemon, alerts: list[Alert]) -> None:
    body = [{"labels": labels, "startsAt": datetime.now(UTC).isoformat()} for labels in alerts]
    assert alertmanager.post("/api/v2/alerts", body) == 200
    assert imd.post("/api/v2/alerts", body).status == 200


def test_routes_and_continue_reach_the_same_receivers(
    tmp_path: Path, clients: Clients, daemons: Daemons, sink: Sink, other_sink: Sink
) -> None:
    """Alertmanager's vectors and random trees: what its API says of each alert, what it sends, and what imd sends."""
    tree, alerts = _forest()
    quick = _quick(tree)
    alertmanager = clients.configured(_config(quick, sink))
    imd = _imported(_config(quick, other_sink), tmp_path, daemons)
    clients.await_all()
    expected = {labels["alertname"]: set(reached(tree, labels)) for labels in alerts}
    assert {len(receivers) for receivers in expected.values()} > {1, 2}  # the trees are worth the trial
    _fire(alertmanager, imd, alerts)

    def listed() -> dict[str, set[str]]:
        found = alertmanager.json("/api/v2/alerts")
        return {one["labels"]["alertname"]: {receiver["name"] for receiver in one["receivers"]} for one in found}

    until("Alertmanager lists all alerts", lambda: len(listed()) == len(alerts), SOON)
    assert listed() == expected
    until("Alertmanager has told everyone", lambda: _told(sink) == expected, SOON)
    until("imd has told everyone", lambda: _told(other_sink) == expected, SOON)
    until("imd has nothing left to say", lambda: imd.pending() == 0, SOON)
    assert _told(other_sink) == expected


def test_hours_mute_the_same_receivers(
    tmp_path: Path, clients: Clients, daemons: Daemons, sink: Sink, other_sink: Sink
) -> None:
    """Intervals that hold now and such that do not, alone and together, with `continue` behind them."""
    today = datetime.now(UTC)
    now: dict[str, Any] = {"name": "now", "time_intervals": [{"years": [f"{today.year}:{today.year + 1}"]}]}
    past: dict[str, Any] = {"name": "past", "time_intervals": [{"years": ["2020:2021"], "weekdays": ["monday:friday"]}]}
    hours: list[dict[str, list[str]]] = [
        {},
        {"active_time_intervals": ["now"]},
        {"active_time_intervals": ["past"]},
        {"mute_time_intervals": ["now"]},
        {"mute_time_intervals": ["past"]},
        {"active_time_intervals": ["now"], "mute_time_intervals": ["past"]},
        {"active_time_intervals": ["now"], "mute_time_intervals": ["now"]},
        {"active_time_intervals": ["past", "now"]},
    ]
    routes: list[dict[str, Any]] = [
        {"receiver": f"h{number}", "match": {"h": str(number)}, "continue": True, **own}
        for number, own in enumerate(hours)
    ]
    tree = {"receiver": "root", "routes": [*routes, {"receiver": "beside", "match": {"beside": "yes"}}]}
    quick = {**_quick(tree), "repeat_interval": "1s"}
    for child in quick["routes"]:
        child["repeat_interval"] = "1s"
    alerts = [
        {"alertname": f"a{number}{beside}", "h": str(number), "beside": beside}
        for number in range(len(hours))
        for beside in ("no", "yes")
    ]
    alertmanager = clients.configured(_config(quick, sink, time_intervals=[now, past]))
    imd = _imported(_config(quick, other_sink, time_intervals=[now, past]), tmp_path, daemons)
    clients.await_all()

    def open_now(route: Mapping[str, Any]) -> bool:
        active = route.get("active_time_intervals")
        return (active is None or "now" in active) and "now" not in route.get("mute_time_intervals", ())

    expected = {labels["alertname"]: set(reached(tree, labels, open_now)) for labels in alerts}
    _fire(alertmanager, imd, alerts)
    heard = {name: receivers for name, receivers in expected.items() if receivers}
    until("Alertmanager has told everyone", lambda: _told(sink) == heard, SOON)
    # It repeats each second: once somebody has heard three times, every group has had its turn.
    until("Alertmanager repeats", lambda: sum(one.path.endswith("/h0") for one in sink.messages) >= 3, SOON)
    assert _told(sink) == heard
    until("imd has told everyone", lambda: _told(other_sink) == heard, SOON)
    until("imd has nothing left to say", lambda: imd.pending() == 0, SOON)
    assert _told(other_sink) == heard
