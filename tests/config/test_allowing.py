"""Comments that allow a warning: what they take away, what not, and that none is left behind."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from imd.config import codes
from imd.config.load import Examined, examine, load_rules
from imd.core.oncall import gap_ahead

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIG = "rules: [rules.yaml]\nreceivers: [{name: c, type: console}]\n"
POLICY = "policies: [{name: default, steps: [{notify: ['receiver:c']}]}]\n"
DEFAULT = "rules:\n  - {name: default}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def _examined(folder: Path, rules: str) -> Examined:
    (folder / "rules.yaml").write_text(rules)
    return examine(folder / "config.yaml", (), {}, NOW, gap_ahead)


def _said(examined: Examined) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    return (
        [(one.code, one.line) for one in examined.diagnostics],
        [(one.code, one.line) for one in examined.allowed],
    )


def test_what_is_allowed_is_told_apart(folder: Path) -> None:
    """It is no diagnostic any more, and not forgotten."""
    rules = DEFAULT + "  - {name: a, match: 'a!=\"b\"', mode: drop}  # imd: allow W056 meant\n" + POLICY
    assert _said(_examined(folder, rules)) == ([], [("W056", 3)])
    assert load_rules([folder / "rules.yaml"]).warnings == ()


def test_what_allows_nothing_is_told(folder: Path) -> None:
    """Once the reason is gone, the comment has to go."""
    rules = DEFAULT + "  - {name: a, match: 'a=\"b\"', mode: drop}  # imd: allow W056\n" + POLICY
    assert _said(_examined(folder, rules)) == ([(codes.ALLOWS_NOTHING, 3)], [])
    # Where not all lints are looked for nobody can know.
    assert examine(None, [folder / "rules.yaml"], {}, NOW, gap_ahead).diagnostics == ()


def test_nothing_is_left_behind_is_not_asked_of_a_faulty_set(folder: Path) -> None:
    """Lints are not looked for then."""
    rules = DEFAULT + "  - {name: a, match: 'a!=\"b\"', mode: drop, x: 1}  # imd: allow W056 R003\n" + POLICY
    assert _said(_examined(folder, rules)) == ([("R003", 3), (codes.ALLOWS_NOTHING, 3)], [])


def test_lints_of_the_config_are_allowed_there(folder: Path) -> None:
    """W006 stands at rules:."""
    (folder / "config.yaml").write_text("# imd: allow W006\n" + CONFIG)
    assert _said(_examined(folder, POLICY)) == ([], [("W006", 2)])
