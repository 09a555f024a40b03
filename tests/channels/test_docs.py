"""docs/receivers.md keeps up with the channels: a section for each, its example loads, its body is the real one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from imd.channels import CHANNELS

PAGE = (Path(__file__).parents[2] / "docs/receivers.md").read_text()


@pytest.mark.parametrize("kind", CHANNELS)
def test_each_channel_has_a_section_with_an_example(kind: str) -> None:
    """What to write, what arrives, and what is not promised."""
    section = re.search(rf"^## {kind}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/receivers.md has no section {kind}"
    example = re.search(r"```yaml\n(.*?)```", section[1], re.DOTALL)
    assert example is not None
    assert yaml.safe_load(example[1])[0]["type"] == kind
    assert "*Not promised:*" in section[1]


def test_every_field_of_the_body_is_explained() -> None:
    """The table and the example name the same fields."""
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    table = PAGE[example.end() :]
    for field in json.loads(example[1]):
        assert f"| `{field}` |" in table, f"docs/receivers.md does not explain {field}"
