"""Commands that need no daemon: check."""

from __future__ import annotations

from argparse import Namespace

from imd.cli.failure import Misused


def check(arguments: Namespace) -> int:
    """0: no fault; 1: a fault, or with --strict a lint."""
    if arguments.config is None and not arguments.paths:
        raise Misused("`check` wants --config FILE, or rule files; see `imd check --help`")
    for path in [*([arguments.config] if arguments.config else []), *arguments.paths]:
        if not path.exists():
            raise Misused(f"no such file or folder: {path}")
    return 0
