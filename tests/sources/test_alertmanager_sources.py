"""Alertmanager's two shapes: what each alert becomes, and what is refused of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from imd.model.alert import NO_ANNOTATIONS, AlertReport, fingerprint
from imd.sources.alertmanager import AlertmanagerWebhook
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.contract import BadBody, Decoded, Limits, Reason
from imd.sources.labels import WORDS_BYTES_MAX, WORDS_MAX, KnownLabels
from tests.captures import recorded

NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)


def api(*alerts: object, source_labels: dict[str, str] | None = None, **limits: int) -> Decoded:
    decoder = AlertmanagerApi(KnownLabels(source_labels or {}, Limits(**limits)))
    return decoder.decode(json.dumps(alerts).encode(), NOW)


def webhook(*alerts: object, **message: object) -> Decoded:
    body = {"version": "4", "status": "firing", "alerts": alerts, **message}
    return AlertmanagerWebhook(KnownLabels({})).decode(json.dumps(body).encode(), NOW)


def one(decoded: Decoded) -> AlertReport:
    assert decoded.rejected == []
    assert len(decoded.alerts) == 1
    return decoded.alerts[0]


def refused(decoded: Decoded) -> tuple[Reason, str]:
    assert decoded.alerts == []
    assert len(decoded.rejected) == 1
    return decoded.rejected[0].reason, decoded.rejected[0].error


# -- real clients -------------------------------------------------------------------------------------------------


def test_prometheus_requests_are_taken_whole() -> None:
    """Every recorded POST: nothing refused, the resolve told by its end, the non-ASCII annotation kept."""
    decoder = AlertmanagerApi(KnownLabels({}))
    resolved, keys = 0, set()
    for request in recorded("prometheus_2.42_api_v2_alerts.jsonl"):
        if request["method"] != "POST":
            continue
        at = datetime.fromtimestamp(request["t"], UTC)
        decoded = decoder.decode(json.dumps(request["body"], ensure_ascii=False).encode(), at)
        assert decoded.rejected == []
        for sent, alert in zip(request["body"], decoded.alerts, strict=True):
            assert alert.identity.labels() == sent["labels"]
            assert json.loads(alert.annotations) == sent.get("annotations", {})
            ends = datetime.fromisoformat(sent["endsAt"])
            assert alert.resolved is (ends.year != 1 and ends <= at)
            resolved += alert.resolved
            keys.add(alert.identity.key)
    assert resolved > 0
    assert len(keys) > 3


def test_alertmanagers_messages_are_taken_whole() -> None:
    """Every recorded message: the status decides, year 1 is no end, and our fingerprint is the one it sends."""
    decoder = AlertmanagerWebhook(KnownLabels({}))
    states = set()
    for request in recorded("alertmanager_0.25_webhook_v4.jsonl"):
        decoded = decoder.decode(json.dumps(request["body"]).encode(), NOW)
        assert decoded.rejected == []
        for sent, alert in zip(request["body"]["alerts"], decoded.alerts, strict=True):
            assert fingerprint(alert.identity.labels()) == sent["fingerprint"]
            assert alert.resolved is (sent["status"] == "resolved")
            assert (alert.ends_at is None) is (not alert.resolved)
            states.add(alert.resolved)
    assert states == {True, False}


# -- the API's array ----------------------------------------------------------------------------------------------


def test_the_end_decides() -> None:
    past, ahead = "2026-11-21T19:29:59Z", "2026-11-21T19:34:00Z"
    labels = {"a": "b"}
    assert one(api({"labels": labels, "endsAt": past})).resolved
    assert not one(api({"labels": labels, "endsAt": ahead})).resolved
    assert one(api({"labels": labels})).ends_at is None
    assert one(api({"labels": labels, "startsAt": "0001-01-01T00:00:00.000Z"})).starts_at is None


@pytest.mark.parametrize(
    "times",
    [
        {"startsAt": "2026-11-21T19:00:00Z", "endsAt": "2026-11-21T18:00:00Z"},
        {"startsAt": "2026-11-21T19:36:00Z"},
    ],
)
def test_an_end_before_the_start_is_refused(times: dict[str, str]) -> None:
    reason, error = refused(api({"labels": {"a": "b"}, **times}))
    assert (reason, error) == (Reason.TIMES, "start time must be before end time")


def test_instants_become_utc() -> None:
    """Offsets and nanoseconds are fine; an instant without a zone is refused; absurd years stay in the calendar."""
    given = one(api({"labels": {"a": "b"}, "startsAt": "2024-01-02T03:04:05.123456789+05:30"}))
    assert given.starts_at == datetime(2024, 1, 1, 21, 34, 5, 123457, tzinfo=UTC)
    assert given.starts_at.tzinfo is UTC
    assert refused(api({"labels": {"a": "b"}, "startsAt": "2026-11-21T19:00:00"}))[0] is Reason.SCHEMA
    far = one(
        api({"labels": {"a": "b"}, "endsAt": "9999-12-31T23:59:59-12:00", "startsAt": "0001-01-01T00:00:00+12:00"})
    )
    assert far.starts_at is None
    assert far.ends_at is not None
    assert far.ends_at + timedelta(days=365) > NOW
    assert one(api({"labels": {"a": "b"}, "startsAt": "0200-01-01T00:00:00Z"})).starts_at == datetime(
        1900, 1, 1, tzinfo=UTC
    )


def test_links_only_where_they_are_safe() -> None:
    """A URL that is none is refused as Alertmanager does; one that a browser should not follow is dropped."""
    labels = {"a": "b"}
    assert one(api({"labels": labels, "generatorURL": "http://p/graph"})).generator_url == "http://p/graph"
    for unsafe in ("javascript:alert(1)", "/graph", "data:text/html,x", "http://x/" + "y" * 5000):
        assert one(api({"labels": labels, "generatorURL": unsafe})).generator_url == ""
    assert refused(api({"labels": labels, "generatorURL": "not a url"}))[0] is Reason.URL


def test_null_is_no_alert() -> None:
    assert AlertmanagerApi(KnownLabels({})).decode(b"null", NOW) == Decoded([], [])


# -- the webhook's message ----------------------------------------------------------------------------------------


def test_the_status_decides() -> None:
    """An end while firing means nothing; an alert without a status has the message's."""
    firing = one(webhook({"labels": {"a": "b"}, "status": "firing", "endsAt": "2026-11-21T18:00:00Z"}))
    assert (firing.resolved, firing.ends_at) == (False, None)
    gone = one(webhook({"labels": {"a": "b"}, "status": "resolved", "endsAt": "2026-11-21T18:00:00Z"}))
    assert (gone.resolved, gone.ends_at) == (True, datetime(2026, 11, 21, 18, tzinfo=UTC))
    assert one(webhook({"labels": {"a": "b"}}, status="resolved")).resolved
    assert refused(webhook({"labels": {"a": "b"}, "status": "burning"}))[0] is Reason.STATUS


def test_a_truncated_group_says_nothing_of_the_rest() -> None:
    decoded = webhook({"labels": {"a": "b"}, "status": "firing"}, truncatedAlerts=17)
    assert not one(decoded).resolved


# -- labels -------------------------------------------------------------------------------------------------------


def test_empty_labels_are_no_labels() -> None:
    whole, sparse = api({"labels": {"a": "b", "c": "", "d": None}}), api({"labels": {"a": "b"}})
    assert one(whole).identity == one(sparse).identity
    assert refused(api({"labels": {"a": ""}}))[1] == "at least one label pair required"
    assert refused(api({"labels": {}}))[1] == "at least one label pair required"


def test_the_sources_labels_join_the_identity() -> None:
    here = one(api({"labels": {"a": "b", "region": "sender's"}}, source_labels={"region": "eu"}))
    assert here.identity.labels() == {"a": "b", "region": "eu"}
    assert here.identity.key != one(api({"labels": {"a": "b"}})).identity.key


@pytest.mark.parametrize(
    ("labels", "reason", "said"),
    [
        ({"a": 1}, Reason.SCHEMA, 'label "a" must be a string'),
        ({"ok": "x", "n": {"deep": 1}}, Reason.SCHEMA, 'label "n" must be a string'),
        (["a"], Reason.SCHEMA, "labels must be an object of strings"),
        (None, Reason.REQUIRED, "labels in body is required"),
        ({"": "x"}, Reason.LABELS, "invalid label set: invalid name ''"),
        ({"a\0": "x"}, Reason.LABELS, "invalid label set: invalid name 'a\\x00'"),
        ({"a": "x\0"}, Reason.LABELS, 'invalid label set: label "a" holds a NUL'),
        ({"big": "x" * 4097}, Reason.LIMIT, 'label "big" is longer than 4096 bytes'),
        ({"big": "é" * 2049}, Reason.LIMIT, 'label "big" is longer than 4096 bytes'),
        ({f"l{n}": "x" for n in range(65)}, Reason.LIMIT, "65 labels, more than 64"),
        ({"a": "x" * 2_000_000}, Reason.LIMIT, "label set is larger than 1048576 bytes"),
    ],
)
def test_labels_are_refused_by_name(labels: object, reason: Reason, said: str) -> None:
    assert refused(api({"labels": labels})) == (reason, said)


def test_what_just_fits_is_taken() -> None:
    one(api({"labels": {"big": "x" * 4096, "é": "Σ🙂"}}))
    one(api({"labels": {f"l{n}": "x" for n in range(64)}}))


def test_one_label_text_is_in_memory_once() -> None:
    """Sorted and without blanks, as Prometheus writes it, the raw text is the canonical one: the same object."""
    known = KnownLabels({})
    body = b'[{"labels":{"a":"b","c":"d"},"annotations":{"s":"t"}}]'
    first, again = (AlertmanagerApi(known).decode(body, NOW).alerts[0] for _ in range(2))
    assert first.identity is again.identity
    assert first.identity.canonical is next(iter(known._young))
    assert first.annotations is again.annotations


def test_a_text_in_another_order_is_known_by_its_hash() -> None:
    """Its labels are in memory once, as canonical text; and it is found again, over both generations."""
    known = KnownLabels({}, entries_max=4)
    unsorted = [b'{"z":"1","a":"%d"}' % number for number in range(5)]
    first = [known.find(text, b"").identity for text in unsorted]
    assert [identity.canonical for identity in first] == [b'{"a":"%d","z":"1"}' % number for number in range(5)]
    kept = [*known._young, *known._old, *known._leaving]
    assert all(len(key) < 16 for key in kept)
    for text, identity in zip(unsorted[-2:], first[-2:], strict=True):
        assert known.find(text, b"").identity is identity
    assert known.find(unsorted[0], b"").identity == first[0]
    assert len({known.find(text, b"").identity.key for text in unsorted}) == 5


def test_what_alerts_of_a_body_share_is_one_object() -> None:
    decoder = AlertmanagerApi(KnownLabels({}))
    alert = {"startsAt": "2026-11-21T19:00:00Z", "endsAt": "2026-11-21T20:00:00Z", "generatorURL": "http://p/g?x=1"}
    body = json.dumps([{"labels": {"a": str(number)}, **alert} for number in range(2)]).encode()
    one, other = decoder.decode(body, NOW).alerts
    again = decoder.decode(body.replace(b"20:00", b"20:01"), NOW).alerts[0]
    assert one.starts_at is other.starts_at
    assert one.ends_at is other.ends_at
    assert again.starts_at is one.starts_at
    assert one.generator_url is other.generator_url is again.generator_url
    assert again.ends_at == datetime(2026, 11, 21, 20, 1, tzinfo=UTC)


def test_annotations_that_many_alerts_share_are_one_object() -> None:
    """As sent and as kept, cut ones too; what is long or was pushed out is simply another object, and as right."""
    known = KnownLabels({}, Limits(annotation_bytes_max=64))
    short, cut, long = (b'{"s":"%s"}' % (b"x" * size) for size in (10, 1_000, WORDS_BYTES_MAX))
    for number, text in enumerate((short, cut, long)):
        one = known.find(b'{"a":"%d1"}' % number, text)
        known.find(b'{"a":"between"}', b'{"other":"%d"}' % number)
        other = known.find(b'{"a":"%d2"}' % number, bytes(bytearray(text)))
        assert one.annotations == other.annotations
        assert (one.annotations is other.annotations) == (text is not long)
        assert (one.annotations_sent is other.annotations_sent) == (text is not long)
    for number in range(WORDS_MAX):
        text = b'{"own":"%d"}' % number
        assert known.find(b'{"n":"%d"}' % number, text).annotations == text
    assert len(known._words) <= WORDS_MAX
    assert known.find(b'{"a":"01"}', short).annotations == short


# -- annotations --------------------------------------------------------------------------------------------------


def test_what_two_alerts_say_alike_is_in_memory_once() -> None:
    """And it is looked at anew after any other words, refused ones too."""
    decoder = AlertmanagerApi(KnownLabels({}))
    same, other = {"summary": "slow", "x": ""}, {"summary": "slow", "x": 1}
    said = [same, same, other, same, {"summary": "a\\b\0"}, same]
    body = json.dumps([{"labels": {"n": str(n)}, "annotations": words} for n, words in enumerate(said)]).encode()
    decoded = decoder.decode(body, NOW)
    assert [one.index for one in decoded.rejected] == [2]
    first, second, third, mended, last = (alert.annotations for alert in decoded.alerts)
    assert first is second is third
    assert json.loads(last) == json.loads(first) == same
    assert json.loads(mended) == {"summary": "a\\b\ufffd"}


def test_annotations_are_kept_as_sent_and_cut_where_too_long() -> None:
    assert json.loads(one(api({"labels": {"a": "b"}, "annotations": {"x": "", "y": None}})).annotations) == {
        "x": "",
        "y": "",
    }
    assert one(api({"labels": {"a": "b"}, "annotations": None})).annotations is NO_ANNOTATIONS
    cut = json.loads(one(api({"labels": {"a": "b"}, "annotations": {"x": "é" * 4000, "n": "a\0b"}})).annotations)
    assert cut["x"].endswith("é…")
    assert len(cut["x"].encode()) <= 4096
    assert cut["n"] == "a\ufffdb"
    many = json.loads(one(api({"labels": {"a": "b"}, "annotations": {f"k{n}": "v" for n in range(70)}})).annotations)
    assert len(many) == 65
    assert many["…"] == "6 more annotations were cut"
    assert refused(api({"labels": {"a": "b"}, "annotations": {"x": 1}})) == (
        Reason.SCHEMA,
        'annotation "x" must be a string',
    )


# -- bodies -------------------------------------------------------------------------------------------------------


def test_good_alerts_beside_bad_ones_are_kept() -> None:
    """Bad shape and bad content alike cost their own alert, named by its place."""
    bad = [{"labels": {"n": 1}}, {"labels": {"a": "b"}, "startsAt": "yesterday"}, 7, None, {"labels": {}}]
    decoded = api({"labels": {"i": "0"}}, *bad, {"labels": {"i": "6"}})
    assert [alert.identity.labels()["i"] for alert in decoded.alerts] == ["0", "6"]
    assert [rejection.index for rejection in decoded.rejected] == [1, 2, 3, 4, 5]
    assert [decoded.position(index) for index in range(2)] == [0, 6]
    assert all(rejection.error and len(rejection.excerpt) <= 500 for rejection in decoded.rejected)


CUT = rb"""[{"labels":{"alertname":"Cut"},"annotations":{"summary":"disk full \ud83d","said":"\\ud83d \ud83d\ude00\n"}},
{"labels":{"alertname":"Whole"}}]"""


def test_half_a_character_loses_nothing() -> None:
    """A sender that cuts a text within an emoji writes half of it: U+FFFD, as Alertmanager reads it."""
    shapes = (AlertmanagerApi, CUT), (AlertmanagerWebhook, b'{"status":"firing","alerts":' + CUT + b"}")
    for kind, body in shapes:
        decoder = kind(KnownLabels({}))
        cut, whole = decoder.decode(body, NOW).alerts
        said = msgspec.json.decode(cut.annotations)
        assert said == {"summary": "disk full \ufffd", "said": "\\ud83d \U0001f600\n"}
        assert whole.identity.labels() == {"alertname": "Whole"}
        assert [len(decoder.decode(part, NOW).alerts) for part in decoder.split(body, 1)] == [1, 1]


@pytest.mark.parametrize("text", [rb'"\ud8zz"', rb'"\ud83d', rb'"\q"'])
def test_what_is_no_json_stays_refused(text: bytes) -> None:
    with pytest.raises(BadBody):
        AlertmanagerApi(KnownLabels({})).decode(b'[{"labels":{"alertname":' + text + b"}}]", NOW)


def nested(depth: int) -> bytes:
    return b'{"alerts":[{"labels":{"a":"b"}}],"status":"firing","x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_depth_is_bounded_exactly() -> None:
    """32 levels pass and 33 do not, however many brackets there are beside and inside strings."""
    decoder = AlertmanagerWebhook(KnownLabels({}))
    assert len(decoder.decode(nested(32), NOW).alerts) == 1
    with pytest.raises(BadBody, match="nested deeper than 32"):
        decoder.decode(nested(33), NOW)
    text = json.dumps({"alerts": [{"labels": {"a": "[" * 300 + '"{{{'}}], "status": "firing", "x": [[]] * 100}).encode()
    assert len(decoder.decode(text, NOW).alerts) == 1


def test_the_cache_forgets_and_stays_within_its_bound() -> None:
    known = KnownLabels({}, entries_max=100)
    decoder = AlertmanagerApi(known)
    for n in range(1000):
        report = one(decoder.decode(json.dumps([{"labels": {"n": str(n)}}]).encode(), NOW))
        assert report.identity.labels() == {"n": str(n)}
        assert len(known) <= 101
    hot = msgspec.json.encode([{"labels": {"n": "hot"}}])
    first = one(decoder.decode(hot, NOW)).identity
    for n in range(40):
        decoder.decode(json.dumps([{"labels": {"n": str(n)}}]).encode(), NOW)
    assert one(decoder.decode(hot, NOW)).identity is first


# -- large bodies -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AlertmanagerApi, AlertmanagerWebhook])
def test_the_parts_of_a_large_body_say_what_it_says(kind: type[AlertmanagerApi] | type[AlertmanagerWebhook]) -> None:
    """Whatever is in it: what the parts' decoding gives, one behind the other, is what the whole body's gives."""
    fine = [{"labels": {"alertname": f"A{n}", "é": "ü"}, "annotations": {"s": "{[\\"}} for n in range(23)]
    items = [
        *fine[:11],
        {"labels": {}},
        7,
        *fine[11:],
        {"labels": {"a": 1}},
        {"startsAt": "never", "labels": {"a": "b"}},
    ]
    sent = items if kind is AlertmanagerApi else {"version": "4", "alerts": items, "status": "firing"}
    body = json.dumps(sent).encode()
    whole, decoder = kind(KnownLabels({})).decode(body, NOW), kind(KnownLabels({}))
    parts = decoder.split(body, 5)
    decoded = [decoder.decode(part, NOW) for part in parts]
    assert len(parts) == 6
    assert [alert for part in decoded for alert in part.alerts] == whole.alerts
    rejected = [(5 * number + one.index, one.error) for number, part in enumerate(decoded) for one in part.rejected]
    assert rejected == [(one.index, one.error) for one in whole.rejected]
    for broken in (b"{", b'{"alerts": [', b"[1,", b"\xff", b'[{"labels": {"a": "\xff"}}]'):
        with pytest.raises(BadBody):
            decoder.split(broken, 5)
