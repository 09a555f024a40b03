"""Who hears when: what a page under way may still cause once the walk has left it."""

from __future__ import annotations

import msgspec

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import Deliver, Journal, SaveConversation, SettleDelivery
from imd.model.event import AlertsReported, DeliveryFinished, Outcome, Tick
from imd.model.incident import Priority
from imd.model.policy import Route
from tests.core.making import STORE_ID, T0, policy, report, ruleset, seconds, step


def test_a_refusal_by_the_policy_that_was_left_moves_nothing() -> None:
    """A raise chose another policy; that the first policy's page, under way then, fails now moves nobody on."""
    rules = ruleset(
        policies=[policy(step("ana"), step("ben")), policy(step("cleo"), step("ben"), name="urgent")],
        routes=[Route(policy="urgent", priority=frozenset({Priority.P2})), Route(policy="default")],
    )
    engine = Engine(rules, State(STORE_ID))
    engine.step(AlertsReported("am", False, (report({"alertname": "A", "severity": "warning", "n": "1"}),)), T0)
    (first,) = _pages(engine.step(Tick(), T0 + seconds(10)))
    second = report({"alertname": "A", "severity": "critical", "n": "2"})
    (raised,) = _pages(engine.step(AlertsReported("am", False, (second,)), T0 + seconds(20)))
    assert (first.delivery.to, raised.delivery.to) == ("ana", "cleo")
    refused = DeliveryFinished(
        delivery=first.delivery.id, incident=first.delivery.incident, receiver="ana-phone", outcome=Outcome.FAILED
    )
    assert _pages(engine.step(refused, T0 + seconds(25))) == []


def test_a_conversation_is_saved_with_the_end_of_its_delivery() -> None:
    """In the same step, so in the same commit; the journal does not repeat it. None, and nothing is saved."""
    engine = Engine(ruleset(policies=[policy(step("ana"))]), State(STORE_ID))
    engine.step(AlertsReported("am", False, (report({"alertname": "A", "severity": "warning"}),)), T0)
    (page,) = _pages(engine.step(Tick(), T0 + seconds(10)))
    taken = DeliveryFinished(
        delivery=page.delivery.id, incident=page.delivery.incident, receiver="ana-phone", outcome=Outcome.ACCEPTED
    )
    effects = engine.step(msgspec.structs.replace(taken, conversation=b'{"ts":"1"}'), T0 + seconds(11))
    saved = [one for one in effects if isinstance(one, SaveConversation)]
    assert saved == [SaveConversation(page.delivery.incident, "ana-phone", b'{"ts":"1"}')]
    assert any(isinstance(one, SettleDelivery) for one in effects)
    assert not any(b'"ts":"1"' in one.line for one in effects if isinstance(one, Journal))
    effects = engine.step(taken, T0 + seconds(12))
    assert not any(isinstance(one, SaveConversation) for one in effects)


def _pages(effects: list[object]) -> list[Deliver]:
    return [one for one in effects if isinstance(one, Deliver)]
