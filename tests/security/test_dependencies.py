"""What imd is made of: a bill of materials can be written, and no advisory is known for what is pinned."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PINNED = re.findall(r"^([a-z0-9][\w.-]*)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)


@pytest.mark.skipif(find_spec("cyclonedx_py") is None, reason="cyclonedx-bom is not installed")
def test_the_bill_of_materials_names_all_that_is_pinned(tmp_path: Path) -> None:
    """CycloneDX, as `make sbom` writes it: each package with its version and the hashes of its files."""
    target = tmp_path / "sbom.json"
    line = re.search(r"^sbom:.*\n(?:\t@?mkdir.*\n)?\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert line
    words = line[1].replace("$(VENV)/bin/python", sys.executable).replace("var/sbom.json", str(target)).split()
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    whole: dict[str, Any] = json.loads(target.read_text())
    assert whole["bomFormat"] == "CycloneDX"
    assert whole["metadata"]["component"]["name"] == "imd"
    assert sorted((one["name"], one["version"]) for one in whole["components"]) == sorted(PINNED)
    assert all(one["externalReferences"][0]["hashes"] for one in whole["components"])


@pytest.mark.skipif(find_spec("pip_audit") is None, reason="pip-audit is not installed")
def test_no_advisory_is_known_for_what_is_pinned() -> None:
    """Where the advisory database answers; else it is said that nothing was looked at."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip_audit",
            "--require-hashes",
            "--disable-pip",
            "-r",
            "requirements.txt",
            "-f",
            "json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    try:
        found = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        pytest.skip("pip-audit found no advisory database: nothing was audited")
    audited = [one for one in found if "skip_reason" not in one]
    known = {one["name"]: [advisory["id"] for advisory in one["vulns"]] for one in audited if one["vulns"]}
    assert known == {}
    if len(audited) < len(found):
        pytest.skip(f"the advisory database knows {len(audited)} of {len(found)} packages: the others were not audited")


def test_few_direct_dependencies_each_with_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("]", text.index("dependencies = ["))]
    lines = [line for line in block.splitlines()[1:] if line.strip()]
    assert len(lines) <= 12
    assert all("#" in line for line in lines), lines
