"""Who really calls: the signatures by which services sign their calls. Pure, and in constant time.

Sources: docs.slack.dev, Verifying requests from Slack; developer.pagerduty.com, Verifying Signatures; twilio.com/docs,
Validating requests; grafana.com/docs, Webhook notifier, HMAC signature; read November 2026. The tests hold those of
services against the vendor's own library.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1, sha256

SIGNED_SECONDS_MAX = 300
SLACK_SECONDS_MAX = 300  # Slack's own advice against replays
PAGERDUTY_SIGNATURES_MAX = 10
_UNIX = re.compile("[0-9]{1,12}")


def sender(secrets: Sequence[str], timestamp: str, signature: str, body: bytes, now: float) -> bytes:
    """The HMAC-SHA256 of a sender's body under one of its secrets, where that is what was shown; else b"". It is over
    `TIMESTAMP.BODY`, or `TIMESTAMP:BODY` as Grafana has it, in hex, with `v1=` or `sha256=` before it or nothing. The
    timestamp is in unix seconds, no older and no younger than five minutes. Every secret is tried, whichever it is."""
    if not _UNIX.fullmatch(timestamp) or abs(now - int(timestamp)) > SIGNED_SECONDS_MAX:
        return b""
    shown = signature.removeprefix("v1=").removeprefix("sha256=").lower().encode("utf-8", "surrogateescape")
    found = b""
    for secret in secrets:
        for joint in (b".", b":"):
            mac = hmac.digest(secret.encode(), timestamp.encode() + joint + body, sha256)
            if hmac.compare_digest(mac.hex().encode(), shown):
                found = mac
    return found


def slack(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """`v0=` and HMAC-SHA256 over `v0:TIMESTAMP:BODY`, no older and no younger than five minutes."""
    if not _UNIX.fullmatch(timestamp) or abs(now - int(timestamp)) > SLACK_SECONDS_MAX:
        return False
    mac = hmac.digest(secret.encode(), b"v0:%b:%b" % (timestamp.encode(), body), sha256).hex()
    return hmac.compare_digest(f"v0={mac}".encode(), signature.encode("utf-8", "surrogateescape"))


def pagerduty(secret: str, header: str, body: bytes) -> bool:
    """One of the signatures is `v1=` and HMAC-SHA256 over the body; there are several while a secret changes."""
    expected = f"v1={hmac.digest(secret.encode(), body, sha256).hex()}".encode()
    shown = [one.strip().encode("utf-8", "surrogateescape") for one in header.split(",")[:PAGERDUTY_SIGNATURES_MAX]]
    return sum(hmac.compare_digest(expected, one) for one in shown) > 0


def twilio(secret: str, url: str, form: Mapping[str, Sequence[str]], signature: str) -> bool:
    """Base64 of HMAC-SHA1 over the URL and each field's name and values, by name. Twilio says the port in some of its
    requests and leaves it out in others, so both are right."""
    fields = "".join(name + value for name in sorted(form) for value in sorted(set(form[name])))
    shown = signature.encode("utf-8", "surrogateescape")
    found = False
    for one in (url, _other_port(url)):
        mac = b64encode(hmac.digest(secret.encode(), (one + fields).encode("utf-8", "surrogateescape"), sha1))
        found |= hmac.compare_digest(mac, shown)
    return found


def _other_port(url: str) -> str:
    """The URL with its scheme's port said, or without any."""
    found = re.fullmatch(r"(https?)://(\[[^\]]*\]|[^/:?#]*)(:\d+)?([/?#].*)?", url)
    if found is None:
        return url
    scheme, host, port, rest = found.groups()
    return f"{scheme}://{host}{'' if port else ':443' if scheme == 'https' else ':80'}{rest or ''}"
