"""Which entities an alert's labels name: by the map's matchers and by the templates of `from_labels`.

Owns the index; pure. Each list of matchers is filed under one equality that it needs, or under the literal beginning of
a regex, so that ten thousand entities cost an alert a few dictionary look-ups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from imd.model.rule import Matcher, Op, Test, match_test
from imd.model.topology import Entity, FromLabels

_FIELD = re.compile(r"\{([^{}?]+)(\??)\}")
_LITERAL = re.compile(r"(?:[\w\-:/@ ]|\\[^\w\s])*")
_REPEATS = ("*", "+", "?", "{")


class EntityIndex:
    """Finds the entities of the map whose `match` holds, in the map's order."""

    def __init__(self, entities: tuple[Entity, ...]) -> None:
        self._ids = [entity.id for entity in entities]
        self._tests: list[tuple[int, Test]] = []
        self._always: list[int] = []
        self._equal: dict[str, dict[str, list[int]]] = {}
        self._begins: dict[str, dict[str, list[int]]] = {}
        self._lengths: dict[str, list[int]] = {}
        self.labels: dict[str, None] = {}
        for number, entity in enumerate(entities):
            for matchers in entity.match:
                self._file(number, matchers)
        for name, begins in self._begins.items():
            self._lengths[name] = sorted({len(begin) for begin in begins})

    def find(self, labels: Mapping[str, str]) -> list[str]:
        candidates = list(self._always)
        for name, by_value in self._equal.items():
            candidates.extend(by_value.get(labels.get(name, ""), ()))
        for name, begins in self._begins.items():
            value = labels.get(name, "")
            for length in self._lengths[name]:
                candidates.extend(begins.get(value[:length], ()))
        tests = self._tests
        found = {tests[candidate][0] for candidate in candidates if tests[candidate][1](labels)}
        return [self._ids[number] for number in sorted(found)]

    def _file(self, number: int, matchers: tuple[Matcher, ...]) -> None:
        self.labels.update(dict.fromkeys(matcher.name for matcher in matchers))
        entry = len(self._tests)
        self._tests.append((number, match_test((matchers,))))
        for matcher in matchers:
            if matcher.op is Op.EQUAL:
                self._equal.setdefault(matcher.name, {}).setdefault(matcher.value, []).append(entry)
                return
        for matcher in matchers:
            begin = literal_beginning(matcher.value) if matcher.op is Op.REGEX else ""
            if begin:
                self._begins.setdefault(matcher.name, {}).setdefault(begin, []).append(entry)
                return
        self._always.append(entry)


def literal_beginning(pattern: str) -> str:
    """What every match of an anchored pattern begins with; "" where that is not plain to see."""
    if "|" in pattern:
        return ""
    found = _LITERAL.match(pattern)
    literal = found.group() if found is not None else ""
    if literal and pattern[len(literal) :].startswith(_REPEATS):
        literal = literal[:-2] if literal[-2:-1] == "\\" else literal[:-1]
    return re.sub(r"\\(.)", r"\1", literal)


class Template:
    """`pod/{namespace}/{pod}`, compiled. `labels` are those it looks at."""

    def __init__(self, text: str) -> None:
        self._parts: list[tuple[str, str, bool]] = []
        at = 0
        for field in _FIELD.finditer(text):
            self._parts.append((text[at : field.start()], field.group(1), not field.group(2)))
            at = field.end()
        self._tail = text[at:]
        self.labels = tuple(name for _, name, _ in self._parts)

    def fill(self, labels: Mapping[str, str]) -> str:
        """The id, or "" where a label that it needs is missing. An empty part takes the slash behind it along."""
        filled, gap = "", False
        for before, name, needed in self._parts:
            value = labels.get(name, "")
            if needed and not value:
                return ""
            filled += (before.removeprefix("/") if gap else before) + value
            gap = not value
        return filled + (self._tail.removeprefix("/") if gap else self._tail)


class Named:
    """What `from_labels` makes of an alert's labels: its entity with its edges, and what it stands within.
    `spans`: broad entities that it serves, and with them all within."""

    __slots__ = ("carriers", "entity", "needs", "parents", "serves", "spans", "within")

    def __init__(self) -> None:
        self.entity = ""
        self.parents: list[str] = []
        self.carriers: list[str] = []
        self.needs: list[str] = []
        self.serves: list[str] = []
        self.spans: list[str] = []
        self.within: list[str] = []


class FromLabelsIndex:
    """All templates of `from_labels`, in order."""

    def __init__(self, rows: tuple[FromLabels, ...]) -> None:
        self._rows = [
            (
                Template(row.entity),
                row.broad,
                [Template(text) for text in row.part_of],
                [Template(text) for text in row.runs_on],
                [Template(text) for text in row.depends_on],
                [Template(text) for text in row.serves],
            )
            for row in rows
        ]
        self.labels = dict.fromkeys(
            name
            for entity, _, *edges in self._rows
            for template in (entity, *(one for group in edges for one in group))
            for name in template.labels
        )

    def find(self, labels: Mapping[str, str]) -> Named:
        named, wide = Named(), []
        for entity, broad, part_of, runs_on, depends_on, serves in self._rows:
            filled = entity.fill(labels)
            if not filled:
                continue
            if named.entity or broad:
                named.within.append(filled)
                wide += [filled] if broad else []
                continue
            named.entity = filled
            named.parents = _filled(part_of, labels)
            named.carriers = _filled(runs_on, labels)
            named.needs = _filled(depends_on, labels)
            named.serves = _filled(serves, labels)
        named.spans = [one for one in named.serves if one in wide]
        named.serves = [one for one in named.serves if one not in wide]
        edges = {named.entity, *named.parents, *named.carriers, *named.needs, *named.serves}
        named.within = [one for one in dict.fromkeys(named.within) if one not in edges]
        return named


def _filled(templates: list[Template], labels: Mapping[str, str]) -> list[str]:
    return [filled for template in templates if (filled := template.fill(labels))]
