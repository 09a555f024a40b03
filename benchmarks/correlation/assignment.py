"""From `imd replay --out` to what a scorer of groupings reads.

    python -m benchmarks.correlation.assignment out.jsonl > assignment.jsonl

Three kinds of lines: `{"id", "incident"}` for an alert of the trace, by the annotation `sim_id`; `{"page", "ts"}` for
each page that tells of something new, once an incident and instant however many receivers it has; `{"root", "entity",
"id"}` for the probable cause. Incidents that were merged count as the one that survived.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

NAME = "sim_id"
NEWS = frozenset({"first", "raised", "reopened", "flapping"})
"""Reasons of a page that is no escalation or repetition of another."""

Line = dict[str, Any]


def assignment(lines: Iterable[Line]) -> Iterator[Line]:
    """All three kinds. `lines` are those of `--out`, decoded, in any order."""
    incidents: dict[str, Line] = {}
    pages: list[Line] = []
    assigned: dict[str, str] = {}
    for line in lines:
        if line["type"] == "assignment" and NAME in line["annotations"]:
            assigned[line["annotations"][NAME]] = line["incident"]
        elif line["type"] == "incident":
            incidents[line["id"]] = line
        elif line["type"] == "page" and line["kind"] == "page" and line["reason"] in NEWS:
            pages.append(line)
    yield from ({"id": name, "incident": incident} for name, incident in assigned.items())
    for incident, ts in dict.fromkeys((surviving(page["incident"], incidents), page["ts"]) for page in pages):
        yield {"page": incident, "ts": ts}
    for incident, line in incidents.items():
        if line["root_cause"] and not line["merged_into"]:
            yield _root(incident, line["root_cause"])


def surviving(incident: str, incidents: dict[str, Line]) -> str:
    while incident in incidents and incidents[incident]["merged_into"]:
        incident = incidents[incident]["merged_into"]
    return incident


def _root(incident: str, cause: Line) -> Line:
    found = {"root": incident, "entity": cause["entity"]}
    return found | {"id": cause["annotations"][NAME]} if NAME in cause["annotations"] else found


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        for line in assignment(json.loads(line) for line in file):
            print(json.dumps(line))


if __name__ == "__main__":
    main()
