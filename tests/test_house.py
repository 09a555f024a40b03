"""The house rules hold, and the rules notice when they do not (each is tried on a planted violation)."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests import house
from tests.house import Finding, Module

ROOT = Path(__file__).parents[1]
RULES = [house.floors, house.purity, house.dangers, house.comparisons, house.shape]

Rule = Callable[[Iterable[Module]], Iterator[Finding]]


@pytest.fixture(scope="module")
def ours() -> list[Module]:
    return house.modules(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_in_order(rule: Rule, ours: list[Module]) -> None:
    findings = list(rule(ours))
    assert not findings, "\n" + "\n".join(map(str, findings)) + "\nlongest files:\n" + house.longest(ours)


def test_no_tracked_file_names_a_registry_or_a_machine() -> None:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git work tree")
    paths = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    texts = ((str(path.relative_to(ROOT)), path.read_text(errors="replace")) for path in paths if path.is_file())
    findings = list(house.places(texts))
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_the_lock_files_pin_every_package_by_hash() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-build.txt"):
        blocks = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
        packages = [block for block in blocks if block and not block.lstrip().startswith("#")]
        assert packages, name
        assert all("==" in block and "--hash=sha256:" in block for block in packages), name


PLANTED = {
    ("imd/core/a.py", "from imd.store import sqlite"): "imports go down",
    ("imd/core/b.py", "def f():\n    import imd.config.load"): "siblings do not know each other",
    ("imd/core/c.py", "from imd import clock"): "reaches for the shelf",
    ("imd/core/d.py", "from ..daemon import loop"): "imports go down",
    ("imd/core/e.py", "from imd.core.engine import Engine"): "a stage imports the engine",
    ("imd/core/f.py", "from imd.core import oncall"): "only roster may use oncall",
    ("imd/core/g.py", "import time"): "is pure and imports time",
    ("imd/core/h.py", "from os.path import join"): "",
    ("imd/core/i.py", "from datetime import datetime\nx = datetime.now()"): "is pure and calls datetime.now()",
    ("imd/core/j.py", "x = hash('a')"): "is pure and calls hash()",
    ("imd/channels/a.py", "from imd.store import contract"): "siblings do not know each other",
    ("imd/channels/b.py", "def f(signature, sent):\n    return signature == sent"): "a secret by ==",
    ("imd/api/a.py", "from imd.store import sqlite"): "by imd.store.contract",
    ("imd/api/b.py", "from imd.daemon.app import run"): "imports go down",
    ("imd/api/c.py", "from imd.store.contract import Store"): "",
    ("imd/telemetry.py", "from imd.core import engine"): "sees the model alone",
    ("imd/elsewhere/a.py", "from imd.model import alert"): "stands on no floor",
    ("imd/replay/a.py", "from imd.core import engine\nfrom imd import clock"): "",
    ("imd/cli/a.py", "x = eval('1')"): "eval() is not used here",
    ("imd/cli/b.py", "import pickle"): "pickle is not used here",
    ("imd/cli/c.py", "import yaml\nyaml.load('a', Loader=None)"): "yaml.load() is not used here",
    ("imd/cli/d.py", "import re\ndef f(p):\n    return re.compile(p)"): "on a pattern that is no literal",
    ("imd/cli/e.py", "import re\nWORD = 'a'\ndef f():\n    return re.compile(f'{WORD}+' + r'b')"): "",
    ("imd/cli/f.py", "import subprocess\nsubprocess.run('ls', shell=True)"): "no shell",
    ("imd/cli/utils.py", "x = 1"): "a name that says nothing",
    ("imd/cli/g.py", "x = 1  # TO" + "DO: y"): "left behind",
    ("imd/cli/h.py", "\n" * 500): "501 lines, more than 480",
}


@pytest.mark.parametrize(
    ("planted", "expected"), PLANTED.items(), ids=lambda value: value[0] if isinstance(value, tuple) else ""
)
def test_a_planted_violation_is_found(planted: tuple[str, str], expected: str, tmp_path: Path) -> None:
    path, source = planted
    (tmp_path / path).parent.mkdir(parents=True)
    docstring = '"""Planted."""\n'
    (tmp_path / path).write_text(docstring + source.removeprefix("\n") + "\n")
    findings = [str(finding) for rule in RULES for finding in rule(house.modules(tmp_path))]
    if not expected:
        assert findings == []
    else:
        assert len(findings) == 1, findings
        assert expected in findings[0]
        assert findings[0].startswith(f"{path}:")


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    (tmp_path / "imd").mkdir()
    (tmp_path / "imd/bare.py").write_text("x = 1\n")
    assert [finding.rule for finding in house.shape(house.modules(tmp_path))] == ["no module docstring"]


@pytest.mark.parametrize(
    "text",
    [
        f"see {house.FOLDERS[0]}x",
        f"https://{house.REGISTRIES[0]}/simple",
        house.OPTIONS[0],
        "a @ https://x.example/a.whl",
    ],
)
def test_a_place_is_found(text: str) -> None:
    assert len(list(house.places([("requirements.txt", f"first line\n{text}\n")]))) == 1
    assert list(house.places([("docs/x.md", "the /network/ and https://example.org are fine\n")])) == []
