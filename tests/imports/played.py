"""An imported alertmanager.yml on disk, loaded as `imd serve` would load it, and alerts played through the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from imd.config import load
from imd.config.diagnostic import Severity
from imd.imports.alertmanager import from_alertmanager
from imd.imports.imported import Imported
from imd.replay.journal import EventsReader
from imd.replay.report import Report
from imd.replay.run import replay

NOON = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)  # a Wednesday


def imported(config: Mapping[str, Any] | str, path: str = "alertmanager.yml") -> Imported:
    text = config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False)
    return from_alertmanager(path, text.encode())


def written(made: Imported, folder: Path) -> Path:
    """The files in `folder`; its config.yaml."""
    for name, text in {**made.files, **made.secrets}.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "config.yaml"


def loaded(made: Imported, folder: Path) -> load.Loaded:
    """As `imd serve` loads it: it must have no fault."""
    config = written(made, folder)
    found = load.examine(config, [], now=NOON, find_gap=lambda *_: None, secrets=True)
    faults = [one.render() for one in found.diagnostics if one.severity is Severity.ERROR]
    assert not faults, "\n".join(faults)
    return load.load(config, [])


def paged(rules: load.Loaded, alerts: Iterable[Mapping[str, str]], at: datetime = NOON) -> list[set[str]]:
    """Who is paged for each of the alerts within minutes of their firing, all at once."""
    lines = [
        json.dumps({"ts": at.timestamp(), "type": "alert", "status": "firing", "labels": dict(labels)}).encode()
        for labels in alerts
    ]
    reader = EventsReader("events", rules.ruleset.sources)
    story = replay(reader.read(lines), rules.ruleset)
    said = [json.loads(line) for line in Report(story).lines()]
    pages: dict[str, set[str]] = {}
    for line in said:
        if line["type"] == "page" and line["kind"] == "page":
            pages.setdefault(line["incident"], set()).add(line["receiver"])
    member = {line["event"]: line["incident"] for line in said if line["type"] == "assignment"}
    return [pages.get(member[number], set()) if number in member else set() for number in range(1, len(lines) + 1)]
