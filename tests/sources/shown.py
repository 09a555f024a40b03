"""An alert report in one line, for docs/sources.md and the golden table."""

from __future__ import annotations

import json
from datetime import datetime

from imd.model.alert import AlertReport
from imd.sources.contract import Decoded


def lines(decoded: Decoded) -> list[str]:
    """Every alert of a body, and what became of the others, in the order of the body."""
    told = [(decoded.position(index), shown(report)) for index, report in enumerate(decoded.alerts)]
    told += [(part.index, f"refused ({part.reason.value}): {part.error}") for part in decoded.rejected]
    told += [(part.index, f"ignored: {part.error}") for part in decoded.ignored]
    return [line for _, line in sorted(told)]


def shown(report: AlertReport) -> str:
    """`firing {labels} since: summary`, or `resolved {identity} at`."""
    if report.resolved:
        return f"resolved {_set(report.identity.labels())}{_at(report.ends_at)}"
    labels = json.loads(report.labels) if report.labels else report.identity.labels()
    summary = json.loads(report.annotations).get("summary", "")
    return f"firing {_set(labels)}{_at(report.starts_at)}" + (f": {summary}" if summary else "")


def _set(labels: dict[str, str]) -> str:
    return "{" + ", ".join(f"{name}={json.dumps(labels[name], ensure_ascii=False)}" for name in sorted(labels)) + "}"


def _at(at: datetime | None) -> str:
    return "" if at is None else f" {at.isoformat().replace('+00:00', 'Z')}"
