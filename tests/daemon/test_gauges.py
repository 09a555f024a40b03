"""Gauges say what is on disk: counted anew from the records that a store would hold."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imd.core.suppress import KINDS
from imd.daemon import gauges
from imd.model.alert import Alert
from imd.model.quiet import Maintenance, Once, TimeInterval
from imd.model.rule import Mode, Rule
from imd.telemetry import Metrics
from tests.core.making import equals, inhibition, policy, step
from tests.stories.told import Story, time_of


def shown(story: Story, name: str, **labels: str) -> float:
    metrics = Metrics()
    gauges.refresh(metrics, story.engine, story.now)
    value = metrics.registry.get_sample_value(f"imd_{name}", labels)
    assert value is not None, name
    return value


def stored(story: Story) -> list[Alert]:
    return [msgspec.msgpack.decode(one, type=Alert) for one in story.kept.alerts.values()]


def told() -> Story:
    window = TimeInterval(once=(Once(begins_at=time_of("0:10"), ends_at=time_of("0:30")),))
    return Story(
        Rule(name="hushed", match=(equals(alertname="D"),), mode=Mode.SUPPRESS),
        Rule(name="r", group_by=("n",), mode=Mode.MONITOR),
        policies=[policy(step("ana", wait=timedelta(days=1)))],
        inhibitions=(inhibition("A", "B", "n"),),
        maintenance=(Maintenance(name="work", match=(equals(alertname="C"),), during=window),),
    )


_ops = st.one_of(
    st.tuples(st.just("fires"), st.sampled_from("ABCD"), st.sampled_from("12")),
    st.tuples(st.just("resolves"), st.sampled_from("ABCD"), st.sampled_from("12")),
    st.tuples(st.just("silenced"), st.sampled_from("ABCD"), st.integers(1, 3)),
    st.tuples(st.just("unsilenced"), st.integers(1, 3), st.just(0)),
    st.tuples(st.just("paused"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("passes"), st.integers(1, 9), st.just(0)),
    st.tuples(st.just("restarts"), st.just(0), st.just(0)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_ops, min_size=4, max_size=40))
def test_suppressed_alerts_are_those_on_disk(ops: list[tuple[str, object, object]]) -> None:
    """Whatever came and went, restarts in between: each first word of a cause is counted once an alert."""
    story = told()
    for what, one, other in ops:
        match what, one, other:
            case "fires", str(name), str(n):
                story.fires(name, n=n)
            case "resolves", str(name), str(n):
                story.resolves(name, n=n)
            case "silenced", str(name), int(number):
                until = story.now - time_of("0:00") + timedelta(minutes=7)
                story.silenced(f"0:00:{until.total_seconds()}", number=number, alertname=name)
            case "unsilenced", int(number), _:
                story.unsilenced(number)
            case "paused", int(minutes), _:
                until = story.now - time_of("0:00") + timedelta(minutes=minutes)
                story.paused(f"0:00:{until.total_seconds()}")
            case "passes", int(minutes), _:
                story.at(f"0:00:{(story.now - time_of('0:00')).total_seconds() + 60 * minutes}")
            case _:
                story.restart("0:00:01").ticks()
        firing = [alert for alert in stored(story) if alert.firing]
        kinds = Counter(kind for alert in firing for kind in {cause.partition("/")[0] for cause in alert.suppressed_by})
        assert {kind: shown(story, "alerts_suppressed", by=kind) for kind in KINDS} == {k: kinds[k] for k in KINDS}
        assert shown(story, "alerts_open") == len(firing)


def test_a_forgotten_silence_shows_its_age() -> None:
    """The oldest that mutes something; one that mutes nothing is no harm."""
    story = told()
    story.at("0:00").silenced("9000:00", alertname="X").at("1:00")
    assert shown(story, "silence_oldest_seconds") == 0
    story.silenced("9000:00", number=2, alertname="A").at("2:00").fires("A", n="1").at("50:00")
    assert shown(story, "silence_oldest_seconds") == pytest.approx(49 * 3600)
    story.paused("60:00").at("51:00")
    assert shown(story, "silence_oldest_seconds") == pytest.approx(50 * 3600)
    story.unsilenced(2).at("52:00")
    assert shown(story, "silence_oldest_seconds") == pytest.approx(2 * 3600)


def test_a_page_that_nobody_passes_on_is_overdue_once_it_is() -> None:
    """P4: nothing follows its only page, so it has no deadline; it was counted from the instant at which it left."""
    story = Story(Rule(name="r", group_by=("n",)), policies=[policy(step("ana"), step("ben"))]).hangs("ana-phone")
    story.at("0:00").fires("A", n="1", severity="info").at("0:00:10").page_to("ana")
    assert shown(story, "page_overdue") == 0
    story.at("0:01:09")
    assert shown(story, "page_overdue") == 0
    story.at("0:01:11")
    assert shown(story, "page_overdue") == 1
    story.acknowledged_by("ana")
    assert shown(story, "page_overdue") == 0


def test_a_page_that_was_passed_on_is_overdue_until_it_is_taken() -> None:
    story = Story(Rule(name="r", group_by=("n",)), policies=[policy(step("ana"), step("ben"))]).hangs("ana-phone")
    story.at("0:00").fires("A", n="1").at("0:00:10").page_to("ana").at("0:01:10").page_to("ben", "escalated")
    assert shown(story, "page_overdue") == 1
    story.answers("ana-phone").at("0:02")
    assert shown(story, "page_overdue") == 0
