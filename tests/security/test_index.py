"""SECURITY.md names a test for each thing that must hold; each of these is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = re.findall(r"^\| ([^|]+?) \| ([^|]+) \| (`tests/[^|]+) \|$", (ROOT / "SECURITY.md").read_text(), re.MULTILINE)
TOPICS = {
    "Credentials of senders",
    "Comparison",
    "Tokens in URLs",
    "Calls to elsewhere",
    "Templates",
    "Lines and headers",
    "HTML",
    "Forms of other sites",
    "Links in pages",
    "Secrets",
    "SQL",
    "Paths",
    "Guessing",
    "Metrics",
    "Deserialisation",
    "Dependencies",
    "Beyond loopback",
    "The record",
    "Bounds",
}


def test_every_topic_has_its_row() -> None:
    assert {topic for topic, _, _ in TABLE} == TOPICS
    assert len(TABLE) == len(TOPICS)


@pytest.mark.parametrize(
    ("topic", "proofs"), [(topic, proofs) for topic, _, proofs in TABLE], ids=lambda value: value[:20]
)
def test_every_proof_is_a_test(topic: str, proofs: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)((?:::\w+)?)`", proofs)
    assert named
    assert len(named) == proofs.count("`") // 2, topic
    for path, name in named:
        text = (ROOT / path).read_text()
        if name:
            assert re.search(rf"^(?:async )?def {name[2:]}\(", text, re.MULTILINE), f"{topic}: {path}{name}"
        assert re.search(r"^(?:async )?def test_", text, re.MULTILINE), path


@pytest.mark.parametrize(
    ("path", "name"), re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(\w+))?", (ROOT / "docs/security.md").read_text())
)
def test_what_the_standard_is_met_by_is_there(path: str, name: str) -> None:
    assert (ROOT / path).exists()
    assert not name or f"def {name}(" in (ROOT / path).read_text()
