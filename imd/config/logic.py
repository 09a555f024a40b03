"""What matchers say of each other: which can never hold together, and which take all that others take.

Owns the sums, on labels that are all independent of each other. Every answer that is given is true; "no" may also mean
that it was not found out, for regular expressions are looked at only as far as that is cheap. Values with a line end,
which `.` does not match, are not considered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise

import msgspec

from imd.model.rule import Match, Matcher, Op, full_match

_SPECIAL = frozenset(".*+?()[]{}|\\^$")
_SPECIAL_GROUPS = frozenset("()[]\\")
_ESCAPED = re.compile(r"\\([^A-Za-z0-9\s])")
_VALUES_MAX = 64
_COMPARED_MAX = 64
_SPLIT_MAX = 16

Values = frozenset[str]


class Label(msgspec.Struct, frozen=True):
    """What a list of matchers leaves of one label: one of `values` (None: any but those of `without`), every one of
    `like` matches it and none of `unlike`. With `values` the rest is empty: it is counted in."""

    values: Values | None = None
    without: Values = frozenset()
    like: frozenset[str] = frozenset()
    unlike: frozenset[str] = frozenset()

    def allows(self, value: str) -> bool:
        if self.values is not None:
            return value in self.values
        return (
            value not in self.without
            and all(full_match(pattern)(value) for pattern in self.like)
            and not any(full_match(pattern)(value) for pattern in self.unlike)
        )

    @property
    def never(self) -> bool:
        """No value is left. Two patterns that begin differently leave none."""
        if self.values is not None:
            return not self.values
        begins = sorted(begin_of(pattern) for pattern in self.like)
        return any(not longer.startswith(shorter) for shorter, longer in pairwise(begins))

    def within(self, other: Label) -> bool:
        """Whether every value that is left here is left there."""
        if self.values is not None:
            return all(other.allows(value) for value in self.values)
        if other.values is not None:
            return False
        return (
            not any(self.allows(value) for value in other.without)
            and all(self._always(pattern) for pattern in other.like)
            and other.unlike <= self.unlike
        )

    def _always(self, pattern: str) -> bool:
        """Whether what is left always matches the pattern."""
        begin = begin_of(pattern)
        open_end = pattern == f"{begin}.*"
        return pattern in self.like or (open_end and any(begin_of(other).startswith(begin) for other in self.like))


ANY = Label()
Taken = Mapping[str, Label]
"""A list of matchers, label by label; one that is not there may have any value."""


@lru_cache(maxsize=4096)
def begin_of(pattern: str) -> str:
    """What every value that matches begins with, as far as it is plain to see."""
    if "|" in pattern:
        return ""
    end = 0
    while end < len(pattern) and pattern[end] not in _SPECIAL:
        end += 1
    if end < len(pattern) and pattern[end] in "*?{":
        end -= 1
    return pattern[: max(end, 0)]


@lru_cache(maxsize=4096)
def begins_of(pattern: str) -> tuple[str, ...]:
    """One of these every value that matches begins with."""
    if "|" not in pattern or not _SPECIAL_GROUPS.isdisjoint(pattern):
        return (begin_of(pattern),)
    return tuple(dict.fromkeys(map(begin_of, pattern.split("|"))))


@lru_cache(maxsize=4096)
def values_of(pattern: str) -> Values | None:
    """The values of a pattern that is plain alternatives, `a|b` or `(a|b\\.c)`; None for others."""
    inner = re.fullmatch(r"\((?:\?:)?([^()]*)\)", pattern)
    words = (inner[1] if inner else pattern).split("|")
    if len(words) > _VALUES_MAX or any(word.endswith("\\") for word in words):
        return None
    plain = [_ESCAPED.sub(r"\1", word) for word in words]
    if any(_SPECIAL & set(_ESCAPED.sub("", word)) for word in words):
        return None
    return frozenset(plain)


def taken(matchers: Iterable[Matcher]) -> Taken:
    """What a list of matchers takes."""
    by_name: dict[str, list[Matcher]] = {}
    for matcher in matchers:
        by_name.setdefault(matcher.name, []).append(matcher)
    labels = {name: _single(of[0]) if len(of) == 1 else _label(of) for name, of in by_name.items()}
    return {name: label for name, label in labels.items() if label is not ANY and label != ANY}


@lru_cache(maxsize=4096)
def _single(matcher: Matcher) -> Label:
    return _label([matcher])


def _label(matchers: list[Matcher]) -> Label:
    values: Values | None = None
    without: Values = frozenset()
    like: set[str] = set()
    unlike: set[str] = set()
    for matcher in matchers:
        wanted, known = _counted(matcher)
        if known is None:
            (like if wanted else unlike).add(matcher.value)
        elif wanted:
            values = known if values is None else values & known
        else:
            without |= known
    left = Label(None, without, frozenset(like), frozenset(unlike))
    return left if values is None else Label(frozenset(value for value in values if left.allows(value)))


def _counted(matcher: Matcher) -> tuple[bool, Values | None]:
    """Whether the value must be one of these or must not; None where they cannot be counted."""
    wanted = matcher.op in (Op.EQUAL, Op.REGEX)
    if matcher.op in (Op.EQUAL, Op.NOT_EQUAL):
        return wanted, frozenset([matcher.value])
    if matcher.value in _ALL_BUT:
        return not wanted, _ALL_BUT[matcher.value]
    return wanted, values_of(matcher.value)


_ALL_BUT = {".*": frozenset[str](), ".+": frozenset([""])}
"""What matches everything but these."""


def never(of: Taken) -> bool:
    """Whether no alert can be taken."""
    return any(label.never for label in of.values())


def within(inner: Taken, outer: Taken) -> bool:
    """Whether all that `inner` takes `outer` takes as well."""
    return all(inner.get(name, ANY).within(label) for name, label in outer.items())


def apart(one: Taken, other: Taken) -> bool:
    """Whether nothing can be taken by both."""
    return any(not shared(label, other[name]) for name, label in one.items() if name in other)


def shared(one: Label, other: Label) -> bool:
    """Whether some value may be left by both."""
    return not _both(one, other).never


def _both(one: Label, other: Label) -> Label:
    if one.values is not None:
        return Label(frozenset(value for value in one.values if other.allows(value)))
    if other.values is not None:
        return _both(other, one)
    return Label(None, one.without | other.without, one.like | other.like, one.unlike | other.unlike)


def match_within(inner: Match, outer: Match) -> bool:
    """Whether all that a whole `match` takes another takes as well: each list by one list."""
    lists = [taken(matchers) for matchers in outer]
    return all(any(within(of, other) for other in lists) for of in map(taken, inner) if not never(of))


def label_values(match: Match, name: str) -> Values | None:
    """The values that the label can have in what a `match` takes; None: they cannot be counted."""
    found: set[str] = set()
    for matchers in match:
        values = taken(matchers).get(name, ANY).values
        if values is None:
            return None
        found |= values
    return frozenset(found)


_Key = tuple[str, str]
_Filed = dict[_Key, list[tuple[str, Taken]]]


class Takers:
    """Lists of matchers in the order in which they are tried, each with its owner: who takes all of this before?

    Looking one up costs little whatever the number: owners are filed under one label that they ask for, by its value or
    by how it begins. After _COMPARED_MAX comparisons the answer is that nobody does.
    """

    def __init__(self) -> None:
        self._all: str = ""
        self._by_value: _Filed = {}
        self._by_begin: _Filed = {}

    def add(self, owner: str, of: Taken) -> None:
        """From now on the owner takes this."""
        if never(of):
            return
        if not of:
            self._all = self._all or owner
            return
        keys, into = min(self._filings(of), key=lambda filing: sum(len(filing[1].get(key, ())) for key in filing[0]))
        for key in keys:
            into.setdefault(key, []).append((owner, of))

    def _filings(self, of: Taken) -> Iterable[tuple[list[_Key], _Filed]]:
        """Where it could be filed; the emptiest place is best."""
        for name, label in of.items():
            if label.values is not None:
                yield [(name, value) for value in label.values], self._by_value
            else:
                begins = max(map(begins_of, label.like), key=lambda words: min(map(len, words)), default=("",))
                yield [(name, begin) for begin in begins], self._by_begin

    def of(self, wanted: Taken) -> tuple[str, ...]:
        """Who together take all of this; () where nobody does, or it was not found out."""
        budget = [_COMPARED_MAX]
        found = self._one(wanted, budget)
        if found:
            return (found,)
        for name, label in wanted.items():
            if label.values is not None and 1 < len(label.values) <= _SPLIT_MAX:
                parts = [self._one({**wanted, name: Label(frozenset([one]))}, budget) for one in sorted(label.values)]
                if all(parts):
                    return tuple(dict.fromkeys(parts))
        return ()

    def _one(self, wanted: Taken, budget: list[int]) -> str:
        if self._all:
            return self._all
        for owner, of in self._candidates(wanted):
            if budget[0] <= 0:
                return ""
            budget[0] -= 1
            if within(wanted, of):
                return owner
        return ""

    def _candidates(self, wanted: Taken) -> Iterable[tuple[str, Taken]]:
        for name, label in wanted.items():
            begins = [begins_of(pattern)[0] for pattern in label.like]
            if label.values is not None:
                first = min(label.values)
                yield from self._by_value.get((name, first), ())
                begins = [first]
            for begin in {one[:end] for one in begins or [""] for end in range(len(one) + 1)}:
                yield from self._by_begin.get((name, begin), ())
