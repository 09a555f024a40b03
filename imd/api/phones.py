"""`/v1/callbacks/…` of what rings: a key pressed in a Twilio call, an SMS in reply, an emergency taken in Pushover.

A call and an emergency hold a signed link (`channels.links`) at an address for machines, so each answers for its one
incident and for a while; Twilio's calls are signed beside. A reply by SMS names its incident by number and counts only
from the receiver's own number, for incidents that this receiver was told of.

Sources: twilio.com/docs, TwiML <Gather>, <Say>, <Message>, Validating requests; pushover.net/api/receipts, Callback
URLs; read November 2026.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from aiohttp import web

from imd.api import signatures
from imd.api.callbacks import alike, forged, receiver
from imd.api.doors import Doors, Outcome, Turned
from imd.api.operations import FORM, TEXT, Answer, Body, described
from imd.channels.links import CALLBACKS
from imd.config.channelsettings import PushoverSettings, TwilioSettings
from imd.model.event import ActionKind

FORM_BYTES_MAX = 64 * 1024
PRESSED = {"1": ActionKind.ACK}
_REPLY = re.compile(r"\s*(ack|acknowledge|snooze|resolve)\s*#?\s*([0-9]{1,12})\s*[.!]?\s*", re.IGNORECASE)
_WORDS = {
    "ack": ActionKind.ACK,
    "acknowledge": ActionKind.ACK,
    "snooze": ActionKind.SNOOZE,
    "resolve": ActionKind.RESOLVE,
}
HOW = "Reply ACK and the incident's number, for example ACK 12; or SNOOZE or RESOLVE."

Form = dict[str, list[str]]


XML = "text/xml"
TWILIO = Body(None, (FORM,), "As Twilio sends it.")
SIGNED = "Twilio's signature, `X-Twilio-Signature`."


class Phones:
    def __init__(self, doors: Doors) -> None:
        self._doors = doors

    @described("A key in a call", {200: Answer(media=XML)}, body=TWILIO, refuses=(403, 429), signed=SIGNED)
    async def pressed(self, request: web.Request) -> web.Response:
        """A key in a call. What is answered is read out."""
        form = await self._signed(request)
        try:
            link = self._doors.link(request.match_info["token"])
            incident = await self._doors.incident(link.incident)
        except Turned as turned:
            refusal = self._doors.refused(request, "twilio", turned)
            return _twiml("Say", f"{refusal.detail}.")
        kind = PRESSED.get(form.get("Digits", [""])[0])
        if kind is None:
            self._doors.count("twilio", Outcome.IGNORED)
            return _twiml("Say", "This key does nothing. The incident is not acknowledged. Goodbye.")
        return _twiml("Say", (await self._doors.act(kind, incident, link.to, "twilio")).said)

    @described("An SMS in reply", {200: Answer(media=XML)}, body=TWILIO, refuses=(403, 429), signed=SIGNED)
    async def replied(self, request: web.Request) -> web.Response:
        """An SMS in reply; the answer is one too."""
        form = await self._signed(request)
        # A number has one address for all its replies, however many receivers send by it.
        receivers = self._whose(request, form.get("From", [""])[0])
        if not receivers:
            self._doors.count("twilio", Outcome.UNKNOWN)
            return _twiml("Message", "")
        found = _REPLY.fullmatch(form.get("Body", [""])[0])
        if found is None:
            self._doors.count("twilio", Outcome.IGNORED)
            return _twiml("Message", HOW)
        incident = await self._doors.context.store.incident(str(int(found[2])))
        told = [told for name, told in incident.told.items() if name in receivers] if incident is not None else []
        if incident is None or not told:
            self._doors.count("twilio", Outcome.UNKNOWN)
            return _twiml("Message", f"You were told of no incident #{int(found[2])}.")
        return _twiml("Message", (await self._doors.act(_WORDS[found[1].lower()], incident, told[0].to, "twilio")).said)

    def _whose(self, request: web.Request, number: str) -> set[str]:
        """The receivers that reach this number by the account of the one that the path names."""
        token = receiver(self._doors, request, "twilio", TwilioSettings).callback_token
        assert token is not None, "the call was signed with it"
        known = self._doors.context.settings().receivers
        names = alike(self._doors, TwilioSettings, "callback_token", token)
        return {name for name in names if getattr(known[name].channel, "to", "") == number}

    async def _signed(self, request: web.Request) -> Form:
        """The form of a call that Twilio signed, for the address that people outside see. Raises Refusal 403."""
        settings = receiver(self._doors, request, "twilio", TwilioSettings)
        body = await self._doors.body(request, FORM_BYTES_MAX)
        form = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        path = request.rel_url.raw_path_qs
        url = self._doors.context.settings().external_url + path[path.find(CALLBACKS) :]
        token = settings.callback_token
        shown = request.headers.get("X-Twilio-Signature", "")
        if token is None or not signatures.twilio(token.reveal(), url, form, shown):
            raise forged(self._doors, request, "twilio")
        return form

    @described(
        "An emergency taken in Pushover",
        {200: Answer(media=TEXT)},
        body=Body(None, (FORM,), "As Pushover sends it.", required=False),
        refuses=(403, 404, 410, 429),
        signed="The token in the path.",
    )
    async def taken(self, request: web.Request) -> web.Response:
        """Somebody acknowledged an emergency in Pushover. Pushover signs nothing: the address is the proof."""
        receiver(self._doors, request, "pushover", PushoverSettings)
        try:
            link = self._doors.link(request.match_info["token"])
            incident = await self._doors.incident(link.incident)
        except Turned as turned:
            raise self._doors.refused(request, "pushover", turned) from None
        form = parse_qs((await self._doors.body(request, FORM_BYTES_MAX)).decode("utf-8", "replace"))
        if form.get("acknowledged", [""])[0] != "1":
            self._doors.count("pushover", Outcome.IGNORED)
            return web.Response(text="ignored\n")
        answered = await self._doors.act(ActionKind.ACK, incident, link.to, "pushover")
        return web.Response(text=f"{answered.said}\n")


def _twiml(verb: str, words: str) -> web.Response:
    said = f"<{verb}>{escape(words)}</{verb}>" if words else ""
    xml = f'<?xml version="1.0" encoding="UTF-8"?><Response>{said}</Response>'
    return web.Response(text=xml, content_type="text/xml")
