"""docs/testing.md says what the format is: every key and verb, and examples that are run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imd.config import testkeys
from imd.config.testevents import VERBS, WHEN
from imd.replay.ruletest import RuleSets, run_file
from tests.cli.conftest import Imd, imd  # noqa: F401

PAGE = (Path(__file__).parents[2] / "docs/testing.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n# (rules/\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def _in_tables() -> set[str]:
    """Words in the first column of all tables."""
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


def test_every_key_has_a_row() -> None:
    tables = [testkeys.TEST, testkeys.EXPECT, testkeys.INCIDENT, testkeys.PAGE, testkeys.VERDICT, WHEN, VERBS]
    keys = {word for table in tables for word in table}
    assert _in_tables() == keys


def test_what_stands_beside_a_verb_is_in_its_row() -> None:
    for word, verb in VERBS.items():
        rows = [line for line in PAGE.splitlines() if line.startswith("| ") and f"`{word}`" in line.split("|")[1]]
        for beside in verb.beside:
            assert any(f"`{beside}`" in row or f"`{beside}:" in row for row in rows), f"{beside} beside {word}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, in a folder of their own."""
    (tmp_path / "rules").mkdir()
    for name, text in EXAMPLES:
        (tmp_path / name).write_text(f"# {name}\n{text}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_is_a_file_that_passes(folder: Path) -> None:
    assert len(EXAMPLES) == PAGE.count("```yaml") >= 4
    for name, _ in EXAMPLES:
        if name.endswith(".test.yaml"):
            for result in run_file(folder / name, RuleSets()):
                assert result.passed, "\n".join(map(str, result.failures))


def test_the_failure_is_as_shown(imd: Imd, folder: Path) -> None:  # noqa: F811
    [shown] = re.findall(r"^\$ imd test\n(FAIL .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    test = folder / "rules/nodes.test.yaml"
    test.write_text(test.read_text().replace("priority: P2", "priority: P1"))
    code, out, _ = imd("test", "rules/nodes.test.yaml")
    assert code == 1
    assert re.sub(r"\d\.\d\d s", "0.02 s", out) == shown
