"""What an import could not carry, or carries otherwise: where it stands, why, and what to do.

Owns the list and its words. Every fact of the file read is either in the files written or on this list.
"""

from __future__ import annotations

import enum

import msgspec

from imd.config.diagnostic import Span
from imd.config.document import Node


class Kind(enum.StrEnum):
    """NOT_CARRIED: it is missing in what was written. DIFFERS: it is there, and does not do the same in every case."""

    NOT_CARRIED = "not carried"
    DIFFERS = "differs"


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is where in the file as keys lead there (`receivers[0].slack_configs[0].color`); `why` and `to_do` are
    sentences without their full stop."""

    path: str
    line: int
    column: int
    kind: Kind
    what: str
    why: str
    to_do: str = ""

    @property
    def text(self) -> str:
        """`file:line:col: not carried: what: why; to do`, one line."""
        said = f"{self.path}:{self.line}:{self.column}: {self.kind.value}: {self.what}: {self.why}"
        return f"{said}; {self.to_do}" if self.to_do else said


class Remarks:
    """Those of one file, in its order when asked for; the same one is kept once."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._all: dict[Remark, None] = {}

    def lost(self, at: Node | Span, what: str, why: str, to_do: str = "") -> None:
        self._add(Kind.NOT_CARRIED, at, what, why, to_do)

    def differs(self, at: Node | Span, what: str, why: str, to_do: str = "") -> None:
        self._add(Kind.DIFFERS, at, what, why, to_do)

    def _add(self, kind: Kind, at: Node | Span, what: str, why: str, to_do: str) -> None:
        span = at if isinstance(at, Span) else at.span
        remark = Remark(path=self.path, line=span.line, column=span.column, kind=kind, what=what, why=why, to_do=to_do)
        self._all[remark] = None

    def ordered(self) -> list[Remark]:
        return sorted(self._all, key=lambda one: (one.line, one.column, one.kind, one.what, one.why))
