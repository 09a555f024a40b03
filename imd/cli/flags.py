"""What the flags of several commands have in common: how a command is added, and how one finds its daemon."""

from __future__ import annotations

import argparse
import os
import pwd
from datetime import timedelta
from pathlib import Path

DEFAULT_URL = "http://127.0.0.1:9490"
NEVER = "never"
INCIDENT = "an incident's number or id"
Commands = argparse._SubParsersAction  # its only name


def add(commands: Commands[argparse.ArgumentParser], name: str, does: str, *examples: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=does,
        description=does[0].upper() + does[1:] + ".",
        epilog="\n".join(["examples:", *(f"  {example}" for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def remote(
    commands: Commands[argparse.ArgumentParser], name: str, does: str, *examples: str
) -> argparse.ArgumentParser:
    """A command that speaks to a running daemon."""
    parser = add(commands, name, does, *examples)
    daemon = parser.add_argument_group("the daemon")
    daemon.add_argument(
        "--url",
        default=os.environ.get("IMD_URL") or DEFAULT_URL,
        help=f"where it listens; a path is kept (default: $IMD_URL, else {DEFAULT_URL})",
    )
    daemon.add_argument("--token-file", type=Path, metavar="FILE", help="its first line is the token (or $IMD_TOKEN)")
    daemon.add_argument("--by", metavar="NAME", default=who(), help="who does this (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="JSON for scripts in place of text")
    return parser


def several(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incidents", nargs="*", metavar="INCIDENT", help="incidents by number or id")
    parser.add_argument("--note", default="", metavar="TEXT", help="a line for the timeline")


def match_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--match", action="append", default=[], metavar="MATCHER", help='a matcher (name="value"); repeated: all hold'
    )


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def who() -> str:
    """$USER, else the account's name, else `unknown`."""
    try:
        return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "unknown"


def duration_or_never(text: str) -> timedelta | str:
    """A duration, or the word."""
    if text == NEVER:
        return NEVER
    from imd.config.syntax import BadDuration, parse_duration

    try:
        return parse_duration(text)
    except BadDuration as fault:
        raise argparse.ArgumentTypeError(f"{fault}; or `never`") from None
