"""Matchers: a remembered answer is the answer, however many values pass by."""

from __future__ import annotations

import pytest
import re2

from imd.model.rule import REMEMBERED_MAX, full_match


@pytest.mark.parametrize("pattern", [".+", "web-.*", "(a|b)c?", "x[0-9]{2}", ".*err.*"])
def test_memory_changes_no_answer(pattern: str) -> None:
    """Twice through more values than are remembered, long ones and ones with line breaks included."""
    plain = re2.compile(f"^(?:{pattern})$")
    values = ["", "a", "bc", "web-\n", "x12", "an error", "web-" + "y" * 1000]
    values += [f"web-{number}" for number in range(2 * REMEMBERED_MAX)]
    test = full_match(pattern)
    for value in values + values:
        assert test(value) == (plain.search(value) is not None), value
