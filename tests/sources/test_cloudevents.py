"""The three ways in which a CloudEvent comes are one, and a map of one's own goes first."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from imd.model.policy import Source
from imd.sources import decode
from imd.sources.contract import BadBody
from tests.sources.bodies import body
from tests.sources.shown import lines
from tests.sources.test_mapped import source
from tests.sources.test_payloads import NOW

EVENTS = Source(name="events", type="cloudevents")


def test_binary_mode_says_the_same_as_structured() -> None:
    """Attributes in headers of any case; data that is no JSON is text."""
    event: dict[str, Any] = json.loads(body("cloudevents/failed.json"))
    data = json.dumps(event.pop("data")).encode()
    headers = {f"CE-{name.title()}": text for name, text in event.items() if name != "datacontenttype"}
    headers["Content-Type"] = "application/json; charset=utf-8"
    structured = lines(
        decode(EVENTS, body("cloudevents/failed.json"), NOW, {"Content-Type": "application/cloudevents+json"})
    )
    assert lines(decode(EVENTS, data, NOW, headers)) == structured
    [line] = lines(decode(EVENTS, b"plain \xff text", NOW, headers | {"Content-Type": "text/plain"}))
    assert 'key="/mon/eu db1"' in line
    with pytest.raises(BadBody, match="without id"):
        decode(EVENTS, data, NOW, {name: text for name, text in headers.items() if name != "CE-Id"})


def test_data_in_base64() -> None:
    event = json.loads(body("cloudevents/failed.json")) | {"data_base64": base64.b64encode(b"x").decode()}
    del event["data"]
    assert len(decode(EVENTS, json.dumps(event).encode(), NOW).alerts) == 1
    with pytest.raises(BadBody, match="no base64"):
        decode(EVENTS, json.dumps(event | {"data_base64": "ü"}).encode(), NOW)


def test_a_map_of_ones_own_goes_first(tmp_path: Any) -> None:
    text = """
when: 'type="com.acme.job"'
key: '{data.job}'
labels: {alertname: Job, job: '{data.job}'}
resolved: 'data.exit="0"'
"""
    made = source(tmp_path, text)
    own = Source(name="events", type="cloudevents", maps=made.maps)
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/x",
        "type": "com.acme.job",
        "data": {"job": "full", "exit": 3},
    }
    batch = [event, json.loads(body("cloudevents/failed.json")), event | {"data": {"job": "full", "exit": 0}}]
    headers = {"content-type": "application/cloudevents-batch+json"}
    told = lines(decode(own, json.dumps(batch).encode(), NOW, headers))
    assert told[0] == 'firing {alertname="Job", job="full", key="full", severity="warning"}'
    assert told[1].startswith('firing {alertname="DiskFailed"')
    assert told[2] == 'resolved {key="full"}'
