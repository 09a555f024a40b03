"""The parts of the grouping benchmark that need no generator: kinds, order, and our own sites."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.correlation import colonies, estates
from benchmarks.correlation.dialects import DIALECTS, KINDS
from benchmarks.correlation.kinds import NOISE, by_kind
from benchmarks.correlation.order import LATENESS, agreement, in_order, shuffled
from benchmarks.correlation.sites import write


def test_a_fault_in_two_incidents_and_noise_in_one_of_them() -> None:
    """a, b and c are one fault, found as two incidents, the larger with a piece of noise and the right cause."""
    fault = {"truth_incident": "f", "truth_root_cause": "host/n1"}
    alerts = {name: dict(fault, truth_is_root=False) for name in "abc"} | {"n": {"truth_incident": None}}
    assigned = {"a": "i1", "b": "i1", "n": "i1", "c": "i2"}
    found = by_kind(alerts, assigned, [("i1", 5.0), ("i1", 9.0)], {"i1": {"entity": "host/n1"}}, {"f": "node_loss"})
    node, noise = found["node_loss"], found[NOISE]
    assert (node.faults, node.alerts, node.pages, node.roots, node.split, node.unpaged) == (1, 3, 2, 1, 2, 0)
    assert node.precision == pytest.approx(2 / 3 * 2 + 1)
    assert node.recall == pytest.approx(2 / 3 * 2 + 1 / 3)
    assert node.best == pytest.approx(2 * 2 / (3 + 3))
    assert (noise.alerts, noise.precision, noise.recall) == (1, pytest.approx(1 / 3), 1)


def test_agreement_is_one_for_equal_groupings_whatever_their_names() -> None:
    assert agreement({"a": 1, "b": 1, "c": 2}, {"a": "x", "b": "x", "c": "y"}) == 1
    assert agreement({"a": 1, "b": 1}, {"a": "x", "b": "y"}) == pytest.approx(2 / 3)


def test_shuffled_events_are_late_within_bounds_and_no_end_comes_before_its_beginning(tmp_path: Path) -> None:
    made = _trace(tmp_path)
    ordered, late = in_order(made), shuffled(made, 1.0, 7)
    assert late == shuffled(made, 1.0, 7)
    assert len(late) == 2 * len(ordered)
    began = {line["id"]: line["ts"] for line in ordered if line["status"] == "firing"}
    told: set[str] = set()
    for line in late:
        told.add(line["id"]) if line["status"] == "firing" else None
        assert line["id"] in told
        if line["status"] == "firing":
            assert 0 <= line["ts"] - began[line["id"]] <= LATENESS


def test_our_own_sites_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    one, other, third = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for folder, seed in ((one, 1), (other, 1), (third, 2)):
        folder.mkdir()
        _trace(folder, seed)
    assert (one / "trace.jsonl").read_bytes() == (other / "trace.jsonl").read_bytes()
    assert (one / "trace.jsonl").read_bytes() != (third / "trace.jsonl").read_bytes()


@pytest.mark.parametrize("made", [estates.Estate, colonies.Colony])
@pytest.mark.parametrize("seed", range(7), ids=[dialect.name for dialect in DIALECTS])
def test_an_estate_tells_in_order_what_its_faults_did(tmp_path: Path, seed: int, made: type[estates.Estate]) -> None:
    """Every dialect, the same for the same seed; what fires ends, and every alert's fault is among those it says."""
    known = {fault["truth_incident"] for fault in estates.write(tmp_path, made(seed))} | {None}
    text = (tmp_path / "trace.jsonl").read_text()
    estates.write(tmp_path, made(seed))
    assert (tmp_path / "trace.jsonl").read_text() == text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["ts"] for line in lines] == sorted(line["ts"] for line in lines)
    told = {status: [line["id"] for line in lines if line["status"] == status] for status in ("firing", "resolved")}
    assert sorted(told["firing"]) == sorted(told["resolved"])
    assert len(set(told["firing"])) == len(told["firing"])
    assert {line["truth_incident"] for line in lines} == known
    names = {name for kind in made.conditions.values() for name in kind.names}
    assert all(line["labels"]["alertname"] in names for line in lines)


def test_colonies_share_no_fault_and_no_alert_with_the_estates() -> None:
    names = [{name for kind in table.values() for name in kind.names} for table in (KINDS, colonies.CONDITIONS)]
    faults = [{kind.__name__ for kind in made(1).kinds()} for made in (estates.Estate, colonies.Colony)]
    assert names[0] & names[1] == set()
    assert not faults[0] & faults[1]


def _trace(folder: Path, seed: int = 1) -> list[dict[str, object]]:
    write(folder, seed, hours=4, gap=15, noise=5, known=0.5)
    return [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
