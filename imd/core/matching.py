"""Which of many matches take an alert, at a cost that does not grow with their number.

Owns the index, which changes, and the filing of subjects by it, which does not; pure. Each list of matchers is filed
under one equality that it needs, so an alert is tested only against those that have this much in common with it. A list
without any is tested against every alert; where it has a regex that begins with plain text, that beginning is looked at
first, for RE2 takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from imd.model.rule import MATCH_ALL, Match, Matcher, Op, Test, match_test

K = TypeVar("K", str, int)
T = TypeVar("T")


class MatchIndex(Generic[K]):
    """Matches by key; keys compare, and answers are in their order."""

    def __init__(self) -> None:
        self._tests: dict[K, Test] = {}
        self._matches: dict[K, Match] = {}
        self._always: dict[K, list[tuple[str, str]]] = {}
        self._filed: dict[str, dict[str, dict[K, None]]] = {}

    def __len__(self) -> int:
        return len(self._tests)

    def add(self, key: K, match: Match) -> None:
        """Raises BadPattern. A key that is in already must be removed first."""
        assert key not in self._tests, key
        self._tests[key] = match_test(match)
        self._matches[key] = match
        for matchers in match or MATCH_ALL:
            wanted = needed(matchers)
            if wanted is None:
                self._always.setdefault(key, []).append(_beginning(matchers))
                continue
            name, values = wanted
            for value in values:
                self._filed.setdefault(name, {}).setdefault(value, {})[key] = None

    def remove(self, key: K) -> None:
        """Nothing happens for a key that is not in."""
        match = self._matches.pop(key, None)
        if match is None:
            return
        del self._tests[key]
        self._always.pop(key, None)
        for matchers in match or MATCH_ALL:
            name, values = needed(matchers) or ("", ())
            for value in values:
                self._unfile(name, value, key)

    def find(self, labels: Mapping[str, str]) -> list[K]:
        """The keys of all that take these labels, in order."""
        candidates: dict[K, None] = {}
        for key, beginnings in self._always.items():
            for name, text in beginnings:
                if labels.get(name, "").startswith(text):
                    candidates[key] = None
                    break
        for name, by_value in self._filed.items():
            filed = by_value.get(labels.get(name, ""))
            if filed:
                candidates |= filed
        tests = self._tests
        return sorted(key for key in candidates if tests[key](labels))

    def takes(self, key: K, labels: Mapping[str, str]) -> bool:
        """Whether this one takes these labels."""
        return self._tests[key](labels)

    def _unfile(self, name: str, value: str, key: K) -> None:
        by_value = self._filed.get(name, {})
        filed = by_value.get(value, {})
        filed.pop(key, None)
        if not filed:
            by_value.pop(value, None)
        if not by_value:
            self._filed.pop(name, None)


class Filed(Generic[T]):
    """Subjects by what they match. A subject whose match is () takes nothing."""

    def __init__(self, subjects: Iterable[tuple[Match, T]]) -> None:
        self._subjects: list[T] = []
        self._index: MatchIndex[int] = MatchIndex()
        for match, subject in subjects:
            if match:
                self._index.add(len(self._subjects), match)
                self._subjects.append(subject)

    def __bool__(self) -> bool:
        return bool(self._subjects)

    def find(self, labels: Mapping[str, str]) -> list[T]:
        """Those that take it, in their order."""
        return [self._subjects[number] for number in self._index.find(labels)]


def _beginning(matchers: tuple[Matcher, ...]) -> tuple[str, str]:
    """A label and what its value begins with, where these matchers hold; the longest such text."""
    found = [(one.name, _plain(one.value)) for one in matchers if one.op is Op.REGEX and "|" not in one.value]
    return max(found, key=lambda pair: len(pair[1]), default=("", ""))


def _plain(pattern: str) -> str:
    """The plain text with which every match of the pattern begins."""
    end = next((place for place, char in enumerate(pattern) if not (char.isalnum() or char in "_-")), len(pattern))
    return pattern[: end - 1] if pattern[end : end + 1] in ("*", "?", "{") else pattern[:end]


def needed(matchers: tuple[Matcher, ...]) -> tuple[str, tuple[str, ...]] | None:
    """A label and the values of which one is needed for these matchers to hold; the label with the fewest, and of
    those not alertname where there is another: many silences share an alertname, few an instance."""
    found: dict[str, tuple[str, ...]] = {}
    for matcher in matchers:
        if matcher.op is Op.EQUAL:
            found.setdefault(matcher.name, (matcher.value,))
        elif matcher.op is Op.REGEX and all(char.isalnum() or char in "_-|" for char in matcher.value):
            found.setdefault(matcher.name, tuple(dict.fromkeys(matcher.value.split("|"))))
    if not found:
        return None
    name = min(found, key=lambda one: (len(found[one]), "" in found[one], one == "alertname", one))
    return name, found[name]
