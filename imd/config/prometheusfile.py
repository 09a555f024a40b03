"""Prometheus' rule files: how long each alert waits before it fires.

Owns reading other people's YAML, which may have anchors, aliases, merge keys and tags where imd's own may not. It is
built from libyaml's events like `yamlfile`, bounded in depth and size: PyYAML's composer recurses in C and takes the
process with it, and its constructor would follow aliases without end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import msgspec
import yaml

from imd.config.syntax import BadDuration, parse_duration
from imd.config.yamlfile import DATA_BYTES_MAX

DEPTH_MAX = 64
RULES_MAX = 100_000
_MERGED_KEYS_MAX = 100
_NO_TIME = timedelta(0)

Waits = list[tuple[str, str, timedelta]]
"""Alertname, severity ("" where none is fixed) and `for:` of each alerting rule."""


def read_waits(raw: bytes) -> Waits:
    """Of the alerting rules of a Prometheus rule file, or of PrometheusRule objects. Raises ValueError with the reason
    that there are none."""
    if len(raw) > DATA_BYTES_MAX:
        raise ValueError(f"it has more than {DATA_BYTES_MAX} bytes")
    found: Waits = []
    for wait in _alerting_rules(_documents(raw)):
        found.append(wait)
        if len(found) > RULES_MAX:
            raise ValueError(f"it has more than {RULES_MAX} alerting rules")
    if not found:
        raise ValueError("it holds no alerting rule")
    return found


def _alerting_rules(documents: list[Any]) -> Iterator[tuple[str, str, timedelta]]:
    looked_at = 0
    for document in documents:
        spec = document.get("spec", document) if isinstance(document, dict) else {}
        for group in _dicts(spec.get("groups") if isinstance(spec, dict) else None):
            for rule in _dicts(group.get("rules")):
                looked_at += 1
                if looked_at > RULES_MAX:  # a few aliases make many of them
                    raise ValueError(f"it has more than {RULES_MAX} rules")
                if isinstance(rule.get("alert"), str):
                    labels = rule.get("labels")
                    severity = labels.get("severity", "") if isinstance(labels, dict) else ""
                    yield rule["alert"], severity if _static(severity) else "", _wait(rule.get("for"))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _static(severity: Any) -> bool:
    return isinstance(severity, str) and "{{" not in severity


def _wait(given: Any) -> timedelta:
    with suppress(BadDuration):
        return parse_duration(str(given))
    return _NO_TIME


class _Open(msgspec.Struct):
    """A container whose end has not come; `key` waits for its value."""

    value: dict[str, Any] | list[Any]
    key: str | None = None


def _documents(raw: bytes) -> list[Any]:
    """Maps, lists and texts. An alias is the very thing that its anchor is, so nothing grows. Raises ValueError."""
    roots: list[Any] = []
    opened: list[_Open] = []
    anchors: dict[str, Any] = {}
    try:
        for event in yaml.parse(raw, Loader=yaml.CSafeLoader):
            value: Any
            if isinstance(event, yaml.CollectionStartEvent):
                if len(opened) >= DEPTH_MAX:
                    raise ValueError(f"nested deeper than {DEPTH_MAX} levels, line {_line(event)}")
                value = {} if isinstance(event, yaml.MappingStartEvent) else []
            elif isinstance(event, yaml.ScalarEvent):
                value = event.value
            elif isinstance(event, yaml.AliasEvent):
                value = anchors.get(event.anchor or "")
            elif isinstance(event, yaml.CollectionEndEvent):
                _close(opened.pop())
                continue
            else:
                continue
            if isinstance(event, yaml.NodeEvent) and event.anchor and not isinstance(event, yaml.AliasEvent):
                anchors[event.anchor] = value
            _place(value, opened, roots)
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append(_Open(value))
    except yaml.YAMLError as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())}") from None
    return roots


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _place(value: Any, opened: list[_Open], roots: list[Any]) -> None:
    if not opened:
        roots.append(value)
        return
    parent = opened[-1]
    if isinstance(parent.value, list):
        parent.value.append(value)
    elif parent.key is None:
        parent.key = value if isinstance(value, str) else ""
    else:
        parent.value[parent.key] = value
        parent.key = None


def _close(closed: _Open) -> None:
    """Merge keys: what the map itself says stands."""
    merged = closed.value.pop("<<", None) if isinstance(closed.value, dict) else None
    for other in merged if isinstance(merged, list) else [merged]:
        if isinstance(other, dict) and isinstance(closed.value, dict) and len(other) <= _MERGED_KEYS_MAX:
            closed.value |= {key: value for key, value in other.items() if key not in closed.value}
