"""How a command ends badly: one line for people, which `main` prints behind `imd:`."""

from __future__ import annotations


class Failed(Exception):
    """The daemon refused, failed or was not there; or faults were found. Exit code 1. `again`: it may do later."""

    def __init__(self, text: str, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


class Misused(Exception):
    """The arguments ask for something that makes no sense, or name a path that does not exist. Exit code 2."""
