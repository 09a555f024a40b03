"""Go's templates, as Alertmanager's receivers hold them, into the Jinja of imd's.

Owns which of them can be: text, `if`, `range` and `with`-less paths over the data that Alertmanager gives (its
template/template.go, 0.34, read 2026-11-22), and the functions that Jinja has under another name. What may read
otherwise is noted; anything else is refused as a whole, with a reason: half a text would mislead.

A value that is missing is empty in both. `.CommonAnnotations` becomes the first alert's: imd keeps no common ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

SOURCE_CHARS_MAX = 16_384
_ACTION = re.compile(r"\{\{(-?)\s*(?:/\*.*?\*/|(.*?))\s*(-?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(\$?(?:\.[A-Za-z_]\w*)+|\$|\.)|([A-Za-z_]\w*)|(-?\d+)|([()|])|(\S))'
)
_STATUS = '("resolved" if state in ("resolved", "closed") else "firing")'
_FILTERS = {"toUpper": "upper", "toLower": "lower", "title": "title", "trimSpace": "trim"}
_COMPARED = {"eq": "==", "ne": "!=", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}
_ALERTS = {
    ".Alerts": "alerts",
    ".Alerts.Firing": 'alerts | selectattr("status", "equalto", "firing") | list',
    ".Alerts.Resolved": 'alerts | selectattr("status", "equalto", "resolved") | list',
}
_MAPS = {".CommonLabels": "labels", ".GroupLabels": "group"}


class Untranslated(Exception):
    """The words say what of the template imd's have not."""


class Translated(NamedTuple):
    """`notes`: what it may say otherwise."""

    text: str
    notes: tuple[str, ...]


class _Scope(NamedTuple):
    """What `.` is: everything, an alert, or a pair of a map."""

    kind: str


_ROOT, _ALERT, _PAIR = _Scope("root"), _Scope("alert"), _Scope("pair")


def translated(source: str) -> Translated:
    """Raises Untranslated."""
    if len(source) > SOURCE_CHARS_MAX:
        raise Untranslated(f"it has more than {SOURCE_CHARS_MAX} characters")
    return _Translation().of(source)


class _Translation:
    def __init__(self) -> None:
        self._open: list[tuple[str, _Scope]] = []
        self._scope = _ROOT
        self._notes: dict[str, None] = {}

    def of(self, source: str) -> Translated:
        parts: list[str] = []
        at = 0
        for action in _ACTION.finditer(source):
            parts.append(_text(source[at : action.start()]))
            at = action.end()
            if action[2] is None:  # a comment
                parts.append("{#" + action[1] + " " + action[3] + "#}")
                continue
            parts.append(self._action(action[2], action[1], action[3]))
        parts.append(_text(source[at:]))
        if self._open:
            raise Untranslated(f"{self._open[-1][0]} is never ended")
        return Translated("".join(parts), tuple(self._notes))

    def _action(self, body: str, left: str, right: str) -> str:
        word, _, rest = body.partition(" ")
        if word == "if":
            self._open.append(("if", self._scope))
            return f"{{%{left} if {self._expression(rest)} {right}%}}"
        if word == "else":
            return self._else(rest.strip(), left, right)
        if word == "range":
            return self._range(rest.strip(), left, right)
        if word == "end":
            return self._end(left, right)
        if word in ("with", "define", "block", "template", "break", "continue") or ":=" in body:
            raise Untranslated(f"it has {word}" if ":=" not in body else "it has variables")
        return f"{{{{{left} {self._expression(body)} {right}}}}}"

    def _else(self, rest: str, left: str, right: str) -> str:
        if not self._open:
            raise Untranslated("else stands outside of if")
        if not rest:
            return f"{{%{left} else {right}%}}"
        word, _, condition = rest.partition(" ")
        if word != "if" or self._open[-1][0] != "if":
            raise Untranslated(f"it has else {word}")
        return f"{{%{left} elif {self._expression(condition)} {right}%}}"

    def _range(self, rest: str, left: str, right: str) -> str:
        outer = self._scope
        name = rest.removeprefix("$") if rest.startswith("$.") else rest
        inner: _Scope
        if name in _ALERTS and outer is _ROOT:
            head, inner = f"for alert in {_ALERTS[name]}", _ALERT
        elif name.endswith(".SortedPairs"):
            head, inner = f"for pair in {self._map(rest.removesuffix('.SortedPairs'))} | dictsort", _PAIR
        else:
            raise Untranslated(f"it goes through {rest}")
        self._open.append(("for", outer))
        self._scope = inner
        return f"{{%{left} {head} {right}%}}"

    def _end(self, left: str, right: str) -> str:
        if not self._open:
            raise Untranslated("end stands alone")
        kind, self._scope = self._open.pop()
        return f"{{%{left} end{kind} {right}%}}"

    # -- expressions -----------------------------------------------------------------------------------------------

    def _expression(self, text: str) -> str:
        tokens = list(_tokens(text))
        value, at = self._pipeline(tokens, 0)
        if at != len(tokens):
            raise Untranslated(f"it has {tokens[at][1]}")
        return value

    def _pipeline(self, tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
        value, at = self._command(tokens, at, None)
        while at < len(tokens) and tokens[at] == ("mark", "|"):
            value, at = self._command(tokens, at + 1, value)
        return value, at

    def _command(self, tokens: list[tuple[str, str]], at: int, piped: str | None) -> tuple[str, int]:
        """One function with its operands, or one operand. What is piped in is the last operand."""
        if at >= len(tokens):
            raise Untranslated("an expression is empty")
        kind, text = tokens[at]
        name = text if kind == "word" and text not in ("true", "false") else ""
        operands: list[str] = []
        at += 1 if name else 0
        while at < len(tokens) and tokens[at] not in (("mark", "|"), ("mark", ")")):
            operand, at = self._operand(tokens, at)
            operands.append(operand)
        if piped is not None:
            operands.append(piped)
        if name:
            return self._function(name, operands), at
        if len(operands) != 1:
            raise Untranslated("it calls what is no function")
        return operands[0], at

    def _operand(self, tokens: list[tuple[str, str]], at: int) -> tuple[str, int]:
        kind, text = tokens[at]
        if (kind, text) == ("mark", "("):
            value, at = self._pipeline(tokens, at + 1)
            if at >= len(tokens) or tokens[at] != ("mark", ")"):
                raise Untranslated("a bracket is never closed")
            return f"({value})", at + 1
        if kind == "text":
            return _quoted(text), at + 1
        if kind == "number" or text in ("true", "false"):
            return text, at + 1
        if kind == "path":
            return self._path(text), at + 1
        raise Untranslated(f"it has {text}")

    def _function(self, name: str, operands: list[str]) -> str:
        if name in _FILTERS and len(operands) == 1:
            return f"{operands[0]} | {_FILTERS[name]}"
        if name in ("safeHtml", "safeUrl") and len(operands) == 1:
            return operands[0]
        if name in _COMPARED and len(operands) == 2:
            return f"{_held(operands[0])} {_COMPARED[name]} {_held(operands[1])}"
        if name == "len" and len(operands) == 1:
            return "firing" if operands[0] == _ALERTS[".Alerts.Firing"] else f"{operands[0]} | length"
        if name in ("and", "or") and len(operands) > 1:
            return "(" + f" {name} ".join(map(_held, operands)) + ")"
        if name == "not" and len(operands) == 1:
            return f"(not {_held(operands[0])})"
        if name == "join" and len(operands) == 2:
            return f"{operands[1]} | join({operands[0]})"
        raise Untranslated(f"it calls {name}")

    def _path(self, path: str) -> str:
        root = path.startswith("$")
        name, scope = path.removeprefix("$"), _ROOT if root else self._scope
        if scope is _PAIR:
            if name in (".Name", ".Value"):
                return "pair[0]" if name == ".Name" else "pair[1]"
            raise Untranslated(f"it has {path} of a pair")
        if scope is _ALERT:
            return self._of_alert(name)
        if name == ".Status":
            return _STATUS
        if name == ".Receiver":
            return "receiver"
        if name in _ALERTS:
            return _ALERTS[name]
        return self._value(path)

    def _of_alert(self, name: str) -> str:
        plain = {".Status": "alert.status", ".GeneratorURL": "alert.generator_url", ".Fingerprint": "alert.fingerprint"}
        if name in plain:
            return plain[name]
        if name in (".StartsAt", ".EndsAt"):
            self._notes["times are RFC 3339 in UTC"] = None
            return "alert.starts_at" if name == ".StartsAt" else '(alert.ends_at or "")'
        return self._value(name)

    def _value(self, path: str) -> str:
        """Of a map of labels or annotations; empty where it is missing."""
        of, _, key = path.rpartition(".")
        if not of or of == "$":
            raise Untranslated(f"it has {path}")
        if not key.isascii():
            raise Untranslated(f"it has {path}")
        return f'{self._map(of)}.{key} | default("")'

    def _map(self, path: str) -> str:
        name = path.removeprefix("$")
        if self._scope is _ALERT and not path.startswith("$"):
            if name in (".Labels", ".Annotations"):
                return f"alert.{name[1:].lower()}"
            raise Untranslated(f"it has {path} of an alert")
        if name in _MAPS:
            return _MAPS[name]
        if name == ".CommonAnnotations":
            self._notes["annotations are those of the first alert, not what all have in common"] = None
            return "((alerts | first).annotations if alerts else {})"
        raise Untranslated(f"it has {path}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        assert found is not None
        at = found.end()
        quoted, path, word, number, mark, other = found.groups()
        if quoted is not None:
            yield "text", _unquoted(quoted)
        elif path is not None:
            yield "path", path
        elif word is not None:
            yield "word", word
        elif number is not None:
            yield "number", number
        elif mark is not None:
            yield "mark", mark
        else:
            raise Untranslated(f"it has {other}")


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        found: str = json.loads(text, strict=False)
    except ValueError:
        raise Untranslated(f"it has {text}") from None
    return found


def _held(value: str) -> str:
    """An operand, in brackets where it is more than one word."""
    return value if " " not in value or (value.startswith(("(", '"')) and value.endswith((")", '"'))) else f"({value})"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _text(text: str) -> str:
    """What Jinja would take for its own is quoted. Raises Untranslated for what Go would refuse."""
    if "{{" in text:
        raise Untranslated("an action is never closed")
    if not re.search(r"\{%|\{#|%\}|#\}", text):
        return text
    return "{{ " + _quoted(text) + " }}"
