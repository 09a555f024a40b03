"""The parser and the manual say the same; wrong use is exit 2 and one line."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imd.cli import main as cli
from imd.cli.arguments import build_parser

MANUAL = Path(__file__).parents[2] / "docs/cli.md"
SHARED = {"--url", "--token-file", "--by", "--json", "--help"}


def commands() -> dict[str, argparse.ArgumentParser]:
    [choices] = [action.choices for action in build_parser()._actions if isinstance(action.choices, dict)]
    return choices


def section(name: str) -> str:
    found = re.search(rf"^## imd {name}\n(.*?)(?=^## |\Z)", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/cli.md has no section `## imd {name}`"
    return found.group(1)


@pytest.mark.parametrize("name", commands())
def test_the_manual_has_every_flag_with_an_example(name: str) -> None:
    text = section(name)
    assert f"    imd {name}" in text, "an example"
    for action in commands()[name]._actions:
        for flag in set(action.option_strings) - SHARED - {"-h"}:
            assert f"`{flag}" in text, f"{flag} is not in its section"


def test_the_manual_names_no_flag_that_is_gone() -> None:
    for name, parser in commands().items():
        known = {flag for action in parser._actions for flag in action.option_strings} | SHARED
        assert set(re.findall(r"--[a-z][a-z-]+", section(name))) <= known | {"--config", "--format"}


def test_the_shared_flags_are_explained_once() -> None:
    text = section("serve") and MANUAL.read_text().split("## imd serve")[0]
    assert all(f"`{flag}" in text for flag in SHARED - {"--help"})


@pytest.mark.parametrize("name", commands())
def test_every_command_shows_examples_in_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "examples:\n  imd " + name in shown
    assert "%%" not in shown


@pytest.mark.parametrize("name", commands())
def test_every_command_runs_something(name: str) -> None:
    assert name in cli._RUN


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["serve"],
        ["serve", "--config", "/nowhere/config.yaml"],
        ["check", "--config", "/nowhere/config.yaml"],
        ["check", "/nowhere/rules"],
        ["check"],
        ["send"],
        ["send", "severity=critical"],
        ["send", "A", "b"],
        ["send", "A", "=b"],
        ["send", "A", "b=1", "b=2"],
        ["send", "A", "--annotation", "x"],
        ["incidents", "show"],
        ["incidents", "list", "3"],
        ["incidents", "--all", "--status", "open"],
        ["incidents", "--limit", "0"],
        ["ack"],
        ["ack", "3", "--match", 'a="b"'],
        ["resolve"],
        ["status", "--url", "localhost:9490"],
        ["status", "--url", "ftp://localhost"],
        ["status", "--url", "http://localhost:port"],
        ["status", "--url", "http://user:secret@localhost"],
        ["status", "--token-file", "/nowhere/token"],
    ],
)
def test_wrong_use_is_exit_2_and_says_so(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code: object = cli.main(argv)
    except SystemExit as ended:
        code = ended.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("imd")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["chek", "x"], "imd: error: there is no command 'chek'; did you mean check?"),
        (["xyzzy"], "imd: error: there is no command 'xyzzy'; `imd --help` lists them"),
        (["check", "x", "--stict"], "imd check: error: not understood: --stict; did you mean --strict?"),
        (["ack", "3", "--notes=x"], "imd ack: error: not understood: --notes=x; did you mean --note?"),
        (["why", "3", "4"], "imd why: error: not understood: 4"),
    ],
)
def test_what_was_probably_meant_is_said(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == said


def test_by_is_the_user_else_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "ana")
    assert build_parser().parse_args(["note", "3", "x"]).by == "ana"
    monkeypatch.delenv("USER")
    assert build_parser().parse_args(["note", "3", "x"]).by
    assert build_parser().parse_args(["note", "3", "x", "--by", "ben"]).by == "ben"


@pytest.mark.parametrize("argv", [["--help"], ["status", "--url", "http://127.0.0.1:1"]])
def test_a_client_command_loads_nothing_of_the_daemon(argv: list[str]) -> None:
    """What makes it start in a tenth of a second; a count of modules, not a stopwatch."""
    program = (
        "import sys\n"
        "from imd.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stderr.split()} | set(done.stderr.split())
    assert not loaded & {"aiohttp", "structlog", "jinja2", "re2", "apsw", "yaml", "asyncio", "imd.daemon", "imd.config"}
