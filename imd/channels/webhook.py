"""The `webhook` receiver: an HTTP POST of the body, signed after Standard Webhooks 1.0.0.

Owns the headers and the signature; transport and statuses are `http`'s. Source: github.com/standard-webhooks,
spec/standard-webhooks.md: `v1,` + base64(HMAC-SHA256(secret, id.timestamp.body)).
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode

from imd.channels.contract import Answer, BadSettings, Conversation, Pace, body_of
from imd.channels.http import Endpoint, HttpClient
from imd.clock import Clock
from imd.model.effect import Delivery
from imd.model.secret import Secret

PREFIX = "whsec_"
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64


class Webhook:
    """POSTs each delivery to one URL. `secret` None sends no signature. Raises BadSettings for a bad secret."""

    paces: tuple[Pace, ...] = ()

    def __init__(self, endpoint: Endpoint, secret: Secret | None, http: HttpClient, clock: Clock) -> None:
        self._endpoint = endpoint
        self._key = None if secret is None else signing_key(secret)
        self._http = http
        self._clock = clock

    async def send(self, delivery: Delivery, attempt: int, conversation: Conversation = b"") -> Answer:
        now = self._clock.now()
        body = body_of(delivery, attempt)
        stamp = str(int(now.timestamp()))
        headers = {"Content-Type": "application/json", "webhook-id": delivery.id, "webhook-timestamp": stamp}
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, delivery.id, stamp, body)
        return await self._http.post(self._endpoint, body, headers, now)

    async def close(self) -> None:
        """Nothing: the connections are the shared client's."""


def signing_key(secret: Secret) -> bytes:
    """The key's bytes: base64 of 24 to 64 of them, as the specification has it, `whsec_` in front or not (the official
    libraries read both so). Without the prefix any other text stands for itself. Raises BadSettings, never with the
    secret in it."""
    text = secret.reveal().strip()
    encoded = text.removeprefix(PREFIX)
    if not encoded:
        raise BadSettings("secret is empty")
    try:
        key = b64decode(encoded, validate=True)
    except ValueError:  # binascii.Error, or characters beyond ASCII
        key = b""
    if KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        return key
    if encoded != text:
        raise BadSettings(f"secret is not base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes after {PREFIX}")
    return text.encode()


def signature(key: bytes, message_id: str, stamp: str, body: bytes) -> str:
    """The value of webhook-signature for one attempt; `stamp` is its time in unix seconds."""
    signed = b"%b.%b.%b" % (message_id.encode(), stamp.encode(), body)
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
