"""Every body of tests/payloads/ with something of it changed: decoded, refused or ignored, never anything else; what is
accepted is fit to be kept."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imd.model.policy import Source
from imd.sources import DECODERS
from imd.sources.contract import BadBody, Decoder
from imd.sources.labels import KnownLabels
from tests.sources.bodies import BODIES, body, headers, kind
from tests.sources.test_payloads import NOW

JSON = [name for name in BODIES if name.endswith(".json")]
DECODER: dict[str, Decoder] = {
    name: make(KnownLabels({"region": "eu"}), Source(name=name, type=name)) for name, make in DECODERS.items()
}
scalars = st.sampled_from([
    None, True, False, 0, -1, 1e300, 2**70, "", " ", "x" * 5000, "\u0000", "é", "9999-12-31T23:59:59-14:00",
    "0001-01-01", "{", '{"a":', '{"AlarmName": {"a": 1}}', "javascript:x", 10**18, "1" * 30, "P9", "firing", "OK",
]) | st.text(max_size=8)  # fmt: skip
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in it, the whole included."""
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        found += places(inner, (*at, name))
    return found


def changed(value: Any, at: tuple[Any, ...], into: Any, drop: bool) -> Any:
    if not at:
        return into
    holder = value
    for name in at[:-1]:
        holder = holder[name]
    if drop:
        del holder[at[-1]]
    else:
        holder[at[-1]] = into
    return value


@given(st.data())
@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_changed_body_is_decoded_refused_or_ignored(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(JSON))
    value = json.loads(body(name))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.sampled_from(places(value)))
        value = changed(value, at, data.draw(anything), drop=data.draw(st.booleans()) and bool(at))
    check(kind(name), json.dumps(value).encode("utf-8", "replace"), name)


@given(st.sampled_from(BODIES), st.integers(0, 5000), st.binary(max_size=4), st.integers(0, 4))
@settings(max_examples=500, deadline=None)
def test_broken_bytes_are_decoded_or_refused(name: str, at: int, put: bytes, cut: int) -> None:
    text = body(name)
    at %= len(text)
    check(kind(name), text[:at] + put + text[at + cut :], name)


@given(st.sampled_from(sorted(DECODER)), anything)
@settings(max_examples=500, deadline=None)
def test_any_json_at_all(source: str, value: Any) -> None:
    check(source, json.dumps(value).encode("utf-8", "replace"), "x.json")


def check(source: str, sent: bytes, name: str) -> None:
    with contextlib.suppress(BadBody):
        decoded = DECODER[source].decode(sent, NOW, headers(name))
        indexes = [decoded.position(index) for index in range(len(decoded.alerts))]
        indexes += [part.index for part in (*decoded.rejected, *decoded.ignored)]
        assert sorted(indexes) == list(range(len(indexes)))
        for alert in decoded.alerts:
            identity = alert.identity.labels()
            labels = json.loads(alert.labels) if alert.labels else identity
            assert all(
                isinstance(one, str) and one and "\0" not in one for one in (*labels.values(), *identity.values())
            )
            assert labels["region"] == identity["region"] == "eu"
            if source not in ("alertmanager", "prometheus"):
                assert labels["alertname"]
                assert labels["severity"]
            assert all(isinstance(one, str) for one in json.loads(alert.annotations).values())
            assert alert.generator_url == "" or alert.generator_url.startswith("http")
            for instant in (alert.starts_at, alert.ends_at):
                assert instant is None or (instant.tzinfo is UTC and 1900 <= instant.year <= 9000)
