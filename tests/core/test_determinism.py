"""Same events, same times, same rules: the same effects, in another process with another hash seed too."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from hypothesis.stateful import run_state_machine_as_test

from imd.core.engine import Engine
from imd.core.state import Due, State
from imd.model.alert import Alert, AlertState, identify
from imd.model.effect import Deliver
from imd.model.event import (
    ActionKind,
    ActionTaken,
    AlertsReported,
    DeliveryFinished,
    Event,
    Outcome,
    Restarted,
    RulesChanged,
    Tick,
)
from imd.model.incident import Level
from imd.model.policy import Receiver
from imd.model.rule import Raise, Rule
from tests.core.making import STORE_ID, T0, Kept, after, policy, report, ruleset, step
from tests.core.test_properties import Beating
from tests.hunting import histories

ROOT = Path(__file__).parents[2]


def digest() -> str:
    """Half an hour of a busy night, as one hash over every effect in its order."""
    rules = ruleset(
        Rule(name="r", group_by=("cluster",), raises=(Raise(at_least=3, distinct="pod", impact=Level.HIGH),)),
        policies=[policy(step("ana", "#chat"), step("ben"), repeat=1)],
        receivers=[Receiver(name="chat")],
    )
    engine = Engine(rules, State(STORE_ID))
    source = random.Random(7)
    seen = hashlib.sha256()
    for second in range(0, 1800, 3):
        for event in _events(source, second):
            for effect in engine.step(event, after(second)):
                seen.update(type(effect).__name__.encode() + msgspec.json.encode(effect))
                if isinstance(effect, Deliver):
                    one = effect.delivery
                    end = DeliveryFinished(
                        delivery=one.id, incident=one.incident, receiver=one.receiver, outcome=Outcome.ACCEPTED
                    )
                    engine.step(end, after(second))
    return seen.hexdigest()


def _events(source: random.Random, second: int) -> list[Event]:
    labels = [
        {"alertname": "Down", "cluster": source.choice("abc"), "pod": source.choice("pqrst"), "severity": "critical"}
        for _ in range(3)
    ]
    resolved = source.random() < 0.4
    reports = tuple(report(one, second - 1, resolved=resolved, ends=second if resolved else None) for one in labels)
    events: list[Event] = [Tick(), AlertsReported("am", False, reports)]
    if source.random() < 0.05:
        events.append(ActionTaken(kind=ActionKind.ACK, incident=f"i{source.randint(1, 9):012d}", by="ana"))
    return events


def elsewhere(seed: str, call: str) -> str:
    """What the call answers in another process."""
    told = subprocess.run(
        [sys.executable, "-c", f"from tests.core import test_determinism as here; print(here.{call})"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def test_the_hash_seed_changes_nothing() -> None:
    here = digest()
    assert digest() == here
    for seed in ("1", "4242"):
        assert elsewhere(seed, "digest()") == here, seed


class Recorded(Beating):
    """A random history of every kind of event, kept as it was told."""

    told: ClassVar[list[list[tuple[datetime, Event]]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.told.append([])

    def take(self, event: Event) -> None:
        self.told[-1].append((self.now, _frozen(event)))
        super().take(event)


def _frozen(event: Event) -> Event:
    """As it is now: the engine writes to a record that comes with an action."""
    return pickle.loads(pickle.dumps(event))


def played(path: str, *, asked: bool) -> str:
    """One hash over every effect of the histories in a file. `asked`: all the while somebody asks when to call next."""
    seen = hashlib.sha256()
    for told in pickle.loads(Path(path).read_bytes()):
        rules, kept = Beating().configured(1), Kept()
        engine = Engine(rules, State(STORE_ID))
        for number, (now, event) in enumerate(told):
            if isinstance(event, RulesChanged):
                rules = event.ruleset
            elif isinstance(event, Restarted) and number:
                engine = Engine(rules, kept.restored(event.alive_at))
            if asked:
                engine.next_deadline()
            effects = engine.step(event, now)
            kept.apply(effects)
            for effect in effects:
                seen.update(type(effect).__name__.encode() + msgspec.json.encode(effect))
    return seen.hexdigest()


def test_random_histories_end_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    """Every effect, byte for byte: in this process, in others, and however often the next deadline is asked for."""
    Recorded.told.clear()
    run_state_machine_as_test(Recorded, settings=histories(60, steps=60))
    path = tmp_path / "histories"
    path.write_bytes(pickle.dumps(Recorded.told))
    here = played(str(path), asked=True)
    for seed in ("0", "1", "4242"):
        for asked in (True, False):
            assert elsewhere(seed, f"played({str(path)!r}, asked={asked})") == here, (seed, asked)


def test_a_deadline_that_was_set_twice_is_taken_once() -> None:
    """Whether or not somebody has looked meanwhile, and dropped what was off. One set while it is taken is another."""
    state = State(STORE_ID)
    state.remind(after(9), Due.DIGEST, "chat")
    state.remind(after(9), Due.DIGEST, "chat")
    state.remind(after(9), Due.DIGEST, "pager")
    taken = []
    for deadline in state.take_due(after(9), 9):
        taken.append(deadline[4])
        if len(taken) == 1:
            state.remind(after(9), Due.DIGEST, "chat")
    assert taken == ["chat", "chat", "pager"]
    assert state.next_deadline() is None


@pytest.mark.parametrize("seed", range(20))
def test_deadlines_of_alerts_are_taken_in_order_however_they_were_set(seed: int) -> None:
    """By instant, kind and id, each once, a few at a time, while more are set: in the heap many of them are one."""
    chosen = random.Random(seed)
    alerts = [restored_alert(number) for number in range(1, 400)]
    state, waiting, taken = State(STORE_ID), set(), []
    for _ in range(6):
        for one in chosen.choice([alerts, alerts[::-1], chosen.sample(alerts, 150), alerts[200:]]):
            at, due = after(chosen.choice([5, 5, 5, 6, 9])), chosen.choice([Due.ALERT, Due.ALERT, Due.FORGET_ALERT])
            state.remind(at, due, one)
            waiting.add((at, due, one.id))
        expected = sorted(waiting)[: chosen.choice([1, 100, 700])]
        taken = [(at, due, one.id) for at, due, _, _, one in state.take_due(after(9), len(expected))]
        assert taken == expected
        waiting.difference_update(taken)
    assert [(at, due, one.id) for at, due, _, _, one in state.take_due(after(9), 9999)] == sorted(waiting)
    assert state.next_deadline() is None


def restored_alert(number: int) -> Alert:
    return Alert(number, identify({"n": str(number)}), "prom", True, AlertState.FIRING, T0, T0, T0, ())


def test_alerts_of_one_body_have_one_deadline_in_memory() -> None:
    engine = Engine(ruleset(), State(STORE_ID))
    for body in range(10):
        labels = ({"alertname": "Down", "n": f"{body}.{number}"} for number in range(100))
        engine.step(AlertsReported("prom", True, tuple(report(one, body) for one in labels)), after(body))
    assert len(engine.state._heap) < 40
