"""The flags of `imd import`."""

from __future__ import annotations

import argparse
from pathlib import Path

from imd.cli.flags import Commands, add


def import_command(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add(
        commands,
        "import",
        "make imd's files of another tool's configuration, and list what could not be carried",
        "imd import alertmanager /etc/alertmanager/alertmanager.yml",
        "imd import alertmanager alertmanager.yml --out imd/",
    )
    parser.add_argument("tool", choices=["alertmanager"], help="whose configuration it is")
    parser.add_argument("file", type=Path, metavar="FILE", help="alertmanager.yml")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the files there (default: print them)")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--strict", action="store_true", help="exit 1 where anything could not be carried")
    parser.add_argument("--json", action="store_true", help="JSON for scripts in place of text")
