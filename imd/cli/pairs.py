"""`name=value` on the command line: labels and annotations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imd.cli.failure import Misused


def labels_of(words: Sequence[str], command: str) -> dict[str, str]:
    """The first word may be the bare alertname, as amtool has it. Raises Misused."""
    first = words[0]
    labels = pairs(words if "=" in first else [f"alertname={first}", *words[1:]], "a label")
    if not labels.get("alertname"):
        raise Misused(f"an alert has a name: `imd {command} DiskFull instance=db1`, or alertname=DiskFull")
    return labels


def pairs(words: Iterable[str], what: str) -> dict[str, str]:
    """Raises Misused."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and name):
            raise Misused(f"{what} is name=value, not {word!r}")
        if name in found:
            raise Misused(f"{what} {name!r} is given twice")
        found[name] = value
    return found
