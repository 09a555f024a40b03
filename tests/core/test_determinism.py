"""Same events, same times, same rules: the same effects, in another process with another hash seed too."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import msgspec

from imd.core.engine import Engine
from imd.core.state import State
from imd.model.effect import Deliver
from imd.model.event import ActionKind, ActionTaken, AlertsReported, DeliveryFinished, Event, Outcome, Tick
from imd.model.incident import Level
from imd.model.policy import Receiver
from imd.model.rule import Raise, Rule
from tests.core.making import STORE_ID, after, policy, report, ruleset, step

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


def test_the_hash_seed_changes_nothing() -> None:
    here = digest()
    assert digest() == here
    for seed in ("1", "4242"):
        script = "from tests.core.test_determinism import digest; print(digest())"
        told = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == here, seed
