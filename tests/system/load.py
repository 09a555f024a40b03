"""Alerts at a bounded rate with a log of what was answered, and the oracle that compares it with what imd then holds.

Each alert is a `Subject`, known by its label `serial`. After a 2xx its state is certain. A request that broke off, or
got 503, may have been taken or not, as a whole: its subjects then have two possible states until somebody looks.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple

from tests.system.running import Daemon

PATHS = ("/api/v2/alerts", "/v1/ingest/alertmanager")
BODY_MAX = 8
RETRY_SECONDS = 0.1
PATIENCE_SECONDS = 30.0  # for the ends, which have to be taken


class State(NamedTuple):
    """`episode` counts from 1; 0 with `fires` False: never seen."""

    episode: int
    fires: bool


UNSEEN = State(0, False)


class Subject:
    """`possible` are the states it may be in. `starts_at` is that of its newest episode."""

    def __init__(self, serial: int, anchor: bool = False) -> None:
        self.serial = serial
        self.anchor = anchor
        self.possible = {UNSEEN}
        self.starts_at = self.ends_at = datetime.now(UTC)

    @property
    def state(self) -> State:
        (state,) = self.possible
        return state


class Change(NamedTuple):
    subject: Subject
    before: State
    after: State


class Producer:
    """Sends `rate` alerts/s over `len(PATHS) * 2` connections in threads, from `start` to the daemon's end or `stop`.

    Every sender has subjects of its own and sends one request at a time, so the order of events of a subject is known.
    """

    def __init__(self, daemon: Daemon, rate: float, seed: int) -> None:
        self._daemon = daemon
        self._senders = [_Sender(daemon, path, rate / 4, f"{seed}/{n}", n) for n, path in enumerate(PATHS * 2)]
        self._threads: list[threading.Thread] = []

    def strike(self, how: Callable[[], None] | None) -> None:
        """What to do at the next answer, before anything else: the worst instant for one that answers too early."""
        for sender in self._senders:
            sender.at_answer = how

    @property
    def subjects(self) -> list[Subject]:
        return [subject for sender in self._senders for subject in sender.subjects]

    def total(self, name: str) -> int:
        """`acked` (alerts), `requests`, `unanswered` (requests)."""
        return sum(sender.counts[name] for sender in self._senders)

    def statuses(self) -> Counter[int]:
        """Requests by the status of their answer."""
        return sum((sender.statuses for sender in self._senders), Counter())

    def start(self) -> None:
        self._threads = [threading.Thread(target=sender.run, daemon=True) for sender in self._senders]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        for sender in self._senders:
            sender.stopping.set()
        self.join()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(15)
            assert not thread.is_alive()

    def resolve_all(self) -> None:
        """The end: nothing fires any more, anchors too."""
        for sender in self._senders:
            sender.resolve_all()

    def look(self) -> list[str]:
        """Compares with the daemon's open alerts and narrows every subject to the state that it is in; what is wrong,
        in words: an acknowledged state that is not there, half a body."""
        ours = self._daemon.items("/v1/alerts", match='alertname="Load"')
        firing = {int(alert["labels"]["serial"]): alert for alert in ours}
        wrong = []
        for subject in self.subjects:
            alert = firing.pop(subject.serial, None)
            fitting = {state for state in subject.possible if state.fires == (alert is not None)}
            if not fitting:
                wrong.append(f"{subject.serial} should be {subject.possible}, is {alert and alert['status']}")
            elif alert and datetime.fromisoformat(alert["starts_at"]) != subject.starts_at:
                wrong.append(f"{subject.serial} starts at {alert['starts_at']}, not {subject.starts_at}")
            subject.possible = fitting or {State(max(subject.possible).episode, alert is not None)}
        wrong += [f"{serial} fires and was never sent" for serial in firing]
        for sender in self._senders:
            wrong += sender.torn()
        return wrong


class _Sender:
    def __init__(self, daemon: Daemon, path: str, rate: float, seed: str, number: int) -> None:
        self._daemon = daemon
        self._path = path
        self._rate = rate
        self._random = random.Random(seed)
        self._next_serial = number + len(PATHS) * 2
        self.subjects = [Subject(number, anchor=True)]
        self._unanswered: list[Change] = []
        self.stopping = threading.Event()
        self.at_answer: Callable[[], None] | None = None
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()

    def run(self) -> None:
        """Until the daemon is gone or `stopping` is set. A body that got 503 is sent again, as senders do."""
        connection = HTTPConnection("127.0.0.1", self._daemon.port, timeout=12)
        due = time.monotonic()
        try:
            while not self.stopping.is_set():
                changes = self._choose()
                if not self._send(connection, changes):
                    return
                due = max(due + len(changes) / self._rate, time.monotonic() - 0.1)
                self.stopping.wait(max(0.0, due - time.monotonic()))
        finally:
            connection.close()

    def resolve_all(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._daemon.port, timeout=12)
        firing = [subject for subject in self.subjects if subject.state.fires]
        for start in range(0, len(firing), 100):
            part = [Change(one, one.state, State(one.state.episode, False)) for one in firing[start : start + 100]]
            assert self._send(connection, part, time.monotonic() + PATIENCE_SECONDS)
        connection.close()

    def torn(self) -> list[str]:
        """Whether the request that broke off was taken by halves. To be asked once the subjects were narrowed."""
        changes = [change for change in self._unanswered if change.before != change.after]
        taken = [change.subject.state == change.after for change in changes]
        self._unanswered = []
        return [] if all(taken) or not any(taken) else [f"half a body: {sum(taken)} of {len(taken)} alerts were taken"]

    def _choose(self) -> list[Change]:
        """A body: some new alerts, some repeats, some resolves, some that come back."""
        size = self._random.randint(1, BODY_MAX)
        old = self._random.sample(self.subjects, min(size // 2, len(self.subjects)))
        changes = [self._next(subject) for subject in old]
        while len(changes) < size:
            subject = Subject(self._next_serial)
            self._next_serial += len(PATHS) * 2
            self.subjects.append(subject)
            changes.append(self._next(subject))
        return changes

    def _next(self, subject: Subject) -> Change:
        state = subject.state
        if not state.fires:
            return Change(subject, state, State(state.episode + 1, True))
        resolves = not subject.anchor and self._random.random() < 0.6
        return Change(subject, state, State(state.episode, not resolves))

    def _send(self, connection: HTTPConnection, changes: list[Change], until: float | None = None) -> bool:
        """False once the daemon does not answer any more, or when told to stop while it answers 503. Until an instant
        that is given it goes on."""
        now = datetime.now(UTC)
        body = json.dumps(self._body([_alert(change, now) for change in changes])).encode()
        self._unanswered = changes
        for change in changes:
            change.subject.possible = {change.before, change.after}
        while (status := self._post(connection, body)) == 503:
            if self._gives_up(until):
                return False
        if not status:
            return False
        self._unanswered = []
        for change in changes:
            change.subject.possible = {change.after if status == 200 else change.before}
        self.counts["acked"] += len(changes) if status == 200 else 0
        return True

    def _gives_up(self, until: float | None) -> bool:
        if until is None:
            return self.stopping.wait(RETRY_SECONDS)
        time.sleep(RETRY_SECONDS)
        return time.monotonic() > until

    def _post(self, connection: HTTPConnection, body: bytes) -> int:
        """The answer's status, 0 if there was none."""
        self.counts["requests"] += 1
        try:
            connection.request("POST", self._path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if self.at_answer is not None:
                self.at_answer()
            response.read()
        except (OSError, HTTPException):
            self.counts["unanswered"] += 1
            return 0
        self.statuses[response.status] += 1
        assert response.status != 503 or int(response.headers["Retry-After"]) > 0
        return response.status

    def _body(self, alerts: list[dict[str, Any]]) -> object:
        return alerts if self._path == PATHS[0] else {"version": "4", "status": "firing", "alerts": alerts}


def _alert(change: Change, now: datetime) -> dict[str, Any]:
    subject = change.subject
    if change.after.episode > change.before.episode:
        subject.starts_at = now
    if not change.after.fires:
        subject.ends_at = now
    return {
        "status": "firing" if change.after.fires else "resolved",
        "labels": {"alertname": "Load", "serial": str(subject.serial), "severity": "warning"},
        "annotations": {"summary": f"number {subject.serial}", "value": f"{now.timestamp():.3f}"},
        "startsAt": subject.starts_at.isoformat(),
        "endsAt": (now + timedelta(hours=1) if change.after.fires else now).isoformat(),
    }
