"""The flags of `imd import` and `imd tee`: of who comes from another tool."""

from __future__ import annotations

import argparse
from pathlib import Path

from imd.cli.flags import Commands, add, duration_or_never


def import_command(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add(
        commands,
        "import",
        "make imd's files of another tool's configuration, and list what could not be carried",
        "imd import alertmanager /etc/alertmanager/alertmanager.yml",
        "imd import alertmanager alertmanager.yml --out imd/",
        "imd import oncall oncall.json --out imd/",
    )
    parser.add_argument("tool", choices=["alertmanager", "opsgenie", "oncall"], help="whose configuration it is")
    parser.add_argument("file", type=Path, metavar="FILE", help="alertmanager.yml, or answers of the tool's API")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the files there (default: print them)")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--strict", action="store_true", help="exit 1 where anything could not be carried")
    parser.add_argument("--json", action="store_true", help="JSON for scripts in place of text")


def tee_command(commands: Commands[argparse.ArgumentParser]) -> None:
    parser = add(
        commands,
        "tee",
        "say what imd would have done beside another pager, and compare it with what that pager sent",
        "imd tee --config config.yaml --since 7d",
        "imd tee --config config.yaml --since 7d --sent pager.jsonl",
    )
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="config.yaml, its rules and store")
    parser.add_argument("--events", type=Path, metavar="FILE", help="EVENTS.jsonl, in place of the store's journal")
    parser.add_argument("--store", metavar="URL", help="a store's journal (default: that of --config)")
    parser.add_argument("--since", metavar="WHEN", help="only from then on: an instant, or how long ago (7d)")
    parser.add_argument("--sent", type=Path, metavar="FILE", help="what the other pager sent, a message a line")
    parser.add_argument(
        "--ack-after",
        type=duration_or_never,
        metavar="DURATION|never",
        help="how soon people would have acknowledged (default: 0s, at each incident's first page)",
    )
    parser.add_argument("--all", action="store_true", help="every incident, not the first ten of a kind")
    parser.add_argument("--json", action="store_true", help="JSON for scripts in place of text")
