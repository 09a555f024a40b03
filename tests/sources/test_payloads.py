"""The golden table: for every body of tests/payloads/, which alerts it means.

golden.txt says it in the words of `shown`: status, labels, since when, title. `python -m tests.sources.test_payloads`
writes it anew; read what changed before you commit it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imd.model.policy import Source
from imd.sources import decode
from imd.sources.contract import BadBody
from tests.sources.bodies import BODIES, PAYLOADS, body, headers, kind
from tests.sources.shown import lines

NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
GOLDEN = PAYLOADS / "golden.txt"


def told(name: str) -> list[str]:
    try:
        return lines(decode(Source(name=kind(name), type=kind(name)), body(name), NOW, headers(name)))
    except BadBody as error:
        return [f"body refused: {error}"]


def table() -> dict[str, list[str]]:
    parts = GOLDEN.read_text().strip().split("\n\n")
    return {part.split("\n")[0]: [line.strip() for line in part.split("\n")[1:]] for part in parts}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_means_what_the_table_says(name: str) -> None:
    assert told(name) == table()[name]


def test_the_table_is_complete() -> None:
    assert sorted(table()) == BODIES


if __name__ == "__main__":
    GOLDEN.write_text("\n\n".join("\n    ".join([name, *told(name)]) for name in BODIES) + "\n")
