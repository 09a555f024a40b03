"""Signed links: one message's reader may work on its one incident, for a while, without a token of their own.

Owns what a link says, its signature, and putting it into a delivery. That is done when a delivery leaves, and not where
it is decided: so the core knows no secret, and neither the store nor `/v1/deliveries` holds a link that works.

A link's token is base64url of a payload (version, incident, whom the message was for, when it ends) and of its
HMAC-SHA256. The end counts from the making of the message, so that each attempt sends the very same one. There is no
list of links given out: what takes all of them back is another secret.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BadBase64
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import quote

import msgspec

from imd.model.effect import Delivery
from imd.model.policy import PageKind
from imd.model.secret import Secret

PATH = "/v1/links/"
CALLBACKS = "/v1/callbacks/"
_TOKEN = re.compile("[A-Za-z0-9_-]{1,2048}")
_MAC_BYTES = 32
_VERSION = 1
_NO_LINK = (
    b'"ack":null,"runbook":'  # as core.page writes it; quotes inside of JSON's texts are escaped, so it is no text
)
_KINDS = frozenset({PageKind.PAGE, PageKind.UPDATE})
_PURPOSE = b"imd signed link\0"


class Link(msgspec.Struct, frozen=True, array_like=True):
    """What a link says. `to` is the person or receiver whom the message was for, `ends_at` unix seconds."""

    version: int
    incident: str
    to: str
    ends_at: int


class Forged(Exception):
    """No link of this daemon's: cut off, altered, or signed with another secret."""


class Ended(Exception):
    """A link whose time is over."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.incident)
        self.link = link


class Signer:
    """Signs and reads with one secret."""

    def __init__(self, secret: Secret, valid_for: timedelta = timedelta(hours=24)) -> None:
        self._key = hmac.digest(secret.reveal().encode(), _PURPOSE, sha256)
        self._valid_for = valid_for

    def token(self, incident: str, to: str, made_at: datetime) -> str:
        ends_at = int((made_at + self._valid_for).timestamp())
        payload = msgspec.msgpack.encode(Link(_VERSION, incident, to, ends_at))
        return urlsafe_b64encode(payload + self._mac(payload)).decode().rstrip("=")

    def read(self, token: str, now: datetime) -> Link:
        """What a token says. Raises Forged, Ended; nothing in it is looked at before its signature was found right."""
        if not _TOKEN.fullmatch(token):
            raise Forged
        try:
            raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except BadBase64:
            raise Forged from None
        payload, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload)):
            raise Forged
        link = msgspec.msgpack.decode(payload, type=Link)
        if now >= datetime.fromtimestamp(link.ends_at, UTC):
            raise Ended(link)
        return link

    def put_into(self, delivery: Delivery, external_url: str) -> Delivery:
        """The delivery with its link, where it is one that asks for an answer."""
        before, found, after = delivery.body.rpartition(_NO_LINK)
        if not found or not external_url or not delivery.incident or delivery.kind not in _KINDS:
            return delivery
        url = external_url + PATH + self.token(delivery.incident, delivery.to, delivery.created_at)
        body = before + b'"ack":' + msgspec.json.encode(url) + b',"runbook":' + after
        return msgspec.structs.replace(delivery, body=body)

    def _mac(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, sha256)


def callback(ack: str | None, kind: str, receiver: str) -> str:
    """Where a vendor reports an answer to the message whose acknowledge link is `ack`: the same rights at the address
    for machines. "" where the message has no link."""
    base, found, token = (ack or "").rpartition(PATH)
    return f"{base}{CALLBACKS}{kind}/{quote(receiver, safe='')}/{token}" if found else ""
