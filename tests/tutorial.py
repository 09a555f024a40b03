"""docs/tutorial.md played: its files written, its commands typed, in order, in an empty folder.

python -m tests.tutorial > new.md     the page with the output as it is now
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/tutorial.md"
WIDTH = "100"
_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHANGING = [
    (re.compile(r"\bconfiguration [0-9a-f]{12}\b"), "configuration HASH"),
    (re.compile(r"\d+\.\d\d s\b"), "SOME s"),
]


class Typed(NamedTuple):
    """A command, what the page shows below it, and what it prints."""

    command: str
    shown: str
    printed: str


def play(page: str, folder: Path) -> Iterator[Typed]:
    """Every command of the page, each run once what stands before it was done."""
    (folder / "bin").mkdir()
    stand_in = folder / "bin/imd"
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m imd "$@"\n')
    stand_in.chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": WIDTH}
    for kind, name, text in _BLOCK.findall(page):
        if kind == "console":
            for part in re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                done = subprocess.run(
                    command[2:], shell=True, cwd=folder, env=environ, text=True, check=False, timeout=60,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                )  # fmt: skip
                yield Typed(command, shown, done.stdout)
        else:
            named = name or text.partition("\n")[0].removeprefix("# ")
            (folder / named).parent.mkdir(exist_ok=True)
            (folder / named).write_text(text)


def steady(text: str) -> str:
    """Without what differs from run to run and from version to version."""
    for pattern, stand_in in _CHANGING:
        text = pattern.sub(stand_in, text)
    return text


def renewed(page: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        played = list(play(page, Path(folder)))

    def block(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        typed = [played.pop(0) for _ in re.findall(r"^\$ ", found[3], re.MULTILINE)]
        return "```console\n" + "".join(f"{one.command}\n{one.printed}" for one in typed) + "```"

    return _BLOCK.sub(block, page)


if __name__ == "__main__":
    sys.stdout.write(renewed(PAGE.read_text()))
