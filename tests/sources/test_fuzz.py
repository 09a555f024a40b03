"""Decoders against anything: a body is decoded or refused as a whole, and no alert goes missing."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from imd.sources.alertmanager import AlertmanagerWebhook
from imd.sources.alertmanager_api import AlertmanagerApi
from imd.sources.contract import BadBody
from imd.sources.labels import KnownLabels

NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)
DECODERS = (AlertmanagerApi(KnownLabels({})), AlertmanagerWebhook(KnownLabels({"region": "eu"})))

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
)
texts = st.dictionaries(st.text(max_size=8), st.text(max_size=12) | st.none(), max_size=5)
instants = st.datetimes(timezones=st.just(UTC) | st.timezones()).map(datetime.isoformat) | st.text(max_size=25)
alerts = st.fixed_dictionaries(
    {},
    optional={
        "labels": texts | anything,
        "annotations": texts | anything,
        "startsAt": instants | anything,
        "endsAt": instants | anything,
        "generatorURL": st.sampled_from(["http://x/", "javascript:x", "", "x y"]) | anything,
        "status": st.sampled_from(["firing", "resolved", ""]) | anything,
        "extra": anything,
    },
)
items = st.lists(alerts | anything, max_size=6)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_bytes_are_decoded_or_refused(body: bytes) -> None:
    for decoder in DECODERS:
        with contextlib.suppress(BadBody):
            decoder.decode(body, NOW)


@given(anything)
@settings(max_examples=200, deadline=None)
def test_any_json_is_decoded_or_refused(value: object) -> None:
    for decoder in DECODERS:
        for text in (json.dumps(value), json.dumps({"alerts": value})):
            with contextlib.suppress(BadBody):
                decoder.decode(text.encode("utf-8", "replace"), NOW)


@given(items)
@settings(max_examples=400, deadline=None)
def test_no_alert_goes_missing(sent: list[object]) -> None:
    """Accepted and refused together are what was sent, and what is accepted is fit to be kept."""
    for decoder, body in zip(DECODERS, (sent, {"alerts": sent, "status": "firing"}), strict=True):
        try:
            decoded = decoder.decode(json.dumps(body).encode("utf-8", "replace"), NOW)
        except BadBody:
            continue  # NaN, a lone surrogate, too deep: no JSON as a whole
        assert len(decoded.alerts) + len(decoded.rejected) == len(sent)
        places = [decoded.position(index) for index in range(len(decoded.alerts))]
        assert sorted(places + [rejection.index for rejection in decoded.rejected]) == list(range(len(sent)))
        for alert in decoded.alerts:
            labels = alert.identity.labels()
            assert labels
            assert all(name and value and "\0" not in name + value for name, value in labels.items())
            assert all(isinstance(value, str) for value in json.loads(alert.annotations).values())
            assert alert.generator_url in ("", "http://x/") or alert.generator_url.startswith("http")
            for instant in (alert.starts_at, alert.ends_at):
                assert instant is None or (instant.tzinfo is UTC and 1900 <= instant.year <= 9000)
