"""Each section of docs/errors.md has an example, and it triggers that very code and no other error.

A YAML block is rules/example.yaml, or the file that its first line names; a csv block is the file that its first line
names; a sh block makes one. With a config.yaml that is checked, with a *.test.yaml that, else the folder rules/.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity
from imd.config.load import check
from imd.config.testfile import read_tests
from imd.core.oncall import gap_ahead

PAGE = (Path(__file__).parent.parent.parent / "docs/errors.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+): [^\n]*\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXTRAS = {"R221": "cel_expr_python", "R222": "icalendar", "R305": "apprise", "R324": "cryptography"}
_NAMED = re.compile(r"# ((?:rules/)?[\w./-]+\.(?:yaml|csv))\n")


def _lay_out(folder: Path, section: str) -> None:
    (folder / "rules").mkdir()
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", section, re.MULTILINE | re.DOTALL):
        if kind == "sh":
            subprocess.run(["sh", "-c", block], cwd=folder, check=True)
            continue
        named = _NAMED.match(block)
        file = folder / (named[1] if named else "rules/example.yaml")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block[named.end() :] if named else block)


def _found(folder: Path) -> list[Diagnostic]:
    for file in folder.glob("rules/*.test.yaml"):
        return list(read_tests(str(file), file.read_bytes()).document.faults)
    config = folder / "config.yaml"
    given = (config, ()) if config.exists() else (None, [folder / "rules"])
    return check(*given, {}, NOW, gap_ahead)


@pytest.mark.parametrize("code", codes.TITLES)
def test_the_example_of_a_code_triggers_it(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It, and no other error; a warning's example loads."""
    if code in EXTRAS:
        monkeypatch.setitem(sys.modules, EXTRAS[code], None)  # as where the extra is not installed
    elif code == "R220":
        pytest.importorskip("cel_expr_python")
    _lay_out(tmp_path, SECTIONS[code])
    found = _found(tmp_path)
    errors = {one.code for one in found if one.severity is Severity.ERROR}
    assert errors == ({code} if code.startswith("R") else set()), [one.render() for one in found]
    assert code in {one.code for one in found}, [one.render() for one in found]


@pytest.mark.parametrize("code", codes.TITLES)
def test_a_section_says_what_it_means(code: str) -> None:
    """Words before the example."""
    assert len(SECTIONS[code].partition("```")[0].split()) >= 6
