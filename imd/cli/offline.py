"""Commands that need no daemon: check."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import msgspec

from imd.cli.failure import Misused
from imd.cli.screen import Screen
from imd.clock import SystemClock
from imd.config import load
from imd.config.diagnostic import Diagnostic, Severity


class _Checked(msgspec.Struct):
    """What `check --json` prints."""

    errors: int
    warnings: int
    diagnostics: list[Diagnostic]


def check(arguments: Namespace) -> int:
    """0: no fault; 1: a fault, or with --strict a lint."""
    config: Path | None = arguments.config
    paths: list[Path] = arguments.paths
    if config is None and not paths:
        raise Misused("`check` wants --config FILE, or rule files; see `imd check --help`")
    for path in [*([config] if config else []), *paths]:
        if not path.exists():
            raise Misused(f"no such file or folder: {path}")
    found = load.check(config, paths, now=SystemClock().now())
    errors = sum(1 for one in found if one.severity is Severity.ERROR)
    checked = _Checked(errors, len(found) - errors, found)
    if arguments.format == "json":
        print(msgspec.json.encode(checked).decode())
    else:
        _print(checked)
    return 1 if errors or (arguments.strict and found) else 0


def _print(checked: _Checked) -> None:
    screen = Screen.of_process()
    for diagnostic in checked.diagnostics:
        print(diagnostic.render(color=screen.colour))
    screen.line(f"{_count(checked.errors, 'error')}, {_count(checked.warnings, 'warning')}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
