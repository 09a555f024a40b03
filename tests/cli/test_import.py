"""`imd import`: a folder of files, nothing overwritten, no secret shown."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from imd.cli.main import main

SECRET = "https://hooks.slack.com/services/T0/B0/s3cret"
TEXT = f"""
route: {{receiver: chat, routes: [{{match: {{alertname: Watchdog}}, receiver: nobody}}]}}
receivers:
  - {{name: nobody}}
  - {{name: chat, slack_configs: [{{api_url: {SECRET}, color: good}}]}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "alertmanager.yml"
    made.write_text(TEXT)
    return made


def test_the_folder_passes_check_and_holds_secrets_apart(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "imd"
    assert main(["import", "alertmanager", str(file), "--out", str(out)]) == 0
    said = capsys.readouterr()
    column = TEXT.splitlines()[4].index("color") + 1
    assert f"{file}:5:{column}: not carried: receivers[1].slack_configs[0].color" in said.out
    assert "1 secrets are in" in said.out
    assert "s3cret" not in said.out + said.err
    assert main(["check", "--config", str(out / "config.yaml"), "--strict"]) == 0
    [secret] = (out / "secrets").iterdir()
    assert secret.read_text() == SECRET
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(secret.parent.stat().st_mode) == 0o700
    assert all("s3cret" not in (out / name).read_text() for name in ("config.yaml", "rules/alertmanager.yaml"))
    assert "# Not carried:" in (out / "config.yaml").read_text()


def test_nothing_is_overwritten_without_force(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not even half of it: what is in the way is found before anything is written."""
    out = tmp_path / "imd"
    (out / "rules").mkdir(parents=True)
    (out / "rules/alertmanager.yaml").write_text("rules: []\n")
    assert main(["import", "alertmanager", str(file), "--out", str(out)]) == 1
    assert "there already: rules/alertmanager.yaml; nothing was written" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["rules"]
    assert main(["import", "alertmanager", str(file), "--out", str(out), "--force"]) == 0
    assert "name: default" in (out / "rules/alertmanager.yaml").read_text()
    assert main(["import", "alertmanager", str(file), "--out", str(out), "--force"]) == 0


def test_without_a_folder_the_files_are_printed(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "alertmanager", str(file)]) == 0
    said = capsys.readouterr().out
    assert "--- # config.yaml" in said
    assert "--- # rules/alertmanager.yaml" in said
    assert "s3cret" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["alertmanager.yml"]


def test_json(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "alertmanager", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"].keys() == {"config.yaml", "rules/alertmanager.yaml"}
    assert (said["folder"], said["written"]) == (None, [])
    [lost] = said["not_carried"]
    assert (lost["line"], lost["what"]) == (5, "receivers[1].slack_configs[0].color")
    assert main(["import", "alertmanager", str(file), "--json", "--out", str(tmp_path / "imd")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["written"] == ["config.yaml", "rules/alertmanager.yaml", *said["secrets"]]
    assert "files" not in said


def test_strict_fails_where_something_is_lost(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "alertmanager", str(file), "--strict"]) == 1
    file.write_text(TEXT.replace(", color: good", ""))
    assert main(["import", "alertmanager", str(file), "--strict"]) == 0
    assert capsys.readouterr().err == ""


def test_a_broken_file_is_shown_where_it_is_broken(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT.replace("receiver: nobody", "receiver: nowhere"))
    assert main(["import", "alertmanager", str(file), "--out", str(tmp_path / "imd")]) == 1
    said = capsys.readouterr().err
    assert f"{file}:2:" in said
    assert 'error[R501]: there is no receiver "nowhere"' in said
    assert not (tmp_path / "imd").exists()
    assert main(["import", "alertmanager", str(tmp_path / "none.yml")]) == 2


def test_a_secret_that_is_not_there_is_shown(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(TEXT.replace(f"api_url: {SECRET}", "api_url_file: slack.url"))
    assert main(["import", "alertmanager", str(file), "--out", str(tmp_path / "imd")]) == 0
    assert str(tmp_path / "slack.url") in capsys.readouterr().err


def test_template_files_are_read_where_they_are(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tmpl").mkdir()
    (tmp_path / "tmpl/a.tmpl").write_text('{{ define "who" }}{{ .CommonLabels.cluster }}{{ end }}')
    (tmp_path / "tmpl/b.tmpl").write_bytes(b"\xff")
    text = TEXT.replace("color: good", "title: '{{ template \"who\" . }} is ill'")
    file.write_text(f"templates: ['tmpl/*.tmpl']\n{text}")
    assert main(["import", "alertmanager", str(file), "--out", str(tmp_path / "imd"), "--strict"]) == 0
    assert "title: '{{ labels.cluster | default(\"\") }} is ill'" in (tmp_path / "imd/config.yaml").read_text()
    file.write_text(f"templates: ['elsewhere/*.tmpl']\n{text}")
    capsys.readouterr()
    assert main(["import", "alertmanager", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["what"] for one in said["not_carried"]] == ["templates", "receivers[1].slack_configs[0].title"]


@pytest.mark.parametrize("tool", ["opsgenie", "oncall"])
def test_answers_of_an_api(tool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = Path(__file__).parents[1] / f"imports/{tool}.json"
    assert main(["import", tool, str(answers), "--out", str(tmp_path / "imd")]) == 0
    assert f"rules/{tool}.yaml" in capsys.readouterr().out
    assert main(["check", "--config", str(tmp_path / "imd/config.yaml"), "--strict"]) == 0
    assert main(["oncall", "--config", str(tmp_path / "imd/config.yaml"), "--at", "2026-01-06T12:00:00+01:00"]) == 0
    assert "cleo" in capsys.readouterr().out


def test_standard_input_and_pipes_are_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`imd import opsgenie <(curl …)` and `… | imd import opsgenie -`."""
    command = [sys.executable, "-m", "imd", "import", "alertmanager", "--json"]
    with file.open("rb") as stream:
        done = subprocess.run([*command, "-"], stdin=stream, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["counts"]["receivers"] == 1
    done = subprocess.run(
        [*command, "/dev/stdin"], input=file.read_bytes(), capture_output=True, timeout=60, check=True
    )
    assert json.loads(done.stdout)["counts"]["receivers"] == 1
    assert main(["import", "alertmanager", str(file.parent)]) == 2
    assert "no such file" in capsys.readouterr().err
