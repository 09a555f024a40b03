"""Readers of the values that both config.yaml and rules hold: matchers, templates, URLs, paths, time zones, labels.

Owns what such a value may be and how its fault points into the text. Knows nothing of the keys they stand under.
"""

from __future__ import annotations

import re
import zoneinfo
from functools import lru_cache
from urllib.parse import urlsplit

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Node, Scalar, Sequence
from imd.config.form import Either, Plain, Several
from imd.config.logic import never, taken
from imd.config.places import point_in
from imd.config.shape import Refused, Scope, any_text, mapped, sound, takes, text, wrong_type
from imd.config.syntax import BadMatcher, parse_matchers
from imd.config.wording import quote, suggest
from imd.model.condition import EXTRA, BadCondition, Condition, NoCel, compile_condition
from imd.model.rule import TITLE_VALUES, BadPattern, Match, Matcher, Op, whole_pattern
from imd.model.template import BadTemplate, Template, asked_for

_EXAMPLE = "'severity=\"critical\"'"
_LITERAL = {Op.EQUAL: "=~", Op.NOT_EQUAL: "!~"}
_TYPOGRAPHIC = re.compile("[\u2018-\u201f]")
_MEANT_AS_SYNTAX = re.compile("[=!~]|'.*'$")
_LIKE_REGEX = re.compile(r"\.[*+]|\w\|\w")
MATCHERS = form.text("matcher", "(=|!=|=~|!~)", 'severity="critical"', 'alertname=~"Kube.*"')
MATCH = Either((MATCHERS, Several(MATCHERS, 1), Several(Several(MATCHERS, 1), 1)), said="matchers", name="match")
"""A matcher; a list of which all must hold; or a list of lists, one of which must hold."""


@takes(MATCHERS)
def matchers(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    """One text of one or more matchers, each of which must hold."""
    if not isinstance(node, Scalar) or node.value is None:
        raise wrong_type(node, scope, f"a matcher such as {_EXAMPLE}")
    try:
        found = parse_matchers(text(node, scope))
    except BadMatcher as error:
        raise _bad_matcher(node, scope, error) from None
    if not found:
        raise scope.fault(
            codes.EMPTY, node, f"{scope.subject} holds no matcher", expected=f"expected one such as {_EXAMPLE}"
        )
    typographic = _TYPOGRAPHIC.search(node.text)
    if typographic is not None:
        scope.document.lint(
            codes.TYPOGRAPHIC_QUOTES,
            point_in(scope.document, node, typographic.start(), 1),
            f"{scope.subject}: U+{ord(typographic[0]):04X} is a character like any other, and no quote",
            help=f"write the value in plain double quotes, as in {_EXAMPLE}",
        )
    for matcher in found:
        if _MEANT_AS_SYNTAX.match(matcher.value) and f'"{matcher.value}' not in node.text:
            _lint_syntax(node, scope, matcher)
        elif matcher.op in _LITERAL and _LIKE_REGEX.search(matcher.value):
            _lint_literal(node, scope, matcher)
    return found


def _lint_literal(node: Scalar, scope: Scope, matcher: Matcher) -> None:
    at = max(node.text.find(matcher.value), 0)
    scope.document.lint(
        codes.LOOKS_LIKE_REGEX,
        point_in(scope.document, node, at, len(matcher.value)),
        f"{scope.subject}: {quote(matcher.value)} is compared as it stands, for the operator is {matcher.op.value}",
        help=f'for a regular expression write {matcher.name}{_LITERAL[matcher.op]}"{matcher.value}"',
    )


def _lint_syntax(node: Scalar, scope: Scope, matcher: Matcher) -> None:
    """`a == b`, `a=!b` and `a='b'` are matchers to Alertmanager, of values that nobody has."""
    at = max(node.text.find(matcher.value), 0)
    meant = matcher.value.strip("'").lstrip("=!~ ")
    op = "!=" if matcher.op is Op.EQUAL and matcher.value.startswith("!") else matcher.op.value
    scope.document.lint(
        codes.TYPOGRAPHIC_QUOTES,
        point_in(scope.document, node, at, len(matcher.value)),
        f"{scope.subject}: {quote(matcher.value)} is the value, with {quote(matcher.value[0])} as a part of it",
        help=f'write {matcher.name}{op}"{meant}"; if the value is meant, put it in double quotes',
    )


def _bad_matcher(node: Scalar, scope: Scope, error: BadMatcher) -> Refused:
    code = codes.BAD_REGEX if error.regex else codes.BAD_MATCHER
    hint = "" if error.regex else f"write it as {_EXAMPLE}, the value in double quotes"
    place = point_in(scope.document, node, error.offset, error.length)
    return scope.fault(code, place, f"{scope.subject}: {error}", help=hint)


@takes(MATCH)
def match(node: Node, scope: Scope) -> Match:
    """A matcher; a list of which all must hold; or a list of lists, one of which must hold."""
    if not isinstance(node, Sequence):
        alone = matchers(node, scope)
        if _may_contradict(alone) and never(taken(alone)):
            _lint_never([node], [alone], scope)
        return (alone,)
    if not node.items:
        raise scope.fault(
            codes.EMPTY, node, f"{scope.subject} is an empty list", expected=f"expected a matcher such as {_EXAMPLE}"
        )
    if all(isinstance(item, Sequence) for item in node.items):
        found = tuple(sound(_all_of, node.items, scope))
        if len(found) < len(node.items):
            raise Refused
        return found
    return (_all_of(node, scope),)


def _may_contradict(together: tuple[Matcher, ...]) -> bool:
    """Most matchers cannot, each having a label of its own."""
    return len({one.name for one in together}) < len(together) or any(one.op is Op.NOT_REGEX for one in together)


def _lint_never(nodes: list[Node], found: list[tuple[Matcher, ...]], scope: Scope) -> None:
    """Matchers that contradict each other, at the one with which they do."""
    for number in range(len(found)):
        so_far = [matcher for part in found[: number + 1] for matcher in part]
        labels = [name for name, label in taken(so_far).items() if label.never]
        if labels:
            scope.document.lint(
                codes.NEVER_MATCHES,
                nodes[number].span,
                f"{scope.subject}: {_together([one for one in so_far if one.name == labels[0]])}",
                help="all matchers of a list must hold; for one or the other write a list of lists",
            )
            return


def _together(matchers: list[Matcher]) -> str:
    said = " and ".join(str(matcher) for matcher in matchers)
    return f"{said} never hold together" if len(matchers) > 1 else f"{said} never holds"


def _all_of(node: Node, scope: Scope) -> tuple[Matcher, ...]:
    assert isinstance(node, Sequence)
    if not node.items:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} holds an empty list, which would match everything")
    found = list(sound(matchers, node.items, scope))
    if len(found) < len(node.items):
        raise Refused
    together = tuple(matcher for part in found for matcher in part)
    if _may_contradict(together) and never(taken(together)):
        _lint_never(node.items, found, scope)
    return together


@takes(form.text("template", "", "{{ labels.cluster }}: {{ firing }} alerts"))
def template(node: Node, scope: Scope) -> Template:
    """A compiled template; its fault points into the text."""
    source = text(node, scope)
    try:
        return _compiled(source)
    except BadTemplate as error:
        assert isinstance(node, Scalar)
        place = point_in(scope.document, node, error.offset, error.length)
        raise scope.fault(codes.BAD_TEMPLATE, place, f"{scope.subject}: {error}") from None


@takes(form.text("template", "", "{{ labels.cluster }}: {{ firing }} alerts"))
def title(node: Node, scope: Scope) -> Template:
    """A template that asks for nothing but what titles are made of."""
    found = template(node, scope)
    assert isinstance(node, Scalar)
    for word, offset in asked_for(found.source) if not found.simple else ():
        name, _, of = word.partition(".")
        inner = TITLE_VALUES.get(name, ())
        if name in TITLE_VALUES and (inner is None or not of or of in inner):
            continue
        known = list(inner or ()) if name in TITLE_VALUES else list(TITLE_VALUES)
        missing, at = (of, offset + len(name) + 1) if name in TITLE_VALUES else (name, offset)
        raise scope.fault(
            codes.BAD_TEMPLATE,
            point_in(scope.document, node, at, len(missing)),
            f"{scope.subject}: there is no {quote(missing)}" + (f" in {name}" if name in TITLE_VALUES else ""),
            expected=f"expected one of: {', '.join(known)}" if known else f"expected {name} alone",
            help=suggest(missing, known),
        )
    return found


_compiled = lru_cache(maxsize=256)(Template)


@takes(form.text("CEL", "", 'labels.env == "prod"'))
def condition(node: Node, scope: Scope) -> Condition:
    """A compiled condition; its fault points into the expression."""
    source = text(node, scope)
    try:
        return compile_condition(source)
    except BadCondition as error:
        place = _within(node, scope, source, error) if isinstance(node, Scalar) else node.span
        raise scope.fault(codes.BAD_CONDITION, place, f"{scope.subject}: {error}") from None
    except NoCel as error:
        raise scope.fault(
            codes.CONDITION_EXTRA,
            node,
            f"{scope.subject} is a condition, and {error}",
            help=f"pip install 'imd[{EXTRA}]', or say it with match",
        ) from None


def _within(node: Scalar, scope: Scope, source: str, error: BadCondition) -> Span:
    before = source.split("\n")[: error.line - 1]
    offset = sum(len(line) + 1 for line in before) + error.column - 1
    return point_in(scope.document, node, min(offset, len(source)))


@takes(Plain("RE2", form.ANY_TEXT.schema))
def regex(node: Node, scope: Scope) -> str:
    """An RE2 pattern for whole values; it may be empty, which matches an empty value."""
    pattern = any_text(node, scope)
    try:
        whole_pattern(pattern, dot_all=True)
    except BadPattern as error:
        assert isinstance(node, Scalar)
        place = node.span if error.offset is None else point_in(scope.document, node, error.offset, error.length)
        said = f"{scope.subject}: {quote(pattern)} is not a regular expression: {error}"
        raise scope.fault(codes.BAD_REGEX, place, said) from None
    return pattern


def is_web_url(value: str) -> bool:
    """http or https with a host, no blanks."""
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and value.isprintable() and " " not in value


@takes(form.text("URL", "^https?://"))
def web_url(node: Node, scope: Scope) -> str:
    """A URL of http or https."""
    value = text(node, scope)
    if not is_web_url(value):
        raise scope.fault(
            codes.BAD_URL,
            node,
            f"{scope.subject} is {quote(value)}, which is no URL",
            expected="expected http:// or https:// and a host",
        )
    return value


@takes(Plain("label name", form.TEXT.schema))
def label_name(node: Node, scope: Scope) -> str:
    """Any text that is not empty may name a label."""
    return text(node, scope)


labels = mapped(any_text)


@takes(form.text("IANA time zone", "", "Europe/Berlin", "UTC"))
def timezone(node: Node, scope: Scope) -> str:
    """The name of an IANA time zone."""
    value = text(node, scope)
    if not _zone_exists(value):
        raise scope.fault(
            codes.BAD_TIMEZONE,
            node,
            f"{scope.subject} is {quote(value)}, which is no time zone",
            expected="expected a name such as Europe/Berlin or UTC",
            help=suggest(value, zoneinfo.available_timezones()),
        )
    return value


@lru_cache(maxsize=256)
def _zone_exists(value: str) -> bool:
    try:
        zoneinfo.ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        return False
    return True
