"""Where output goes and arguments come from, when these are not as usual: full, closed, of another encoding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")


def run(*argv: str | bytes, out: int = subprocess.PIPE, **environ: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "imd", *argv],
        stdout=out,
        stderr=subprocess.PIPE,
        env={**os.environ, **environ},
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
@pytest.mark.parametrize("kind", ["rules", "tests"])
def test_a_full_disk_under_the_output_is_one_line_and_a_failure(kind: str) -> None:
    with FULL.open("wb") as full:
        done = run("schema", kind, out=full.fileno())
    assert (done.returncode, done.stderr.decode()) == (1, "imd: standard output: No space left on device\n")


def test_closed_streams_are_as_good_as_dev_null() -> None:
    again = "os.execv(sys.executable, [sys.executable, '-m', 'imd', *sys.argv[1:]])"
    closed = f"import os, sys; os.close(1); os.close(2); {again}"
    done = subprocess.run([sys.executable, "-c", closed, "schema", "rules"], timeout=60, check=False)
    assert done.returncode == 0
    done = subprocess.run([sys.executable, "-c", closed, "check", "/nowhere"], timeout=60, check=False)
    assert done.returncode == 2


def test_an_argument_that_is_not_utf8_is_named() -> None:
    done = run("check", b"caf\xe9.yaml")
    assert done.returncode == 2
    assert done.stderr.decode() == "imd: the argument 'caf\\udce9.yaml' is not UTF-8\n"


def test_arguments_are_utf8_whatever_the_locale(tmp_path: Path) -> None:
    """Under a C locale Python hands them on as ASCII with escapes, and prints ASCII alone."""
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{name: default}]\n")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run("explain", "Plattenfüllung", "--rules", str(rules), **plain)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"Plattenf?llung\n")
