"""What the flags of several commands have in common: how a command is added, and how one finds its daemon."""

from __future__ import annotations

import argparse
import os
import pwd
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any

DEFAULT_URL = "http://127.0.0.1:9490"
NEVER = "never"
INCIDENT = "an incident's number or id"
Commands = argparse._SubParsersAction  # its only name


class Parser(argparse.ArgumentParser):
    """Wrong use is answered by the command that it is about, with the word that was probably meant."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does it, but for flags that no command knows: those it lays at the door of the whole program."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            own: argparse.ArgumentParser = self._commands()[found.command]
            flag = next((one.partition("=")[0] for one in unknown if one.startswith("-")), "")
            meant = get_close_matches(flag, own._option_string_actions, 1) if flag else []
            own.error(f"not understood: {' '.join(unknown)}" + (f"; did you mean {meant[0]}?" if meant else ""))
        return found

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Forty commands in a row say nothing of the one that was meant."""
        if isinstance(action, Commands) and value not in action.choices:
            meant = get_close_matches(value, action.choices, 1)
            hint = f"did you mean {meant[0]}?" if meant else "`imd --help` lists them"
            raise argparse.ArgumentError(None, f"there is no command {value!a}; {hint}")
        super()._check_value(action, value)

    def _commands(self) -> dict[str, argparse.ArgumentParser]:
        return next(dict(action.choices) for action in self._actions if isinstance(action, Commands))


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
