"""`/v1/links/{token}`: the page behind the link in a message, where its reader says that they have it.

GET shows what it is about and changes nothing: mail scanners and chat previews follow every link. POST acts. The token
is what authorises, for this one incident and for a while; see `channels.links`. The page holds no script and loads
nothing: all there is of it is text from alerts, escaped.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from imd.api.answers import Refusal
from imd.api.doors import BY_CHARS_MAX, Answered, Doors, Outcome, Turned, standing
from imd.api.operations import FORM, HTML, Answer, Body, described
from imd.channels.links import Link
from imd.model.event import ActionKind
from imd.model.incident import Incident, IncidentState

THROUGH = "link"
FORM_BYTES_MAX = 16 * 1024

_OFFERED = {
    IncidentState.PENDING: (ActionKind.ACK, ActionKind.SNOOZE),
    IncidentState.TRIGGERED: (ActionKind.ACK, ActionKind.SNOOZE),
    IncidentState.ACKNOWLEDGED: (ActionKind.SNOOZE,),
    IncidentState.SNOOZED: (),
}
_WORDS = {
    ActionKind.ACK: "Acknowledge",
    ActionKind.SNOOZE: "Snooze for 1 hour",
    ActionKind.RESOLVE: "Resolve",
}

_STYLE = (
    "body{font:1.1em/1.5 sans-serif;max-width:36em;margin:2em auto;padding:0 1em}"
    "button{font:inherit;display:block;width:100%;padding:.8em;margin:.8em 0}input{font:inherit;width:100%}"
)
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address is the right to answer
    "Cache-Control": "no-store",
}


def as_page(refusal: Refusal) -> web.Response:
    """A refusal, for a person."""
    title = refusal.title or HTTPStatus(refusal.status).phrase
    response = _page(title, f"<p>{escape(refusal.detail)}.</p>", refusal.status)
    response.headers.update(refusal.headers)
    return response


class LinkForm(msgspec.Struct):
    """What a button of the page sends."""

    action: Literal["ack", "snooze", "resolve"] = "ack"
    by: str = ""


SIGNED = "The token in the path, which is signed for one incident and a while."
PAGE = Answer(media=HTML, headers=tuple(HEADERS))


class Links:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @described("Show the page of a link", {200: PAGE}, refuses=(403, 404, 410, 429), signed=SIGNED)
    async def show(self, request: web.Request) -> web.Response:
        """What it is about, and the buttons. Changes nothing."""
        link, incident = await self._opened(request)
        return _page(_headline(incident), _about(incident) + _form(incident, link))

    @described(
        "Answer by a link",
        {200: PAGE, 409: PAGE},
        body=Body(LinkForm, (FORM,), required=False),
        refuses=(403, 404, 410, 429),
        signed=SIGNED,
    )
    async def act(self, request: web.Request) -> web.Response:
        """Does what the button says, or acknowledges where the form says nothing; 409 where that is not possible."""
        link, incident = await self._opened(request)
        form = parse_qs((await self._doors.body(request, FORM_BYTES_MAX)).decode("utf-8", "replace"))
        word = form.get("action", [ActionKind.ACK.value])[0]
        kind = next((one for one in _WORDS if one.value == word), None)
        if kind is None:
            raise self._doors.refused(request, THROUGH, Turned(400, "no such action", Outcome.BROKEN))
        named = form.get("by", [""])[0].strip()
        note = f"by the link sent to {link.to}" if named and named != link.to else ""
        answered = await self._doors.act(kind, incident, named or link.to, THROUGH, note)
        return _page(_headline(answered.incident), _outcome(answered, link), 200 if answered.done else 409)

    async def _opened(self, request: web.Request) -> tuple[Link, Incident]:
        try:
            link = self._doors.link(request.match_info["token"])
            return link, await self._doors.incident(link.incident)
        except Turned as turned:
            raise self._doors.refused(request, THROUGH, turned) from None


def _headline(incident: Incident) -> str:
    return f"{incident.priority.value} #{incident.number} {incident.title}"


def _about(incident: Incident) -> str:
    counts = f"{incident.firing} firing" + (f", {incident.suppressed} suppressed" if incident.suppressed else "")
    since = f"{incident.opened_at:%Y-%m-%d %H:%M} UTC"
    return f"<p>{escape(_sentence(incident))}</p><p>Alerts: {counts}. Since {since}.</p>"


def _sentence(incident: Incident) -> str:
    said = standing(incident)
    return f"{said[:1].upper()}{said[1:]}."


def _form(incident: Incident, link: Link) -> str:
    """The buttons that make sense now; none where it is over."""
    if not incident.open:
        return ""
    offered = [*_OFFERED[incident.state], *([] if incident.holding else [ActionKind.RESOLVE])]
    buttons = "".join(f'<button name="action" value="{one.value}">{_WORDS[one]}</button>' for one in offered)
    value = escape(link.to[:BY_CHARS_MAX], quote=True)
    name = f'<label>Your name<input name="by" value="{value}" maxlength="{BY_CHARS_MAX}"></label>'
    return f'<form method="post">{name}{buttons}</form>' if offered else ""


def _outcome(answered: Answered, link: Link) -> str:
    return f"<p><b>{escape(answered.said)}</b></p>" + _form(answered.incident, link)


def _page(title: str, content: str, status: int = 200) -> web.Response:
    shown = escape(title)
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{shown}</title><style>{_STYLE}</style></head><body><h1>{shown}</h1>{content}</body></html>"
    )
    return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)
