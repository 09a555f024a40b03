"""One receiver's queue under random work: order, bounds, cancelling, and that nothing waits for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from imd.channels.contract import Answer, Pace, Receipt
from imd.daemon.breaker import BACKOFF_MAX_SECONDS, FAILURES_TO_OPEN, Breaker, BreakerState, backoff
from imd.daemon.lane import SENDS_MAX, Entry, Lane, Stage
from imd.daemon.pace import Pacer
from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind
from tests.channels.samples import delivery

START = datetime(2026, 1, 1, tzinfo=UTC)
PAGES = frozenset({PageKind.PAGE})


class Nowhere:
    """A channel that nobody calls here."""

    def __init__(self, *paces: Pace) -> None:
        self.paces = paces

    async def send(self, delivery: Delivery, attempt: int, conversation: bytes = b"") -> Answer:
        return Receipt()

    async def close(self) -> None: ...


OPERATION = st.one_of(
    st.tuples(st.just("offer"), st.integers(0, 5), st.sampled_from(list(Priority)), st.sampled_from(list(PageKind))),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
    st.tuples(st.just("take")),
    st.tuples(st.just("works"), st.integers(0, 99)),
    st.tuples(st.just("fails"), st.integers(0, 99), st.sampled_from([0.0, 0.0, 30.0])),
    st.tuples(st.just("report"), st.integers(0, 99)),
    st.tuples(st.just("pass"), st.floats(0, 90)),
)


class Driver:
    """Does to a lane what the outbox does, and looks on."""

    def __init__(self) -> None:
        self.lane = Lane("hook", Nowhere(), Pacer())
        self.now = 0.0
        self.count = 0
        self.sending: list[Entry] = []
        self.ending: list[Entry] = []
        self.order: dict[str, list[str]] = {}
        self.over: set[str] = set()

    def offer(self, incident: int, priority: Priority, kind: PageKind) -> None:
        self.count += 1
        new = delivery(
            self.count,
            incident=f"i{incident}",
            priority=priority,
            kind=kind,
            created_at=START + timedelta(seconds=self.count),
        )
        self.order.setdefault(new.incident, []).append(new.id)
        self.lane.add(Entry(new, expires=1e9), self.now)

    def cancel(self, incident: int) -> None:
        self.ending += self.lane.cancel(f"i{incident}", PAGES)

    def take(self) -> None:
        before = self.lane.breaker.state(self.now)
        while (entry := self.lane.take(self.now)) is not None:
            assert not entry.cancelled
            earlier = self.order[entry.delivery.incident]
            assert set(earlier[: earlier.index(entry.delivery.id)]) <= self.over, "overtook one of its incident"
            self.sending.append(entry)
            assert before is not BreakerState.OPEN
            assert before is BreakerState.CLOSED or entry.probe
        assert len(self.sending) == self.lane.sending <= SENDS_MAX

    def works(self, index: int) -> None:
        if self.sending:
            entry = self._returned(index)
            if self.lane.breaker.worked():
                self.lane.hurry()
            self._ends(entry)

    def fails(self, index: int, hold: float) -> None:
        if self.sending:
            entry = self._returned(index)
            entry.attempt += 1
            self.lane.breaker.failed(self.now, entry.probe, hold)
            if entry.cancelled:
                self._ends(entry)
            else:
                self.lane.delay(entry, self.now + max(hold, backoff(entry.delivery.id, entry.attempt)))

    def report(self, index: int) -> None:
        if self.ending:
            entry = self.ending.pop(index % len(self.ending))
            self.lane.finished(entry, self.now)
            self.over.add(entry.delivery.id)

    def _returned(self, index: int) -> Entry:
        self.lane.sending -= 1
        return self.sending.pop(index % len(self.sending))

    def _ends(self, entry: Entry) -> None:
        entry.stage = Stage.ENDING
        self.ending.append(entry)

    def settle_all(self) -> None:
        """From any state: with a receiver that works again, everything ends, by the lane's own wake-ups alone."""
        for _ in range(20 * self.count + 100):
            while self.ending:
                self.report(0)
            self.take()
            while self.sending:
                self.works(0)
            if not len(self.lane):
                return
            if not self.ending:
                wake_at = self.lane.wake_at()
                assert wake_at is not None, "deliveries wait and nothing will wake them"
                self.now = max(self.now, wake_at)
        raise AssertionError("deliveries are left")


@settings(max_examples=300, deadline=None)
@given(st.lists(OPERATION, max_size=80))
def test_nothing_overtakes_starts_cancelled_or_waits_for_ever(operations: list[tuple[object, ...]]) -> None:
    """Whatever happens in whatever order."""
    driver = Driver()
    for name, *arguments in operations:
        if name == "pass":
            driver.now += float(str(arguments[0]))
        else:
            getattr(driver, str(name))(*arguments)
    driver.settle_all()
    assert len(driver.over) == driver.count


def test_backoff_is_bounded_growing_and_repeatable() -> None:
    """min(60 s, 2^(n-1)) times a half to one, the same at each run."""
    for attempt in range(1, 200):
        ceiling = min(BACKOFF_MAX_SECONDS, 2.0 ** (attempt - 1))
        assert ceiling / 2 <= backoff("d1", attempt) < ceiling
    assert backoff("d1", 1) == backoff("d1", 1) != backoff("d2", 1)


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    breaker = Breaker("hook")
    for _ in range(3):
        assert not any(breaker.failed(0.0, probe=False) for _ in range(FAILURES_TO_OPEN - 1))
        assert not breaker.worked()
    assert breaker.state(0.0) is BreakerState.CLOSED


def test_a_failed_probe_waits_longer() -> None:
    breaker = Breaker("hook")
    opened = [breaker.failed(0.0, probe=False) for _ in range(FAILURES_TO_OPEN)]
    assert opened == [False] * (FAILURES_TO_OPEN - 1) + [True]
    now, waits = 0.0, []
    for _ in range(10):
        at = breaker.admits_at()
        assert at is not None
        assert not breaker.admits(at - 0.001)
        assert breaker.admits(at)
        waits.append(at - now)
        now = at
        assert breaker.started()
        assert not breaker.admits(now)
        breaker.failed(now, probe=True)
    assert waits[0] <= 1.0
    assert 30.0 <= waits[-1] <= 60.0
    assert breaker.worked()
    assert breaker.admits(now)
