"""Amazon SNS before its message is read: whose topic it is, whether its signature holds, and how a subscription begins.

Source: docs.aws.amazon.com, Verifying the signatures of Amazon SNS messages (read 2026-11-21). What an alarm means is
`sources.aws_cloudwatch_sns`.

- `topics` of the source: a message of any other is refused; a subscription to one of these is confirmed. The request
  for that is made up here, of the topic's region and the message's token: no URL of a message is ever fetched for it.
- `verify`: a message without a good signature is refused. The certificate is fetched by HTTPS from SNS' own host,
  pinned by name, and must be SNS' own. It needs the extra imd[sns].
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec

from imd.api.answers import Refusal
from imd.api.context import Context, FetchFailed, Unavailable
from imd.config.settings import SourceSettings
from imd.sources.contract import NOT_JSON

KIND = "aws_cloudwatch_sns"
CERTIFICATES_MAX = 16
_ARN = re.compile(r"arn:(aws[a-z-]*):sns:([a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}):[0-9]{1,20}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE = re.compile(
    r"https://sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?"
    r"/SimpleNotificationService-[0-9a-f]{32}\.pem"
)
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_OWNER = "sns.amazonaws.com"

_decode = msgspec.json.Decoder(dict[str, Any]).decode
Fetch = Callable[[str], Awaitable[bytes]]


class Sns:
    """One for the server: it remembers certificates."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._certificates: OrderedDict[str, bytes] = OrderedDict()

    async def receive(self, source: SourceSettings, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns for a message that may be read. Raises Refusal 403; Unavailable where Amazon does not answer, so that
        SNS comes again."""
        if not source.topics and not source.verify:
            return
        try:
            message = _decode(body)
        except NOT_JSON:
            return  # the decoder says so
        enveloped = isinstance(message.get("Type"), str) and message["Type"] in _SIGNED
        topic = message.get("TopicArn") if enveloped else headers.get("x-amz-sns-topic-arn")
        if source.topics and topic not in source.topics:
            raise Refusal(403, f"topic {str(topic)[:200]!a} is none of this source's topics")
        if source.verify:
            if not enveloped:
                raise Refusal(403, "there is no signature: raw message delivery has none")
            await self._verify(message)
        if enveloped and message["Type"] == "SubscriptionConfirmation" and source.topics:
            await self._confirm(str(topic), message.get("Token"))

    async def _confirm(self, topic: str, token: Any) -> None:
        found = _ARN.fullmatch(topic)
        if found is None or not isinstance(token, str) or not token.isalnum():
            raise Refusal(403, "no subscription that can be confirmed: its topic or token is none")
        host = f"sns.{found[2]}.amazonaws.com" + (".cn" if found[1] == "aws-cn" else "")
        query = urlencode({"Action": "ConfirmSubscription", "TopicArn": topic, "Token": token})
        try:
            await self._context.fetch(f"https://{host}/?{query}")
        except FetchFailed as error:
            raise Unavailable(f"the subscription could not be confirmed: {error}", 30) from None

    async def _verify(self, message: Mapping[str, Any]) -> None:
        url = message.get("SigningCertURL")
        if not isinstance(url, str) or _CERTIFICATE.fullmatch(url) is None:
            raise Refusal(403, "the signature's certificate is not at Amazon SNS")
        pem = self._certificates.get(url)
        if pem is None:
            try:
                pem = await self._context.fetch(url)
            except FetchFailed as error:
                raise Unavailable(f"the signature's certificate could not be fetched: {error}", 30) from None
        fault = signature_fault(message, pem, self._context.clock.now())
        if fault:
            raise Refusal(403, f"the signature does not hold: {fault}")
        self._certificates[url] = pem
        while len(self._certificates) > CERTIFICATES_MAX:
            self._certificates.popitem(last=False)


def signature_fault(message: Mapping[str, Any], pem: bytes, now: datetime) -> str:
    """Why the message is not signed by this certificate, or the certificate is none of SNS'; "" where all holds."""
    # Here and not at the top: an extra, which config has looked for where a source asks to verify.
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    versions = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303 - what SNS signs with unless told otherwise
    version = versions.get(str(message.get("SignatureVersion")))
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        key = certificate.public_key()
        signature = base64.b64decode(str(message.get("Signature")), validate=True)
    except (ValueError, binascii.Error) as error:
        return f"it cannot be read ({type(error).__name__})"
    if [name.value for name in names] != [_OWNER] or not isinstance(key, RSAPublicKey):
        return f"the certificate is not {_OWNER}'s"
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return "the certificate is not valid now"
    if version is None:
        return "its version is neither 1 nor 2"
    try:
        key.verify(signature, signed_text(message), PKCS1v15(), version)
    except InvalidSignature:
        return "it is not that of this message"
    return ""


def signed_text(message: Mapping[str, Any]) -> bytes:
    """Names and values of the fields that are signed, in order of name, a line each; a Subject that is absent is left
    out."""
    fields = _SIGNED[str(message["Type"])]
    lines = [f"{name}\n{message[name]}\n" for name in fields if message.get(name) is not None]
    return "".join(lines).encode()
