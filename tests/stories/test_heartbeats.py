"""Dead man's switches: the alert that must not stop, the job that must report."""

from __future__ import annotations

from imd.model.event import HeartbeatBeat
from imd.model.heartbeat import Heartbeat
from imd.model.incident import Priority
from imd.model.policy import Source
from imd.model.rule import Matcher, Op
from tests.core.making import minutes, policy, ruleset, step
from tests.stories.told import Story

ANA = [policy(step("ana"))]
WATCHDOG = Heartbeat(
    name="watchdog",
    match=((Matcher("alertname", Op.EQUAL, "Watchdog"),),),
    by=("cluster",),
    every=minutes(5),
    grace=minutes(2),
    priority=Priority.P1,
)
BACKUP = Heartbeat(name="backup", every=minutes(60), grace=minutes(10))


def told(*heartbeats: Heartbeat, **other: object) -> Story:
    return Story(policies=ANA, heartbeats=heartbeats, **other)


def beats(story: Story, name: str, *by: tuple[str, str]) -> Story:
    return story._step(HeartbeatBeat(name, by))


def repeat(story: Story, minutes_of: range, cluster: str = "a", source: str = "am") -> None:
    for minute in minutes_of:
        story.at(f"{minute // 60}:{minute % 60:02}").fires("Watchdog", cluster=cluster, source=source, starts="0:00")


def test_a_watchdog_that_falls_silent_is_an_incident() -> None:
    """It repeats each minute, opens nothing while it does, and is missed seven minutes after the last time."""
    story = told(WATCHDOG)
    repeat(story, range(30))
    story.at("0:35:59").incidents(0)
    story.at("0:36").is_(
        "triggered", group_key=(("alertname", "HeartbeatMissing"), ("heartbeat", "watchdog"), ("cluster", "a"))
    )
    story.page_to("ana", priority="P1").line("opened by rule heartbeat:watchdog")
    assert story.incident().title == (
        "HeartbeatMissing watchdog a: watchdog was last heard 2026-01-01 00:29:00 UTC; it should be heard every 5m"
    )
    story.at("0:40:05").fires("Watchdog", cluster="a", starts="0:00")
    story.at("0:40:15").end_to("ana").is_("resolved", resolved_because="alerts resolved")
    story.at("0:47:05").is_("triggered", reopened=1).page_to("ana", "reopened", priority="P1").incidents(1)


def test_an_alert_of_prometheus_that_expires_is_missed_as_well() -> None:
    """Prometheus goes away: its Watchdog expires, and that is no beat. Its return is one at once."""
    story = told(WATCHDOG)
    repeat(story, range(10), source="prom")
    story.at("0:16").is_("triggered").page_to("ana", priority="P1")
    story.at("2:00").is_("triggered").fires("Watchdog", cluster="a", source="prom", starts="2:00").end_to("ana")
    story.is_("resolved")


def test_each_cluster_beats_for_itself() -> None:
    """One incident for the one that is silent."""
    story = told(WATCHDOG)
    repeat(story, range(3), cluster="a")
    for minute in range(3, 20):
        story.at(f"0:{minute:02}").fires("Watchdog", cluster="b", starts="0:03")
        if minute == 9:
            story.page_to("ana", priority="P1").is_("triggered")
    story.incidents(1)
    assert story.incident().group_key[-1] == ("cluster", "a")


def test_a_job_that_never_reported_is_missed_too() -> None:
    """Without `by` it is awaited from the start; a beat over HTTP ends it at once."""
    story = told(BACKUP)
    story.at("1:09").incidents(0)
    story.at("1:10").page_to("ana").line("heartbeat:backup")
    assert "was never heard" in story.incident().title
    beats(story.at("1:20"), "backup").end_to("ana").is_("resolved")
    story.at("2:29").is_("resolved")
    story.at("2:30").is_("triggered", incident=2).page_to("ana", incident=2)


def test_a_missing_beat_stays_missing_for_weeks() -> None:
    """imd's own alert does not expire for want of repeats."""
    story = told(BACKUP, sources=[Source(name="imd", type="imd")])
    story.at("1:10").page_to("ana").acknowledged_by("ana").acknowledgement_to("ana")
    story.at(f"{24 * 20}:00").is_("acknowledged", firing=1)


def test_beats_of_unknown_values_are_bounded() -> None:
    """A thousand combinations of `by` values are kept."""
    story = told(WATCHDOG)
    for number in range(1010):
        beats(story, "watchdog", ("cluster", f"c{number}"))
    assert len(story.engine.state.beats) == 1000


def test_the_last_beat_outlives_a_restart() -> None:
    """Ten seconds away are nothing: it is missed when it would have been."""
    story = told(WATCHDOG, BACKUP)
    beats(story.at("0:30"), "backup")
    story.at("0:50").restart(down="0:00:10").at("1:39").incidents(0)
    story.at("1:40").page_to("ana").is_("triggered")
    story.restart()
    beats(story.at("1:41"), "backup").end_to("ana")


def test_away_is_not_silent() -> None:
    """imd was away when the beat fell due: it may have come then. One more period is allowed, over further restarts."""
    story = told(BACKUP)
    beats(story.at("0:00"), "backup")
    story.at("0:55").restart(down="0:10:00").restart(down="0:00:05")
    story.at("2:14:59").incidents(0).at("2:15").page_to("ana")


def test_an_alert_that_beats_is_heard_before_a_restart() -> None:
    """What an alert said last is on disk with the alert."""
    story = told(WATCHDOG)
    repeat(story, range(8))
    story.at("0:07:30").restart().at("0:13:59").incidents(0).at("0:14").page_to("ana", priority="P1")


def test_a_set_clock_makes_nobody_silent() -> None:
    """The wall clock jumps two hours ahead."""
    story = told(BACKUP)
    beats(story.at("0:00"), "backup")
    story.at("0:30").clock_jumps("2:00:00").at("3:09").incidents(0).at("3:10").page_to("ana")


def test_what_an_alert_said_before_the_clock_was_set_ahead_counts() -> None:
    """Due at 0:14 by what is on record, it spoke at 0:12 as well: it has until 0:19, whatever the clock calls that."""
    story = told(WATCHDOG)
    repeat(story, range(13))
    story.at("0:12:30").clock_jumps("2:00:00").at("2:18:59").incidents(0).at("2:19").page_to("ana", priority="P1")


def test_a_clock_set_back_hides_no_silence() -> None:
    """Last heard at 1:02, thirty seconds before the clock says 0:02:30; not heard again when the clock gets to 1:02."""
    story = told(WATCHDOG)
    repeat(story, range(63))
    story.at("1:02:30").clock_falls("1:00:00").restores()
    story.at("0:08:59").incidents(0).at("0:09").page_to("ana", priority="P1")
    story.at("1:30").is_("triggered")


def test_a_beat_just_before_the_clock_is_set_ends_what_was_missing() -> None:
    """It is back at 0:08:05, and the clock is set before anybody has looked."""
    story = told(WATCHDOG)
    story.at("0:00").fires("Watchdog", cluster="a").at("0:07").page_to("ana", priority="P1")
    story.at("0:08:05").fires("Watchdog", cluster="a", starts="0:00").clock_jumps("2:00:00").end_to("ana")
    story.at("2:15:04").is_("resolved").at("2:15:05").is_("triggered").page_to("ana", "reopened", priority="P1")


def test_a_beat_after_the_clock_was_set_back_ends_what_was_missing() -> None:
    """By the clock it is back fifty minutes before it was missed."""
    story = told(BACKUP)
    story.at("1:10").page_to("ana").clock_falls("1:00:00").restores()
    beats(story.at("0:20"), "backup").end_to("ana").is_("resolved", firing=0)


def test_what_is_missed_after_the_clock_was_set_back_is_news() -> None:
    """By the clock it is missed an hour before it was back the last time."""
    story = told(BACKUP)
    beats(story.at("1:10").page_to("ana").at("1:50"), "backup").end_to("ana").clock_falls("3:00:00").restores()
    story.at("0:00").is_("triggered").page_to("ana", "reopened")


def test_a_heartbeat_that_is_taken_out_is_missed_no_more() -> None:
    """The reload ends its incident; one that is put in is awaited from then on."""
    story = told(BACKUP)
    story.at("1:10").page_to("ana")
    other = Heartbeat(name="other", every=minutes(30))
    story.at("1:15").reload(ruleset(policies=ANA, heartbeats=(other,))).at("1:15").end_to("ana").is_("resolved")
    assert [name for name, _ in story.engine.state.beats] == ["other"]
    story.at("1:46").page_to("ana", incident=2)


def test_an_unknown_heartbeat_is_refused() -> None:
    """A reload may have taken it away just now."""
    story = told(BACKUP)
    beats(story, "nobody").refused("no heartbeat nobody")
