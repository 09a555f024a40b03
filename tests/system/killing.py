"""Lives and deaths of one daemon under load, and the oracle for the messages that came of them."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.system.load import Producer
from tests.system.running import Daemon, until
from tests.system.sink import Message

LIFE_SECONDS = (0.05, 0.5)
KILLED_AT_ANSWER = 0.5  # share of deaths right behind a 2xx, the others anywhere
KILLED_AT_START = 0.1  # share of starts that do not live to be ready
RESTART_SECONDS = 3.0

RECEIVERS = "receivers: [{{name: sink, type: webhook, url: {url}, send: [page, update, resolved], update_every: 1s}}]\n"
# Its alerts come and go for as long as it runs, an hour maybe; each of their ends is to be heard of, and one that comes
# back after whatever time is the same incident.
STEADY = "flapping: {changes: 100, within: 1s}"
SINGLE = f"""rules:
  - name: single
    {STEADY}
    match: 'alertname="Load"'
    group_by: [serial]
    hold: 0s
    resolve: {{after: 0s}}
    reopen_within: 7d
"""


class Killing:
    """Lives and deaths of one daemon under load."""

    def __init__(self, daemon: Daemon, producer: Producer, seed: str) -> None:
        self.daemon = daemon
        self.producer = producer
        self.restarts: list[float] = []
        self.wrong: list[str] = []
        self._random = random.Random(seed)

    def cycle(self) -> None:
        """A life under load, a death at a random instant, and a start."""
        self.producer.start()
        time.sleep(self._random.uniform(*LIFE_SECONDS))  # the instant of death is what is drawn here
        if self._random.random() < KILLED_AT_ANSWER:
            assert self.daemon.process is not None
            self.producer.strike(self.daemon.process.kill)
            self.daemon.wait()
            self.producer.strike(None)
        else:
            self.daemon.kill()
        self.producer.join()
        if self._random.random() < KILLED_AT_START:
            self.daemon.spawn()
            time.sleep(self._random.uniform(0.0, 0.6))
            self.daemon.kill()
        self.resurrect()

    def resurrect(self) -> None:
        """It died: start it again, and see whether all that was acknowledged is there."""
        self.restarts.append(self.daemon.start())
        self.wrong += self.producer.look()

    def finish(self) -> None:
        """Everything resolves and every message leaves."""
        self.producer.resolve_all()
        self.wrong += self.producer.look()
        open_path = {"status": "open"}
        until("every incident is over", lambda: not self.daemon.items("/v1/incidents", **open_path), 60)
        until("the outbox is empty", lambda: self.daemon.pending() == 0, 60)

    def figures(self, name: str, pages: Pages) -> str:
        statuses = dict(self.producer.statuses())
        slowest = sorted(self.restarts)[max(0, round(0.95 * len(self.restarts)) - 1)]
        return (
            f"{name}: {len(self.restarts)} deaths, {self.producer.total('acked')} alerts acked "
            f"(answers {statuses}, {self.producer.total('unanswered')} cut off), {len(self.wrong)} lost or torn; "
            f"{pages.due} messages due, {len(pages.missed)} missed, {len(pages.extra)} too many, {pages.duplicates} "
            f"further receipts with their key, {len(pages.wrong_keys)} wrong keys; "
            f"restart p50 {statistics.median(self.restarts) * 1000:.0f} ms, p95 {slowest * 1000:.0f} ms"
        )


class Pages:
    """What the sink saw beside what was due: for each incident how many pages and how many resolves."""

    def __init__(self, received: Sequence[Message], due: Mapping[str, Counter[str]]) -> None:
        first: dict[str, Message] = {}
        self.duplicates = 0
        self.wrong_keys: list[str] = []
        for message in received:
            known = first.setdefault(message.id, message)
            if known is not message:
                self.duplicates += 1
                if _without_attempt(known) != _without_attempt(message):
                    self.wrong_keys.append(f"{message.id} came with two contents")
        self.distinct = list(first.values())
        self.due = sum(sum(kinds.values()) for kinds in due.values())
        taken = {message.id for message in received if message.status == 200}
        got = Counter((message.incident["id"], message.kind) for message in self.distinct if message.id in taken)
        wanted = Counter({(incident, kind): n for incident, kinds in due.items() for kind, n in kinds.items()})
        self.missed = list((wanted - got).elements())
        self.extra = [one for one in (got - wanted).elements() if one[1] != "update"]
        self._check_keys()

    def _check_keys(self) -> None:
        keys: dict[str, set[str]] = {}
        for message in self.distinct:
            keys.setdefault(message.incident["id"], set()).add(message.key)
            if message.id != message.body["delivery_id"]:
                self.wrong_keys.append(f"webhook-id {message.id} is not the body's {message.body['delivery_id']}")
        self.wrong_keys += [f"{incident} has keys {found}" for incident, found in keys.items() if len(found) != 1]
        shared = Counter(key for found in keys.values() for key in found)
        self.wrong_keys += [f"{key} is the key of {count} incidents" for key, count in shared.items() if count > 1]

    def out_of_order(self) -> list[str]:
        """Incidents whose pages and resolves did not come in turn."""
        turns: dict[str, list[str]] = {}
        for message in self.distinct:
            if message.kind in ("page", "resolved"):
                turns.setdefault(message.incident["id"], []).append(message.kind)
        return [
            f"{incident}: {kinds}"
            for incident, kinds in turns.items()
            if kinds != ["page", "resolved"] * (len(kinds) // 2)
        ]


def _without_attempt(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.body.items() if name != "attempt"}


def due_of_each(daemon: Daemon, producer: Producer) -> dict[str, Counter[str]]:
    """By SINGLE every episode owes a page and a resolve. An alert that has no incident is due under its number."""
    incidents = daemon.items("/v1/incidents", rule="single")
    by_serial = {int(one["group_key"]["serial"]): one["id"] for one in incidents}
    assert len(by_serial) == len(incidents), "two incidents for one alert"
    episodes = {subject.serial: subject.state.episode for subject in producer.subjects if subject.state.episode}
    due = {by_serial.pop(serial, f"serial {serial}"): Counter(page=n, resolved=n) for serial, n in episodes.items()}
    assert not by_serial, "incidents that no alert asked for"
    return due


def judge(killing: Killing, pages: Pages) -> None:
    """Nothing acknowledged is lost, no body is taken by halves, no message missed, doubled under another key."""
    assert not killing.wrong, killing.wrong[:10]
    assert set(killing.producer.statuses()) == {200}
    assert killing.producer.total("unanswered") > 0
    assert not pages.missed, pages.missed[:10]
    assert not pages.extra, pages.extra[:10]
    assert not pages.wrong_keys, pages.wrong_keys[:10]
    assert sorted(killing.restarts)[len(killing.restarts) // 4] < RESTART_SECONDS  # a busy machine may delay some
