"""Senders with a key of their own: what they say of an alert may change while it fires, which alert it is does not."""

from __future__ import annotations

import json

from imd.model.enrich import Relabel
from imd.model.quiet import Inhibition
from imd.model.rule import Count, Matcher, Mode, Op, Rule
from imd.model.view import alert_view
from tests.core.making import equals, inhibition, minutes, policy, seconds, step
from tests.stories.told import Story

ANA = [policy(step("ana", wait=minutes(60)))]
DISK = {"alertname": "Disk", "host": "db1"}


def test_a_resolve_by_the_bare_key_meets_its_trigger() -> None:
    """The resolve says nothing but the key. What the alert was stays on record, and so does its fingerprint."""
    story = Story(policies=ANA)
    story.at("0:00").says("k1", severity="critical", **DISK).at("0:00:10").page_to("ana", priority="P2")
    shown = alert_view(story.alert("Disk"), story.incident())
    story.at("0:05").says("k1", resolved=True).update_to("ana").at("0:06").end_to("ana").is_("resolved", ended=1)
    after = alert_view(story.alert("Disk"), story.incident())
    assert (after.fingerprint, after.labels) == (shown.fingerprint, shown.labels)
    assert json.loads(bytes(after.labels))["severity"] == "critical"


def test_a_severity_that_rises_raises_the_incident() -> None:
    """A warning that becomes critical under its key is paged again at once, by its new priority; and stays so."""
    story = Story(policies=ANA)
    story.at("0:00").says("k1", severity="warning", **DISK).at("0:00:10").page_to("ana", priority="P3")
    story.at("0:05").says("k1", severity="critical", **DISK).page_to("ana", "raised", priority="P2")
    story.line("Disk: severity is critical now, was warning").line("raised from P3 to P2").is_("triggered", firing=1)
    story.at("0:05:20").says("k1", severity="critical", **DISK).at("0:09").quiet()
    story.at("0:10").says("k1", severity="info", **DISK).update_to("ana")
    story.line("severity is info now, was critical")
    assert story.incident().priority.value == "P2"
    story.restart().at("0:20").says("k1", severity="critical", **DISK).update_to("ana")
    story.at("0:30").says("k1", resolved=True).update_to("ana").at("0:31").end_to("ana")


def test_words_that_nothing_hangs_on_are_no_news() -> None:
    """A value that moves with each repeat is shown as it is now; nobody hears of it, and the record says nothing."""
    story = Story(policies=ANA)
    story.at("0:00").says("k1", value="1", severity="critical", **DISK).at("0:00:10").page_to("ana")
    for minute in range(1, 9):
        story.at(f"0:0{minute}").says("k1", value=str(minute), severity="critical", **DISK).quiet()
    assert story.alert("Disk").labels()["value"] == "8"
    assert "restated" not in story.told()
    assert "value" not in story.incident().labels
    story.restart()
    assert story.alert("Disk").labels()["value"] == "8"


def test_an_alert_stays_where_it_was_put() -> None:
    """Its key in its incident is that of its first words; so a resolve ends the right one, and after a restart too."""
    rule = Rule(name="hosts", group_by=("host",))
    story = Story(rule, policies=ANA)
    story.at("0:00").says("k1", alertname="A", host="one").at("0:00:10").page_to("ana")
    story.at("0:01").says("k1", alertname="A", host="two").restart().incidents(1).is_("triggered", firing=1)
    assert dict(story.incident().group_key) == {"host": "one"}
    story.at("0:02").says("k1", resolved=True).update_to("ana").at("0:03").end_to("ana")


def test_one_that_waits_for_others_waits_where_it_began() -> None:
    """Half of what opens an incident changes its labels and ends: it counts no more where it counted, and nothing
    else does in its place."""
    rule = Rule(name="hosts", group_by=("host",), open_when=Count(at_least=2, within=minutes(5)))
    story = Story(rule, policies=ANA)
    story.at("0:00").says("k1", alertname="A", host="one").says("k1", alertname="A", host="two")
    story.restart().at("0:01").says("k1", resolved=True)
    assert not story.engine.state.waiting
    story.says("k2", alertname="A", host="one").incidents(0).says("k3", alertname="A", host="two").incidents(0)
    story.says("k4", alertname="A", host="one").is_("pending", firing=2)
    story.at("0:01:10").page_to("ana")


def test_a_silence_goes_by_the_newest_words() -> None:
    """What people see is what they silence: an alert that comes to say so falls under the silence, and out of it."""
    story = Story(policies=ANA)
    story.at("0:00").silenced("2:00", state="planned").says("k1", state="sudden", **DISK)
    story.at("0:00:10").page_to("ana").at("0:01").says("k1", state="planned", **DISK)
    story.is_suppressed("Disk", "silence").is_("triggered", firing=0, suppressed=1)
    story.at("0:10").says("k1", state="sudden", **DISK).page_to("ana", "repeated").is_suppressed("Disk")


def test_an_inhibition_goes_by_the_newest_words() -> None:
    """A source that says another site mutes that site's targets, and those of the first go on."""
    off = Inhibition(
        name="site-off",
        source=((Matcher("alertname", Op.EQUAL, "SiteOff"),),),
        target=((Matcher("alertname", Op.EQUAL, "Disk"),),),
        equal=("site",),
    )
    story = Story(Rule(name="all", match=((),), group_by=("site",), hold=seconds(10)), policies=ANA, inhibitions=(off,))
    story.at("0:00").says("s", alertname="SiteOff", site="a").says("d", alertname="Disk", site="a")
    story.is_suppressed("Disk", "inhibition").at("0:00:10").page_to("ana")
    story.at("0:01").says("s", alertname="SiteOff", site="b").is_suppressed("Disk")


def test_the_time_of_an_event_is_not_the_start_of_the_alert() -> None:
    """A sender that repeats itself with the time of each message speaks of one episode, which began with the first."""
    story = Story(policies=ANA)
    story.at("0:00:05").says("k1", at="0:00", **DISK).at("0:00:15").page_to("ana")
    for minute in range(1, 9):
        story.at(f"0:0{minute}").says("k1", at=f"0:0{minute}", **DISK)
    alert = story.alert("Disk")
    assert (len(alert.spans), alert.count, (story.now - alert.starts_at)) == (1, 9, minutes(8))
    story.says("k1", at="0:09", resolved=True).update_to("ana").at("0:09").end_to("ana")


def test_a_resolve_that_was_held_up_ends_nothing_newer() -> None:
    """It came back at five and the word of its end at four arrives after that: it fires."""
    story = Story(policies=ANA)
    story.at("0:00").says("k1", at="0:00", **DISK).at("0:00:10").page_to("ana")
    story.at("0:05").says("k1", at="0:04", resolved=True).update_to("ana").says("k1", at="0:05", **DISK)
    story.at("0:05:30").says("k1", at="0:04", resolved=True).is_("triggered", firing=1)
    story.at("0:06").update_to("ana").says("k1", at="0:06", resolved=True).at("0:07").end_to("ana")


def test_enrichment_goes_by_the_newest_words() -> None:
    """The sender's own word for its severity is translated each time that it changes."""
    relabel = [
        Relabel(name=said, source_labels=("severity",), regex=said, target_label="severity", replacement=meant)
        for said, meant in (("Average", "warning"), ("Disaster", "critical"))
    ]
    story = Story(policies=ANA, enrich=tuple(relabel))
    story.at("0:00").says("k1", severity="Average", **DISK).at("0:00:10").page_to("ana", priority="P3")
    story.at("0:05").says("k1", severity="Disaster", **DISK).page_to("ana", "raised", priority="P2")
    story.line("severity is critical now, was warning")


def test_a_resolve_by_a_slow_clock_ends_what_told_no_start() -> None:
    """The trigger said no time, the resolve says one of a minute before we heard of the trigger: their clock is slow.
    One of an hour before is of another time, and ends nothing."""
    story = Story(policies=ANA)
    story.at("2:00").says("k1", **DISK).at("2:00:10").page_to("ana").says("k1", at="1:00", resolved=True)
    story.at("2:00:30").is_("triggered", firing=1).says("k1", at="1:59", resolved=True)
    story.at("2:01:10").update_to("ana").at("2:01:30").end_to("ana").is_("resolved", ended=1)


def test_what_waited_in_vain_is_not_suppressed_by_what_it_is_called_since() -> None:
    """It was put among those that wait by its first words; no rule's mode is asked until it is placed anew."""
    rules = (
        Rule(
            name="counted",
            match=(equals(alertname="Disk"),),
            group_by=(),
            open_when=Count(at_least=2, within=minutes(3)),
        ),
        Rule(name="hushed", match=(equals(alertname="Known"),), mode=Mode.SUPPRESS),
    )
    story = Story(*rules, policies=ANA, inhibitions=(inhibition("Up", "Known"),))
    story.at("0:00").says("k1", **DISK).says("k1", alertname="Known", host="db1").at("0:10").is_suppressed("Known")
    story.restart().fires("Up", source="prom").is_suppressed("Known", "inhibition")
    story.resolves("Up", source="prom").at("0:11").is_suppressed("Known", "rule").incidents(1)


def test_what_is_suppressed_while_it_waits_is_placed_by_what_it_is_called_since() -> None:
    """It waits no more, so it will be placed anew when the silence ends; by then its rule says that nothing is made."""
    rules = (
        Rule(
            name="counted",
            match=(equals(alertname="Disk"),),
            group_by=(),
            open_when=Count(at_least=2, within=minutes(3)),
        ),
        Rule(name="hushed", match=(equals(alertname="Known"),), mode=Mode.SUPPRESS),
    )
    story = Story(*rules, policies=ANA)
    story.at("0:00").says("k1", **DISK).says("k1", alertname="Known", host="db1")
    story.at("0:01").silenced("0:02", host="db1").is_suppressed("Known", "silence")
    story.at("0:02").is_suppressed("Known", "rule").at("0:09").incidents(0)
