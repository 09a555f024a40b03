"""What else is known of this alert: tables, extraction, relabelling, in the order of their entries (design section 4).

Owns what comes of the entries for one label set; pure. The engine asks once for each new episode, before anything else
looks at the alert, and keeps the outcome with it: a reload changes what later episodes get.

Each entry works on the labels as the one before it left them. What the outcome holds is the difference: labels that
were added or changed, and with an empty value those that were taken away.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import md5

import msgspec

from imd.model.enrich import (
    LABELS_MAX,
    VALUE_CHARS_MAX,
    Action,
    Enrichment,
    Extract,
    Pattern,
    Relabel,
    Replacement,
    TableLookup,
)
from imd.model.rule import MATCH_ALL, match_test

REMEMBERED = 1024  # values whose regex each entry need not ask again (9 us each): jobs and namespaces recur
SHARED_MAX = 65_536  # outcomes that equal alerts share; beyond it the pool begins anew

Labels = dict[str, str]
Operation = Callable[[Labels], bool]
"""Changes the labels in place. False: keep or drop stops the alert here."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Enriched(msgspec.Struct, frozen=True, gc=False):
    """`labels` is what later stages see, `added` the difference to the sender's as canonical JSON (None: none).
    `dropped_by` names the entry whose keep or drop stops the alert; "" for none."""

    labels: Labels
    added: bytes | None = None
    dropped_by: str = ""


class Traced(msgspec.Struct, frozen=True):
    """What one entry did. `kept` is False where it stopped the alert."""

    name: str
    added: dict[str, str]
    removed: tuple[str, ...]
    kept: bool


class Pool:
    """Equal outcomes are one object in memory: a table's answer for a host is shared by all its alerts."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def share(self, outcome: bytes) -> bytes:
        if len(self._known) >= SHARED_MAX:
            self._known.clear()
        return self._known.setdefault(outcome, outcome)


class Enricher:
    """The entries of one ruleset, compiled."""

    def __init__(self, entries: tuple[Enrichment, ...]) -> None:
        self._operations = [(entry.name, _operation(entry)) for entry in entries]
        self._pool = Pool()

    def trace(self, labels: Labels) -> list[Traced]:
        """The same entry by entry, as far as they get, for people to see."""
        work, traced = dict(labels), []
        for name, operation in self._operations:
            before = dict(work)
            kept = operation(work)
            added = {label: value for label, value in work.items() if before.get(label) != value}
            removed = tuple(label for label in before if label not in work)
            traced.append(Traced(name, added, removed, kept))
            if not kept:
                break
        return traced

    def enrich(self, labels: Labels) -> Enriched:
        """The outcome for a sender's labels, which it leaves as they are."""
        work = dict(labels)
        dropped_by = ""
        for name, operation in self._operations:
            if not operation(work):
                dropped_by = name
                break
        if work == labels:
            return Enriched(labels, None, dropped_by)
        added = {name: value for name, value in work.items() if labels.get(name) != value}
        if len(work) - len(added) < len(labels):
            added.update((name, "") for name in labels if name not in work)
        return Enriched(work, self._pool.share(_encode(added)), dropped_by)


def _operation(entry: Enrichment) -> Operation:
    match entry:
        case TableLookup():
            work = _lookup(entry)
        case Extract():
            work = _extract(entry)
        case Relabel():
            work = _RELABEL[entry.action](entry)
    if entry.match == MATCH_ALL:
        return work
    test = match_test(entry.match)
    return lambda labels: work(labels) if test(labels) else True


def _set(labels: Labels, name: str, value: str) -> None:
    """An empty value takes the label away, as everywhere in Prometheus."""
    if value:
        labels[name] = value if len(value) <= VALUE_CHARS_MAX else value[:VALUE_CHARS_MAX]
    else:
        labels.pop(name, None)


def _lookup(entry: TableLookup) -> Operation:
    rows, add = entry.table.rows, entry.add
    names = tuple(label for label, _ in entry.on)
    one = names[0] if len(names) == 1 else ""

    def look(labels: Labels) -> bool:
        row = rows.get(labels.get(one, "") if one else tuple(labels.get(name, "") for name in names))
        if row is not None:
            for name, cell in zip(add, row, strict=True):
                if cell:
                    labels[name] = cell
        return True

    return look


def _extract(entry: Extract) -> Operation:
    pattern = Pattern(entry.regex)
    named = list(pattern.names.items())
    groups_of = lru_cache(maxsize=REMEMBERED)(pattern.groups)
    label = entry.label

    def extract(labels: Labels) -> bool:
        value = labels.get(label)
        groups = groups_of(value) if value is not None else None
        if groups is not None:
            for name, number in named:
                if groups[number]:
                    labels[name] = groups[number]
        return True

    return extract


# Relabelling, an action each.


def _source(entry: Relabel) -> Callable[[Labels], str]:
    """The values of source_labels, a missing one empty, with the separator between them."""
    names, separator = entry.source_labels, entry.separator
    if len(names) == 1:
        name = names[0]
        return lambda labels: labels.get(name, "")
    return lambda labels: separator.join([labels.get(name, "") for name in names])


def _replace(entry: Relabel) -> Operation:
    source, pattern = _source(entry), Pattern(entry.regex)
    target, replacement = Replacement(entry.target_label, pattern.names), Replacement(entry.replacement, pattern.names)

    @lru_cache(maxsize=REMEMBERED)
    def expanded(value: str) -> tuple[str, str] | None:
        groups = pattern.groups(value)
        return None if groups is None else (target.expand(groups), replacement.expand(groups))

    def replace(labels: Labels) -> bool:
        found = expanded(source(labels))
        if found is not None and found[0]:
            _set(labels, *found)
        return True

    return replace


def _stop(entry: Relabel) -> Operation:
    """keep goes on where the regex matches, drop where it does not."""
    source, pattern = _source(entry), Pattern(entry.regex)
    wanted = entry.action is Action.KEEP
    matches = lru_cache(maxsize=REMEMBERED)(lambda value: pattern.groups(value) is not None)
    return lambda labels: matches(source(labels)) is wanted


def _stop_equal(entry: Relabel) -> Operation:
    source, target = _source(entry), entry.target_label
    wanted = entry.action is Action.KEEPEQUAL
    return lambda labels: (labels.get(target, "") == source(labels)) is wanted


def _case(entry: Relabel) -> Operation:
    source, target = _source(entry), entry.target_label
    fold = str.lower if entry.action is Action.LOWERCASE else str.upper

    def change(labels: Labels) -> bool:
        _set(labels, target, fold(source(labels)))
        return True

    return change


def _hashmod(entry: Relabel) -> Operation:
    """The last 8 bytes of the MD5, big-endian, as Prometheus has always done it; no security hangs on it."""
    source, target, modulus = _source(entry), entry.target_label, entry.modulus

    def change(labels: Labels) -> bool:
        digest = md5(source(labels).encode(), usedforsecurity=False).digest()
        labels[target] = str(int.from_bytes(digest[8:]) % modulus)
        return True

    return change


def _labelmap(entry: Relabel) -> Operation:
    pattern = Pattern(entry.regex)
    replacement = Replacement(entry.replacement, pattern.names)
    groups_of = lru_cache(maxsize=REMEMBERED)(pattern.groups)

    def change(labels: Labels) -> bool:
        # Over a copy, in order of names: so a later name wins where two become one, as in Prometheus.
        for name, value in sorted(labels.items()):
            groups = groups_of(name)
            fresh = replacement.expand(groups) if groups is not None else ""
            if fresh and (fresh in labels or len(labels) < LABELS_MAX):
                labels[fresh] = value
        return True

    return change


def _labels_left(entry: Relabel) -> Operation:
    """labeldrop takes away the names that match, labelkeep those that do not."""
    pattern = Pattern(entry.regex)
    keeps = entry.action is Action.LABELKEEP
    stays = lru_cache(maxsize=REMEMBERED)(lambda name: (pattern.groups(name) is not None) is keeps)

    def change(labels: Labels) -> bool:
        for name in [name for name in labels if not stays(name)]:
            del labels[name]
        return True

    return change


_RELABEL: dict[Action, Callable[[Relabel], Operation]] = {
    Action.REPLACE: _replace,
    Action.KEEP: _stop,
    Action.DROP: _stop,
    Action.KEEPEQUAL: _stop_equal,
    Action.DROPEQUAL: _stop_equal,
    Action.HASHMOD: _hashmod,
    Action.LABELMAP: _labelmap,
    Action.LABELDROP: _labels_left,
    Action.LABELKEEP: _labels_left,
    Action.LOWERCASE: _case,
    Action.UPPERCASE: _case,
}
