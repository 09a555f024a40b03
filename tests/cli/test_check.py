"""`imd check`: every fault in one run, and an exit code that CI can rely on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Imd

ROOT = Path(__file__).parents[2]
GOOD = "rules: [{name: all, match: 'severity=\"critical\"'}]\n"
BAD = "rules:\n  - {name: one, match: 'a=\"b\"', widow: 5m}\n  - {name: two, match: 'a=\"b\"', hold: soon}\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/a.yaml").write_text(GOOD)
    return tmp_path / "rules"


def test_good_rules_are_exit_0(imd: Imd, rules: Path) -> None:
    code, out, err = imd("check", str(rules))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].startswith("no errors, ")


def test_every_fault_is_told_and_exit_is_1(imd: Imd, rules: Path) -> None:
    (rules / "b.yaml").write_text(BAD)
    code, out, _ = imd("check", str(rules))
    assert code == 1
    assert f"{rules}/b.yaml:2:" in out
    assert f"{rules}/b.yaml:3:" in out
    assert out.splitlines()[-1].startswith("2 errors, ")


def test_json_is_for_programs(imd: Imd, rules: Path) -> None:
    (rules / "b.yaml").write_text(BAD)
    code, out, _ = imd("check", str(rules), "--json")
    checked = json.loads(out)
    assert code == 1
    assert checked["errors"] == 2
    assert {one["line"] for one in checked["diagnostics"] if one["severity"] == "error"} == {2, 3}
    assert imd("check", str(rules), "--format", "json")[1] == out


def test_strict_fails_on_a_lint(imd: Imd, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert imd("check", str(tmp_path / "empty"))[0] == 0
    code, out, _ = imd("check", str(tmp_path / "empty"), "--strict")
    assert code == 1
    assert "warning[W" in out


def test_a_machine_without_the_secrets_can_check_the_rest(imd: Imd, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "receivers: [{name: hook, type: webhook, url: 'https://x.example/${NOT_SET}', secret_file: nowhere}]\n"
        "sources: [{name: pd, type: alertmanager, tokens: [{token_file: nowhere}]}]\nfallback: hok\n"
    )
    _, out, _ = imd("check", "--config", str(config))
    assert {"error[R302]", "error[R303]"} <= set(re.findall(r"error\[\w+\]", out))
    code, out, _ = imd("check", "--config", str(config), "--no-secrets")
    assert code == 1
    assert re.findall(r"error\[\w+\]", out) == ["error[R501]"], out


def test_the_example_has_no_fault() -> None:
    """As a process of its own, from another folder: rules are found beside the config."""
    command = [sys.executable, "-m", "imd", "check", "--strict", "--config", str(ROOT / "config.example.yaml")]
    done = subprocess.run(
        command, cwd="/", capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
