"""The receivers' servers, and the network to them: what they were asked, what they took, what they answered.

Owns the record of every attempt (`Send`), which the oracles compare with what imd believes. The channels are imd's own
(signature, body, verdict on statuses); what is simulated is one method of their HTTP client. A server's mood may change
at any time:

    well       takes the message within some hundred milliseconds
    slow       takes it, and answers after seconds
    refuses    no connection
    broken     500 or 503, nothing taken
    busy       429 with Retry-After, nothing taken
    hangs      no answer within imd's ten seconds, nothing taken
    lies       takes it, and the answer is lost: a reset, or no answer in time
    gateway    takes it, and a proxy answers 502
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import msgspec

from imd.channels.contract import Permanent, Temporary
from imd.channels.http import Endpoint, HttpClient, Reply
from tests.simulation.virtual import Universe

TIMEOUT_SECONDS = 10.0
MOODS = ("slow", "refuses", "broken", "busy", "hangs", "lies", "gateway")


@dataclass
class Send:
    """One attempt. `taken_at`: when the server had it, None if it never did; `answered`: imd was told that it did.
    `says`: how each incident stands that it speaks of."""

    at: float
    turn: int
    receiver: str
    delivery: str
    key: str
    kind: str
    reason: str
    incident: str
    attempt: int
    body: bytes
    taken_at: float | None = None
    answered: bool = False
    says: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        fate = "answered" if self.answered else "taken" if self.taken_at is not None else "not taken"
        return f"{self.at:.3f} {self.receiver} {self.kind}/{self.reason} {self.delivery} attempt {self.attempt}, {fate}"


class Servers:
    """All receivers' servers. `saw` is called with each attempt as it starts, `point` at places to crash."""

    def __init__(self, universe: Universe, draw: Random, note: Callable[[str], None]) -> None:
        self._universe = universe
        self._draw = draw
        self._note = note
        self.moods: dict[str, str] = {}
        self.sends: list[Send] = []
        self.readers: list[Callable[[Send], None]] = []
        self.saw: Callable[[Send], None] = lambda _send: None
        self.point: Callable[[str], None] = lambda _name: None

    def begin(self, host: str, headers: Mapping[str, str], body: bytes) -> Send:
        told = msgspec.json.decode(body)
        one = told["incident"]
        spoken_of = [one] if one else told["incidents"]
        universe = self._universe
        send = Send(
            universe.elapsed, len(self.sends), host.removesuffix(".example"), headers["webhook-id"], told["dedup_key"],
            told["kind"], told["reason"] or "", one["id"] if one else "", told["attempt"], body,
            says={each["id"]: each["state"] for each in spoken_of},
        )  # fmt: skip
        self.sends.append(send)
        self._note(f"imd sends {send.kind}/{send.reason} {send.delivery} attempt {send.attempt} to {send.receiver}")
        self.saw(send)
        return send

    def mood(self, receiver: str) -> str:
        return self.moods.get(receiver, "well")

    def takes(self, send: Send) -> None:
        send.taken_at = self._universe.elapsed
        self._note(f"{send.receiver} takes {send.delivery}")
        for reader in self.readers:
            reader(send)
        self.point("after taken")


class SimulatedHttp(HttpClient):
    """One process's client."""

    def __init__(self, servers: Servers, draw: Random) -> None:
        super().__init__()
        self._servers = servers
        self._draw = draw

    async def exchange(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str], now: datetime, method: str = "POST"
    ) -> Reply | Temporary | Permanent:
        servers = self._servers
        servers.point("before send")
        send = servers.begin(endpoint.url.host or "", headers, body)
        mood = servers.mood(send.receiver)
        reply = await self._answer(mood, send)
        servers._note(f"{send.receiver} ({mood}) answered {send.delivery}: {_shown(reply)}")
        return reply

    async def _answer(self, mood: str, send: Send) -> Reply | Temporary:
        servers, uniform = self._servers, self._draw.uniform
        match mood:
            case "refuses":
                await asyncio.sleep(uniform(0.001, 0.05))
                return Temporary("connection refused")
            case "broken" | "busy":
                await asyncio.sleep(uniform(0.01, 0.4))
                if mood == "busy":
                    return Reply(429, timedelta(seconds=self._draw.choice((1, 5, 20))), b"")
                return Reply(self._draw.choice((500, 503)), None, b"")
            case "hangs":
                await asyncio.sleep(TIMEOUT_SECONDS)
                return Temporary("no answer within 10 s", ambiguous=True)
            case "lies":
                await asyncio.sleep(uniform(0.01, 0.4))
                servers.takes(send)
                await asyncio.sleep(self._draw.choice((0.01, TIMEOUT_SECONDS)))
                return Temporary("the connection broke off", ambiguous=True)
            case "gateway":
                await asyncio.sleep(uniform(0.01, 0.4))
                servers.takes(send)
                await asyncio.sleep(uniform(0.01, 0.4))
                return Reply(502, None, b"")
            case _:
                await asyncio.sleep(uniform(0.005, 0.2) if mood == "well" else uniform(0.5, 4))
                servers.takes(send)
                await asyncio.sleep(uniform(0.005, 0.2) if mood == "well" else uniform(0.5, 4))
                send.answered = True
                return Reply(200, None, b"")


def _shown(reply: Any) -> str:
    return str(reply.status) if isinstance(reply, Reply) else f"{reply.error}"
