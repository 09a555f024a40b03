"""What enrichment makes of one label set: tables, extraction, and every relabel action as Prometheus does it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import md5
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.core.enrich import Enricher, Pool
from imd.model.alert import decode_enriched, overlay
from imd.model.enrich import (
    LABELS_MAX,
    VALUE_CHARS_MAX,
    Action,
    Enrichment,
    Extract,
    Pattern,
    Relabel,
    Replacement,
    Table,
    TableLookup,
)
from imd.model.rule import BadPattern, Matcher, Op

HOSTS = Table("hosts", {"n1": ("web", "r1"), "n2": ("", "r2")})


def enriched(labels: dict[str, str], *entries: Enrichment) -> dict[str, str]:
    """The labels that later stages see."""
    return Enricher(entries).enrich(labels).labels


def relabel(action: str = "replace", **keys: Any) -> Relabel:
    return Relabel(name="r", action=Action(action), **keys)


def lookup(**keys: Any) -> TableLookup:
    return TableLookup(**{"name": "t", "table": HOSTS, "on": (("node", "host"),), "add": ("team", "rack"), **keys})


# -- tables and extraction


def test_a_row_gives_its_cells_and_an_empty_cell_nothing() -> None:
    assert enriched({"node": "n1", "team": "old"}, lookup()) == {"node": "n1", "team": "web", "rack": "r1"}
    assert enriched({"node": "n2", "team": "old"}, lookup()) == {"node": "n2", "team": "old", "rack": "r2"}
    assert enriched({"node": "n3"}, lookup()) == {"node": "n3"}
    assert enriched({"a": "b"}, lookup()) == {"a": "b"}


def test_several_columns_must_all_agree() -> None:
    table = Table("two", {("n1", "c1"): ("web",)})
    entry = lookup(table=table, on=(("node", "host"), ("cluster", "cluster")), add=("team",))
    assert enriched({"node": "n1", "cluster": "c1"}, entry)["team"] == "web"
    assert "team" not in enriched({"node": "n1", "cluster": "c2"}, entry)
    assert "team" not in enriched({"node": "n1"}, entry)


def test_named_groups_become_labels_where_the_whole_value_matches() -> None:
    entry = Extract(name="e", label="pod", regex="(?P<service>.+)-[a-f0-9]+-[a-z0-9]{5}(?P<rest>x)?")
    assert enriched({"pod": "shop-api-7d9c-abcde"}, entry) == {"pod": "shop-api-7d9c-abcde", "service": "shop-api"}
    assert enriched({"pod": "shop-0"}, entry) == {"pod": "shop-0"}
    assert enriched({"pod": "x/shop-api-7d9c-abcde "}, entry) == {"pod": "x/shop-api-7d9c-abcde "}
    assert enriched({"node": "n1"}, entry) == {"node": "n1"}


def test_a_match_says_which_alerts_an_entry_is_for() -> None:
    only = ((Matcher("env", Op.EQUAL, "prod"),),)
    entry = relabel(target_label="x", replacement="1", match=only)
    assert enriched({"env": "prod"}, entry)["x"] == "1"
    assert "x" not in enriched({"env": "dev"}, entry)


def test_entries_see_what_the_ones_before_made() -> None:
    entries = [lookup(), relabel(source_labels=("team",), target_label="owner"), relabel("labeldrop", regex="team")]
    assert enriched({"node": "n1"}, *entries) == {"node": "n1", "rack": "r1", "owner": "web"}


# -- relabelling


@pytest.mark.parametrize(
    ("entry", "labels", "expected"),
    [
        (relabel(source_labels=("job",), regex="kube-(.*)", target_label="c"), {"job": "kube-dns"}, {"c": "dns"}),
        (relabel(source_labels=("job",), regex="kube-(.*)", target_label="c"), {"job": "a-kube-dns"}, {}),
        (relabel(source_labels=("job",), regex="dns", target_label="c", replacement="x"), {"job": "dns2"}, {}),
        (relabel(source_labels=("a", "b"), target_label="c"), {"a": "1", "b": "2"}, {"c": "1;2"}),
        (relabel(source_labels=("a", "b"), separator="", target_label="c"), {"a": "1"}, {"c": "1"}),
        (relabel(source_labels=("a",), regex="(.)(.)", target_label="c", replacement="$2$1"), {"a": "12"}, {"c": "21"}),
        (relabel(source_labels=("a",), regex="(.)", target_label="$1", replacement="v"), {"a": "q"}, {"q": "v"}),
        (relabel(source_labels=("a",), target_label="a", replacement=""), {"a": "1"}, {"a": None}),
        (relabel(target_label="c", replacement="fixed"), {}, {"c": "fixed"}),
        (relabel(source_labels=("a",), regex="1.2", target_label="c", replacement="hit"), {"a": "1\n2"}, {"c": "hit"}),
        (relabel("lowercase", source_labels=("a",), target_label="a"), {"a": "ÄB"}, {"a": "äb"}),
        (relabel("uppercase", source_labels=("a",), target_label="b"), {"a": "äb"}, {"b": "ÄB"}),
        (relabel("lowercase", source_labels=("none",), target_label="b"), {"b": "x"}, {"b": None}),
        (relabel("labeldrop", regex="a.*"), {"ab": "1", "a": "2", "ba": "3"}, {"ab": None, "a": None}),
        (relabel("labelkeep", regex="a.*"), {"ab": "1", "ba": "3"}, {"ba": None}),
        (relabel("labelmap", regex="pod_(.+)"), {"pod_app": "x", "app": "y"}, {"app": "x"}),
        (relabel("labelmap", regex="(a|b)", replacement="c"), {"b": "2", "a": "1"}, {"c": "2"}),
    ],
    ids=lambda value: f"{value.action.value}-{value.replacement}" if isinstance(value, Relabel) else "",
)  # fmt: skip
def test_an_action_changes_labels(entry: Relabel, labels: dict[str, str], expected: dict[str, str | None]) -> None:
    """`expected` is the difference; None: the label is gone."""
    whole = {name: value for name, value in {**labels, **expected}.items() if value is not None}
    assert enriched(labels, entry) == whole


@pytest.mark.parametrize(
    ("entry", "labels", "stopped"),
    [
        (relabel("drop", source_labels=("env",), regex="dev|test"), {"env": "dev"}, True),
        (relabel("drop", source_labels=("env",), regex="dev|test"), {"env": "develop"}, False),
        (relabel("keep", source_labels=("env",), regex="prod"), {"env": "prod"}, False),
        (relabel("keep", source_labels=("env",), regex="prod"), {}, True),
        (relabel("keepequal", source_labels=("a",), target_label="b"), {"a": "1", "b": "1"}, False),
        (relabel("keepequal", source_labels=("a",), target_label="b"), {"a": "1"}, True),
        (relabel("dropequal", source_labels=("a",), target_label="b"), {}, True),
        (relabel("dropequal", source_labels=("a",), target_label="b"), {"a": "1"}, False),
    ],
)
def test_keep_and_drop_stop_an_alert_and_what_was_known_by_then_stays(
    entry: Relabel, labels: dict[str, str], stopped: bool
) -> None:
    found = Enricher((relabel(target_label="x", replacement="1"), entry, relabel(target_label="y"))).enrich(labels)
    assert found.dropped_by == ("r" if stopped else "")
    assert found.labels["x"] == "1"


@given(st.text(max_size=20), st.integers(1, 2**63 - 1))
def test_hashmod_is_the_last_eight_bytes_of_the_md5(value: str, modulus: int) -> None:
    expected = int(md5(value.encode("utf-8", "surrogatepass")).hexdigest()[16:], 16) % modulus
    entry = relabel("hashmod", source_labels=("a",), target_label="b", modulus=modulus)
    assert enriched({"a": value, "b": "x"}, entry)["b"] == str(expected)


def test_hashmod_gives_the_shard_that_prometheus_gives() -> None:
    """prometheus/model/relabel/relabel_test.go (v3, read 2026-11-21): foo, bar, baz by ";", modulus 1000."""
    entry = relabel("hashmod", source_labels=("c",), target_label="d", modulus=1000)
    assert enriched({"a": "foo", "b": "bar", "c": "baz"}, entry)["d"] == "976"


# -- replacements, as Go's regexp.Expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$1", "xx"), ("${1}", "xx"), ("${1}y", "xxy"), ("$1y", ""), ("$a-$2", "xx-"), ("$0", "xx"), ("$9", ""),
        ("$$1", "$1"), ("$", "$"), ("${", "${"), ("${a", "${a"), ("$-", "$-"), ("${a}$b", "xx"), ("$01", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_replacement_is_read_as_go_reads_it(text: str, expected: str) -> None:
    pattern = Pattern("(?P<a>x+)(y)?")
    groups = pattern.groups("xx")
    assert groups is not None
    assert Replacement(text, pattern.names).expand(groups) == expected


def test_a_pattern_that_re2_refuses_is_refused() -> None:
    with pytest.raises(BadPattern):
        Pattern("(?=a)")


# -- bounds and the record


def test_the_difference_is_canonical_and_says_what_went() -> None:
    fixed = [relabel(target_label=name, replacement=value) for name, value in (("z", "1"), ("y", "2"))]
    found = Enricher((relabel("labeldrop", regex="a"), *fixed)).enrich({"a": "1", "b": "2"})
    assert found.added == b'{"a":"","y":"2","z":"1"}'
    assert overlay({"a": "1", "b": "2"}, decode_enriched(found.added)) == found.labels == {"b": "2", "y": "2", "z": "1"}
    untouched = Enricher((relabel(source_labels=("b",), target_label="b"),)).enrich({"b": "2"})
    assert untouched.added is None


def test_values_and_label_counts_are_bounded() -> None:
    long = relabel(source_labels=("a", "a"), target_label="b")
    assert len(enriched({"a": "x" * 4000}, long)["b"]) == VALUE_CHARS_MAX
    doubling = [relabel("labelmap", regex="(.*)", replacement=f"x{number}_$1") for number in range(12)]
    assert len(enriched({f"l{number}": "v" for number in range(20)}, *doubling)) == LABELS_MAX


def test_equal_outcomes_are_one_object() -> None:
    enricher = Enricher((lookup(),))
    one, other = (enricher.enrich({"node": "n1", "pod": pod}) for pod in ("a", "b"))
    assert one.added is other.added
    pool = Pool()
    assert pool.share(b"{}") is pool.share(bytes(bytearray(b"{}")))


labels = st.dictionaries(st.sampled_from("abcdef"), st.text("xyz-1", min_size=1, max_size=6), max_size=6)
relabels = st.builds(
    relabel,
    st.sampled_from(list(Action)),
    source_labels=st.lists(st.sampled_from("abcdef"), max_size=2).map(tuple),
    regex=st.sampled_from(["(.*)", "(x+)(.*)", "[a-c]", "", "(a|b)", "x.*"]),
    target_label=st.sampled_from("abcg"),
    replacement=st.sampled_from(["$1", "${2}-$1", "fixed", "", "$0"]),
    modulus=st.just(7),
)


@given(labels, st.lists(relabels, max_size=5))
def test_the_sender_s_labels_and_the_difference_make_what_later_stages_see(
    sent: dict[str, str], entries: Iterable[Relabel]
) -> None:
    """Whatever the entries; and the sender's own labels are left as they were."""
    before = dict(sent)
    found = Enricher(tuple(entries)).enrich(sent)
    assert sent == before
    assert overlay(dict(sent), decode_enriched(found.added)) == found.labels
    assert all(found.labels.values())
    traced, seen = Enricher(tuple(entries)).trace(sent), dict(sent)
    for one in traced:
        seen = {name: value for name, value in (seen | one.added).items() if name not in one.removed}
    assert seen == found.labels, "entry by entry it comes to the same"
    assert [one.name for one in traced if not one.kept] == ([found.dropped_by] if found.dropped_by else [])
    if found.added is not None:
        assert found.added == msgspec.json.encode(msgspec.json.decode(found.added), order="sorted")
