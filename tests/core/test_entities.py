"""Which entities labels name, found by index: the map's matchers, and templates of labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imd.core.entities import EntityIndex, FromLabelsIndex, Template, literal_beginning
from imd.model.rule import Matcher, Op, match_test
from imd.model.topology import FROM_LABELS, Entity, FromLabels


def equal(name: str, value: str) -> Matcher:
    return Matcher(name, Op.EQUAL, value)


def regex(name: str, value: str) -> Matcher:
    return Matcher(name, Op.REGEX, value)


MAP = (
    Entity(id="host/n1", match=((equal("node", "n1"),), (equal("instance", "n1:9100"),))),
    Entity(id="db/pg", match=((regex("instance", "pg:[0-9]+"),),)),
    Entity(id="db/pg-prod", match=((regex("instance", "pg:[0-9]+"), equal("env", "prod")),)),
    Entity(id="service/a", match=((equal("service", "a"), Matcher("env", Op.NOT_EQUAL, "dev")),)),
    Entity(id="rack/r1"),
    Entity(id="site/any", match=((regex("site", "a|b"),),)),
)


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"node": "n1"}, ["host/n1"]),
        ({"instance": "n1:9100", "node": "n1"}, ["host/n1"]),
        ({"instance": "pg:5432"}, ["db/pg"]),
        ({"instance": "pg:5432", "env": "prod"}, ["db/pg", "db/pg-prod"]),
        ({"instance": "pg-2:5432"}, []),
        ({"service": "a", "env": "dev"}, []),
        ({"service": "a"}, ["service/a"]),
        ({"site": "b"}, ["site/any"]),
        ({}, []),
    ],
)
def test_the_entities_whose_matchers_hold_are_found(labels: dict[str, str], found: list[str]) -> None:
    assert EntityIndex(MAP).find(labels) == found


_VALUES = st.sampled_from(["", "a", "ab", "abc", "b", "a.c", "x"])
_PATTERNS = st.sampled_from(["a", "ab?", "a.*", "a\\.c", "ab+", "a|b", "(?i)A", "[ab]", "abc", ".+", "a{1,2}b"])
_MATCHERS = st.builds(Matcher, st.sampled_from(["l", "m"]), st.just(Op.EQUAL), _VALUES) | st.builds(
    Matcher, st.sampled_from(["l", "m"]), st.sampled_from([Op.REGEX, Op.NOT_REGEX]), _PATTERNS
)


@given(
    st.lists(st.lists(st.lists(_MATCHERS, max_size=3).map(tuple), max_size=2).map(tuple), max_size=6),
    st.fixed_dictionaries({"l": _VALUES, "m": _VALUES}),
)
def test_the_index_finds_what_trying_every_entity_finds(
    matches: list[tuple[tuple[Matcher, ...], ...]], labels: dict[str, str]
) -> None:
    entities = tuple(Entity(id=f"e/{number}", match=match) for number, match in enumerate(matches))
    expected = [entity.id for entity in entities if match_test(entity.match)(labels)]
    assert EntityIndex(entities).find(labels) == expected


@pytest.mark.parametrize(
    ("pattern", "begin"),
    [("pg:[0-9]+", "pg:"), ("pg.*", "pg"), ("pgx*", "pg"), ("pg\\.a", "pg.a"), ("a|b", ""), ("(?i)a", ""), ("", "")],
)
def test_what_a_pattern_begins_with(pattern: str, begin: str) -> None:
    assert literal_beginning(pattern) == begin


def test_a_template_needs_its_labels_but_for_those_that_may_be_empty() -> None:
    template = Template("ns/{cluster?}/{namespace}")
    assert template.fill({"namespace": "shop"}) == "ns/shop"
    assert template.fill({"cluster": "c1"}) == ""


def test_the_first_template_that_fits_names_the_entity_and_later_ones_what_it_is_within() -> None:
    rows = (
        FromLabels(entity="pod/{pod}", part_of=("host/{node}",), serves=("service/{service}",)),
        FromLabels(entity="service/{service}"),
        FromLabels(entity="cluster/{cluster}", broad=True),
    )
    named = FromLabelsIndex(rows).find({"pod": "p", "node": "n", "service": "s", "cluster": "c"})
    assert (named.entity, named.parents, named.serves) == ("pod/p", ["host/n"], ["service/s"])
    assert named.within == ["cluster/c"]
    assert FromLabelsIndex(rows).find({"cluster": "c"}).entity == ""


def test_kubernetes_labels_name_entities_without_any_configuration() -> None:
    index = FromLabelsIndex(FROM_LABELS)
    assert index.find({"node": "n1", "cluster": "c"}).entity == "host/c/n1"
    assert index.find({"namespace": "shop", "pod": "web-1", "container": "web"}).serves == ["service/shop/web"]
    assert index.find({"deployment": "web", "namespace": "shop"}).within == ["namespace/shop"]
    labels = {"deployment": "web", "namespace": "shop", "cluster": "c"}
    assert index.find(labels).within == ["namespace/c/shop", "cluster/c"]
