"""Good senders beside the fault: bodies at a pace of their own, each answer timed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import aiohttp

from tests.system.running import Daemon


class Sent:
    """`seconds` to each answer, `statuses` of them, `acked` alerts; `broken` had none."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.acked: list[str] = []
        self.broken = 0


def serials() -> Iterator[str]:
    return map(str, count())


async def send(
    daemon: Daemon, a_second: float, seconds: float, serial: Iterator[str], alerts_a_body: int = 1, name: str = "Load"
) -> Sent:
    """New alerts at `a_second` bodies; what is slow to be answered holds none of the next back."""
    sent = Sent()
    loop = asyncio.get_running_loop()

    async def post(session: aiohttp.ClientSession) -> None:
        mine = [next(serial) for _ in range(alerts_a_body)]
        body: list[dict[str, Any]] = [{"labels": {"alertname": name, "serial": one}} for one in mine]
        began = loop.time()
        try:
            async with session.post(f"{daemon.url}/api/v2/alerts", json=body) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            sent.broken += 1
            return
        sent.seconds.append(loop.time() - began)
        sent.statuses[answer.status] += 1
        if answer.status == 200:
            sent.acked += mine

    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        began, tasks = loop.time(), []
        for number in range(int(a_second * seconds)):
            await asyncio.sleep(max(0.0, began + number / a_second - loop.time()))
            tasks.append(asyncio.create_task(post(session)))
        await asyncio.gather(*tasks)
    return sent
