"""docs/faults.md says of each fault which test shows that imd survives it; this holds the page to its word."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = 44


class Row(NamedTuple):
    number: int
    fault: str
    behaviour: str
    proof: str


def _rows() -> list[Row]:
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:1] == "|"]
    return [Row(int(number), *rest) for number, *rest in cells if number.isdigit()]


def _named(proof: str) -> list[tuple[Path, str]]:
    """File and test's name, "" where the whole file is meant."""
    found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", proof)
    return [(ROOT / file, test) for file, test in found]


def _tests(path: Path) -> set[str]:
    body = ast.parse(path.read_text()).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in functions if name.startswith("test_")}


def test_each_fault_is_a_row_in_order() -> None:
    assert [row.number for row in _rows()] == list(range(1, ROWS + 1))


def test_each_row_names_tests_that_exist_or_says_why_there_is_none() -> None:
    for row in _rows():
        named = _named(row.proof)
        assert named or row.proof.startswith(("Gap: ", "Does not apply: ")), row
        for path, test in named:
            assert path.is_file(), f"row {row.number}: {path}"
            assert not test or test in _tests(path), f"row {row.number}: {path} has no {test}"


def test_each_test_of_faults_has_its_row() -> None:
    named = {(path, test) for row in _rows() for path, test in _named(row.proof)}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        missing = {test for test in _tests(path) if (path, test) not in named}
        assert path == Path(__file__) or not missing, f"{path.name}: {missing}"
