"""When the interpreter looks for garbage: not while a start fills memory, in small pieces afterwards, and for all of it
once an engine was thrown away.

Objects that refer to each other are found by collections, which hold everything up for as long as they take.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

GC_THRESHOLDS = 5_000, 5, 2_000
"""Objects made since the last collection, and how many of the younger make one of the older generation: so the pause of
either stays below 4 and 20 ms where incidents pour in (0.7 us an object that lives). All of memory is looked at once in
50 million, which takes 70 ms with 10,000 incidents; the same as for want of the first two with 50,000, 20, 50."""


@contextlib.contextmanager
def unswept() -> Iterator[None]:
    """Whatever is made of the database stays: to look for garbage meanwhile is an eighth of a start's time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def settle_memory() -> None:
    """What was loaded at start is never garbage: collections need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def sweep() -> None:
    """An engine was thrown away: it refers to itself, and the next look at all of memory may be hours away, by when
    a disk that fails now and then has had a hundred of them built."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
