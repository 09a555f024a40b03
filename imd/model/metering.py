"""The sandbox in which templates run: a part of Jinja, with a bound on work.

Owns what may stand in a template and the meters. What may stand is a list of node kinds: no macros, includes, blocks or
recursion, so loops alone repeat work, and calls go to a list of harmless methods. The rest is counted, in units of
about one character or one small operation: each turn of a loop costs what stands in its body, each filter and each `in`
the length of what it looks at and of what it makes, each output its length. No clock is read, so the same values always
give the same text or the same failure.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import (
    Environment,
    StrictUndefined,
    TemplateSyntaxError,
    Undefined,
    nodes,
    pass_context,
)
from jinja2.exceptions import SecurityError
from jinja2.filters import do_round, make_attrgetter
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_environment
from jinja2.visitor import NodeTransformer

from imd.model.template import Labelled

VALUE_CHARS_MAX = 65_536
WORK_MAX = 1_000_000  # units: some 0.2 s at worst, and a hundred times what a message needs
NUMBER_BITS_MAX = 256
RANGE_MAX = 1_000
DIGITS_MAX = 15

Escape = Callable[[str], str]
TOO_DEEP = (RecursionError, SyntaxError, MemoryError)
"""Python's own compiler has bounds too: so many nested loops, so deep an expression."""

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign, nodes.With, nodes.Scope,
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Call,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.CondExpr, nodes.List, nodes.Tuple, nodes.Dict,
    nodes.Pair, nodes.Keyword,
)  # fmt: skip
METHODS = frozenset({
    "capitalize", "count", "cycle", "endswith", "find", "get", "items", "keys", "lower", "lstrip", "partition",
    "removeprefix", "removesuffix", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
    "title", "upper", "values",
})  # fmt: skip
FILTERS = frozenset({
    "abs", "capitalize", "count", "d", "default", "dictsort", "filesizeformat", "first", "float", "groupby", "int",
    "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace",
    "reverse", "round", "select", "selectattr", "sort", "string", "striptags", "sum", "title", "tojson", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
})  # fmt: skip
"""Left out of Jinja's: what is not deterministic, escapes by itself, or makes much out of little in one call."""


class _Run:
    """One rendering: how much work is left, and what makes inserted text harmless."""

    __slots__ = ("escape", "left")

    def __init__(self, escape: Escape | None) -> None:
        self.escape = escape
        self.left = WORK_MAX


_RUN: ContextVar[_Run] = ContextVar("imd_template_run")


def _charge(units: int) -> None:
    run = _RUN.get()
    run.left -= units
    if run.left < 0:
        raise SecurityError("the template takes too much work")


def _checked(value: Any) -> Any:
    """A value that an operation made, charged by its length."""
    if isinstance(value, str | list | tuple):
        if len(value) > VALUE_CHARS_MAX:
            raise SecurityError(f"a value grew longer than {VALUE_CHARS_MAX}")
        _charge(len(value))
    elif isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX:
        raise SecurityError("a number grew too large")
    return value


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        return _lenient(obj, attribute, super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _lenient(obj, argument, super().getitem(obj, argument))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise SecurityError(f"operator {operator} is not available here")
        if operator == "*" and not (isinstance(left, int | float) and isinstance(right, int | float)):
            raise SecurityError("only numbers can be multiplied here")
        return _checked(super().call_binop(context, operator, left, right))


def _lenient(of: Any, name: Any, found: Any) -> Any:
    """A label that is missing is empty; any other name that is missing is a fault."""
    missing = isinstance(found, StrictUndefined) and isinstance(of, Labelled)
    return Undefined(obj=of, name=name) if missing else found


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > RANGE_MAX:
        raise SecurityError(f"range is longer than {RANGE_MAX}")
    return numbers


@pass_context  # so that Jinja does not call it on constants when it compiles
def _finalize(_context: Any, value: Any) -> str:
    """What stands between {{ and }}: inserted text, made harmless where it goes to."""
    text = "" if value is None else str(value)
    run = _RUN.get()
    _charge(len(text) + 1)
    return text if run.escape is None else run.escape(text)


def _turns(items: Iterable[Any], cost: int) -> Iterator[Any]:
    for item in items:
        _charge(cost)
        yield item


def _looked_through(value: Any) -> Any:
    if isinstance(value, Sized) and not isinstance(value, Undefined):
        _charge(len(value))
    return value


@pass_environment
def _join(environment: Environment, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    pieces, length = [], 0
    for item in value:
        pieces.append(str(item))
        length += len(pieces[-1]) + len(d)
        if length > VALUE_CHARS_MAX:
            raise SecurityError(f"a value grew longer than {VALUE_CHARS_MAX}")
    return d.join(pieces)


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text = str(value)
    times = text.count(old) if count < 0 else min(count, text.count(old))
    if len(text) + times * (len(new) - len(old)) > VALUE_CHARS_MAX:
        raise SecurityError(f"a value grew longer than {VALUE_CHARS_MAX}")
    return text.replace(old, new, count)


def _paying(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that pays for what it looks at and what it makes."""
    at = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)  # which takes Jinja's mark along: what it passes first
    def paying(*arguments: Any, **named: Any) -> Any:
        _looked_through(arguments[at] if len(arguments) > at else None)
        _charge(1)
        return _checked(function(*arguments, **named))

    return paying


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if not 0 <= precision <= DIGITS_MAX:
        raise SecurityError(f"rounding is to 0 to {DIGITS_MAX} digits")
    return do_round(value, precision, "ceil" if method == "ceil" else "floor" if method == "floor" else "common")


_OWN: dict[str, Callable[..., Any]] = {"join": _join, "replace": _replace, "round": _round}
_INNER: dict[str, Callable[..., Any]] = {" turns": _turns, " in": _looked_through, " concat": _join}
"""Filters that the compiler puts in; no template can name them."""


def _environment() -> _Environment:
    environment = _Environment(undefined=StrictUndefined, autoescape=False, cache_size=0, finalize=_finalize)
    environment.globals.clear()
    environment.globals["range"] = _range
    shipped = {**environment.filters, **_OWN}
    environment.filters = {name: _paying(function) for name, function in shipped.items() if name in FILTERS}
    environment.filters.update(_INNER)
    return environment


ENVIRONMENT = _environment()


class _Metering(NodeTransformer):
    """Puts the meters into a template's tree, and refuses what may not stand there."""

    def generic_visit(self, node: nodes.Node, *arguments: Any, **named: Any) -> nodes.Node:
        if type(node) not in _NODES:
            raise TemplateSyntaxError(f"{_word(node)} is not available here", node.lineno)
        return super().generic_visit(node, *arguments, **named)

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  (Jinja dispatches by these names)
        if node.recursive:
            raise TemplateSyntaxError("a recursive loop is not available here", node.lineno)
        cost = sum(_size(each) for each in (*node.body, *([node.test] if node.test else [])))
        self.generic_visit(node)
        node.iter = _filter(" turns", node.iter, nodes.Const(1 + cost, lineno=node.lineno))
        return node

    def visit_Operand(self, node: nodes.Operand) -> nodes.Node:  # noqa: N802  (Jinja dispatches by these names)
        self.generic_visit(node)
        if node.op in ("in", "notin"):
            node.expr = _filter(" in", node.expr)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  (Jinja dispatches by these names)
        self.generic_visit(node)
        return _filter(" concat", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802  (Jinja dispatches by these names)
        called = node.node
        harmless = (isinstance(called, nodes.Getattr) and called.attr in METHODS) or (
            isinstance(called, nodes.Name) and called.name == "range"
        )
        if not harmless or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise TemplateSyntaxError(f"{_called(called)} cannot be called here", node.lineno)
        return self.generic_visit(node)


def _filter(name: str, over: nodes.Node, *arguments: nodes.Expr) -> nodes.Filter:
    assert isinstance(over, nodes.Expr)
    return nodes.Filter(over, name, list(arguments), [], None, None, lineno=over.lineno)


def _size(node: nodes.Node) -> int:
    """About how much work one pass through it is."""
    own = len(node.data) if isinstance(node, nodes.TemplateData) else 1
    return own + sum(map(_size, node.iter_child_nodes()))


def _word(node: nodes.Node) -> str:
    return _WORDS.get(type(node).__name__) or f"this ({type(node).__name__.lower()})"


_WORDS = {
    "Macro": "a macro",
    "CallBlock": "{% call %}",
    "FilterBlock": "{% filter %}",
    "AssignBlock": "{% set %} over several lines",
    "Block": "{% block %}",
    "Include": "{% include %}",
    "Import": "{% import %}",
    "FromImport": "{% import %}",
    "Extends": "{% extends %}",
    "NSRef": "namespace",
    "ScopedEvalContextModifier": "{% autoescape %}",
    "Pow": "operator **",
}


def _called(node: nodes.Expr) -> str:
    return (
        f'"{node.attr}"'
        if isinstance(node, nodes.Getattr)
        else f'"{node.name}"'
        if isinstance(node, nodes.Name)
        else "this"
    )


def compiled(source: str) -> jinja2.Template:
    """Raises TemplateSyntaxError, or one of TOO_DEEP."""
    return ENVIRONMENT.from_string(_Metering().visit(ENVIRONMENT.parse(source)))


@contextmanager
def metered(escape: Escape | None) -> Iterator[None]:
    """The rendering inside has WORK_MAX units of work; `escape` is applied to all that it inserts."""
    token = _RUN.set(_Run(escape))
    try:
        yield
    finally:
        _RUN.reset(token)
