"""docs/rules.md is the reference: its tables are the code's, its examples load, and what they say is played.

A block whose first line is `# NAME.test.yaml` is a test of the rules above it; one that names another file is laid
beside them, a csv block likewise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from imd.config.document import Mapping, Node, Sequence
from imd.config.form import ByName, Either, Form, Several, Table
from imd.config.load import check
from imd.config.rulekeys import TOP
from imd.config.shape import Keys
from imd.config.yamlfile import read_document
from imd.replay.ruletest import RuleSets, run_file
from tests.config import reference

PAGE = reference.RULES.read_text()
_BLOCK = re.compile(r"^```(yaml|csv|ics)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w./-]+\.(?:yaml|csv|ics))\n")


class Example(NamedTuple):
    """Rules, the files beside them, and their tests; `line` is where the rules stand in the page."""

    line: int
    rules: str
    beside: dict[str, str]
    tests: dict[str, str]


def _examples(page: str) -> list[Example]:
    found: list[Example] = []
    for block in _BLOCK.finditer(page):
        named = _NAMED.match(block[2])
        text = block[2][named.end() :] if named else block[2]
        if named is None:
            found.append(Example(page.count("\n", 0, block.start()) + 2, text, {}, {}))
        elif named[1].endswith(".test.yaml"):
            found[-1].tests[named[1]] = text
        else:
            found[-1].beside[named[1]] = text
    return found


EXAMPLES = _examples(PAGE)
TESTS = [(example, name) for example in EXAMPLES for name in example.tests]


def _laid_out(example: Example, folder: Path) -> Path:
    for name, text in example.beside.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "rules.yaml").write_text(example.rules)
    return folder / "rules.yaml"


@pytest.mark.parametrize("page", reference.PAGES, ids=lambda page: page.stem)
def test_tables_are_those_of_the_code(page: Path) -> None:
    """Keys, types with bounds, defaults. `python -m tests.config.reference` writes them anew."""
    text, tables = page.read_text(), reference.PAGES[page]
    assert reference.rewritten(text, tables) == text
    for table in reference.listed(text):
        assert {row.key for row in table.rows} == set(reference.built(tables, table.tables)), table.tables


def test_every_table_is_in_the_reference() -> None:
    """That of the top keys says what they hold."""
    named = {name for table in reference.listed(PAGE) for name in table.tables}
    assert named == set(reference.RULE_TABLES) - {"top"}
    assert {word for word in reference.built(reference.RULE_TABLES, ("top",)) if f"\n| `{word}` |" not in PAGE} == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"line-{one.line}")
def test_every_example_loads(example: Example, tmp_path: Path) -> None:
    """Without a fault and without a warning."""
    found = check(None, [_laid_out(example, tmp_path)], {})
    assert [one.render() for one in found] == []


def _used(node: Node, form: Form) -> Iterator[tuple[int, str]]:
    """The keys that stand in a document, each with the table that it is of."""
    match form, node:
        case Table(keys=keys), Mapping():
            for word, entry in node.entries.items():
                if word in keys:
                    yield id(keys), word
                    yield from _used(entry.value, keys[word].taken())
        case Several(of=of), Sequence():
            for item in node.items:
                yield from _used(item, of)
        case ByName(of=of), Mapping():
            for entry in node.entries.values():
                yield from _used(entry.value, of)
        case Either(forms=forms), _:
            for one in forms:
                yield from _used(node, one)
        case _:
            pass


def _tables(form: Form, seen: dict[int, Keys]) -> dict[int, Keys]:
    match form:
        case Table(keys=keys) if id(keys) not in seen:
            seen[id(keys)] = keys
            for key in keys.values():
                _tables(key.taken(), seen)
        case Several(of=of) | ByName(of=of):
            _tables(of, seen)
        case Either(forms=forms):
            for one in forms:
                _tables(one, seen)
        case _:
            pass
    return seen


def test_every_key_has_an_example() -> None:
    """Somewhere in the page, in a block that loads."""
    used: set[tuple[int, str]] = set()
    for example in EXAMPLES:
        root = read_document("x", example.rules.encode()).root
        assert root is not None
        used |= set(_used(root, Table(TOP)))
    for at, keys in _tables(Table(TOP), {}).items():
        missing = [word for word in keys if (at, word) not in used]
        assert missing == [], list(keys)


@pytest.mark.parametrize(("example", "name"), TESTS, ids=lambda one: one if isinstance(one, str) else str(one.line))
def test_what_an_example_says_happens(example: Example, name: str, tmp_path: Path) -> None:
    """Played in virtual time, as `imd test` does."""
    if "when:" in example.rules:
        pytest.importorskip("cel_expr_python")
    _laid_out(example, tmp_path)
    (tmp_path / name).write_text(example.tests[name])
    for result in run_file(tmp_path / name, RuleSets()):
        assert result.passed, f"{result.name}\n" + "\n".join(map(str, result.failures))


def test_there_are_tests_of_what_can_be_played() -> None:
    """A section about behaviour without one says less than it should."""
    assert sum(example.tests[name].count("name: ") for example, name in TESTS) >= 30
    played = {name.removesuffix(".test.yaml") for _, name in TESTS}
    assert played >= {
        "matchers", "enrich", "conditions", "rules", "window", "resolve", "open-when", "flapping", "raise", "relate",
        "heartbeats", "priority", "people", "teams", "schedules", "policies", "routes", "inhibit", "maintenance",
    }  # fmt: skip


def test_the_readme_s_rules_load_and_its_test_passes(tmp_path: Path) -> None:
    """As files of the names that they have there."""
    page = (reference.ROOT / "README.md").read_text()
    blocks = re.findall(r"^```yaml\n# (rules/[\w.-]+)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    (tmp_path / "rules").mkdir()
    for name, block in blocks:
        (tmp_path / name).write_text(block)
    assert check(None, [tmp_path / "rules"], {}) == []
    for file in tmp_path.glob("rules/*.test.yaml"):
        assert all(result.passed for result in run_file(file, RuleSets()))
