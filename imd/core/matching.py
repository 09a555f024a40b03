"""Which of many subjects take an alert: all of them, at a cost that does not grow with their number.

Owns the filing of matchers under an equality that they need; pure. `correlate` finds the first rule in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from imd.model.rule import Match, Matcher, Op, Test, match_test

T = TypeVar("T")


class Filed(Generic[T]):
    """Subjects by what they match. A subject whose match is () takes nothing."""

    def __init__(self, subjects: Iterable[tuple[Match, T]]) -> None:
        self._tests: list[tuple[Test, T]] = []
        self._by_value: dict[str, dict[str, list[int]]] = {}
        self._always: list[int] = []
        for number, (match, subject) in enumerate(subjects):
            self._tests.append((match_test(match), subject))
            for matchers in match:
                self._file(number, matchers)

    def __bool__(self) -> bool:
        return bool(self._by_value or self._always)

    def find(self, labels: Mapping[str, str]) -> list[T]:
        """Those that take it, in their order."""
        candidates = set(self._always)
        for name, by_value in self._by_value.items():
            candidates.update(by_value.get(labels.get(name, ""), ()))
        return [self._tests[number][1] for number in sorted(candidates) if self._tests[number][0](labels)]

    def _file(self, number: int, matchers: tuple[Matcher, ...]) -> None:
        needed = next((one for one in matchers if one.op is Op.EQUAL), None)
        if needed is None:
            self._always.append(number)
        else:
            self._by_value.setdefault(needed.name, {}).setdefault(needed.value, []).append(number)
