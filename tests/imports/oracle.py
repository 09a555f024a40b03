"""Alertmanager's routing over again, from its documentation and in another shape: what imported rules are held against.

It knows `match`, `match_re`, `matchers` of the form name op "value", `continue`, and hours as a function that is handed
in. Regular expressions are those that Python and RE2 read alike.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MATCHER = re.compile(r'([A-Za-z_]\w*)(=~|!~|!=|=)"([^"\\]*)"')

Tree = Mapping[str, Any]


def reached(root: Tree, labels: Mapping[str, str], open_now: Callable[[Tree], bool] = lambda _route: True) -> list[str]:
    """The receivers that hear of the alert, in order; those of routes that are muted now are left out."""
    return [receiver for receiver, route in _walk(root, root["receiver"], labels) if open_now(route)]


def _walk(node: Tree, receiver: str, labels: Mapping[str, str]) -> Iterator[tuple[str, Tree]]:
    receiver = node.get("receiver", receiver)
    any_child = False
    for child in node.get("routes", ()):
        if not takes(child, labels):
            continue
        any_child = True
        yield from _walk(child, receiver, labels)
        if not child.get("continue", False):
            return
    if not any_child:
        yield receiver, node


def takes(node: Tree, labels: Mapping[str, str]) -> bool:
    equal = all(labels.get(name, "") == value for name, value in node.get("match", {}).items())
    like = all(re.fullmatch(value, labels.get(name, "")) for name, value in node.get("match_re", {}).items())
    return equal and like and all(_holds(text, labels) for text in node.get("matchers", ()))


def _holds(text: str, labels: Mapping[str, str]) -> bool:
    found = _MATCHER.fullmatch(text)
    assert found is not None, text
    name, op, wanted = found.groups()
    value = labels.get(name, "")
    if op in ("=", "!="):
        return (value == wanted) == (op == "=")
    return (re.fullmatch(wanted, value) is not None) == (op == "=~")
