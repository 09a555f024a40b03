"""Lints of rules: what loads and cannot be meant.

Owns what a rule says against itself and against the rules before it. Every claim is true of any alert; what is only
likely is left alone. Each stands at the key that would have to change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from imd.config import codes
from imd.config.logic import Taken, Takers, apart, label_values, match_within, never, taken
from imd.config.rulefile import DEFAULT, Named, RuleFiles
from imd.config.syntax import format_duration
from imd.config.wording import quote
from imd.model.incident import Level, Priority
from imd.model.rule import (
    Absent,
    AllOf,
    Count,
    Match,
    Mode,
    OpenWhen,
    PriorityTable,
    Raise,
    Rate,
    ResolveWhen,
    Rule,
    WindowKind,
)

_ZERO = timedelta(0)
_RANK = {Level.HIGH: 0, Level.MEDIUM: 1, Level.LOW: 2}
_QUIET = (Mode.SUPPRESS, Mode.DROP)


def lint_rules(files: RuleFiles) -> None:
    """Every rule by itself, then among the others."""
    for named in files.rules.values():
        rule = named.value
        if rule is not None:
            _lint_keys(named, rule, files.priority or PriorityTable())
            if rule.open_when is not None:
                _lint_opening(named, rule, rule.open_when)
            _lint_raises(named, rule)
    _lint_reach(files)
    _lint_relate(files.rules.values())


def _lint_keys(named: Named[Rule], rule: Rule, table: PriorityTable) -> None:
    who = f"rule {quote(rule.name)}"
    for number, name in enumerate(rule.group_by or ()):
        if named.has("group_by") and label_values(rule.match, name) == frozenset([""]):
            named.document.lint(
                codes.EMPTY_GROUP_LABEL,
                named.place("group_by", number),
                f"group_by of {who} names {quote(name)}, which its match wants empty",
                help="take it out of group_by: it tells no two alerts apart",
            )
    if rule.resolve.when is ResolveWhen.ROOT and rule.relate is None:
        named.document.lint(
            codes.NO_CAUSE_KNOWN,
            named.place("resolve", "when"),
            f"{who} resolves with the probable cause, and without relate none is found: all members have to end",
            help="give it relate, or say all",
        )
    _lint_hold(named, rule, who)
    if rule.mode in _QUIET and rule.when is None:
        _lint_nearly_all(named, rule, who)
    _lint_p1(named, rule, who, table)


def _lint_hold(named: Named[Rule], rule: Rule, who: str) -> None:
    bounds = [(rule.window.max_life, "max_life")]
    if rule.window.kind is WindowKind.FIXED:
        bounds.append((rule.window.gap, "gap"))
    bound, said = min(bounds)
    if rule.hold > bound:
        named.document.lint(
            codes.HOLD_OUTLASTS_GAP,
            named.place("hold"),
            f"hold of {who} is {format_duration(rule.hold)}, and its incidents take nothing in after "
            f"{format_duration(bound)} ({said})",
            help="the page would come after the window has closed: shorten hold",
        )


def _lint_nearly_all(named: Named[Rule], rule: Rule, who: str) -> None:
    for of in map(taken, rule.match):
        if all(label.allows("") for label in of.values()):
            lacking = " and ".join(quote(name) for name in of)
            all_of_them = "every alert that no other rule takes" if rule.name == DEFAULT else "every alert"
            named.document.lint(
                codes.TAKES_NEARLY_ALL,
                named.place("mode"),
                f"{who} of mode {rule.mode.value} takes {all_of_them}{f' without {lacking}' if lacking else ''}",
                help=f'ask for a value as well, such as {next(iter(of))}=~".+"' if of else "give it a match",
            )
            return


def _lint_p1(named: Named[Rule], rule: Rule, who: str, table: PriorityTable) -> None:
    """Only where the rule itself says P1: what a sender says of its alerts is not known here."""
    outright = rule.priority is Priority.P1
    if rule.priority is None and rule.impact is not None and rule.urgency is not None:
        by_levels = table.matrix[rule.impact][rule.urgency] is Priority.P1
    else:
        by_levels = False
    if not outright and not by_levels:
        return
    key = "priority" if outright else "impact"
    if rule.mode is not Mode.PAGE:
        named.document.lint(
            codes.P1_QUIET,
            named.place(key),
            f"{who} says P1 and its mode is {rule.mode.value}: nobody ever hears of it",
            help="leave mode out, or the priority; for a while a silence or maintenance keeps it quiet, and ends",
        )
    elif not rule.runbook:
        named.document.lint(
            codes.NO_RUNBOOK,
            named.place(key),
            f"{who} makes P1 incidents and has no runbook",
            help="add runbook: URL, which goes with each page",
        )


# open_when.


def _lint_opening(named: Named[Rule], rule: Rule, when: OpenWhen) -> None:
    """Conditions that are met at once, or never."""
    at_least = len(when.parts) if isinstance(when, AllOf) else 0 if isinstance(when, Absent) else when.at_least
    window = _ZERO if isinstance(when, Absent) else when.per if isinstance(when, Rate) else when.within
    who = f"rule {quote(rule.name)}"
    kind = {Count: "count", AllOf: "all_of", Absent: "absent", Rate: "rate"}[type(when)]
    at = named.place("open_when", kind, "at_least") if at_least else named.span
    if at_least == 1:
        text = f"open_when of {who} is met by the first alert"
        named.document.lint(codes.OPENS_AT_ONCE, at, text, help="raise at_least, or leave open_when out")
    if at_least > rule.window.max_alerts:
        text = f"open_when of {who} asks for {at_least} alerts, and at most {rule.window.max_alerts} wait"
        named.document.lint(codes.NEVER_OPENS, at, text, help="raise max_alerts of its window")
    elif isinstance(when, Count) and when.distinct and (reason := _few_values(rule, when.distinct, at_least)):
        text = f"open_when of {who} asks for {at_least} values of {quote(when.distinct)}: {reason}"
        named.document.lint(codes.NEVER_OPENS, named.place("open_when", kind, "distinct"), text)
    elif isinstance(when, AllOf):
        _lint_parts(named, rule, when)
    if window and rule.hold > window:
        text = f"hold of {who} is longer than the window of its open_when: it pages long after what it counted"
        help_ = "hold starts once open_when is met"
        named.document.lint(codes.HOLD_OUTLASTS_WINDOW, named.place("hold"), text, help=help_)


def _lint_parts(named: Named[Rule], rule: Rule, when: AllOf) -> None:
    """A part that no alert can stand for."""
    for number, part in enumerate(when.parts):
        earlier = next((at for at in range(number) if match_within(part, when.parts[at])), None)
        reason = ""
        if _apart(part, rule.match):
            reason = "the rule's match takes none of its alerts"
        elif earlier is not None:
            reason = f"an alert stands for the first part that it matches, which is part {earlier + 1}"
        if reason and not all(never(taken(matchers)) for matchers in part):
            named.document.lint(
                codes.NEVER_OPENS,
                named.place("open_when", "all_of", "parts", number),
                f"part {number + 1} of open_when of rule {quote(rule.name)} is never met: {reason}",
            )


def _apart(one: Match, other: Match) -> bool:
    return all(apart(taken(matchers), taken(others)) for matchers in one for others in other)


def _few_values(rule: Rule, name: str, at_least: int) -> str:
    """Why the alerts of one incident cannot have so many values of a label; "" where they might."""
    if at_least > 1 and (rule.group_by is None or name in rule.group_by):
        return "it is in group_by, so all alerts of one incident have the same"
    values = label_values(rule.match, name)
    if values is not None and len(values - {""}) < at_least:
        return f"the rule's match leaves it {len(values - {''}) or 'none'}"
    return ""


# raise.


def _lint_raises(named: Named[Rule], rule: Rule) -> None:
    if rule.raises and (rule.priority is not None or rule.mode in _QUIET):
        reason = (
            f"mode {rule.mode.value} opens no incident" if rule.mode in _QUIET else "its priority is given outright"
        )
        text = f"raise of rule {quote(rule.name)} counts for nothing: {reason}"
        named.document.lint(codes.NEVER_RAISES, named.place("raise"), text, help="remove one of the two")
        return
    for number, step in enumerate(rule.raises):
        reason = _why_never(rule, number, step)
        if reason:
            text = f"raise of rule {quote(rule.name)} can never raise to {step.impact.value}: {reason}"
            named.document.lint(codes.NEVER_RAISES, named.place("raise", number), text)


def _why_never(rule: Rule, number: int, step: Raise) -> str:
    if step.impact is Level.LOW:
        return "no impact is lower"
    if rule.impact is not None and _RANK[step.impact] >= _RANK[rule.impact]:
        return f"impact is {rule.impact.value} from the beginning"
    if not step.distinct and step.at_least > rule.window.max_alerts:
        return f"an incident has at most {rule.window.max_alerts} alerts (max_alerts)"
    few = _few_values(rule, step.distinct, step.at_least) if step.distinct else ""
    if few:
        return few
    for other_number, other in enumerate(rule.raises):
        same = other.distinct == step.distinct and _RANK[other.impact] <= _RANK[step.impact]
        if same and (other.at_least, other_number) < (step.at_least, number):
            return f"{other.at_least} raise to {other.impact.value} before"
    return ""


# Among the others.


def _lint_reach(files: RuleFiles) -> None:
    """A rule of which every list of matchers is taken before; heartbeats come before all rules."""
    takers = Takers()
    for heartbeat in files.heartbeats.values():
        for matchers in heartbeat.value.match if heartbeat.value is not None else ():
            takers.add(f"heartbeat {quote(heartbeat.name)}", taken(matchers))
    for named in files.rules.values():
        rule = named.value
        if rule is None or rule.name == DEFAULT:
            continue
        lists = list(_possible(rule.match))
        found = [takers.of(of) for of in lists]
        if found and all(found):
            owners = list(dict.fromkeys(owner for owners in found for owner in owners))
            before = f"{' and '.join(owners)} {'takes' if len(owners) == 1 else 'take'} all of them before"
            named.document.lint(
                codes.UNREACHABLE_RULE,
                named.span,
                f"rule {quote(rule.name)} can never take an alert: {before}",
                help="move it up, or remove it",
            )
        for of in lists if rule.when is None else ():
            takers.add(f"rule {quote(rule.name)}", of)


def _possible(match: Match) -> Iterator[Taken]:
    """The lists that can hold at all; the others are faults of their own."""
    return (of for of in map(taken, match) if not never(of))


def _lint_relate(rules: Iterable[Named[Rule]]) -> None:
    """Rules with `relate` share incidents only where their group_by is the same."""
    first: Rule | None = None
    for named in rules:
        rule = named.value
        if rule is None or rule.relate is None or rule.mode in _QUIET:
            continue
        if first is None:
            first = rule
        elif rule.group_by != first.group_by:
            named.document.lint(
                codes.RELATED_APART,
                named.place("group_by"),
                f"rule {quote(rule.name)} relates within {_key(rule)}, rule {quote(first.name)} within {_key(first)}: "
                "their alerts never share an incident",
                help="give all rules with relate the same group_by",
            )


def _key(rule: Rule) -> str:
    return "every label" if rule.group_by is None else f"[{', '.join(rule.group_by)}]"
