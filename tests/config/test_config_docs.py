"""The reference says what the code knows: every key, the defaults of the bounds, and examples that load."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from imd.config import (
    callerfile,
    configfile,
    enrichfile,
    mapfile,
    oncallkeys,
    openingkeys,
    quietkeys,
    receiverfile,
    receiverkeys,
    rulekeys,
    sourcefile,
    templatekeys,
    topologyfile,
)
from imd.config.load import Faulty, check, load
from imd.config.settings import Limits
from imd.config.shape import Keys
from imd.config.syntax import parse_duration
from imd.model.policy import PageKind

ROOT = Path(__file__).parent.parent.parent
CONFIG, RULES = (ROOT / "docs/config.md").read_text(), (ROOT / "docs/rules.md").read_text()
_CONFIG_TABLES: list[Keys] = [
    configfile.CONFIG,
    callerfile.AUTH,
    callerfile.TOKEN,
    sourcefile.SOURCE,
    sourcefile.RECONCILE,
    mapfile.MAP,
    mapfile.VALUE,
    mapfile.MOMENT,
    configfile.STORM,
    configfile.LINKS,
    configfile.WATCHDOG,
    configfile.CANARY,
    configfile.LOG,
    configfile.LIMITS,
    receiverfile.RECEIVER,
    receiverfile.WORDED,
    templatekeys.TEMPLATES,
]
_RULE_TABLES: list[Keys] = [
    rulekeys.TOP,
    enrichfile.ENRICH,
    enrichfile.EXTRACT,
    enrichfile.RELABEL,
    rulekeys.RULE,
    rulekeys.WINDOW,
    openingkeys.OPEN_WHEN,
    openingkeys.COUNT,
    openingkeys.ALL_OF,
    openingkeys.ABSENT,
    openingkeys.RATE,
    openingkeys.FLAPPING,
    openingkeys.HEARTBEAT,
    rulekeys.RESOLVE,
    rulekeys.RAISE_ALERTS,
    rulekeys.RAISE_DISTINCT,
    rulekeys.PRIORITY,
    oncallkeys.PERSON,
    oncallkeys.REACH,
    oncallkeys.TEAM,
    oncallkeys.SCHEDULE,
    oncallkeys.ROTATION,
    oncallkeys.HANDOFF,
    oncallkeys.OVERRIDE,
    rulekeys.POLICY,
    rulekeys.STEP,
    rulekeys.ROUTE,
    quietkeys.INHIBIT,
    quietkeys.MAINTENANCE,
    quietkeys.WEEKLY,
    quietkeys.MONTHLY,
    quietkeys.ONCE,
    rulekeys.RELATE,
    topologyfile.TOPOLOGY,
    topologyfile.ENTITY,
    topologyfile.FROM_LABELS_KEYS,
    topologyfile.CLASS,
    topologyfile.ONSET,
]


def _rows(text: str) -> dict[str, list[str]]:
    rows = (re.split(r"(?<!\\)\|", line.strip("|")) for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]] for cells in rows}


def _examples(text: str) -> Iterable[str]:
    return re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("text", "tables"), [(CONFIG, _CONFIG_TABLES), (RULES, _RULE_TABLES)], ids=["config", "rules"])
def test_every_key_is_in_the_reference(text: str, tables: list[Keys]) -> None:
    """Built keys have a row, and every row is a built key; keys of later versions are named in the text."""
    built = {word for table in tables for word, key in table.items() if not key.later}
    assert set(_rows(text)) == built
    for word in {word for table in tables for word, key in table.items() if key.later}:
        assert f"`{word}`" in text


def test_the_limits_defaults_are_those_of_the_code() -> None:
    """Value and unit."""
    rows, defaults = _rows(CONFIG), Limits()
    for field in msgspec.structs.fields(Limits):
        value = getattr(defaults, field.name)
        shown = rows[field.name][1].strip("`")
        assert (parse_duration(shown) if isinstance(value, timedelta) else int(shown)) == value, field.name
    assert {field.name for field in msgspec.structs.fields(Limits)} == set(configfile.LIMITS)


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


@pytest.mark.parametrize("example", [*_examples(RULES), *ON_CALL_RULES])
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
    assert set(holds.values()) == {timedelta(seconds=10), timedelta(minutes=30)}
    quiet = {rule.name for rule in loaded.ruleset.rules if rule.mode.value != "page"}
    assert quiet == {"always-firing"}
    assert [str(target) for target in loaded.ruleset.policies["default"].steps[0].notify] == ["receiver:console"]
