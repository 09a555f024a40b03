"""Broken files and what is said of them: the head comment of each file of golden/ holds its diagnostics, word for word.

A file named config-* is read as config.yaml, tests-* as a test file, any other as a rule file without a config. To
change a message, change the head comment with it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from imd.config import codes
from imd.config.load import check
from imd.config.testfile import read_tests
from imd.core.oncall import gap_ahead

GOLDEN = Path(__file__).parent / "golden"
ERRORS = Path(__file__).parent.parent.parent / "docs/errors.md"
FILES = sorted(GOLDEN.glob("*.yaml"))


def _head(file: Path) -> list[str]:
    lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
    end = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    return [line[2:] for line in lines[:end]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_file_says_what_its_head_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All findings of the file, in order, as they are printed."""
    monkeypatch.chdir(GOLDEN)
    if file.stem == "config-verify-extra":
        monkeypatch.setitem(sys.modules, "cryptography", None)  # as where the extra is not installed
    elif file.stem == "rules-when-extra":
        monkeypatch.setitem(sys.modules, "cel_expr_python", None)  # as where the extra is not installed
    elif file.stem == "rules-calendar-extra":
        monkeypatch.setitem(sys.modules, "icalendar", None)
    elif file.stem == "config-receiver-extra":
        monkeypatch.setitem(sys.modules, "apprise", None)
    elif file.stem == "rules-when" and sys.platform != "linux":
        pytest.importorskip("cel_expr_python")
    name = Path(file.name)
    if name.stem.startswith("tests-"):
        found = sorted(read_tests(file.name, file.read_bytes()).document.faults, key=lambda one: one.order)
    else:
        config, rules = (name, ()) if name.stem.startswith("config-") else (None, [name])
        found = check(config, rules, {}, find_gap=gap_ahead)
    printed = "\n".join(one.render() for one in found).split("\n")
    assert [line.rstrip() for line in printed] == _head(file)


def test_every_code_has_a_golden_file() -> None:
    """No message that nobody has read."""
    said = {code for file in FILES for line in _head(file) for code in re.findall(r"(?:error|warning)\[(\w+)\]", line)}
    assert set(codes.TITLES) - said == set()
    assert said <= set(codes.TITLES)
    assert len(FILES) >= 60


def test_every_code_has_a_section_and_every_section_a_code() -> None:
    """docs/errors.md and the table of codes say the same, titles included."""
    sections = dict(re.findall(r"^### (\w+): (.+)$", ERRORS.read_text(), re.MULTILINE))
    assert sections == codes.TITLES


def test_codes_are_constants_used_once() -> None:
    """One constant a code, one code a constant."""
    constants = [value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)]
    assert sorted(constants) == sorted(codes.TITLES)
