"""docs/config.md names every type and word, its examples and those of docs/oncall.md load, what is shipped is clean.

Their tables of keys, and docs/rules.md, are held against the code by test_reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pytest

from imd.config import (
    receiverkeys,
    sourcefile,
)
from imd.config.load import Faulty, check, load
from imd.model.policy import PageKind

ROOT = Path(__file__).parent.parent.parent
CONFIG = (ROOT / "docs/config.md").read_text()


def _rows(text: str) -> dict[str, list[str]]:
    rows = (re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in rows}


def _examples(text: str) -> Iterable[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_words_are_in_the_reference() -> None:
    """Types and kinds of messages."""
    rows = _rows(CONFIG)
    assert all(f"`{kind}`" in CONFIG for kind in [*receiverkeys.TYPES, *sourcefile.SOURCES_BUILT])
    assert all(f"`{kind.value}`" in rows["send"][2] for kind in PageKind)


@pytest.mark.parametrize("number", range(len(list(_examples(CONFIG)))))
def test_examples_of_the_config_load(number: int, tmp_path: Path) -> None:
    """Each is a whole config.yaml; its secrets' files are put beside it."""
    example = list(_examples(CONFIG))[number]
    for name in re.findall(r"_file: ([\w.-]+)", example):
        (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "rules").mkdir()
    (tmp_path / "config.yaml").write_text(example)
    try:
        load(tmp_path / "config.yaml", (), {"HOOK_ID": "x", "OPS_TOKEN": "y"})
    except Faulty as error:
        pytest.fail("\n".join(one.render() for one in error.diagnostics))


ON_CALL = (ROOT / "docs/oncall.md").read_text()
ON_CALL_RULES = [one for one in _examples(ON_CALL) if ".test.yaml" not in one.partition("\n")[0]]


@pytest.mark.parametrize("example", ON_CALL_RULES)
def test_examples_of_the_rules_load(example: str, tmp_path: Path) -> None:
    """Each is a whole rule file; a calendar that it names is put beside it."""
    for name in re.findall(r"ics: ([\w.-]+)", example):
        (tmp_path / name).write_text("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nEND:VCALENDAR\n")
    file = tmp_path / "rules.yaml"
    file.write_text(example)
    assert [one.render() for one in check(None, [file], {})] == []


def test_the_shipped_files_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No error and no warning; and the default hold and policy page everything on the console."""
    monkeypatch.chdir(ROOT)
    assert [one.render() for one in check(Path("config.example.yaml"), (), {})] == []
    loaded = load(Path("config.example.yaml"), (), {})
    assert str(loaded.settings.listen) == "127.0.0.1:9490"
    assert loaded.settings.store == "sqlite:///var/imd.db"
    assert [one.type for one in loaded.settings.receivers.values()] == ["console"]
    holds = {rule.name: rule.hold for rule in loaded.ruleset.rules}
    assert holds["default"] == timedelta(seconds=10), "what is unknown is paged at once"
    waits = {timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=1)}
    assert set(holds.values()) == {timedelta(seconds=10), *waits}, "docs/packs.md says which wait and why"
    quiet = {rule.name for rule in loaded.ruleset.rules if rule.mode.value != "page"}
    assert quiet == {"always-firing"}
    assert [str(target) for target in loaded.ruleset.policies["default"].steps[0].notify] == ["receiver:console"]
