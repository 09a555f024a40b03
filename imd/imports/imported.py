"""What an import gives back: files, secrets and remarks, or the faults of the file read."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import msgspec

from imd.config.diagnostic import Diagnostic
from imd.imports.remarks import Kind, Remark
from imd.imports.written import WIDTH


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """`files` and `secrets` by their paths in the folder to be written. `counts`: what there is, for people
    (`{"rules": 7}`)."""

    files: dict[str, str]
    secrets: dict[str, str]
    remarks: tuple[Remark, ...]
    counts: dict[str, int]


class Unreadable(Exception):
    """The file read has faults; nothing is made of it."""

    def __init__(self, faults: Sequence[Diagnostic]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = tuple(sorted(faults, key=lambda one: one.order))


def header(command: str, remarks: Sequence[Remark]) -> list[str]:
    """The comment above each file that is written."""
    lines = [f"Made by `imd import {command}`."]
    for kind, said in ((Kind.NOT_CARRIED, "Not carried:"), (Kind.DIFFERS, "Carried, and not the same in every case:")):
        of = [one for one in remarks if one.kind is kind]
        if of:
            lines += ["", said]
            for one in of:
                lines += wrap(
                    f"{one.path}:{one.line}:{one.column} {one.what}: {_why(one)}",
                    WIDTH - 2,
                    initial_indent="- ",
                    subsequent_indent="  ",
                    break_long_words=False,
                    break_on_hyphens=False,
                )
    return lines


def _why(one: Remark) -> str:
    return f"{one.why}; {one.to_do}" if one.to_do else one.why
