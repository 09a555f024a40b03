"""One fault gives one diagnostic, on its own line: every value of a file that uses every key is spoilt in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imd.config.diagnostic import Severity
from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.config.load import check
from imd.config.yamlfile import read_document

WHOLE = """\
enrich:
  - name: service
    match: 'pod=~".+"'
    extract:
      from: pod
      regex: '(?P<service>.+)-[a-f0-9]+'
  - name: tidy
    relabel:
      source_labels:
        - job
      regex: 'kube-(.*)'
      target_label: component
      action: replace
topology:
  entities:
    - id: host/n1
      match: 'node="n1"'
      part_of:
        - rack/r1
      tier: 1
  from_labels:
    - entity: 'pod/{namespace}/{pod}'
      part_of:
        - 'host/{node}'
      broad: false
  classes:
    - class: down
      match: 'alertname="X"'
inhibit:
  - name: node-down
    source: 'alertname="KubeNodeNotReady"'
    target: 'alertname=~"KubePod.*"'
    equal:
      - cluster
times:
  office:
    weekly:
      weekdays:
        - mon
      from: "09:00"
      to: "17:00"
      months:
        - jan
    timezone: Europe/Berlin
maintenance:
  - name: patching
    match: 'service="orders"'
    during: office
    reason: patching
  - name: move
    match: 'rack="r1"'
    once:
      from: "2199-12-01 22:00"
      to: "2199-12-02 04:00"
    timezone: Europe/Lisbon
rules:
  - name: node-loss
    description: one incident
    match:
      - 'alertname=~"KubeNode.*"'
      - 'severity!="none"'
    group_by:
      - cluster
    window:
      kind: while_open
      gap: 15m
      max_life: 24h
      max_alerts: 5000
    hold: 10s
    open_when:
      count:
        at_least: 3
        distinct: instance
        within: 5m
    resolve:
      when: all
      after: 1m
    reopen_within: 30m
    flapping:
      changes: 6
      within: 30m
      calm: 15m
    impact: medium
    raise:
      - alerts: 10
        impact: high
    title: '{{ labels.cluster }}'
    runbook: https://wiki.example/x
    labels:
      team: platform
    policy: platform
    mode: page
  - name: related
    match: 'a="b"'
    urgency: high
    relate:
      along: topology
      max_hops: 3
      within: 5m
heartbeats:
  - name: watchdog
    match: 'alertname="Watchdog"'
    by:
      - cluster
    every: 5m
    grace: 2m
    priority: P1
priority:
  urgency_from_severity:
    critical: high
  impact_from_tier:
    1: high
  matrix:
    high:
      high: P1
people:
  - name: ana
    timezone: Europe/Lisbon
    reach:
      - receiver: ntfy-ana
policies:
  - name: platform
    steps:
      - notify:
          - 'person:ana'
        for: 5m
    repeat: 2
    ack_timeout: 30m
    remind: 4h
routes:
  - match: 'team="platform"'
    priority:
      - P1
    policy: platform
"""
SPOILT = ["{x: 1}", "[[]]", "", "2026-13-45T99:99:99 & (", "!x y", "*alias", '"\\0"']
"""A map, a list of lists, nothing, text that is hardly anything, a tag, an alias, a NUL."""


def _scalars(node: Node | None) -> Iterator[Scalar]:
    match node:
        case Scalar():
            yield node
        case Mapping():
            for entry in node.entries.values():
                yield from _scalars(entry.value)
        case Sequence():
            for item in node.items:
                yield from _scalars(item)
        case _:
            pass


SCALARS = list(_scalars(read_document("x", WHOLE.encode()).root))


def _faults(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    return [(one.line, one.code) for one in check(None, [file], {}) if one.severity is Severity.ERROR]


def test_the_whole_file_is_sound(tmp_path: Path) -> None:
    """Else nothing below says anything."""
    assert _faults(tmp_path, WHOLE) == []
    assert len(SCALARS) >= 90


@pytest.mark.parametrize("spoilt", SPOILT, ids=repr)
def test_a_spoilt_value_is_one_fault_on_its_line(tmp_path: Path, spoilt: str) -> None:
    """Or none, where the value may be that; never a second one elsewhere."""
    found, wrong = 0, []
    for scalar in SCALARS:
        lines = WHOLE.split("\n")
        line = lines[scalar.span.line - 1]
        lines[scalar.span.line - 1] = line[: scalar.span.column - 1] + spoilt + line[scalar.span.end_column - 1 :]
        faults = _faults(tmp_path, "\n".join(lines))
        renamed = " name: " in line and all(code.startswith("R50") for _, code in faults)  # the old name is unknown
        if not renamed and (len(faults) > 1 or any(at != scalar.span.line for at, _ in faults)):
            wrong.append((line, faults))
        found += len(faults)
    assert wrong == []
    assert found >= len(SCALARS) * 0.6


def test_a_misspelt_key_is_one_fault_on_its_line(tmp_path: Path) -> None:
    """Two letters changed places: whatever was to stand there is not missed as well."""
    wrong = []
    for number, line in enumerate(WHOLE.split("\n")):
        key, colon, value = line.partition(":")
        word = key.strip(" -")
        if not colon or len(word) < 4 or not word.isidentifier() or word[1] == word[2]:
            continue
        lines = WHOLE.split("\n")
        lines[number] = key.replace(word, word[0] + word[2] + word[1] + word[3:]) + colon + value
        faults = _faults(tmp_path, "\n".join(lines))
        free = word in ("critical", "team")  # severities and labels have names of the operator's own
        if faults != ([] if free else [(number + 1, "R003")]):
            wrong.append((lines[number], faults))
    assert wrong == []
