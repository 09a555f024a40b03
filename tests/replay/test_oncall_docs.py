"""docs/oncall.md: its test passes beside its rules, and fails where the rules say something else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from imd.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs/oncall.md").read_text()
FILES = dict(re.findall(r"^```yaml\n# (rules/[\w.]+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(("change", "code"), [("", 0), ("  - {match: 'team=\"shop\"', policy: nobody}\n", 1)])
def test_the_recipe_for_paging_by_day(
    change: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands; and without the route that waits, in whose place everybody is paged at night."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    for name, text in FILES.items():
        assert change in text or ".test." in name
        (tmp_path / name).write_text(text.replace(change, "") if change else text)
    assert main(["test"]) == code, capsys.readouterr().out
