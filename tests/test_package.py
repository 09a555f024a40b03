"""What `pip install` lays down: the program, and beside it what docs/running.md copies from."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_a_wheel_has_what_the_manual_copies_from(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="the build tool of requirements-build.txt is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert "imd/store/sql/sqlite/0001_first.sql" in held
    shared = {name.partition(".data/data/")[2] for name in held} - {""}
    manual = (ROOT / "docs/running.md").read_text()
    named = set(re.findall(r"/opt/imd/(share/[\w./-]*\w)", manual + (ROOT / "systemd/imd.service").read_text()))
    assert len(named) >= 5
    assert [one for one in named if one not in shared and not any(name.startswith(f"{one}/") for name in shared)] == []
    for folder in ("rules", "schemas", "systemd"):
        there = {f"share/imd/{file.relative_to(ROOT)}" for file in (ROOT / folder).rglob("*") if file.is_file()}
        assert there <= shared
