"""docs/sources.md: a section for each type of source, whose example loads and whose body becomes what it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from imd.config.load import load
from imd.config.sourcefile import SOURCES_BUILT
from imd.model.policy import Source
from imd.sources import DECODERS, decode
from tests.sources.shown import lines

PAGE = (Path(__file__).parents[2] / "docs/sources.md").read_text()
NOW = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
HEADERS = {
    "json": {"Content-Type": "application/json"},
    "form": {"Content-Type": "application/x-www-form-urlencoded"},
}


def test_the_types_are_the_same_everywhere() -> None:
    assert set(DECODERS) == set(SOURCES_BUILT)


@pytest.mark.parametrize("kind", DECODERS)
def test_a_type_has_a_section_and_its_example_is_true(kind: str, tmp_path: Path) -> None:
    section = SECTIONS[kind]
    source = _source(section, kind, tmp_path)
    samples = re.findall(r"```(json|form)\n(.*?)```\n```text\n(.*?)```", section, re.DOTALL)
    assert samples, f"docs/sources.md shows no body of {kind}"
    for form, body, told in samples:
        decoded = decode(source, body.strip().encode(), NOW, HEADERS[form])
        assert lines(decoded) == told.strip().splitlines()


def _source(section: str, kind: str, tmp_path: Path) -> Source:
    """The source of the section's example; without one, the built-in of that name."""
    for example in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL):
        for name in re.findall(r"_file: ([\w.-]+)", example):
            (tmp_path / name).write_text("0123456789abcdef0123456789abcdef\n")
        start = "" if "receivers:" in example else "receivers: [{name: console, type: console}]\n"
        (tmp_path / "config.yaml").write_text(start + example)
        made = next(iter(load(tmp_path / "config.yaml", (), {}).ruleset.sources.values()))
        assert made.type == kind
        return made
    return Source(name=kind, type=kind)


DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(DOCS.glob("migrate-from-*.md")), ids=lambda page: page.stem)
def test_examples_of_migrations_load(page: Path, tmp_path: Path) -> None:
    """Each is a whole config.yaml, but for files that say by their first line what they are (see tests/imports)."""
    examples = re.findall(r"```yaml\n(?!# [a-z])(.*?)```", page.read_text(), re.DOTALL)
    for example in examples:
        for number, name in enumerate(re.findall(r"_file: ([\w.-]+)", example)):
            (tmp_path / name).write_text(f"{number:032x}\n")
        (tmp_path / "config.yaml").write_text(example)
        load(tmp_path / "config.yaml", (), {})
