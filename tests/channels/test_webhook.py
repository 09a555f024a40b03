"""The webhook's headers and signature, checked with the specification's own library."""

from __future__ import annotations

from base64 import b64encode

import pytest
import standardwebhooks

from imd import __version__
from imd.channels.contract import BadSettings, Receipt, body_of
from imd.channels.http import Endpoint, HttpClient
from imd.channels.webhook import Webhook, signing_key
from imd.clock import SystemClock
from imd.model.secret import Secret
from tests.channels.samples import delivery
from tests.channels.server import Request, Server, answer

KEY = bytes(range(32))


async def received(secret: str | None, user: str = "") -> Request:
    """What a webhook with this secret sends."""
    http = HttpClient()
    async with Server([answer(200)]) as server:
        url = server.url("/hook").replace("://", f"://{user}")
        channel = Webhook(Endpoint(url), None if secret is None else Secret(secret), http, SystemClock())
        assert await channel.send(delivery(), 3) == Receipt("200")
    await http.close()
    return server.requests[0]


@pytest.mark.parametrize(
    ("secret", "known_to_receiver"),
    [
        (f"whsec_{b64encode(KEY).decode()}", f"whsec_{b64encode(KEY).decode()}"),
        (b64encode(KEY).decode(), b64encode(KEY).decode()),
        ("a plain word or two", b64encode(b"a plain word or two").decode()),
    ],
    ids=["whsec", "base64", "plain"],
)
async def test_the_signature_verifies(secret: str, known_to_receiver: str) -> None:
    """standardwebhooks, the reference library, accepts id, timestamp and body under the receiver's key."""
    request = await received(secret)
    verified = standardwebhooks.Webhook(known_to_receiver).verify(request.body, request.headers)
    assert verified["attempt"] == 3
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(known_to_receiver).verify(request.body + b" ", request.headers)


async def test_headers() -> None:
    """The delivery's id over all attempts, the attempt's own time, and who speaks."""
    headers = (await received(None)).headers
    assert headers["webhook-id"] == "d1"
    assert abs(int(headers["webhook-timestamp"]) - SystemClock().now().timestamp()) < 5
    assert headers["user-agent"] == f"imd/{__version__}"
    assert headers["content-type"] == "application/json"
    assert "webhook-signature" not in headers
    assert "authorization" not in headers


async def test_credentials_of_the_url_are_sent_as_basic() -> None:
    assert (await received(None, "user:p%40ss@")).headers["authorization"] == "Basic dXNlcjpwQHNz"


@pytest.mark.parametrize("key", [b"", b"x" * 23, b"x" * 65])
def test_keys_of_a_wrong_length_are_refused(key: bytes) -> None:
    """24 to 64 bytes after whsec_, and the fault does not show the secret."""
    encoded = b64encode(key).decode()
    with pytest.raises(BadSettings) as fault:
        signing_key(Secret(f"whsec_{encoded}"))
    assert not encoded or encoded not in str(fault.value)


@pytest.mark.parametrize("key", [b"x" * 24, b"x" * 64])
def test_keys_at_the_bounds(key: bytes) -> None:
    assert signing_key(Secret(f"whsec_{b64encode(key).decode()}")) == key


def test_an_empty_body_takes_the_attempt_too() -> None:
    assert body_of(delivery(body=b"{}"), 12) == b'{"attempt":12}'
