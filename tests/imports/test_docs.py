"""The pages on migration show what is imported as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imd.imports.alertmanager import RULES
from imd.imports.oncall import from_oncall
from tests.imports.played import imported, loaded

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, name: str) -> str:
    """The example whose first line names it; the line belongs to it."""
    found = re.search(rf"```\w+\n(# {re.escape(name)}\n.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None, name
    return found[1]


def test_the_example_becomes_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "migrate-from-alertmanager.md"
    text = example(page, "alertmanager.yml")
    made = imported(text)
    shown = example(page, RULES).split("\n", 1)[1]
    assert made.files[RULES].split("\n\n", 1)[1] == shown
    for name in ("pager", "slack"):
        text = text.replace(f"/etc/imd/{name}.url", str(tmp_path / f"{name}.url"))
        (tmp_path / f"{name}.url").write_text("http://127.0.0.1:9/")
    loaded(imported(text), tmp_path)


def test_oncall_becomes_what_the_page_shows(tmp_path: Path) -> None:
    page = (DOCS / "migrate-from-oncall.md").read_text()
    [answers] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    made = from_oncall("oncall.json", answers.encode())
    assert (
        made.files["rules/oncall.yaml"].split("\n\n", 1)[1]
        == example("migrate-from-oncall.md", "rules/oncall.yaml").split("\n", 1)[1]
    )
    assert loaded(made, tmp_path).ruleset.schedules.keys() == {"primary"}
