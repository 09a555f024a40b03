"""When an alert that nobody speaks of any more is over."""

from __future__ import annotations

import pytest

from imd.core.expiry import Expires, Heard, LooksAgain, Settles, deadline, judge
from imd.model.alert import Alert, AlertState, Span, identify
from imd.model.policy import Source
from imd.model.presence import Outage
from tests.core.making import T0, after, minutes

SOURCE = Source(name="am", type="alertmanager", expire_after=minutes(60), silent_after=minutes(10))


def alert(*, by_api: bool = True, seen: float = 0, until: float | None = 240, ended: float | None = None) -> Alert:
    spans = (Span(T0, None if until is None else after(until), None),)
    if ended is not None:
        spans += (Span(after(1), after(99999), after(ended)),)
    return Alert(1, identify({"a": "b"}), "am", by_api, AlertState.FIRING, T0, T0, after(seen), spans)


def heard(at: float, back: float = 0) -> Heard:
    return Heard(after(at), after(back))


def test_deadlines() -> None:
    assert deadline(alert(), SOURCE, ()) == after(240)
    assert deadline(alert(until=None, seen=30), SOURCE, ()) == after(330), "five minutes after last seen"
    assert deadline(alert(by_api=False, seen=30), SOURCE, ()) == after(3630), "a webhook's end does not count"
    assert deadline(alert(ended=60), SOURCE, ()) == after(240), "nor that of a span that has ended"


def test_an_outage_moves_deadlines_later_by_its_length_and_five_minutes() -> None:
    away = Outage(after(100), after(700))
    assert deadline(alert(), SOURCE, (away,)) == after(240 + 600 + 300)
    assert deadline(alert(until=50), SOURCE, (away,)) == after(100 + 600 + 300), "overdue when imd went away"
    assert deadline(alert(seen=700), SOURCE, (away,)) == after(240), "heard since: no grace"


@pytest.mark.parametrize(
    ("heard_at", "back", "now", "verdict"),
    [
        (0, 0, 239, LooksAgain(after(240), stale=False)),
        (200, 0, 240, LooksAgain(after(840), stale=True)),
        (240, 0, 240, Expires(after(240), "no longer reported")),
        (241, 0, 241, Expires(after(240), "no longer reported")),
        (400, 400, 401, Settles(after(405))),
        (404, 400, 405, Expires(after(240), "no longer reported")),
        (200, 0, 840, Expires(after(240), "source silent")),
    ],
    ids=["not yet", "the source is silent", "heard at the deadline", "heard after", "just back", "settled", "silent"],
)
def test_verdicts(heard_at: float, back: float, now: float, verdict: Expires | LooksAgain | Settles) -> None:
    assert judge(alert(), SOURCE, heard(heard_at, back), (), after(now)) == verdict


def test_a_gap_of_more_than_a_minute_counts_as_having_been_away() -> None:
    one = heard(0)
    one.hear(after(60))
    assert one.back_at == after(0)
    one.hear(after(121))
    assert (one.back_at, one.heard_at) == (after(121), after(121))
