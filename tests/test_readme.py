"""What the README shows is what imd does: its rule, its commands and the page that comes of them."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest

from imd.cli.arguments import build_parser
from imd.cli.main import main
from tests.cli.running import running

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DEADLINE_SECONDS = 15


def typed() -> list[list[str]]:
    """The arguments of every `imd …` line that the README shows behind a prompt, in order."""
    return [shlex.split(line) for line in re.findall(r"^\$ (?:\.venv/bin/)?imd (.*)$", README, re.MULTILINE)]


def test_every_command_parses() -> None:
    assert len(typed()) >= 9
    for argv in typed():
        build_parser().parse_args(argv)


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")], ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_manual_lists_each_of_its_pages() -> None:
    index = (ROOT / "docs/README.md").read_text()
    for page in ROOT.glob("docs/*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_make_run_prints_what_is_shown() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nrun: ")[1].split("\n\n")[0]
    said = re.findall(r"@echo '(.*)'$|@echo \"(.*)\"$", recipe, re.MULTILINE)
    for line in (single or double for single, double in said):
        assert line.replace("$(VENV)", ".venv").replace('\\"', '"').replace("\\\\", "\\") in README


def test_the_test_passes_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rules").mkdir()
    for name, text in re.findall(r"```yaml\n# (rules/\S+)\n(.*?)```", README, re.DOTALL):
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["test"]) == 0
    [shown] = re.findall(r"\$ imd test\n(.*?)```", README, re.DOTALL)
    assert re.sub(r"\d\.\d\d s", "0.02 s", capsys.readouterr().out) == shown


def test_the_rule_makes_that_page_of_those_alerts(tmp_path: Path) -> None:
    [rule] = re.findall(r"```yaml\n(# rules/nodes\.yaml\n.*?)```", README, re.DOTALL)
    shown = next(line for line in README.splitlines() if line.startswith("PAGE P1 #1 "))
    (tmp_path / "rules").mkdir()
    # The README speaks of the default hold, ten seconds; a test need not wait for it, but five commands on a busy
    # machine take longer than two.
    (tmp_path / "rules/nodes.yaml").write_text(rule.rstrip() + "\n    hold: 5s\n")
    with running(tmp_path, "rules: [rules/]\nreceivers: [{name: console, type: console}]\n") as operator:
        for argv in (argv for argv in typed() if argv[0] == "send" and "node=n1" in argv):
            assert operator(*argv)[0] == 0
        deadline = time.monotonic() + DEADLINE_SECONDS
        while shown not in operator.printed():
            assert time.monotonic() < deadline, operator.printed()
            time.sleep(0.1)
        assert operator.printed().count("PAGE ") == 1
        code, out, _ = operator("why", "1")
        assert code == 0
        explained = README.split("$ imd why 1\n")[1].split("Who was paged")[0]
        unwrapped = " ".join(out.split())
        for sentence in re.findall(r"^ +- ((?!It was decided)[^\n]*(?:\n    (?! *-)[^\n]*)*)", explained, re.MULTILINE):
            assert " ".join(sentence.split()).replace("hold 10s", "hold 5s") in unwrapped
