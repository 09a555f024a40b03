"""The listening sockets: how many wait to be taken, and how many are taken at once.

asyncio accepts as many connections in one go as its `backlog` says, before any of them is looked at: a crowd would then
take every file descriptor there is, and the database and the sends go without. So few are taken at once, while the
kernel's queue, which is set by the same number, is made long again.
"""

from __future__ import annotations

import os
import socket

from aiohttp import web

ACCEPTED_AT_ONCE = 4
QUEUE = 1024


async def listen(runner: web.AppRunner, host: str | None, port: int) -> None:
    """Raises OSError."""
    site = web.TCPSite(runner, host, port, backlog=ACCEPTED_AT_ONCE)
    await site.start()
    for one in getattr(site._server, "sockets", ()):  # asyncio's server has them, and so has uvloop's
        with socket.socket(fileno=os.dup(one.fileno())) as same:
            same.listen(QUEUE)
