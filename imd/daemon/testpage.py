"""The message of `imd page`: a drill that belongs to no incident."""

from __future__ import annotations

from datetime import datetime

import msgspec

from imd.core.page import BODY_VERSION, Links, one_line
from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind

_encode = msgspec.json.Encoder().encode


def test_delivery(store_id: str, receiver: str, text: str, by: str, now: datetime) -> Delivery:
    """A message of kind note, reason none. Its key is its own, so that no vendor mixes it up with an incident."""
    identity = f"{store_id}-test-{int(now.timestamp() * 1000):x}"
    body: dict[str, object] = {
        "version": BODY_VERSION,
        "kind": PageKind.NOTE,
        "reason": None,
        "dedup_key": identity,
        "delivery_id": identity,
        "incident": None,
        "alerts": [],
        "truncated": 0,
        "links": Links(incident=None, ack=None, runbook=None),
        "note": text,
        "by": by,
    }
    return Delivery(
        id=identity,
        incident="",
        number=0,
        dedup_key=identity,
        receiver=receiver,
        to=receiver,
        kind=PageKind.NOTE,
        reason=None,
        priority=Priority.P5,
        step=0,
        created_at=now,
        headline=f"TEST {one_line(text)} (by {one_line(by)})",
        body=_encode(body),
    )
