"""What the correlation benchmark hands to a scorer."""

from __future__ import annotations

from typing import Any

from benchmarks.correlation.assignment import assignment


def page(incident: str, ts: float, reason: str | None = "first", kind: str = "page") -> dict[str, Any]:
    return {"type": "page", "incident": incident, "ts": ts, "reason": reason, "kind": kind}


def incident(name: str, merged_into: str | None = None, cause: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "incident", "id": name, "merged_into": merged_into, "root_cause": cause}


def test_alerts_by_name_pages_that_are_news_and_causes_all_of_the_survivor() -> None:
    cause = {"entity": "host/n1", "fingerprint": "f", "reason": "r", "annotations": {"sim_id": "a1"}}
    lines = [
        {"type": "assignment", "event": 1, "incident": "i1", "annotations": {"sim_id": "a1"}},
        {"type": "assignment", "event": 2, "incident": "i1", "annotations": {"sim_id": "a1"}},
        {"type": "assignment", "event": 3, "incident": "i1", "annotations": {}},
        page("i1", 10),
        page("i1", 10),
        page("i2", 20),
        page("i2", 25, "escalated"),
        page("i1", 30, "raised"),
        page("i1", 40, None, "resolved"),
        incident("i1", cause=cause),
        incident("i2", merged_into="i1", cause=cause),
        incident("i3"),
    ]
    assert list(assignment(lines)) == [
        {"id": "a1", "incident": "i1"},
        {"page": "i1", "ts": 10},
        {"page": "i1", "ts": 20},
        {"page": "i1", "ts": 30},
        {"root": "i1", "entity": "host/n1", "id": "a1"},
    ]
