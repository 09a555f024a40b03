"""Config and rules for the commands that need no daemon."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from imd.cli.failure import Failed
from imd.cli.screen import Screen
from imd.config.load import Faulty, Loaded, load


def loaded(config: Path | None, rules: Sequence[Path], topology: Path | None) -> Loaded:
    """What these files say. Prints every fault, and raises Failed."""
    try:
        return load(config, rules, maps=[] if topology is None else [topology], secrets=False)
    except Faulty as faulty:
        color = Screen.of_process(sys.stderr).colour
        print("\n".join(found.render(color=color) for found in faulty.diagnostics), file=sys.stderr)
        raise Failed(str(faulty)) from None
