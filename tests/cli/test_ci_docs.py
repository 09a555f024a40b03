"""docs/ci.md: each recipe's own commands, in a repository with a change that loses a P1.

Installing imd and fetching the history from a daemon are left out; those have tests of their own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.config.load import check
from imd.config.yamlfile import read_document

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/ci.md").read_text()
EXAMPLES = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
CONFIG = "rules: [rules/]\nreceivers: [{name: chat, type: webhook, url_file: chat.url}]\n"
RULES = """\
rules:
  - {name: nodes, match: 'alertname="Down"', group_by: [node], priority: P1, runbook: 'https://wiki.example/nodes'}
  - {name: default}
policies: [{name: default, steps: [{notify: ['receiver:chat']}]}]
"""
TEST = """\
events: [{at: 0s, fire: {alertname: Down, node: n1}}]
expect: [{at: 1m, pages: [{to: chat}]}]
"""
EVENT = {"ts": 0, "status": "firing", "labels": {"alertname": "Down", "node": "n7"}}


def plain(node: Node | None) -> Any:
    match node:
        case Mapping(entries=entries):
            return {word: plain(entry.value) for word, entry in entries.items()}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(text=text):
            return text
    raise AssertionError("not sound YAML")


def commands(name: str) -> list[str]:
    """The lines of a recipe that imd's own commands need."""
    document = read_document(name, EXAMPLES[name].encode())
    assert not document.faults
    recipe = plain(document.root)
    if name == ".gitlab-ci.yml":
        lines = recipe["alert-rules"]["script"]
    else:
        steps = recipe["jobs"]["rules"]["steps"]
        chosen = [step for step in steps if step.get("name") in ("Check", "Test", "Backtest", "Report")]
        lines = [line for step in chosen for line in step["run"].splitlines()]
    return [line for line in lines if not line.startswith("imd journal")]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A change after what is merged: the rule monitors only."""
    folder = tmp_path / "repository"
    (folder / "rules").mkdir(parents=True)
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "rules/a.yaml").write_text(RULES)
    (folder / "rules/a.test.yaml").write_text(TEST)
    (tmp_path / "bin").mkdir()
    imd = tmp_path / "bin/imd"
    imd.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m imd "$@"\n')
    imd.chmod(0o755)
    _git(folder, "init", "--quiet")
    _git(folder, "add", "-A")
    _git(folder, "commit", "--quiet", "-m", "merged")
    return folder


def _git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    return subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def _run(folder: Path, name: str) -> list[tuple[str, int, str]]:
    """Each command with its exit code and output. A step that fails does not keep the others from running here."""
    temp = folder.parent / "temp"
    temp.mkdir()
    (temp / "events.jsonl").write_text(json.dumps(EVENT) + "\n")
    base = _git(folder, "rev-parse", "HEAD")
    environment = {
        "PATH": f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(temp),
        "RUNNER_TEMP": str(temp),
        "BASE": base,
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "GITHUB_STEP_SUMMARY": str(temp / "summary.md"),
    }
    done = []
    for command in commands(name):
        ran = subprocess.run(
            ["bash", "-ec", command.replace("/tmp/", f"{temp}/")],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        done.append((command, ran.returncode, ran.stdout + ran.stderr))
    return done


RECIPES = [".github/workflows/alert-rules.yaml", ".gitlab-ci.yml"]


@pytest.mark.parametrize("name", RECIPES)
def test_what_changes_nothing_passes(name: str, repository: Path) -> None:
    done = _run(repository, name)
    assert [(command, out) for command, code, out in done if code] == []
    assert {command.split()[1] for command, _, _ in done if command.startswith("imd ")} == {"check", "test", "backtest"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_change_that_loses_a_p1_is_stopped_and_told(name: str, repository: Path) -> None:
    changed = RULES.replace("priority: P1", "priority: P1, mode: monitor")
    (repository / "rules/a.yaml").write_text(changed)
    done = _run(repository, name)
    stopped = {command.split()[1] for command, code, _ in done if code == 1}
    assert stopped == {"check", "test", "backtest"}, "and check wonders at a P1 that pages nobody"
    assert "has mode monitor" in (repository / "report.md").read_text()
    assert (repository / "junit.xml").read_text().count("<failure") == 1
    if name == RECIPES[0]:
        assert "has mode monitor" in (repository.parent / "temp/summary.md").read_text()


@pytest.mark.parametrize("name", RECIPES)
def test_a_fault_is_stopped_by_check(name: str, repository: Path) -> None:
    (repository / "rules/a.yaml").write_text(RULES.replace("priority:", "priorty:"))
    checked = next(one for one in _run(repository, name) if one[0].startswith("imd check"))
    assert checked[1] == 1
    assert "R003" in checked[2]


def test_the_token_of_the_recipes_is_one(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(EXAMPLES["config.yaml"])
    assert [one.code for one in check(tmp_path / "config.yaml") if one.code.startswith("R")] == []


def test_gitlab_finds_the_coverage(repository: Path) -> None:
    found = plain(read_document("x", EXAMPLES[".gitlab-ci.yml"].encode()).root)["alert-rules"]["coverage"]
    [out] = [out for command, _, out in _run(repository, ".gitlab-ci.yml") if command.startswith("imd test")]
    assert re.search(found.strip("/"), out)
