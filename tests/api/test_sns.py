"""Amazon SNS: whose topic, whose signature, and a subscription that is confirmed where it was asked for."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from imd.api.sns import signed_text
from tests.api.server import START, Serve, Server
from tests.sources.bodies import body

TOPIC = "arn:aws:sns:eu-west-1:1234567890:alerta-test"
CONFIRM = "https://sns.eu-west-1.amazonaws.com/"
PEM = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-6aad65c2f9911b05cd53efda11f913f9.pem"
TOPICS = f"sources: [{{name: aws, type: aws_cloudwatch_sns, topics: ['{TOPIC}']}}]\n"
SIGNED = f"sources: [{{name: aws, type: aws_cloudwatch_sns, topics: ['{TOPIC}'], verify: true}}]\n"
NAMED = "sns.amazonaws.com"


class Signer:
    """Stands for Amazon: a key, and a certificate for it."""

    def __init__(self, name: str = NAMED, days: int = 30) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = x509.CertificateBuilder(subject, subject, self.key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(START - timedelta(days=60)).not_valid_after(START + timedelta(days=days))
        self.pem = made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def sign(self, message: dict[str, Any], version: str = "1") -> dict[str, Any]:
        digest = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = self.key.sign(signed_text(message), PKCS1v15(), digest)
        return message | {
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": PEM,
        }


@pytest.fixture(scope="module")
def amazon() -> Signer:
    return Signer()


def message(name: str, **fields: Any) -> dict[str, Any]:
    return dict(json.loads(body(f"aws_cloudwatch_sns/{name}.json"))) | fields


async def post(server: Server, sent: dict[str, Any], **headers: str) -> tuple[int, Any]:
    return (await server.call("POST", "/v1/ingest/aws", raw=json.dumps(sent).encode(), **headers))[:2]


async def test_a_subscription_to_one_of_the_topics_is_confirmed(serve: Serve) -> None:
    """By a request that is made up here; where Amazon does not answer, SNS is to come again."""
    async with serve(TOPICS) as server:
        asked = message("1", SubscribeURL="http://169.254.169.254/latest/meta-data")
        status, _ = await post(server, asked)
        assert status == 503
        server.pages[CONFIRM] = b"<ConfirmSubscriptionResponse/>"
        status, answer = await post(server, asked)
        assert (status, answer["ignored"][0]["error"]) == (
            200,
            'says nothing of an alert: Type is "SubscriptionConfirmation"',
        )
        assert len(server.fetched) == 2
        assert server.fetched[1] == (
            f"{CONFIRM}?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1234567890%3Aalerta-test"
            f"&Token={asked['Token']}"
        )


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:666:evil"},
        {"TopicArn": None},
        {"Token": "a&Action=DeleteTopic"},
        {"Token": 7},
        {"Type": "Other"},
    ],
)
async def test_nothing_else_is_confirmed(serve: Serve, changed: dict[str, Any]) -> None:
    """Neither another topic nor a token that is none; and without topics no subscription at all."""
    async with serve(TOPICS) as server:
        server.pages[CONFIRM] = b""
        status, answer = await post(server, message("1", **changed))
        assert status == 403, answer
        assert server.fetched == []
        _, kept, _ = await server.call("GET", "/v1/rejected")
        assert len(kept["items"]) == 1
    async with serve("") as server:
        assert (await server.call("POST", "/v1/ingest/aws_cloudwatch_sns", message("1")))[0] == 200
        assert server.fetched == []


async def test_only_the_topics_may_speak(serve: Serve) -> None:
    async with serve(TOPICS) as server:
        assert (await post(server, message("2")))[0] == 200
        assert (await post(server, message("2", TopicArn=f"{TOPIC}2")))[0] == 403
        assert (await post(server, message("raw")))[0] == 403
        assert (await post(server, message("raw"), **{"x-amz-sns-topic-arn": TOPIC}))[0] == 200
        assert len(list(server.open_alerts())) == 2


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_good_signature_holds(serve: Serve, amazon: Signer, version: str) -> None:
    """Of both versions, with and without a subject; the certificate is fetched once."""
    async with serve(SIGNED) as server:
        server.pages |= {PEM: amazon.pem, CONFIRM: b""}
        without = message("ok")
        del without["Subject"]
        for sent in (message("2"), without, message("1")):
            assert (await post(server, amazon.sign(sent, version)))[0] == 200
        assert server.fetched.count(PEM) == 1


async def test_a_bad_signature_does_not(serve: Serve, amazon: Signer) -> None:
    """Changed, of nobody, of another key, of a certificate that is none of SNS' or from elsewhere."""
    good = amazon.sign(message("2"))
    other, stranger, old = Signer(), Signer("sns.example"), Signer(days=-1)
    elsewhere = [
        "https://evil.example/SimpleNotificationService-6aad65c2f9911b05cd53efda11f913f9.pem",
        PEM.replace("https", "http"),
        PEM.replace("sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.example"),
        PEM.replace("https://", "https://evil@"),
        PEM.replace("SimpleNotification", "../x/SimpleNotification"),
        PEM + "?x",
    ]
    bad = [
        (amazon.pem, good | {"Message": good["Message"].replace("ALARM", "OK")}),
        (amazon.pem, good | {"Signature": "AAAA"}),
        (amazon.pem, good | {"Signature": None}),
        (amazon.pem, good | {"SignatureVersion": "3"}),
        (amazon.pem, other.sign(message("2"))),
        (stranger.pem, stranger.sign(message("2"))),
        (old.pem, old.sign(message("2"))),
        (b"no certificate", good),
        *((amazon.pem, good | {"SigningCertURL": url}) for url in elsewhere),
        (amazon.pem, good | {"SigningCertURL": 7}),
    ]
    for pem, sent in bad:
        async with serve(SIGNED) as server:
            server.pages[PEM] = pem
            status, answer = await post(server, sent)
            assert status == 403, answer
            assert not [url for url in server.fetched if url != PEM]
            assert list(server.open_alerts()) == []


async def test_what_cannot_be_looked_at_comes_again(serve: Serve, amazon: Signer) -> None:
    async with serve(SIGNED) as server:
        assert (await post(server, amazon.sign(message("2"))))[0] == 503
        assert (await post(server, message("raw"), **{"x-amz-sns-topic-arn": TOPIC}))[0] == 403
        assert (await server.call("POST", "/v1/ingest/aws", raw=b"{"))[0] == 400
