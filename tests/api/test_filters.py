"""Filters of GET /api/v2/alerts against Alertmanager's own cases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imd.api.alertmanager import filter_test
from imd.model.rule import Matcher, Op

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "alertmanager_matchers.json").read_text())["filter_match"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['name']}{case['op']}{case['value']}")
def test_filter(case: dict[str, object]) -> None:
    test = filter_test(Matcher(case["name"], Op(case["op"]), case["value"]))
    assert test(case["labels"]) is case["match"]
