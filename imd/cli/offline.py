"""Commands that need no daemon: check."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from imd.cli.failure import Misused
from imd.cli.findings import FORMATS, count
from imd.cli.screen import Screen
from imd.clock import SystemClock
from imd.config import load
from imd.config.diagnostic import Severity
from imd.core import oncall


def check(arguments: Namespace) -> int:
    """0: no fault; 1: a fault, or with --strict a lint."""
    config: Path | None = arguments.config
    paths: list[Path] = arguments.paths
    if config is None and not paths:
        raise Misused("`check` wants --config FILE, or rule files; see `imd check --help`")
    for path in [*([config] if config else []), *paths]:
        if not path.exists():
            raise Misused(f"no such file or folder: {path}")
    now = SystemClock().now()
    found = load.examine(config, paths, now=now, find_gap=oncall.gap_ahead, secrets=not arguments.no_secrets)
    FORMATS[arguments.format](found, Screen.of_process())
    return 1 if count(found, Severity.ERROR) or (arguments.strict and found.diagnostics) else 0
