"""Who speaks to imd: senders of alerts, and people. They know it by HTTP alone, and go on over its crashes.

A sender holds one alert's present state and tells it until it is taken (2xx), as Alertmanager does; what changes
meanwhile is told in its place. A person looks at the open incidents, picks one and acts, and tries a few times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from tests.simulation.virtual import Connection, Listening, Universe

CLIENT_SECONDS = 10.0
encode = msgspec.json.encode

Then = Callable[[int, Any], None]
"""Called with status and decoded body; 0 where no answer came."""


class Door:
    """Requests to imd. `status` 0: refused, reset or too late. Everything is noted."""

    def __init__(self, universe: Universe, listening: Listening, note: Callable[[str], None]) -> None:
        self._universe = universe
        self._listening = listening
        self._note = note
        self.answers: list[tuple[float, str, int]] = []
        self.point: Callable[[str], None] = lambda _name: None

    def ask(self, who: str, method: str, path: str, body: Any, then: Then, at_once: Then | None = None) -> None:
        """`then` is called a moment after the answer, on the client's side; `at_once` as it is written."""
        raw = b"" if body is None else encode(body)
        request = f"{method} {path} HTTP/1.1\r\nHost: imd\r\nContent-Length: {len(raw)}\r\n"
        request += "Content-Type: application/json\r\nConnection: close\r\n\r\n"
        universe = self._universe
        over = False

        def end(status: int, answer: bytes) -> None:
            nonlocal over
            if over:
                return
            over = True
            self.answers.append((universe.elapsed, f"{method} {path}", status))
            self._note(f"{who} hears {status} to {method} {path}")
            decoded = _decoded(answer)
            if at_once is not None:
                at_once(status, decoded)
            universe.after(0.001, lambda: then(status, decoded))
            if status:
                self.point("after answer")

        def late() -> None:
            if not over:
                connection.give_up()
                end(0, b"")

        self._note(f"{who} asks {method} {path} {raw.decode()[:300]}")
        try:
            connection: Connection = self._listening.connect(request.encode() + raw, end, lambda: end(0, b""))
        except ConnectionRefusedError:
            end(0, b"")
        else:
            universe.after(CLIENT_SECONDS, late)


def _decoded(answer: bytes) -> Any:
    try:
        return msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@dataclass
class Sender:
    """One alert's. `known` is what imd certainly has of it: the status of the last report that got a 2xx; `unsure`
    while a later one got no answer. Of its first beginning it tells `late` seconds afterwards. `left` are the starts of
    earlier spans whose end it will not say again although imd never took it. `taken` is called at each 2xx with what it
    was for."""

    name: str
    labels: dict[str, str]
    door: Door
    universe: Universe
    draw: Random
    taken: Callable[[Sender, str], None]
    late: float = 0.0
    status: str = ""
    known: str = ""
    unsure: bool = False
    starts_at: datetime | None = None
    left: set[datetime] = field(default_factory=set)
    _busy: bool = field(default=False)

    def turns(self, status: str) -> None:
        if status == self.status:
            return
        self.status = status
        if status == "firing":
            self.starts_at = self.universe.elsewhere() - timedelta(seconds=self.late)
            self.late = 0.0
        if not self._busy:
            self._tell()

    def _tell(self) -> None:
        self._busy = True
        status, starts_at = self.status, self.starts_at
        assert starts_at is not None
        ended = "0001-01-01T00:00:00Z" if status == "firing" else _text(self.universe.elsewhere())
        alert = {"status": status, "labels": self.labels, "annotations": {"summary": self.name},
                 "startsAt": _text(starts_at), "endsAt": ended}  # fmt: skip
        body = {"version": "4", "groupKey": "g", "status": status, "receiver": "imd", "alerts": [alert]}
        self.unsure = True

        def at_once(code: int, _answer: Any) -> None:
            if 200 <= code < 300:
                self.known, self.unsure = status, False
                self.taken(self, status)

        def then(code: int, _answer: Any) -> None:
            self._busy = False
            if not 200 <= code < 300:
                self._busy = True
                self.universe.after(self.draw.uniform(1, 8), self._tell)
            elif self.status != status or self.starts_at != starts_at:
                self._tell()

        self.door.ask(self.name, "POST", "/v1/ingest/am", body, then, at_once)


API_EVERY_SECONDS = 60.0
API_AHEAD = timedelta(minutes=4)
API_TELLS_ENDS = 15


@dataclass
class Prometheus(Sender):
    """One alert of a sender that speaks to /api/v2/alerts: it says each minute what there is, with an end ahead, and
    tries nothing again. What is `gone` is not spoken of any more, though it never ended. Its clock is imd's host's."""

    _told: int = field(default=0)
    _left: int = field(default=0)
    _end_taken: bool = field(default=False)

    def turns(self, status: str) -> None:
        if status == self.status:
            return
        if status == "firing":
            if self.starts_at is not None and not self._end_taken:
                self.left.add(self.starts_at)
            self.starts_at, self._end_taken = self.universe.now(), False
        self.status, self._told, self._left = status, self._told + 1, API_TELLS_ENDS
        if status != "gone":
            self._round(self._told)

    def _round(self, told: int) -> None:
        """`told` counts its turns: what was planned for the one before is void."""
        if told == self._told and self._left:
            self._left -= self.status == "resolved"
            self._tell()
            self.universe.after(API_EVERY_SECONDS, lambda: self._round(told))

    def _tell(self) -> None:
        status, told, starts_at = self.status, self._told, self.starts_at
        assert starts_at is not None
        ends_at = self.universe.now() + API_AHEAD if status == "firing" else self.universe.now()
        alert = {"labels": self.labels, "annotations": {"summary": self.name},
                 "startsAt": _text(starts_at), "endsAt": _text(ends_at)}  # fmt: skip
        self.unsure = self.unsure or self.known != status

        def at_once(code: int, _answer: Any) -> None:
            if code == 200 and told == self._told:
                self.known, self.unsure, self._end_taken = status, False, status == "resolved"
                self.taken(self, status)

        self.door.ask(self.name, "POST", "/api/v2/alerts", [alert], lambda _status, _answer: None, at_once)


BEAT_SECONDS = 40.0


@dataclass
class Beater:
    """Beats for one heartbeat, but for a time in which it is `silent` (from, until)."""

    name: str
    door: Door
    universe: Universe
    silent: tuple[float, ...]

    def begin(self) -> None:
        if not self.quiet():
            self.door.ask(self.name, "POST", f"/v1/heartbeats/{self.name}", None, lambda _status, _answer: None)
        self.universe.after(BEAT_SECONDS, self.begin)

    def quiet(self) -> bool:
        return bool(self.silent) and self.silent[0] <= self.universe.elapsed < self.silent[1]


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@dataclass
class Person:
    """Does one thing to one open incident. `done` is called as imd's 2xx is written: with the incident's id, the
    action, who did it, and the incident as answered."""

    name: str
    door: Door
    universe: Universe
    draw: Random
    done: Callable[[str, str, str, Any], None]
    tries: int = 4

    def acts(self, action: str, body: dict[str, Any]) -> None:
        def looked(status: int, answer: Any) -> None:
            if status != 200:
                self._again(lambda: self.acts(action, body))
            elif answer["items"]:
                chosen = self.draw.choice(answer["items"])["id"]
                self.acts_on(chosen, action, body)

        self.door.ask(self.name, "GET", "/v1/incidents?status=open", None, looked)

    def acts_on(self, incident: str, action: str, body: dict[str, Any]) -> None:
        def at_once(status: int, answer: Any) -> None:
            if status == 200:
                self.done(incident, action, self.name, answer)

        def then(status: int, _answer: Any) -> None:
            if status in (0, 503):
                self._again(lambda: self.acts_on(incident, action, body))

        self.door.ask(self.name, "POST", f"/v1/incidents/{incident}/{action}", {"by": self.name, **body}, then, at_once)

    def says(self, method: str, path: str, body: dict[str, Any]) -> None:
        """Anything else."""

        def then(status: int, _answer: Any) -> None:
            if status in (0, 503):
                self._again(lambda: self.says(method, path, body))

        self.door.ask(self.name, method, path, body, then)

    def _again(self, what: Callable[[], None]) -> None:
        self.tries -= 1
        if self.tries > 0:
            self.universe.after(self.draw.uniform(2, 6), what)


def in_future(universe: Universe, seconds: float) -> str:
    return _text(universe.now() + timedelta(seconds=seconds))
