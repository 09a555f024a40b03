"""The apprise receiver, through one of apprise's own plugins to a local server."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import pytest

from imd.channels.apprise import Apprise
from imd.channels.contract import BadSettings, Receipt, Temporary
from imd.channels.text import Writer
from imd.config.channelsettings import AppriseSettings
from imd.model.policy import PageKind
from imd.model.secret import Secret
from tests.channels.samples import enormous, hostile, message, trial
from tests.channels.server import Act, Server, answer, hang

CANARY = "canary-token"


def channel(server: Server, seconds: float = 5) -> Apprise:
    url = f"json://127.0.0.1:{server.port}/{CANARY}"
    return Apprise(AppriseSettings(url=Secret(url)), Writer(), seconds)


async def test_each_message_is_a_notification() -> None:
    """Title and text; a page is a failure, its end a success."""
    async with Server([answer(200)]) as server:
        made = channel(server)
        for each in (message(), message(PageKind.RESOLVED), trial(), hostile(), enormous()):
            assert isinstance(await made.send(each, 1), Receipt)
        await made.close()
    bodies = [json.loads(request.body) for request in server.requests]
    assert [body["type"] for body in bodies[:3]] == ["failure", "success", "info"]
    assert bodies[0]["title"] == "PAGE P2 #1 KubeNodeNotReady c1 n1: kubelet stopped posting node status"
    assert "Priority: P2" in bodies[0]["message"]
    assert bodies[2]["message"] == "is this thing on?\nA test page by ana."


@pytest.mark.parametrize("act", [answer(500), answer(404)], ids=["500", "404"])
async def test_a_no_is_tried_again(act: Act) -> None:
    """Apprise does not say why, nor whether it may have arrived."""
    async with Server([act]) as server:
        given = await channel(server).send(message(), 1)
    assert given == Temporary("apprise could not notify it", ambiguous=True)


async def test_a_stuck_service_is_given_up_in_time() -> None:
    """In a thread of its own: the loop goes on."""
    async with Server([hang()]) as server:
        began = time.monotonic()
        sending = asyncio.ensure_future(channel(server, 0.3).send(message(), 1))
        await asyncio.sleep(0.05)
        assert not sending.done()
        given = await sending
    assert isinstance(given, Temporary)
    assert given.ambiguous
    assert time.monotonic() - began < 2


def test_a_url_that_apprise_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when the receiver is made, without the URL; and so is a missing extra."""
    with pytest.raises(BadSettings, match="none that apprise knows") as fault:
        Apprise(AppriseSettings(url=Secret(f"nonsense://{CANARY}")), Writer(), 1)
    assert CANARY not in str(fault.value)
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BadSettings, match=r"imd\[apprise\]"):
        Apprise(AppriseSettings(url=Secret("json://localhost")), Writer(), 1)
