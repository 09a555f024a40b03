"""The audit log: lines that nobody changes, takes out or puts in between unnoticed.

Owns the chain. Each line's seal is a hash over the seal before it, the line's instant and its text; the first begins
from nothing. What retention deletes leaves its last seal behind as the anchor. The newest seal is kept apart as well,
and what comes next follows from that one: so lines cut off at the end are missed, then and later. Whoever can write the
file can make the whole chain anew: `imd db verify` prints the newest seal, so that one kept elsewhere proves what was
there then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

SEAL_BYTES = 16
ANCHOR = "audit_anchor"
NEWEST = "audit_newest"


def seal(before: bytes, at: int, line: bytes) -> bytes:
    """`at` in microseconds since 1970."""
    return blake2b(before + at.to_bytes(8, "big", signed=True) + line, digest_size=SEAL_BYTES).digest()


def sealed(before: bytes, lines: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes, bytes]]:
    """Lines (instant, text) with their seals."""
    for at, line in lines:
        before = seal(before, at, line)
        yield at, line, before


def broken(anchor: bytes, lines: Iterable[tuple[int, int, bytes, bytes]]) -> int | None:
    """The number of the first line (number, instant, text, seal) that does not follow from those before it."""
    before, last = anchor, None
    for seq, at, line, said in lines:
        if seal(before, at, line) != said or (last is not None and seq != last + 1):
            return seq
        before, last = said, seq
    return None
