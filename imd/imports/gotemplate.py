"""Go's templates, as Alertmanager's receivers hold them, into the Jinja of imd's.

Owns which of them can be: text, `if`, `range` and `with`-less paths over the data that Alertmanager gives (its
template/template.go, 0.34, read 2026-11-22), and the functions that Jinja has under another name. What may read
otherwise is noted; anything else is refused as a whole, with a reason: half a text would mislead.

A value that is missing is empty in both. `.CommonAnnotations` becomes the first alert's: imd keeps no common ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

SOURCE_CHARS_MAX = 16_384
_ACTION = re.compile(r"\{\{(-?)\s*(?:/\*.*?\*/|(.*?))\s*(-?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*"|`[^`]*`)|(\$?(?:\.[A-Za-z_]\w*)+|\$|\.)|([A-Za-z_]\w*)|(-?\d+)|([()|])|(\S))'
)
_STATUS = '("resolved" if state in ("resolved", "closed") else "firing")'
_FILTERS = {"toUpper": "upper", "toLower": "lower", "title": "title", "trimSpace": "trim"}
_COMPARED = {"eq": "==", "ne": "!=", "gt": ">", "lt": "<", "ge": ">=", "le": "<="}
_QUOTED = re.compile(r'"([^"\\]+)"')
_CALLED = re.compile(r'"([^"\\]+)"(?:\s+(\S+))?')
_CALLS_MAX = 50
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
    """What `.` is: everything, an alert, a pair of a map, or a list of alerts, as Jinja has it."""

    kind: str
    alerts: str = ""


_ROOT, _ALERT, _PAIR = _Scope("root"), _Scope("alert"), _Scope("pair")


def translated(source: str, defined: Mapping[str, str] | None = None) -> Translated:
    """`defined`: the templates that `{{ template }}` may call, by name. Raises Untranslated."""
    if len(source) > SOURCE_CHARS_MAX:
        raise Untranslated(f"it has more than {SOURCE_CHARS_MAX} characters")
    work = _Translation(defined or {})
    text = work.of(source)
    return Translated(text, tuple(work.notes))


def definitions(source: str) -> dict[str, str]:
    """The templates that a file defines; what stands outside of them is nobody's. Of two of one name the last counts,
    as it does in Go. Raises Untranslated."""
    found: dict[str, str] = {}
    name, begins, depth = "", 0, 0
    for action in _ACTION.finditer(source):
        body = action[2] or ""
        word = body.partition(" ")[0]
        if word == "define" and depth == 0:
            quoted = _QUOTED.fullmatch(body.partition(" ")[2].strip())
            if quoted is None:
                raise Untranslated(f"{body} has no name")
            name, begins, depth = quoted[1], action.end(), 1
            if action[3]:
                begins += len(source[begins:]) - len(source[begins:].lstrip())
        elif word in ("if", "range", "with", "block", "define"):
            depth += 1
        elif word == "end" and depth:
            depth -= 1
            if depth == 0 and name:
                text = source[begins : action.start()]
                found[name], name = (text.rstrip() if action[1] else text), ""
    if depth:
        raise Untranslated(f'"{name}" is never ended')
    return found


class _Translation:
    def __init__(self, defined: Mapping[str, str]) -> None:
        self._defined = defined
        self._calls = 0
        self._dollar = _ROOT
        self._open: list[tuple[str, _Scope]] = []
        self._scope = _ROOT
        self.notes: dict[str, None] = {}

    def of(self, source: str) -> str:
        outer = len(self._open)
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
        if len(self._open) != outer:
            raise Untranslated("if or range is never ended")
        return "".join(parts)

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
        if word == "template":
            return self._call(rest.strip(), left, right)
        if word in ("with", "define", "block", "break", "continue") or ":=" in body:
            raise Untranslated(f"it has {word}" if ":=" not in body else "it has variables")
        return f"{{{{{left} {self._expression(body)} {right}}}}}"

    def _call(self, rest: str, left: str, right: str) -> str:
        """Another template, in its place."""
        called = _CALLED.fullmatch(rest)
        if called is None or called[1] not in self._defined:
            raise Untranslated(f"it calls the template {rest}, which is in no file that was read")
        self._calls += 1
        if self._calls > _CALLS_MAX:
            raise Untranslated(f"templates call each other more than {_CALLS_MAX} times")
        outer, argument = (self._scope, self._dollar), called[2] or ""
        scope = self._argument(argument)
        self._scope = self._dollar = scope
        text = self.of(self._defined[called[1]])
        self._scope, self._dollar = outer
        return (f"{{#{left} #}}" if left else "") + text + (f"{{# {right}#}}" if right else "")

    def _argument(self, argument: str) -> _Scope:
        if argument in (".", "$"):
            return self._scope if argument == "." else self._dollar
        if argument in _ALERTS and self._scope == _ROOT:
            return _Scope("list", _ALERTS[argument])
        raise Untranslated(f"it calls a template with {argument or 'nothing'}")

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
        if rest == "." and outer.kind == "list":
            head, inner = f"for alert in {outer.alerts}", _ALERT
        elif name in _ALERTS and (self._dollar if rest.startswith("$") else outer) == outer == _ROOT:
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
        name, scope = path.removeprefix("$"), self._dollar if root else self._scope
        if scope.kind == "list":
            raise Untranslated(f"it has {path} of a list")
        if scope == _PAIR:
            if name in (".Name", ".Value"):
                return "pair[0]" if name == ".Name" else "pair[1]"
            raise Untranslated(f"it has {path} of a pair")
        if scope == _ALERT:
            if root:
                raise Untranslated(f"it has {path} of an alert")
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
            self.notes["times are RFC 3339 in UTC"] = None
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
        scope = self._dollar if path.startswith("$") else self._scope
        if scope == _ALERT and not path.startswith("$"):
            if name in (".Labels", ".Annotations"):
                return f"alert.{name[1:].lower()}"
            raise Untranslated(f"it has {path} of an alert")
        if scope != _ROOT:
            raise Untranslated(f"it has {path} there")
        if name in _MAPS:
            return _MAPS[name]
        if name == ".CommonAnnotations":
            self.notes["annotations are those of the first alert, not what all have in common"] = None
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
