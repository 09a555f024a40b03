"""What is read and what is not: never outside the folder, never what is no file, never without end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from imd.config import codes
from imd.config.load import check, examine

TABLE = "name,team\nn1,canary\n"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """inside/ with config.yaml and rules/, and outside/ beside it."""
    (tmp_path / "inside/rules").mkdir(parents=True)
    (tmp_path / "inside/config.yaml").write_text("rules: [rules/]\nreceivers: [{name: c, type: console}]\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/hosts.csv").write_text(TABLE)
    return tmp_path


def _naming(key: str, path: str) -> str:
    return {
        "table": f"enrich: [{{name: a, table: '{path}', on: {{host: name}}, add: [team]}}]\n",
        "files": f"topology: {{files: ['{path}']}}\n",
        "prometheus": f"onset: {{prometheus_rules: ['{path}']}}\n",
    }[key]


def _codes(folder: Path, rules: str, *, config: bool = True) -> list[str]:
    (folder / "inside/rules/a.yaml").write_text(rules)
    started = time.monotonic()
    given = (folder / "inside/config.yaml", ()) if config else (None, [folder / "inside/rules"])
    found = check(*given, {})
    assert time.monotonic() - started < 5
    return [one.code for one in found if one.code.startswith("R")]


@pytest.mark.parametrize("key", ["table", "files", "prometheus"])
@pytest.mark.parametrize("config", [True, False])
def test_no_way_leads_outside(folder: Path, key: str, config: bool) -> None:
    """`..`, absolute paths, links to files and to folders."""
    inside = folder / "inside/rules"
    (inside / "file.csv").symlink_to(folder / "outside/hosts.csv")
    (inside / "there").symlink_to(folder / "outside")
    for path in ("../../outside/hosts.csv", str(folder / "outside/hosts.csv"), "file.csv", "there/hosts.csv"):
        assert _codes(folder, _naming(key, path), config=config) == [codes.OUTSIDE], path
    assert _codes(folder, _naming("prometheus", "../../outside/*.csv"), config=config) == [codes.OUTSIDE]
    assert _codes(folder, _naming("prometheus", "there/*.csv"), config=config) == [codes.OUTSIDE]


def test_links_among_rule_files_are_not_followed_outside(folder: Path) -> None:
    """Nothing of such a file is shown."""
    (folder / "outside/passwd").write_text("canary: canary\n")
    (folder / "inside/rules/link.yaml").symlink_to(folder / "outside/passwd")
    found = check(folder / "inside/config.yaml", (), {})
    assert [one.code for one in found if one.code.startswith("R")] == [codes.OUTSIDE]
    assert "canary" not in "".join(one.render() for one in found)


def test_what_a_folder_holds_under_the_name_of_a_rule_file_is_read_or_a_fault(folder: Path) -> None:
    """A link that leads nowhere or a FIFO was passed over once, and its rules with it."""
    (folder / "inside/rules/broken.yaml").symlink_to("gone.yaml")
    os.mkfifo(folder / "inside/rules/fifo.yaml")
    (folder / "inside/rules/deeper.yaml").mkdir()
    found = [one for one in check(folder / "inside/config.yaml", (), {}) if one.code.startswith("R")]
    assert [one.code for one in found] == [codes.UNREADABLE, codes.UNREADABLE]
    assert "No such file" in found[0].message
    assert "a FIFO" in found[1].message


@pytest.mark.parametrize("text", ["", "\n", " \n\n"])
def test_a_file_without_a_word_was_cut_off(folder: Path, text: str) -> None:
    for cut in ("inside/rules/a.yaml", "inside/config.yaml"):
        (folder / cut).write_text(text)
        found = check(folder / "inside/config.yaml", (), {})
        assert [one.code for one in found if one.code.startswith("R")] == [codes.EMPTY_FILE], cut
        (folder / cut).write_text("# nothing yet\n")
        assert not [one for one in check(folder / "inside/config.yaml", (), {}) if one.code.startswith("R")]


def test_links_inside_are_followed(folder: Path) -> None:
    """As Kubernetes mounts a ConfigMap: each file is a link into a hidden folder beside it."""
    inside = folder / "inside/rules"
    (inside / "..2026").mkdir()
    (inside / "..2026/rules.yaml").write_text(_naming("table", "../tables/hosts.csv"))
    (inside / "..data").symlink_to("..2026")
    (inside / "rules.yaml").symlink_to("..data/rules.yaml")
    (folder / "inside/tables").mkdir()
    (folder / "inside/tables/hosts.csv").write_text(TABLE)
    assert _codes(folder, "rules: []\n") == []


def test_what_lies_beside_the_rules_is_inside_with_a_config_or_from_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rules/ and tables/ side by side: the config's folder holds both, and so may the working directory."""
    (folder / "inside/tables").mkdir()
    (folder / "inside/tables/hosts.csv").write_text(TABLE)
    named = _naming("table", "../tables/hosts.csv")
    assert _codes(folder, named) == []
    assert _codes(folder, named, config=False) == [codes.OUTSIDE]
    monkeypatch.chdir(folder / "inside")
    assert _codes(folder, named, config=False) == []
    monkeypatch.chdir("/")
    assert _codes(folder, named, config=False) == [codes.OUTSIDE]


def test_a_folder_that_the_config_names_may_be_anywhere(folder: Path) -> None:
    """The operator's own word; and what lies in it may be named by its rules."""
    (folder / "inside/config.yaml").write_text(f"rules: [{folder}/outside]\nreceivers: [{{name: c, type: console}}]\n")
    (folder / "outside/a.yaml").write_text(_naming("table", "hosts.csv"))
    assert [one.code for one in check(folder / "inside/config.yaml", (), {}) if one.code.startswith("R")] == []


@pytest.mark.parametrize("key", ["table", "files", "prometheus"])
def test_what_is_no_file_is_refused_at_once(folder: Path, key: str) -> None:
    """A FIFO without a writer, a socket, a device, a folder."""
    inside = folder / "inside/rules"
    os.mkfifo(inside / "fifo.csv")
    (inside / "folder.csv").mkdir()
    for name in ("fifo.csv", "folder.csv"):
        assert _codes(folder, _naming(key, name)) == [codes.UNREADABLE], name
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{short}/s")
        (inside / "link").symlink_to(short)
        assert _codes(folder, _naming(key, "link/s.csv")) == [codes.OUTSIDE]
    assert _codes(folder, _naming(key, "/dev/zero.csv" if key == "table" else "/dev/zero")) == [codes.OUTSIDE]


def test_rule_files_configs_and_secrets_that_are_no_files(folder: Path) -> None:
    """Named by the operator, and still no reason to wait."""
    os.mkfifo(folder / "inside/fifo.yaml")
    started = time.monotonic()
    for config, paths in ((None, ["fifo.yaml"]), ("fifo.yaml", [])):
        at = [folder / "inside" / path for path in paths]
        [found] = [one for one in check(config and folder / "inside" / config, at, {}) if one.code.startswith("R")]
        assert found.code == codes.UNREADABLE
        assert "a FIFO, not a file" in found.message
    for secret in ("fifo.yaml", "/dev/zero", "/dev/stdin", "."):
        (folder / "inside/config.yaml").write_text(f"receivers: [{{name: a, type: webhook, url_file: '{secret}'}}]\n")
        found = [one for one in check(folder / "inside/config.yaml", (), {}) if one.code.startswith("R")]
        assert [one.code for one in found] == [codes.SECRET_UNREADABLE], secret
    assert time.monotonic() - started < 5


def test_large_files_are_not_read_to_their_end(folder: Path) -> None:
    """A sparse file of a terabyte costs nothing."""
    inside = folder / "inside/rules"
    for name in ("huge.csv", "huge.yaml"):
        with (inside / name).open("wb") as file:
            file.truncate(2**40)
    assert _codes(folder, _naming("table", "huge.csv")) == [codes.TOO_LARGE, codes.TOO_LARGE]


def test_a_pattern_for_too_many_files_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would all be read."""
    monkeypatch.setattr("imd.config.disk.GLOB_FILES_MAX", 3)
    for number in range(5):
        (folder / f"inside/rules/{number}.prom").write_text("groups: []\n")
    assert _codes(folder, _naming("prometheus", "*.prom")) == [codes.UNREADABLE]


@pytest.mark.skipif(sys.platform != "linux", reason="strace-like proof by /proc")
def test_nothing_else_is_opened(folder: Path) -> None:
    """By the process's own audit hook: every file that check opens beside imd's and Python's own lies in the folder."""
    (folder / "inside/rules/a.yaml").write_text(
        _naming("table", "../../outside/hosts.csv") + _naming("files", "/etc/passwd") + _naming("prometheus", "/etc/*")
    )
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from imd.config import load\n"
        "load.check(None, [Path(sys.argv[2])], {})\n"  # whatever is imported or read once, zones for instance
        "seen = []\n"
        "told = ('open', 'os.listdir', 'os.scandir')\n"
        "sys.addaudithook(lambda event, args: seen.append(str(args[0])) if event in told else None)\n"
        "load.check(Path(sys.argv[1]), [], {})\n"
        "print('\\n'.join(seen))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder / "inside/config.yaml"), str(folder / "inside/config.yaml")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    opened = [line for line in done.stdout.splitlines() if line and not line.isdigit()]
    assert opened
    assert [line for line in opened if not line.startswith(str(folder / "inside"))] == []


def test_examine_says_the_same(folder: Path) -> None:
    """The command's way in."""
    (folder / "inside/rules/a.yaml").write_text(_naming("table", "/etc/passwd.csv"))
    assert codes.OUTSIDE in [one.code for one in examine(folder / "inside/config.yaml", (), {}).diagnostics]
