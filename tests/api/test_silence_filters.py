"""Which silences a filter of GET silences shows: Alertmanager's cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imd.api.setting import takes_all
from imd.model.quiet import Silence
from imd.model.rule import Matcher, Op
from tests.core.making import T0

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_matchers.json").read_text())["silence_filter"]


def _matchers(given: list[dict[str, str]]) -> tuple[Matcher, ...]:
    return tuple(Matcher(one["name"], Op(one["op"]), one["value"]) for one in given)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_case(number: int) -> None:
    case = CASES[number]
    silence = Silence(
        id="x", matchers=_matchers(case["silence_matchers"]), starts_at=T0, ends_at=T0, updated_at=T0, created_by="ana"
    )
    assert takes_all(silence, _matchers(case["filter"])) == case["match"]
