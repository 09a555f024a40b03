"""The pacer under random demand: never faster than it may be, and never slower than that for no reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from imd.channels.contract import Pace, keyed
from imd.daemon.pace import Pacer

PACE = Pace("chat", per_second=4, burst=3)


def sent(pacer: Pacer, wanted: list[float]) -> list[float]:
    """When sends start that are wanted at these instants, each as soon as it may."""
    starts, now = [], 0.0
    for at in sorted(wanted):
        now = max(now, at, pacer.ready_at([PACE]))
        pacer.spend([PACE], now)
        starts.append(now)
    return starts


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_no_span_holds_more_than_its_allowance(wanted: list[float]) -> None:
    """In any span of time at most `burst` sends and `per_second` more for each second of it."""
    starts = sent(Pacer(), wanted)
    for first, start in enumerate(starts):
        for last in range(first, len(starts)):
            assert last - first + 1 <= PACE.burst + (starts[last] - start) * PACE.per_second + 1e-6


@given(st.lists(st.floats(0, 20), min_size=1, max_size=60))
def test_what_is_below_the_pace_never_waits(gaps: list[float]) -> None:
    """Sends a quarter second apart or more start when they are wanted."""
    wanted = [sum(gaps[:count]) + count / PACE.per_second for count in range(len(gaps))]
    assert sent(Pacer(), wanted) == wanted


def test_keys_share_nothing_else() -> None:
    """An account's pace binds all its chats; a chat's binds itself alone. Nothing paced is ready at once."""
    pacer = Pacer()
    account, one, two = Pace("account", 1), Pace("one", 0.1), Pace("two", 0.1)
    pacer.spend([account, one], 100.0)
    assert (pacer.ready_at([account, one]), pacer.ready_at([account, two]), pacer.ready_at([two])) == (110, 101, 0)
    assert pacer.ready_at([]) == 0


def test_keys_do_not_show_secrets() -> None:
    assert "token" not in keyed("slack", "token", "#ops")
    assert keyed("a", "bc") != keyed("ab", "c")
