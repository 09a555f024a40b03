"""What kind of trouble an alert speaks of: the table of alert classes, compiled.

Owns the looking-up; the table is `model.topology`. Pure. Answers are remembered by the labels that the table looks at,
which are few: names of alerts and severities.
"""

from __future__ import annotations

from collections.abc import Mapping

from imd.model.rule import match_test
from imd.model.topology import CLASSES, OTHER, AlertClass, ClassRule

KNOWN_MAX = 10_000


class Classifier:
    """The operator's rows first, then the built-in ones."""

    def __init__(self, rows: tuple[ClassRule, ...]) -> None:
        table = (*rows, *CLASSES)
        self._tests = [(row.kind, match_test(row.match)) for row in table]
        self._labels = tuple(
            dict.fromkeys(matcher.name for row in table for matchers in row.match for matcher in matchers)
        )
        self._known: dict[tuple[str, ...], AlertClass] = {}

    def classify(self, labels: Mapping[str, str]) -> AlertClass:
        seen = tuple([labels.get(name, "") for name in self._labels])
        kind = self._known.get(seen)
        if kind is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            kind = self._known[seen] = next((kind for kind, test in self._tests if test(labels)), OTHER)
        return kind
