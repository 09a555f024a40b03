"""Answers of another tool's API, gathered in one JSON file: their parts with their places.

Owns how such a file is read: a map whose keys name the answers, each a list, or an answer as it came with the list
under `data` or `results`. JSON is read as the YAML that it is, so that every remark and fault has its line and column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imd.config import codes
from imd.config.diagnostic import Span
from imd.config.document import Mapping, Node, Scalar
from imd.config.document import Sequence as SequenceNode
from imd.config.yamlfile import read_document
from imd.imports.imported import Unreadable

BYTES_MAX = 16 * 1024 * 1024
_LISTS = ("data", "results")
_NUMBER_MAX = 100_000_000
"""No count, and no length of time in any unit, needs more; every sum of them stays a time."""


class Part:
    """A map of an answer. What is missing or of another type reads as nothing."""

    def __init__(self, node: Mapping, what: str) -> None:
        self.node, self.what = node, what

    def at(self, key: str) -> Node:
        """Where a key stands; the whole map where it does not."""
        entry = self.node.entries.get(key)
        return entry.value if entry is not None else self.node

    def text(self, key: str) -> str:
        node = self.at(key)
        return node.text if isinstance(node, Scalar) and node.value is not None else ""

    def number(self, key: str, default: int = 0) -> int:
        node = self.at(key)
        if not isinstance(node, Scalar) or not isinstance(node.value, int) or isinstance(node.value, bool):
            return default
        return max(-_NUMBER_MAX, min(node.value, _NUMBER_MAX))

    def flag(self, key: str) -> bool:
        node = self.at(key)
        return isinstance(node, Scalar) and node.value is True

    def part(self, key: str) -> Part | None:
        node = self.at(key)
        return Part(node, f"{self.what}.{key}") if isinstance(node, Mapping) and node is not self.node else None

    def parts(self, key: str) -> list[Part]:
        return list(_parts(self.at(key), f"{self.what}.{key}"))

    def texts(self, key: str) -> list[str]:
        node = self.at(key)
        items = node.items if isinstance(node, SequenceNode) else []
        return [one.text for one in items if isinstance(one, Scalar) and one.value is not None]


class Answers:
    """The whole file; `known` are the keys that it may hold, `needed` one that it must."""

    def __init__(self, path: str, raw: bytes, known: Sequence[str], needed: Sequence[str]) -> None:
        """Raises Unreadable."""
        self.document = read_document(path, raw, BYTES_MAX, secrets=True)
        root = self.document.root
        if not self.document.failed:
            self._check(root, known, needed)
        if self.document.failed or not isinstance(root, Mapping):
            raise Unreadable([one for one in self.document.faults if one.severity == "error"])
        self._root = root

    def _check(self, root: Node | None, known: Sequence[str], needed: Sequence[str]) -> None:
        top = Span(1, 1, 1, 2)
        if not isinstance(root, Mapping):
            said = "the file is no object that holds the answers"
            self.document.fault(codes.WRONG_TYPE, top, said, expected=f"expected one with {', '.join(known)}")
            return
        if not any(word in root.entries for word in needed):
            said = f"the file has none of {', '.join(needed)}"
            self.document.fault(codes.MISSING_KEY, top, said, help="see docs for the calls whose answers it holds")
        for word, entry in root.entries.items():
            if word in known and _listed(entry.value) is None:
                said = f'"{word}" is no list, and no answer with one'
                self.document.fault(codes.WRONG_TYPE, entry.value.span, said, expected="expected a list of objects")

    def unknown(self, known: Sequence[str]) -> Iterator[tuple[str, Node]]:
        yield from ((word, entry.key) for word, entry in self._root.entries.items() if word not in known)

    def parts(self, key: str) -> list[Part]:
        entry = self._root.entries.get(key)
        listed = _listed(entry.value) if entry is not None else None
        return list(_parts(listed, key)) if listed is not None else []


def _listed(node: Node) -> SequenceNode | None:
    if isinstance(node, Mapping):
        found = next((node.entries[word].value for word in _LISTS if word in node.entries), node)
        return found if isinstance(found, SequenceNode) else None
    return node if isinstance(node, SequenceNode) else None


def _parts(node: Node, what: str) -> Iterator[Part]:
    for number, item in enumerate(node.items if isinstance(node, SequenceNode) else ()):
        if isinstance(item, Mapping):
            yield Part(item, f"{what}[{number}]")
