"""Maps from rule files, from files of their own and from Prometheus' rules; large ones in time."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from imd.config.load import Faulty, check, load
from imd.model.rule import Matcher, Op, Relate
from imd.model.topology import FROM_LABELS, AlertClass, Entity, FromLabels, Topology


def _load(folder: Path, text: str, maps: tuple[Path, ...] = ()) -> Topology:
    file = folder / "rules.yaml"
    file.write_text(text)
    return load(None, [file], {}, maps).ruleset.topology


def test_relate_of_a_rule(tmp_path: Path) -> None:
    """With its defaults, and in full; none is the default."""
    file = tmp_path / "rules.yaml"
    file.write_text(
        "rules:\n"
        "  - {name: a, match: 'a=\"b\"', relate: {along: topology}}\n"
        "  - {name: b, match: 'a=\"c\"', relate: {along: topology, max_hops: 2, within: 10m}}\n"
    )
    rules = load(None, [file], {}).ruleset.rules
    assert [rule.relate for rule in rules] == [Relate(), Relate(max_hops=2, within=timedelta(minutes=10)), None]


def test_a_map_in_a_rule_file(tmp_path: Path) -> None:
    """Every key of it."""
    found = _load(
        tmp_path,
        "topology:\n"
        "  entities:\n"
        "    - {id: host/n1, match: [['node=\"n1\"'], ['instance=\"n1:9100\"']], part_of: [rack/r1]}\n"
        "    - {id: service/a, runs_on: [host/n1], depends_on: [db/x], serves: [service/b], tier: 1}\n"
        "  from_labels: [{entity: 'host/{node}', part_of: ['rack/{rack}'], broad: true}]\n"
        "  classes: [{class: background, match: 'alertname=\"Noise\"'}]\n",
    )
    first, second = found.entities
    assert first.match == ((Matcher("node", Op.EQUAL, "n1"),), (Matcher("instance", Op.EQUAL, "n1:9100"),))
    assert second == Entity(id="service/a", runs_on=("host/n1",), depends_on=("db/x",), serves=("service/b",), tier=1)
    assert found.from_labels == (FromLabels(entity="host/{node}", part_of=("rack/{rack}",), broad=True),)
    assert found.classes[0].kind is AlertClass.BACKGROUND
    assert found.dangling == 2


def test_without_a_map_labels_say_where_an_alert_is(tmp_path: Path) -> None:
    assert _load(tmp_path, "rules: []\n").from_labels == FROM_LABELS


def test_maps_add_up_over_files(tmp_path: Path) -> None:
    """Those of rule files, those they name relative to themselves, and those given besides."""
    (tmp_path / "map.json").write_text('{"entities": [{"id": "b", "match": [["n=\\"b\\"", "m=~\\"b.*\\""]]}]}')
    (tmp_path / "more.yaml").write_text("entities: [{id: c}]\nfrom_labels: [{entity: 'x/{y}'}]\n")
    (tmp_path / "given.json").write_text('{"entities": [{"id": "d", "match": "n=\\"d\\""}]}')
    text = "topology: {entities: [{id: a}], files: [map.json, more.yaml]}\n"
    found = _load(tmp_path, text, (tmp_path / "given.json",))
    assert [entity.id for entity in found.entities] == ["a", "b", "c", "d"]
    assert found.entities[1].match == ((Matcher("n", Op.EQUAL, "b"), Matcher("m", Op.REGEX, "b.*")),)
    assert found.from_labels == (FromLabels(entity="x/{y}"),)


@pytest.mark.parametrize(
    "text",
    [
        '{"entities": [{"id": "a"}, {"id": "a"}]}',
        '{"entities": [{"id": ""}]}',
        '{"entities": [{"id": "a", "match": []}]}',
        '{"entities": [{"id": "a", "match": ["n=\\"b\\"", ["n=\\"b\\""]]}]}',
        '{"entities": [{"id": "a", "match": "n=~\\"(\\""}]}',
        '{"entities": [{"id": "a", "tier": 0}]}',
        '{"entities": [{"id": "a", "part_of": [""]}]}',
        '{"entities": [{"id": "a", "part_of": "b"}]}',
        '{"entities": [{"name": "a"}]}',
        '{"entities": [{"id": "taken"}]}',
        '{"entities": [',
        "[]",
    ],
)
def test_a_faulty_map_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    """The short way for JSON takes nothing that the long way would refuse."""
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(Faulty) as faulty:
        _load(tmp_path, "topology: {entities: [{id: taken}], files: [map.json]}\n")
    assert all(found.path.endswith("map.json") and found.line <= 2 for found in faulty.value.diagnostics)


def test_the_files_of_a_map_are_watched(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text("{}")
    (tmp_path / "prom.yml").write_text("groups: [{rules: [{alert: A, expr: up}]}]")
    file = tmp_path / "rules.yaml"
    file.write_text("topology: {files: [map.json]}\nonset: {prometheus_rules: ['*.yml']}\n")
    assert [path.name for path in load(None, [file], {}).looked.files] == ["rules.yaml", "map.json", "prom.yml"]


def test_onset_reads_the_for_of_prometheus_rules(tmp_path: Path) -> None:
    """By alertname and severity, the shorter of two; a templated severity is any; none is at once."""
    (tmp_path / "a.yml").write_text(
        "groups:\n"
        "- name: g\n"
        "  rules:\n"
        "  - {alert: A, expr: up, for: 15m, labels: {severity: warning}}\n"
        "  - {alert: A, expr: up, for: 5m, labels: {severity: warning}}\n"
        "  - {alert: A, expr: up, for: 1h, labels: {severity: critical}}\n"
        "  - {alert: B, expr: up, for: 2m, labels: {severity: '{{ $labels.x }}'}}\n"
        "  - {alert: C, expr: up}\n"
        "  - {record: d, expr: up}\n"
    )
    (tmp_path / "crd.yml").write_text(
        "kind: PrometheusRule\nspec: {groups: [{rules: [{alert: E, expr: up, for: 30s}]}]}\n---\nkind: Other\n"
    )
    found = _load(tmp_path, "onset: {prometheus_rules: [a.yml, crd.yml]}\n").pending
    minute = timedelta(minutes=1)
    assert found == {
        "A": {"warning": 5 * minute, "critical": 60 * minute},
        "B": {"": 2 * minute},
        "C": {"": timedelta(0)},
        "E": {"": minute / 2},
    }


def test_onset_reads_what_is_usual_the_first_file_before_the_others(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("onset: {usual: {KubePodNotReady: 5m}}\n")
    second.write_text("onset: {usual: {KubePodNotReady: 15m, NodeDown: 1m}}\n")
    found = load(None, [first, second], {}).ruleset.topology.usual
    assert found == {"KubePodNotReady": timedelta(minutes=5), "NodeDown": timedelta(minutes=1)}


def test_a_map_of_ten_thousand_entities_loads_within_a_second_of_cpu(tmp_path: Path) -> None:
    """And its hash names its content."""
    rows = [
        {
            "id": f"service/s{number}",
            "match": [[f'service="s{number}"'], [f'instance=~"s{number}:[0-9]+"']],
            "depends_on": [f"service/s{number // 2}", f"db/d{number % 100}"],
            "runs_on": [f"host/n{number % 500}"],
        }
        for number in range(10_000)
    ]
    (tmp_path / "map.json").write_text(json.dumps({"entities": rows}))
    file = tmp_path / "rules.yaml"
    file.write_text("topology: {files: [map.json]}\n")
    spent = []
    for _ in range(3):  # the best of three: what it costs, whoever else is at work on this machine
        before = time.process_time()
        loaded = load(None, [file], {})
        spent.append(time.process_time() - before)
        assert len(loaded.ruleset.topology.entities) == 10_000
    assert min(spent) < 1.0


def test_edges_of_a_json_map_that_lead_nowhere_are_one_lint(tmp_path: Path) -> None:
    """Where the map is named, with the first few; what contains, what labels name and what is shared is well."""
    rows = [{"id": f"service/{n}", "match": f's="{n}"', "depends_on": [f"db/{n}", "cache/all"]} for n in range(7)]
    rows[0] |= {"part_of": ["rack/r1"], "serves": ["instance/x"]}
    (tmp_path / "map.json").write_text(json.dumps({"entities": rows}))
    (tmp_path / "rules.yaml").write_text("topology: {files: [map.json]}\n")
    loaded = load(None, [tmp_path / "rules.yaml"], {})
    assert loaded.ruleset.topology.dangling == 7
    (found,) = check(None, [tmp_path / "rules.yaml"], {})
    assert found.render().startswith(f"{tmp_path / 'rules.yaml'}:1:20: warning[W090]: ")
    assert f'edges of {tmp_path / "map.json"} lead to what nobody declares, names or shares: "db/0" of "service/0"' in (
        found.message
    )
    assert found.message.endswith('"db/4" of "service/4" and 2 more')
