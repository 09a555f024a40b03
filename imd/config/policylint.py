"""Lints of escalation: incidents of which nobody hears, and policies that end in nobody.

Owns who can hear a page of which priority, by what config.yaml says of the receivers. Whether somebody is on call at a
time is `oncalllint`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from imd.config import codes
from imd.config.configfile import Found
from imd.config.diagnostic import Span
from imd.config.document import Document
from imd.config.rulefile import RuleFiles
from imd.config.wording import quote
from imd.model.incident import Priority
from imd.model.policy import PageKind, Policy, Target, TargetKind
from imd.model.rule import Mode


class _Sent(msgspec.Struct):
    """Incidents of these priorities go to a policy, as `owner` says at `span`."""

    owner: str
    policy: str
    priorities: Iterable[Priority]
    document: Document
    span: Span


def lint_policies(files: RuleFiles, config: Found) -> None:
    """Only for a set whose receivers are known."""
    for sent in (*_by_routes(files), *_by_rules(files)):
        named = files.policies.get(sent.policy)
        if named is None or named.value is None or not _pages(files, config, named.value):
            continue  # that none of its receivers takes pages is said where they are named
        lost = [one.value for one in sorted(sent.priorities, key=_rank) if not _heard(files, config, named.value, one)]
        if lost:
            what, them = " and ".join(lost), "it" if len(lost) == 1 else "them"
            said = f"{sent.owner} sends {what} to policy {quote(sent.policy)}, none of whose receivers takes {them}"
            hint = "lower the min_priority of one, or take another policy"
            sent.document.lint(codes.PAGES_NOBODY, sent.span, said, help=hint)
    for named in files.policies.values():
        if named.value is not None and named.value.remind is None and config.fallback is None:
            said = f"policy {quote(named.name)} ends in nobody: it never reminds, and there is no fallback"
            hint = "leave remind out, or name a fallback in config.yaml"
            named.document.lint(codes.PAGES_NOBODY, named.place("remind"), said, help=hint)


def _rank(priority: Priority) -> int:
    return priority.rank


def _by_routes(files: RuleFiles) -> Iterator[_Sent]:
    """Where a route names priorities; without, which of them come is not known."""
    for placed in files.routes:
        route = placed.route
        if route.priority is not None:
            yield _Sent("the route", route.policy, route.priority, placed.document, placed.span)


def _by_rules(files: RuleFiles) -> Iterator[_Sent]:
    for named in files.rules.values():
        rule = named.value
        if rule is not None and rule.priority is not None and rule.policy and rule.mode is Mode.PAGE:
            owner = f"rule {quote(rule.name)}"
            yield _Sent(owner, rule.policy, [rule.priority], named.document, named.place("policy"))


def _pages(files: RuleFiles, config: Found, policy: Policy) -> bool:
    return any(_takes(config, word, None) for word in _receivers(files, policy, Priority.P1))


def _heard(files: RuleFiles, config: Found, policy: Policy, priority: Priority) -> bool:
    return any(_takes(config, word, priority) for word in _receivers(files, policy, priority))


def _takes(config: Found, receiver: str, priority: Priority | None) -> bool:
    settings = config.settings.receivers.get(receiver)
    if settings is None or PageKind.PAGE not in settings.receiver.send:
        return False
    return priority is None or priority.rank <= settings.receiver.min_priority.rank


def _receivers(files: RuleFiles, policy: Policy, priority: Priority) -> Iterator[str]:
    """All that a page of this priority may go to; of P4 and P5 the first step alone is notified."""
    for step in policy.steps[:1] if priority.low else policy.steps:
        for target in step.notify:
            if target.kind is TargetKind.RECEIVER:
                yield target.name
            for name in _people(files, target):
                person = files.people.get(name)
                if person is not None and person.value is not None:
                    yield from (way.receiver for way in person.value.ways(priority))


def _people(files: RuleFiles, target: Target) -> Iterable[str]:
    if target.kind is TargetKind.PERSON:
        return (target.name,)
    if target.kind is TargetKind.TEAM:
        team = files.teams.get(target.name)
        return team.value.people if team is not None and team.value is not None else ()
    if target.kind is TargetKind.SCHEDULE:
        schedule = files.schedules.get(target.name)
        return schedule.value.people if schedule is not None and schedule.value is not None else ()
    return ()
