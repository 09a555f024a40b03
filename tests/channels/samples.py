"""Deliveries for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from imd.model.effect import Delivery
from imd.model.incident import Priority
from imd.model.policy import PageKind, PageReason


def delivery(number: int = 1, **changes: Any) -> Delivery:
    """A page, as the engine hands it out."""
    fields: dict[str, Any] = {
        "id": f"d{number}",
        "incident": f"i{number}",
        "number": number,
        "dedup_key": f"store/i{number}",
        "receiver": "hook",
        "to": "receiver:hook",
        "kind": PageKind.PAGE,
        "reason": PageReason.FIRST,
        "priority": Priority.P2,
        "step": 1,
        "created_at": datetime.now(UTC),
        "headline": f"PAGE P2 #{number} node lost",
        "body": b'{"version":"1","kind":"page","delivery_id":"d%d","incident":{"number":%d}}' % (number, number),
    }
    return Delivery(**{**fields, **changes})
