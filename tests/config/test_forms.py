"""What the tables say of their keys, to editors and to the reference: a sentence, a form, and the code's defaults."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

from imd.config import configfile, oncallkeys, openingkeys, receiverfile, rulekeys, sourcefile
from imd.config.form import ANYTHING, ByName, Either, Form, Several, Table
from imd.config.settings import Limits, Log
from imd.config.shape import Key, Keys
from imd.config.syntax import parse_duration
from imd.model.digest import Storm
from imd.model.heartbeat import Heartbeat
from imd.model.policy import EscalationStep, Person, Policy, Receiver, Source
from imd.model.rule import Flapping, Relate, Resolve, Rule, Window
from imd.model.schedule import Rotation, Schedule

json = msgspec.json.encode
_MATRIX_CELLS = {"high", "medium", "low"}  # a cell says all by its place


def _keys(form: Form, at: str) -> Iterator[tuple[str, Key]]:
    match form:
        case Table(keys=keys):
            for word, key in keys.items():
                yield f"{at}.{word}", key
                yield from _keys(key.taken(), f"{at}.{word}")
        case Several(of=of) | ByName(of=of):
            yield from _keys(of, at)
        case Either(forms=forms):
            for one in forms:
                yield from _keys(one, at)


ALL = {
    **dict(_keys(Table(configfile.CONFIG), "config")),
    **dict(_keys(Table(rulekeys.TOP), "rules")),
}


@pytest.mark.parametrize("place", ALL)
def test_a_key_says_what_it_means_and_what_it_takes(place: str) -> None:
    key, word = ALL[place], place.rpartition(".")[2]
    assert key.taken() is not ANYTHING, "give its reader a form: shape.takes"
    if word not in _MATRIX_CELLS:
        assert key.about.endswith("."), "one sentence"
    assert not (key.required and key.default is not None)


_STRUCTS: list[tuple[Keys, type[msgspec.Struct], dict[str, str]]] = [
    (rulekeys.WINDOW, Window, {}),
    (rulekeys.RESOLVE, Resolve, {}),
    (rulekeys.RELATE, Relate, {}),
    (rulekeys.RULE, Rule, {"raise": "raises"}),
    (rulekeys.STEP, EscalationStep, {"for": "wait"}),
    (rulekeys.POLICY, Policy, {}),
    (oncallkeys.PERSON, Person, {}),
    (oncallkeys.ROTATION, Rotation, {}),
    (oncallkeys.SCHEDULE, Schedule, {}),
    (openingkeys.FLAPPING, Flapping, {}),
    (openingkeys.HEARTBEAT, Heartbeat, {}),
    (configfile.STORM, Storm, {}),
    (configfile.LOG, Log, {}),
    (configfile.LIMITS, Limits, {}),
    (sourcefile.SOURCE, Source, {}),
    (receiverfile.RECEIVER, Receiver, {}),
]


@pytest.mark.parametrize(("keys", "struct", "renamed"), _STRUCTS, ids=[one[1].__name__ for one in _STRUCTS])
def test_defaults_are_those_of_the_code(keys: Keys, struct: type[msgspec.Struct], renamed: dict[str, str]) -> None:
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for word, key in keys.items():
        field = fields.get(renamed.get(word, word))
        if field is None or field.required or key.required:
            continue
        made = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        if key.default is None:
            assert made in (None, "", ()) or isinstance(made, msgspec.Struct), f"{word} has the default {made!r}"
        elif isinstance(made, timedelta):
            assert parse_duration(str(key.default)) == made, word
        else:
            plain = sorted(made) if isinstance(made, frozenset) else made
            assert json(plain) == json(key.default), word
