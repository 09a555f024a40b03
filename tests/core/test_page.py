"""What a page says: titles, the headline and the body of design section 6."""

from __future__ import annotations

import msgspec
import pytest

from imd.core import page
from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import Delivery
from imd.model.event import Tick
from imd.model.incident import Incident, IncidentState, RootCause
from imd.model.policy import Receiver
from imd.model.rule import TITLE_VALUES, Rule
from imd.model.template import Template
from imd.model.view import alert_view, runbook_of
from tests.core.making import STORE_ID, T0, after, deliveries, policy, report, ruleset, step, webhook

CAUSE = RootCause(entity="host/n1", fingerprint="f", reason="it explains the others")


def incident(**fields: object) -> Incident:
    one = Incident(
        id="i1", number=7, rule="r", group_key=(("alertname", "Down"), ("cluster", "c1"), ("node", "")),
        state=IncidentState.TRIGGERED, opened_at=T0, config_hash="c", labels={"alertname": "Down", "cluster": "c1"},
    )  # fmt: skip
    return msgspec.structs.replace(one, **fields)


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "Down c1"),
        ({"summary": "node is gone"}, "Down c1: node is gone"),
        ({"group_key": (("cluster", "c1"),)}, "Down c1"),
        ({"group_key": ()}, "Down"),
        ({"group_key": (), "labels": {}}, "r"),
        ({"group_key": (("alertname", "Down"), ("service", "Down"))}, "Down"),
        ({"group_key": (), "summary": "it is not ready", "root_cause": CAUSE}, "Down host/n1: it is not ready"),
        ({"group_key": (("alertname", "Down"),), "root_cause": CAUSE}, "Down host/n1"),
        ({"root_cause": CAUSE}, "Down c1"),
        ({"summary": "two\nlines\x00 and\x1b[31m more"}, "Down c1: two lines and [31m more"),
    ],
)
def test_default_titles(fields: dict[str, object], title: str) -> None:
    assert page.default_title(incident(**fields)) == title


def test_a_title_is_cut() -> None:
    long = page.default_title(incident(summary="x" * 1000))
    assert len(long) == page.TITLE_CHARS_MAX
    assert long.endswith("…")


def test_templates_see_what_the_design_names() -> None:
    rule = Rule(
        name="r", title=Template("{{labels.cluster}} {{group.cluster}} {{alerts}} {{firing}} {{incident.number}}")
    )
    assert page.title(incident(firing=2), rule, 3) == ("c1 c1 3 2 7", "")


def test_titles_are_checked_against_what_they_are_given() -> None:
    """TITLE_VALUES, which `imd check` goes by, says neither more nor less."""
    values = page._values(incident(), 3)
    assert list(values) == list(TITLE_VALUES)
    assert tuple(values["incident"]) == TITLE_VALUES["incident"]


def test_a_template_that_fails_leaves_the_built_in_title_and_the_reason() -> None:
    title, reason = page.title(incident(), Rule(name="r", title=Template("{{ labels.nope.deeper }}")), 1)
    assert title == "Down c1"
    assert "nope" in reason


def _page(send_alerts: int | None, alerts: int, **other: object) -> Delivery:
    rules = ruleset(
        Rule(name="r", group_by=("cluster",), runbook="https://wiki.example/r"),
        policies=[policy(step("#hook"))],
        receivers=[Receiver(name="hook", send_alerts=send_alerts)],
        **other,
    )
    engine = Engine(rules, State(STORE_ID))
    reports = [
        report({"alertname": "Down", "cluster": "c1", "n": str(n)}, annotations={"summary": "s"}) for n in range(alerts)
    ]
    engine.step(webhook(*reports), after(0))
    ended = report({"alertname": "Down", "cluster": "c1", "n": "0"}, resolved=True, ends=5)
    engine.step(webhook(ended), after(5))
    (one,) = deliveries(engine.step(Tick(), after(10)))
    return one


def test_the_body_is_that_of_the_design() -> None:
    sent = _page(20, 2, external_url="https://imd.example/")
    body = msgspec.json.decode(sent.body)
    assert list(body) == [
        "version", "kind", "reason", "dedup_key", "delivery_id", "incident", "alerts", "truncated", "links", "note",
    ]  # fmt: skip
    assert (body["version"], body["kind"], body["reason"]) == ("1", "page", "first")
    assert body["dedup_key"] == sent.dedup_key == f"{STORE_ID}-i000000000001"
    assert body["delivery_id"] == sent.id == f"{STORE_ID}-i000000000001-1"
    assert body["links"] == {
        "incident": "https://imd.example/v1/incidents/i000000000001",
        "ack": None,
        "runbook": "https://wiki.example/r",
    }
    shown = body["incident"]
    assert (shown["number"], shown["state"], shown["rule"], shown["config_hash"]) == (1, "triggered", "r", "c0ffee")
    assert shown["group_key"] == {"cluster": "c1"}
    assert shown["alert_count"] == {"firing": 1, "resolved": 1, "suppressed": 0}
    one = body["alerts"][0]
    assert one["labels"] == {"alertname": "Down", "cluster": "c1", "n": "0"}
    assert (one["status"], one["annotations"], one["count"]) == ("resolved", {"summary": "s"}, 1)
    assert one["joined_because"] == 'opened this incident under rule r and key {cluster="c1"}'
    assert sent.headline == "PAGE P3 #1 Down c1: s"


def test_firing_alerts_come_first_where_the_list_is_cut() -> None:
    body = msgspec.json.decode(_page(2, 5).body)
    assert [one["status"] for one in body["alerts"]] == ["firing", "firing"]
    assert body["truncated"] == 3
    body = msgspec.json.decode(_page(5, 6).body)
    assert [one["labels"]["n"] for one in body["alerts"]] == ["1", "2", "3", "4", "5"]


def test_send_alerts_all_and_none() -> None:
    assert len(msgspec.json.decode(_page(None, 40).body)["alerts"]) == 40
    assert msgspec.json.decode(_page(0, 3).body)["truncated"] == 3


def _linked(*annotations: dict[str, str], runbook: str = "") -> object:
    rules = ruleset(
        Rule(name="r", group_by=("cluster",), runbook=runbook),
        policies=[policy(step("#hook"))],
        receivers=[Receiver(name="hook")],
    )
    engine = Engine(rules, State(STORE_ID))
    labels = {"alertname": "Down", "cluster": "c1"}
    reports = [report({**labels, "n": str(n)}, annotations=one) for n, one in enumerate(annotations)]
    engine.step(webhook(*reports), after(0))
    (one,) = deliveries(engine.step(Tick(), after(10)))
    return msgspec.json.decode(one.body)["links"]["runbook"]


@pytest.mark.parametrize(
    ("annotations", "runbook", "expected"),
    [
        ([{"runbook_url": "https://wiki/down"}], "", "https://wiki/down"),
        (
            [{"summary": "s"}, {"runbook_url": "https://wiki/1"}, {"runbook_url": "https://wiki/2"}],
            "",
            "https://wiki/1",
        ),
        ([{"runbook": "http://wiki/old", "runbook_url": "not a url"}], "", "http://wiki/old"),
        ([{"runbook_url": "https://wiki/down"}], "https://wiki.example/rule", "https://wiki.example/rule"),
        ([{"runbook_url": "javascript:alert(1)"}], "", None),
        ([{"runbook_url": "https://wiki/a b"}], "", None),
        ([{"summary": "s"}], "", None),
    ],
)
def test_the_runbook_is_the_rules_else_what_the_alerts_name(
    annotations: list[dict[str, str]], runbook: str, expected: str | None
) -> None:
    assert _linked(*annotations, runbook=runbook) == expected


def test_the_runbook_is_that_of_the_probable_cause_where_it_has_one() -> None:
    engine = Engine(ruleset(Rule(name="r")), State(STORE_ID))
    linked = [
        report({"alertname": name}, annotations={"runbook_url": f"https://wiki/{name}"}) for name in ("Effect", "Cause")
    ]
    engine.step(webhook(*linked), after(0))
    views = [alert_view(one, None) for one in engine.state.alerts.values()]
    caused = incident(root_cause=RootCause(entity="host/n1", fingerprint=views[1].fingerprint, reason="it is"))
    assert runbook_of(caused, views) == "https://wiki/Cause"
    assert runbook_of(incident(), views) == "https://wiki/Effect"


def test_a_title_goes_on_saying_where_it_is_when_its_alerts_share_less_than_its_key() -> None:
    """A person merged in what bears no cluster."""
    rule = Rule(name="r", title=Template("{{ labels.cluster }}: {{ labels.node | default('no node') }}"))
    merged = incident(group_key=(("cluster", "c1"), ("node", "")), labels={"severity": "critical"})
    assert page.title(merged, rule, 2) == ("c1: no node", "")
