"""A test page to one receiver, past the engine and the outbox: does this way to reach people work?"""

from __future__ import annotations

import msgspec
from aiohttp import web

from imd.api.answers import Refusal, json
from imd.api.body import read_body
from imd.api.context import Context, TestPageFailed, UnknownReceiver
from imd.api.operations import Name, described
from imd.api.parameters import read_json

TEXT_CHARS_MAX = 4096
BY_CHARS_MAX = 200


class TestPageBody(msgspec.Struct):
    """Body of POST /v1/receivers/{name}/test."""

    text: Name
    by: Name


class TestPageSent(msgspec.Struct):
    """`detail`: the receiver's own words."""

    receiver: str
    accepted: bool
    detail: str


class Receivers:
    def __init__(self, context: Context) -> None:
        self._context = context

    @described("Send a test page", {200: TestPageSent}, body=TestPageBody, refuses=(404,))
    async def test(self, request: web.Request) -> web.Response:
        """200 with whether the receiver took it and its own words; 404 where there is no such receiver."""
        limits = self._context.settings().limits
        body = read_json(await read_body(request, limits.body_bytes_max, limits.body_read_timeout), TestPageBody)
        short = len(body.text) <= TEXT_CHARS_MAX and len(body.by) <= BY_CHARS_MAX
        if not body.text.strip() or not body.by.strip() or not short:
            bounds = f"`text` (at most {TEXT_CHARS_MAX} characters) and `by` (at most {BY_CHARS_MAX})"
            raise Refusal(400, f"a test page needs {bounds}")
        name = request.match_info["name"]
        try:
            detail = await self._context.test_page(name, body.text, body.by)
        except UnknownReceiver:
            raise Refusal(404, f"no receiver {name[:100]!a} is configured") from None
        except TestPageFailed as failure:
            return json(TestPageSent(name, False, str(failure)))
        return json(TestPageSent(name, True, detail))
