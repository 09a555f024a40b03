"""Every receiver of a policy is down for two hours, and then all are back: engine and outbox in virtual time.

`python -m pytest -q tests/daemon/test_outage.py` prints what each receiver heard, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from imd.channels.contract import Answer, Conversation, Pace, Receipt, Temporary
from imd.model.effect import Delivery
from imd.model.event import AlertsReported
from imd.model.incident import IncidentState, Priority
from imd.model.policy import PageKind, Receiver
from imd.model.rule import MATCH_ALL, Matcher, Op, Rule
from tests.core.making import T0, policy, report, ruleset, seconds, step
from tests.daemon.virtual import House, play

HOUR = 3600.0
DOWN, OVER = 2 * HOUR, 2 * HOUR + 1800
INCIDENTS = 240
PAGES = frozenset({PageKind.PAGE, PageKind.RESOLVED})
REFUSED = Temporary("connection refused")
HANGS = Temporary("no answer within 10 s", ambiguous=True)


class Vendor:
    """Down until `up_at`; then takes what its pace lets through. `attempts` and `taken` are by seconds."""

    def __init__(self, name: str, down: Temporary, per_second: float, burst: int) -> None:
        self.paces = (Pace(name, per_second, burst),)
        self.down = down
        self.attempts: list[float] = []
        self.taken: list[tuple[float, Delivery]] = []

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        loop = asyncio.get_running_loop()
        self.attempts.append(loop.time())
        takes = 10 if self.down.ambiguous and loop.time() < DOWN else 0.2
        await asyncio.sleep(takes + len(self.attempts) * 1e-6)  # what began first ends first
        if loop.time() < DOWN:
            return self.down
        self.taken.append((loop.time(), delivery))
        return Receipt()

    async def close(self) -> None:
        pass

    def told(self) -> Iterator[tuple[float, int, str, str]]:
        """When, which incident, its priority and state, as the message said them."""
        for at, one in self.taken:
            for each in _shown(one):
                yield at, each["number"], each["priority"], each["state"]

    def kinds(self) -> list[str]:
        return [one.kind.value for _, one in self.taken]


def _shown(one: Delivery) -> list[dict[str, Any]]:
    """The incidents of a message."""
    body = msgspec.json.decode(one.body)
    return list(body.get("incidents") or [body["incident"]])


def receiver(name: str, people: bool) -> Receiver:
    return Receiver(name=name, send=PAGES, people=people, deliver_within=seconds(20))


@pytest.mark.parametrize("down", [REFUSED, HANGS], ids=["refuses", "hangs"])
def test_two_hours_without_any_receiver(down: Temporary, figures: list[str]) -> None:
    """240 incidents begin and half of them end. Back again: people hear a handful of messages; programs a page of each
    incident that is still open, whatever its policy said meanwhile, and of those that are over in one digest, at the
    pace they allow. The most urgent first, and nothing is lost."""
    vendors = {
        "slack": Vendor("slack", down, 1, 3),
        "sms": Vendor("sms", down, 1, 1),
        "pagerduty": Vendor("pagerduty", down, 2, 60),
        "webhook": Vendor("webhook", down, 100, 100),
    }
    urgent = ((Matcher("alertname", Op.REGEX, "U.*"),),)
    rules = ruleset(
        Rule(name="p1", match=urgent, hold=seconds(10), priority=Priority.P1),
        Rule(name="p3", match=MATCH_ALL, hold=seconds(10), priority=Priority.P3),
        policies=[policy(step("#slack", "#pagerduty"), step("#sms", "#webhook"), repeat=1, remind=None)],
        receivers=[receiver(name, people=name in ("slack", "sms")) for name in vendors],
    )

    async def story() -> None:
        house = House(rules, vendors)
        for number in range(INCIDENTS):
            await _until(number * 30)
            house.step(_alert(number))
            if number % 2 and number > 20:
                house.step(_alert(number - 19, resolved=True))
        await _until(OVER)
        ended = [one for one in house.incidents.values() if one.state is IncidentState.RESOLVED]
        assert (len(house.incidents), len(ended)) == (INCIDENTS, 110)
        open_ones = {one.number for one in house.incidents.values() if one.open}
        meanwhile = {one.number for one in ended if one.resolved_at and one.resolved_at < T0 + seconds(DOWN)}
        for one in house.incidents.values():
            assert not one.awaited
            assert not any(told.news for told in one.told.values())
        for name, vendor in vendors.items():
            _judge(name, vendor, open_ones, meanwhile, figures, down)
        await house.outbox.drain(0)

    play(story())


def _judge(
    name: str, vendor: Vendor, open_ones: set[int], meanwhile: set[int], figures: list[str], down: Temporary
) -> None:
    told, kinds, times = list(vendor.told()), vendor.kinds(), [at for at, _ in vendor.taken]
    numbers = {number for _, number, _, _ in told}
    assert numbers == set(range(1, INCIDENTS + 1)), "a page owed is delivered, or named in a digest"
    assert all(at >= DOWN for at in times)
    if name in ("slack", "sms"):
        assert set(kinds) <= {"page", "digest"}
        assert len(kinds) <= 8
    else:
        last = {number: state for _, number, _, state in told}
        assert all((last[number] == "resolved") == (number not in open_ones) for number in numbers)
        paged = [one.number for _, one in vendor.taken if one.kind is PageKind.PAGE]
        assert set(paged) & meanwhile <= {told[0][1]}, "none is paged of what is over, but by the one that tried"
        assert len(paged) <= len(open_ones) + 3, "one page an incident"
        assert kinds.count("digest") == 1
        assert set(paged) == {
            one.number for _, one in vendor.taken[: kinds.index("digest")] if one.kind is PageKind.PAGE
        }
        # Where attempts may have arrived, each has its end beside the digest.
        assert kinds.count("resolved") <= (INCIDENTS - len(open_ones) if down.ambiguous else 2)
    for _, one in vendor.taken:
        shown = [(each["state"] == "resolved", each["priority"]) for each in _shown(one)]
        assert shown == sorted(shown), "in each message the most urgent first, what is over last"
    # But for the one that tried whether the receiver is back, the most urgent are first.
    pages = [one for _, one in vendor.taken if one.kind is PageKind.PAGE]
    first = list({one.number: one.priority.value for one in pages}.values())
    if name in ("pagerduty", "webhook"):
        assert first[1:] == sorted(first[1:]), name
    burst, rate = vendor.paces[0].burst, vendor.paces[0].per_second
    assert all(b - a >= burst / rate - 0.3 for a, b in zip(times, times[2 * burst :], strict=False)), "within its pace"
    tries = sum(at < DOWN for at in vendor.attempts)
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    figures.append(
        f"outage of 2 h, {name} {'hangs' if down.ambiguous else 'refuses'}: {tries} attempts meanwhile; then {counts} "
        f"of {len(numbers)} incidents, {times[0] - DOWN:.1f} to {times[-1] - DOWN:.1f} s after it was back"
    )


def _alert(number: int, resolved: bool = False) -> AlertsReported:
    """Every fortieth is urgent."""
    name, at = f"U{number}" if number % 40 == 39 else f"A{number}", number * 30.0
    ends = asyncio.get_running_loop().time() if resolved else None
    return AlertsReported("am", False, (report({"alertname": name}, at, resolved=resolved, ends=ends),))


async def _until(when: float) -> None:
    await asyncio.sleep(max(0.0, when - asyncio.get_running_loop().time()))
