"""What `imd check` prints for programs: JSON, GitHub's workflow commands, SARIF 2.1.0; and for people, colour."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from imd.cli.findings import FORMATS, url
from imd.cli.screen import Screen
from imd.config import codes
from imd.config.diagnostic import Diagnostic, Severity
from imd.config.load import Examined
from tests.cli.conftest import Imd

ROOT = Path(__file__).parents[2]
NASTY = "rules:\n  - {name: 'a', match: 'a=\"b\"', \"widow, 50% of: \\n é\N{GRINNING FACE}\": 5m}\n  - {name: b}\n"


@pytest.fixture
def nasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and in it a file of an odd name with two faults."""
    monkeypatch.chdir(tmp_path)
    file = Path("rules, odd 100%:é.yaml")
    file.write_text(NASTY)
    return file


def test_json_has_all_that_text_has(imd: Imd, nasty: Path) -> None:
    """Every finding with its place, in order."""
    code, out, _ = imd("check", str(nasty), "--format", "json")
    said = json.loads(out)
    assert (code, said["errors"], said["warnings"]) == (1, 2, 0)
    first, second = said["diagnostics"]
    assert {key: first[key] for key in ("code", "severity", "file", "line", "column", "end_column")} == {
        "code": "R003", "severity": "error", "file": str(nasty), "line": 2, "column": 33, "end_column": 55,
    }  # fmt: skip
    assert (
        NASTY.split("\n")[1][first["column"] - 1 : first["end_column"] - 1] == '"widow, 50% of: \\n é\N{GRINNING FACE}"'
    )
    assert first["url"] == "docs/errors.md#r003-unknown-key"
    assert first["expected"].startswith("expected one of: name, ")
    assert second["message"] == 'rule "b" has no "match"'


def test_urls_lead_to_sections() -> None:
    """The anchor of each is what GitHub makes of the heading."""
    headings = re.findall(r"^### (.*)$", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {url(code).partition("#")[2] for code in codes.TITLES} == slugs


def test_github_commands_are_one_line_each_and_escaped(imd: Imd, nasty: Path) -> None:
    """As GitHub's own toolkit escapes: % and line ends everywhere, colon and comma in properties too."""
    code, out, _ = imd("check", str(nasty), "--format", "github")
    first, second, summary = out.splitlines()
    assert (code, summary) == (1, "2 errors, no warnings")
    command, properties, message = first.split(" ", 1)[0], *first.split(" ", 1)[1].split("::", 1)
    assert command == "::error"
    found = dict(pair.split("=", 1) for pair in properties.split(","))
    assert {key: unquote(value) for key, value in found.items()} == {
        "file": str(nasty), "line": "2", "endLine": "2", "col": "33", "endColumn": "55", "title": "R003: unknown key",
    }  # fmt: skip
    assert found["file"] == "rules%2C odd 100%25%3Aé.yaml"
    assert message.startswith('unknown key "widow, 50%25 of: ')
    assert "%0Aexpected one of: name, " in message
    assert second.startswith("::error file=")


def _sarif(found: Examined) -> dict[str, Any]:
    out = io.StringIO()
    FORMATS["sarif"](found, Screen(out, None, False))
    log: dict[str, Any] = json.loads(out.getvalue())
    return log


def _valid(log: dict[str, Any]) -> None:
    """Against models that were generated from the official schema, unknown properties forbidden."""
    model = pytest.importorskip("pydantic_sarif.model")
    model.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate(log)


def test_sarif_is_sarif(imd: Imd, nasty: Path) -> None:
    """By the schema; and each result points to its rule and its place."""
    code, out, _ = imd("check", str(nasty), "--format", "sarif")
    log = json.loads(out)
    assert code == 1
    _valid(log)
    [run] = log["runs"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["R002", "R003"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        [location] = result["locations"]
        assert location["physicalLocation"]["artifactLocation"] == {
            "uri": "rules%2C%20odd%20100%25%3A%C3%A9.yaml", "uriBaseId": "ROOT",
        }  # fmt: skip
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"], region["endColumn"]) == (2, 33, 55)
    assert region["snippet"]["text"] == NASTY.split("\n")[1]


def test_sarif_without_findings_is_sarif_too(imd: Imd, nasty: Path) -> None:
    """An upload of nothing clears what was found before."""
    nasty.write_text("rules: [{name: a, match: 'a=\"b\"'}]\n")
    code, out, _ = imd("check", str(nasty.absolute()), "--format", "sarif")
    assert (code, json.loads(out)["runs"][0]["results"]) == (0, [])
    _valid(json.loads(out))


def test_sarif_of_every_code_and_of_absolute_paths() -> None:
    """A file URL where the path is absolute; allowed warnings are suppressed in the source."""
    every = [
        Diagnostic(
            path="/etc/imd/a b.yaml", line=1, column=1, end_column=2, code=code, message="m",
            severity=Severity.WARNING if code.startswith("W") else Severity.ERROR,
        )
        for code in codes.TITLES
    ]  # fmt: skip
    log = _sarif(Examined(every[:-1], every[-1:]))
    _valid(log)
    results = log["runs"][0]["results"]
    assert results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///etc/imd/a%20b.yaml"
    assert [bool(result.get("suppressions")) for result in results] == [False] * (len(every) - 1) + [True]
    assert {result["level"] for result in results} == {"error", "warning"}


def test_colour_is_for_terminals() -> None:
    """None into a pipe, none with NO_COLOR, none on a dumb terminal."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    one = Diagnostic(path="a", line=1, column=1, end_column=2, code="R003", message="m", severity=Severity.ERROR)
    for out, environ, coloured in (
        (Terminal(), {}, True), (Terminal(), {"NO_COLOR": "1"}, False), (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ):  # fmt: skip
        FORMATS["text"](Examined([one]), Screen.of_process(out, environ))
        assert ("\x1b[" in out.getvalue()) is coloured


def test_a_hostile_file_reaches_no_terminal(imd: Imd, nasty: Path) -> None:
    """Escapes are refused by the reader, marks of direction are shown as what they are."""
    nasty.write_text('rules: [{name: "\\e[31m", match: 1, x\N{RIGHT-TO-LEFT OVERRIDE}y: 2}]\n')
    for form in FORMATS:
        out = imd("check", str(nasty), "--format", form)[1]
        assert "\x1b" not in out
        if form in ("text", "github"):
            assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in out
