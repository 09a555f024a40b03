"""What imd reports of itself begins and ends when that is said, whatever the clock shows."""

from __future__ import annotations

import pytest

from imd.daemon.ownalert import disk_full, disk_has_room
from imd.daemon.proof import canary_alert
from tests.core.making import policy
from tests.stories.told import Story

OWN = {
    "disk": (disk_full(), disk_has_room()),
    "canary": (canary_alert("ana-phone", "it answered 401"), canary_alert("ana-phone", "")),
}


def firing(story: Story) -> list[bool]:
    return [alert.firing for alert in story.engine.state.alerts.values()]


@pytest.mark.parametrize("what", OWN)
def test_a_clock_that_was_set_back_neither_keeps_it_nor_swallows_it(what: str) -> None:
    """It ends before it began by the clock, and begins anew before it ended."""
    begins, ends = OWN[what]
    story = Story(policies=[policy()])
    story.at("3:00")._step(begins)
    story.clock_falls("2:00:00").at("1:10")._step(ends)
    assert firing(story) == [False]
    story.clock_falls("1:00:00").at("0:20")._step(begins)
    assert firing(story.restores()) == [True]
