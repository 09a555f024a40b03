"""What befalls a site, drawn from a seed before anything runs: alerts, people, faults.

A plan is a list of items, each with a draw of its own, so that leaving one out changes nothing in the others: that is
how a failing plan is cut down (`shrink`). Chaos lasts until CALM_AT; then every fault ends, and what fires goes on
firing until OVER_AT, so that who answers nothing is walked to the end of the policy; then all resolves, until END_AT.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.receivers import MOODS

CALM_AT = 900.0
OVER_AT = CALM_AT + 840.0
END_AT = OVER_AT + 240.0

RECEIVERS = ("ana", "ana-sms", "ben", "ops", "desk")
POINTS = ("before commit", "after commit", "before send", "after taken", "after answer")
ACTIONS = ("ack", "ack", "ack", "unack", "snooze", "resolve", "resolve!", "note", "assign", "reopen", "escalate")

LATE_SHARE = 0.2
"""Of the seeds; the others have the site that they would have without it."""

ODD_ACTIONS = ("merge", "merge", "split", "responder", "report", "override", "close")

GROUPS = (
    {"team": "web", "cluster": "c1"},
    {"team": "web", "cluster": "c2"},
    {"team": "db", "service": "orders"},
    {"team": "db", "service": "users"},
    {"team": "low", "cluster": "c1"},
)
WIDE_GROUPS = (
    {"team": "net", "service": "s1"},
    {"team": "net", "service": "s2"},
    {"team": "net", "service": "s3"},
    {"team": "count", "cluster": "c1"},
)
OUT = ({"team": "out", "zone": "z1"}, {"team": "out", "zone": "z2"})
Groups = list[dict[str, str]]


@dataclass(frozen=True)
class Item:
    """`at` in seconds; `seed` of its own draw; `what` by kind, see `simulation`."""

    at: float
    kind: str
    seed: int
    what: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.at:8.3f} {self.kind} " + " ".join(f"{key}={value}" for key, value in self.what.items())


THEMES: dict[str, dict[str, tuple[int, ...]]] = {
    # how many of each: one of these numbers
    "mixed": {"person": (0, 1, 2, 3), "answerer": (0, 1, 1), "crash": (0, 1, 1, 2), "stop": (0, 0, 1),
              "receiver": (0, 1, 2), "disk": (0, 1), "quiet": (0, 0, 1), "reload": (0, 0, 1), "clock": (0, 0, 0, 1)},
    "crashes": {"person": (0, 1), "answerer": (0, 1), "crash": (2, 4, 6), "stop": (0, 1), "receiver": (0, 0, 1)},
    "outage": {"person": (0, 1, 2), "answerer": (1, 2), "crash": (0, 0, 1), "receiver": (3, 5, 7), "reload": (0, 0, 1)},
    "disk": {"person": (0, 2, 4), "answerer": (0, 1), "crash": (0, 1, 2), "disk": (2, 4), "receiver": (0, 0, 1)},
    "clock": {"person": (0, 0, 1), "crash": (0, 0, 1), "clock": (1, 1, 2)},
    "quiet": {"person": (0, 1, 2), "crash": (0, 1, 2), "quiet": (1, 2, 3), "reload": (0, 1)},
}  # fmt: skip


def plan(seed: int) -> list[Item]:
    """In order of time. Every seed has a theme, so that what must meet to go wrong meets often enough."""
    draw = Random(seed)
    late = Random(f"late {seed}").random() < LATE_SHARE
    site = {"name": "late"} if late else _site(Random(f"site {seed}"))
    theme = THEMES[draw.choice(sorted(THEMES))]
    if site["name"] != "plain":
        theme = {**theme, "odd": (0, 1, 2, 3)}
    if site["name"] == "crowd":
        theme = {**theme, "receiver": (1, 2, 3, 4)}
    many, groups = _GROUPS_OF[site["name"]]
    groups = draw.sample(groups, draw.randint(1, many))
    drawn: list[tuple[str, float, dict[str, Any]]] = []
    many_alerts = draw.randint(2, 7)
    if site["name"] == "late":
        for number, zone in enumerate(groups):
            drawn += _outage(draw, 10 * (number + 1), zone)
    for number in range(many_alerts if site["name"] != "late" else 0):
        beside = draw.choice(drawn)[1] if drawn and draw.random() < 0.4 else None
        drawn.append(("alert", *_alert(draw, number, draw.choice(groups), beside)))
        if site["name"] == "wide" and draw.random() < 0.4:
            _by_api(drawn[-1][2], draw)
    if site["name"] != "plain":
        drawn.append(("site", 0.0, site))
    if any("by" in what for _, _, what in drawn):  # what is said with an end of its own needs clocks that agree
        theme = {kind: counts for kind, counts in theme.items() if kind != "clock"}
    for kind, counts in theme.items():
        fault = _FAULTS[kind]
        drawn += [(kind, draw.uniform(1, CALM_AT), fault(draw, groups)) for _ in range(draw.choice(counts))]
    return sorted((Item(at, kind, draw.getrandbits(32), what) for kind, at, what in drawn), key=lambda item: item.at)


def _alert(draw: Random, number: int, group: dict[str, str], beside: float | None) -> tuple[float, dict[str, Any]]:
    """One alert and when it changes: mostly begins once and stays, sometimes comes and goes. `beside`: it begins within
    milliseconds of another."""
    labels = {"alertname": f"A{number}", "instance": f"i{number}", "severity": "critical", **group}
    at = draw.uniform(0.5, CALM_AT * 0.8) if beside is None else beside + draw.uniform(0, 0.004)
    flips = [at]
    while len(flips) < 6 and draw.random() < 0.45:
        flips.append(flips[-1] + draw.choice((draw.uniform(0.5, 15), draw.uniform(15, 240))))
    return at, {"labels": labels, "flips": [flip for flip in flips if flip < CALM_AT]}


_OUTAGE = (
    # who, how long after the host they begin, and how late they are told of
    ({"node": "n1"}, (0.0, 0.0), (0.0, 1.0)),
    ({"svc": "pay"}, (25.0, 60.0), (0.0, 3.0)),
    ({"svc": "web"}, (26.0, 75.0), (0.0, 30.0)),
    ({"svc": "api"}, (26.0, 75.0), (0.0, 60.0)),
)
_NAMES = {"node": "NodeDown", "svc": "HighErrorRate", "db": "PostgresqlDown"}


def _outage(draw: Random, number: int, zone: dict[str, str]) -> list[tuple[str, float, dict[str, Any]]]:
    """A host dies, services fail, and the database that they need has died before them and is told of last. What comes
    and goes does so once all have come."""
    began = draw.uniform(1, CALM_AT * 0.6)
    told = [(where, began + draw.uniform(*after), draw.uniform(*late)) for where, after, late in _OUTAGE]
    first = min(at for where, at, _ in told if "svc" in where)
    if draw.random() < 0.5:  # it was down already, too long ago for anything but itself
        told.append(({"db": "orders", "seen": "by others"}, max(0.5, first - 400), 0.0))
    last = draw.uniform(15, 100)
    told.append(({"db": "orders"}, first - draw.uniform(1, 10), last))
    drawn = []
    for place, (where, at, late) in enumerate(told):
        name = f"{_NAMES[next(iter(where))]}{number + place}"
        labels = {"alertname": name, "severity": draw.choice(("critical", "warning")), **where, **zone}
        flips = [at + late]
        while len(flips) < 4 and draw.random() < 0.35:
            flips.append(flips[-1] + draw.choice((draw.uniform(0.5, 15), draw.uniform(15, 240))))
        flips = [flip for flip in flips if flip < CALM_AT]
        drawn.append(("alert", at + late, {"labels": labels, "flips": flips, "late": late}))
    return drawn


def _by_api(what: dict[str, Any], draw: Random) -> None:
    """It is a Prometheus that tells of it, and perhaps all of a sudden says no more of it."""
    what["by"] = draw.choice(("api", "api, gone"))
    if what["by"] == "api, gone":
        what["flips"] = what["flips"][:2]


def _site(draw: Random) -> dict[str, Any]:
    """Of a draw of its own, so that the plans of plain sites are what they are without the others."""
    name = draw.choice(("plain", "plain", "plain", "crowd", "crowd", "wide", "wide", "wide"))
    if name != "wide":
        return {"name": name}
    silent_at = draw.uniform(60, CALM_AT - 200)
    return {"name": name, "silent": (silent_at, silent_at + draw.choice((30, 130, 200))) if draw.random() < 0.5 else ()}


def _act(draw: Random, _groups: Groups) -> dict[str, Any]:
    return {"action": draw.choice(ACTIONS), "by": draw.choice(("ana", "ben", "zoe"))}


def _odd(draw: Random, _groups: Groups) -> dict[str, Any]:
    return {"action": draw.choice(ODD_ACTIONS)}


def _answerer(draw: Random, _groups: Groups) -> dict[str, Any]:
    """Somebody who reads what some receivers take, and acts upon it soon."""
    action = draw.choice(("ack", "ack", "ack", "snooze", "resolve!"))
    receivers = draw.sample(RECEIVERS, draw.choice((1, 2, 5)))
    return {
        "reads": receivers,
        "action": action,
        "by": "ana",
        "after": draw.choice((2, 8, 30)),
        "times": draw.randint(1, 4),
    }


def _crash(draw: Random, _groups: Groups) -> dict[str, Any]:
    """At once, some callbacks later, or at the n-th of the named points from then on."""
    match draw.randrange(3):
        case 0:
            return {"down": _down(draw)}
        case 1:
            return {"down": _down(draw), "turns": draw.randint(1, 60)}
        case _:
            return {"down": _down(draw), "point": draw.choice(POINTS), "count": draw.choice((1, 1, 2, 3))}


def _down(draw: Random) -> float:
    return draw.choice((draw.uniform(0.3, 3), draw.uniform(0.3, 3), draw.uniform(20, 100), draw.uniform(290, 420)))


def _mood(draw: Random, _groups: Groups) -> dict[str, Any]:
    """One receiver's mood, rarely that of all."""
    who = draw.choice((*RECEIVERS, *RECEIVERS, "all"))
    return {
        "receiver": who,
        "mood": draw.choice(MOODS),
        "for": draw.choice((20, 60, 200, 400)) * draw.uniform(0.5, 1.5),
    }


def _disk(draw: Random, _groups: Groups) -> dict[str, Any]:
    match draw.randrange(5):
        case 0:
            return {"full": draw.choice((draw.uniform(2, 90), draw.uniform(90, 400)))}
        case 1:
            return {"slow": draw.choice((0.05, 0.5, 4.0)), "for": draw.uniform(5, 60)}
        case 2:
            return {"reads": draw.uniform(2, 40), "fails": 1, "kept": draw.random() < 0.5}
        case _:
            return {"fails": draw.choice((1, 1, 2, 5)), "kept": draw.random() < 0.5}


def _quiet(draw: Random, groups: Groups) -> dict[str, Any]:
    if draw.random() < 0.25:
        return {"pause": draw.uniform(20, 100)}
    return {"silence": draw.choice(groups), "for": draw.uniform(20, 240), "expire": draw.random() < 0.4}


def _reload(draw: Random, _groups: Groups) -> dict[str, Any]:
    return {"version": draw.choice(("first", "changed", "changed", "broken")), "by": draw.choice(("signal", "door"))}


def _clock(draw: Random, _groups: Groups) -> dict[str, Any]:
    return {"by": draw.choice((3600.0, 3600.0, -3600.0, 400.0, -90.0, 45.0, 12 * 3600.0))}


def _stop(draw: Random, _groups: Groups) -> dict[str, Any]:
    return {"down": _down(draw)}


_GROUPS_OF: dict[str, tuple[int, tuple[dict[str, str], ...]]] = {
    # at most so many of these
    "plain": (3, GROUPS),
    "crowd": (5, GROUPS),
    "wide": (5, GROUPS + WIDE_GROUPS),
    "late": (2, OUT),
}
_FAULTS = {
    "person": _act,
    "odd": _odd,
    "answerer": _answerer,
    "crash": _crash,
    "stop": _stop,
    "receiver": _mood,
    "disk": _disk,
    "quiet": _quiet,
    "reload": _reload,
    "clock": _clock,
}
