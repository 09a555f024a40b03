"""Enrichment from files: the three kinds of tables, their bounds, hashes, and what each entry becomes."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from imd.config.load import Faulty, Loaded, check, load_rules
from imd.config.tablefile import read_table
from imd.model.enrich import TABLE_BYTES_MAX, TABLE_ROWS_MAX, Action, Extract, Relabel, TableLookup
from imd.model.rule import Matcher, Op

LOOKUP = "enrich: [{name: cmdb, table: hosts.csv, on: {instance: host}, add: [team, tier]}]\n"


def _load(folder: Path, rules: str, **tables: str) -> Loaded:
    for name, text in tables.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(text)
    (folder / "rules.yaml").write_text(rules)
    return load_rules([folder / "rules.yaml"])


def _said(folder: Path, rules: str, **tables: str) -> list[str]:
    with pytest.raises(Faulty) as caught:
        _load(folder, rules, **tables)
    return [one.headline().removeprefix(f"{folder}/") for one in caught.value.diagnostics]


CSV = '\ufeffhost,team,tier,note\r\nn1,"web, shop",1,\r\n\r\nn2, data ,,"a ""b"""\r\n'
JSON = """[{"host": "n1", "team": "web, shop", "tier": 1},
           {"host": "n2", "team": "data", "tier": null, "note": "a \\"b\\""}]"""
YAML = '- {host: n1, team: "web, shop", tier: 1}\n- {host: n2, team: data, tier: ~, note: a "b"}\n'


@pytest.mark.parametrize(("name", "text"), [("t.csv", CSV), ("t.json", JSON), ("t.yaml", YAML)])
def test_the_three_kinds_of_table_say_the_same(name: str, text: str) -> None:
    """Blanks around a cell, a byte order mark and blank lines of a CSV do not count; null is empty."""
    table, document = read_table(name, text.encode())
    assert table is not None, document.faults
    assert table.columns == ("host", "team", "tier", "note")
    assert table.rows == [("n1", "web, shop", "1", ""), ("n2", "data", "", 'a "b"')]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("t.csv", "", "the table is empty"),
        ("t.csv", "a,,b\n", "column 2 has no name"),
        ("t.csv", "a,b,a\n", 'column "a" stands twice'),
        ("t.csv", 'a,b\n"x,y\n', "not CSV: unexpected end of data"),
        ("t.csv", "a,b\nx\n", "1 cell here, and the header has 2"),
        ("t.csv", "a\n" + "x" * 5000 + "\n", 'column "a" holds more than 4096 characters here'),
        ("t.json", "{}", "not a table: Expected `array`"),
        ("t.json", '[{"a": 1}, 2]', "row 2 is wrong: Expected `object`"),
        ("t.json", '[{"a": 1}', "not JSON"),
        ("t.yaml", "a: b\n", "not a table"),
        ("t.yaml", "- a\n", 'a row is the text "a"'),
        ("t.yaml", "- {a: 1, a: 2}\n", 'key "a" stands twice'),
    ],
)
def test_a_table_that_is_none_says_why(name: str, text: str, said: str) -> None:
    table, document = read_table(name, text.encode())
    assert table is None
    assert [said in fault.message for fault in document.faults] == [True], document.faults


def test_bytes_that_are_no_text_are_refused_by_line() -> None:
    table, document = read_table("t.csv", b"a,b\nx,\xff\n")
    assert table is None
    assert (document.faults[0].line, document.faults[0].message) == (2, "byte 0xff is not UTF-8")


def test_tables_are_bounded() -> None:
    """10 MiB and a million rows, and both are read in seconds."""
    assert "bytes" in read_table("t.csv", b"a\n" + b"x" * TABLE_BYTES_MAX)[1].faults[0].message
    began = time.process_time()
    table, document = read_table("t.csv", b"a\n" + b"x\n" * (TABLE_ROWS_MAX + 1))
    assert table is None
    assert "1000000 rows" in document.faults[0].message
    assert time.process_time() - began < 10


def test_an_entry_of_each_kind(tmp_path: Path) -> None:
    rules = """
enrich:
  - {name: cmdb, table: tables/hosts.csv, on: {instance: host, cluster: cluster}, add: [team, tier]}
  - {name: svc, match: 'pod=~".+"', extract: {from: pod, regex: '(?P<service>.+)-[0-9]+'}}
  - name: tidy
    relabel:
      {source_labels: [job, team], separator: /, regex: 'kube-(.*)', target_label: component, replacement: '${1}'}
  - {name: shard, relabel: {source_labels: [a], action: hashmod, modulus: 18, target_label: shard}}
"""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/hosts.csv").write_text("host,cluster,team,tier\nn1,c1,web,1\n,,nobody,9\n")
    loaded = _load(tmp_path, rules)
    cmdb, svc, tidy, shard = loaded.ruleset.enrich
    assert isinstance(cmdb, TableLookup)
    assert (cmdb.on, cmdb.add) == ((("instance", "host"), ("cluster", "cluster")), ("team", "tier"))
    assert cmdb.table.rows == {("n1", "c1"): ("web", "1")}
    assert svc == Extract(
        name="svc", match=((Matcher("pod", Op.REGEX, ".+"),),), label="pod", regex="(?P<service>.+)-[0-9]+"
    )
    assert tidy == Relabel(
        name="tidy",
        source_labels=("job", "team"),
        separator="/",
        regex="kube-(.*)",
        target_label="component",
        replacement="${1}",
    )
    assert isinstance(shard, Relabel)
    assert (shard.action, shard.modulus) == (Action.HASHMOD, 18)
    assert tmp_path / "tables/hosts.csv" in loaded.looked.files


def test_a_table_is_beside_the_file_that_names_it_and_read_once(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hosts.csv").write_text(f"host,team,tier\nn1,{folder},1\n")
        (tmp_path / folder / "r.yaml").write_text(LOOKUP.replace("cmdb", folder))
    (tmp_path / "a/second.yaml").write_text(LOOKUP)
    loaded = load_rules([tmp_path / "a", tmp_path / "b"])
    tables = [entry.table for entry in loaded.ruleset.enrich if isinstance(entry, TableLookup)]
    assert [table.rows["n1"][0] for table in tables] == ["a", "a", "b"]
    assert len(loaded.looked.files) == 5


def test_the_hash_follows_the_table(tmp_path: Path) -> None:
    """A changed cell decides otherwise, so the configuration has another name."""
    hashes = [
        _load(tmp_path, LOOKUP, hosts_csv=text).ruleset.config_hash
        for text in ("host,team,tier\nn1,web,1\n", "host,team,tier\nn1,data,1\n", "host,team,tier\nn1,web,1\n")
    ]
    assert hashes[0] == hashes[2] != hashes[1]


def test_the_hash_follows_a_condition(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.importorskip("cel_expr_python")
    rule = "rules: [{name: a, match: 'a=\"b\"', when: 'labels.x == \"%s\"'}]\n"
    hashes = [_load(tmp_path, rule % word).ruleset.config_hash for word in ("y", "z", "y")]
    assert hashes[0] == hashes[2] != hashes[1]


def test_a_default_with_a_condition_leaves_the_rest_to_the_built_in_one(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.importorskip("cel_expr_python")
    found = _load(tmp_path, "rules: [{name: default, when: 'has(labels.x)'}]\n").ruleset.rules
    assert [rule.name for rule in found] == ["default", "built-in"]


def test_a_missing_table_is_said_once_where_it_is_first_named(tmp_path: Path) -> None:
    rules = LOOKUP + "rules: [{name: a, match: 'a=\"b\"', hodl: 5s}]\n"
    said = _said(tmp_path, rules)
    assert said == [
        f"rules.yaml:1:30: error[R101]: cannot read {tmp_path}/hosts.csv: No such file or directory",
        'rules.yaml:2:35: error[R003]: unknown key "hodl" in rule "a"',
    ]


def test_rows_that_say_different_things_are_warned_of_and_the_first_stands(tmp_path: Path) -> None:
    loaded = _load(tmp_path, LOOKUP, hosts_csv="host,team,tier\nn1,web,1\nn1,data,1\nn2,x,1\nn2,x,1\n")
    assert [one.headline().partition(": ")[2] for one in loaded.warnings] == [
        'warning[W020]: rows differ for host = "n1"'
    ]
    [entry] = loaded.ruleset.enrich
    assert isinstance(entry, TableLookup)
    assert entry.table.rows["n1"] == ("web", "1")


@pytest.mark.parametrize(
    "relabel",
    [
        "{}",
        "{action: keep, source_labels: [a], target_label: b}",
        "{action: keepequal, source_labels: [a], target_label: b, separator: x}",
        "{action: lowercase, source_labels: [a], target_label: b, replacement: x}",
        "{action: labelkeep, regex: a, replacement: x}",
        "{action: hashmod, source_labels: [a], target_label: b, modulus: 0}",
        "{action: replace, target_label: ''}",
        "{regex: '(', target_label: a}",
    ],
)
def test_relabel_keys_that_do_not_go_together_are_refused(tmp_path: Path, relabel: str) -> None:
    """One fault each, as Prometheus refuses them or stricter."""
    (tmp_path / "rules.yaml").write_text(f"enrich: [{{name: a, relabel: {relabel}}}]\n")
    assert len(check(None, [tmp_path / "rules.yaml"], {})) == 1


def test_an_unsound_entry_hides_no_other(tmp_path: Path) -> None:
    rules = "enrich: [{name: a}, {name: b, relabel: {target_label: x, colour: 1}}, 5, {relabel: {target_label: x}}]\n"
    (tmp_path / "rules.yaml").write_text(rules)
    assert [one.code for one in check(None, [tmp_path / "rules.yaml"], {})] == ["R002", "R003", "R004", "R002"]
