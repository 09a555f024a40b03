"""Cross checks of a whole set of files: names that point nowhere, and lints of what loads but is not meant.

Owns every finding that no single file can give. Runs on what `configfile` and `rulefile` found; opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from imd.config import codes
from imd.config.configfile import Found, is_loopback
from imd.config.document import Document
from imd.config.maplint import lint_map
from imd.config.oncalllint import UNUSED, FindGap, check_calendars, lint_schedules, lint_unused
from imd.config.policylint import lint_policies
from imd.config.quietlint import lint_quiet
from imd.config.routelint import lint_routes
from imd.config.rulefile import DEFAULT, Reference, RuleFiles
from imd.config.rulelint import lint_rules
from imd.config.wording import quote, suggest
from imd.model.policy import NOBODY, PageKind, TargetKind
from imd.model.rule import MATCH_ALL, Mode

_CODES = {
    "receiver": codes.UNKNOWN_RECEIVER,
    "policy": codes.UNKNOWN_POLICY,
    "person": codes.UNKNOWN_PERSON,
    "schedule": codes.UNKNOWN_SCHEDULE,
    "team": codes.UNKNOWN_TEAM,
    "times": codes.UNKNOWN_TIMES,
}
_SHOWN_MAX = 10


class WholeSet(msgspec.Struct):
    """Everything that was read. `config` and its document are None where rules are checked alone; without `now` no
    window counts as past, without `find_gap` none is looked for."""

    files: RuleFiles
    config: Found | None = None
    document: Document | None = None
    now: datetime | None = None
    find_gap: FindGap | None = None


def check_names(whole: WholeSet) -> None:
    """Errors for every name that nothing has. Kinds of which a name may be hidden behind another fault are left out."""
    files = whole.files
    known: dict[str, Iterable[str]] = {}
    if "policy" not in files.lost:
        known["policy"] = list(dict.fromkeys((*files.policies, DEFAULT, NOBODY)))
    if "person" not in files.lost:
        known["person"] = list(files.people)
        check_calendars(files)
    if "schedule" not in files.lost:
        known["schedule"] = list(files.schedules)
    if "team" not in files.lost:
        known["team"] = list(files.teams)
    if "times" not in files.lost:
        known["times"] = list(files.times)
    if whole.config is not None and not whole.config.receiver_lost:
        known["receiver"] = list(whole.config.receivers)
    for reference in [*files.references, *_fallback(whole)]:
        names = known.get(reference.kind)
        if names is not None and reference.name not in names:
            _unknown(reference, list(names))


def _fallback(whole: WholeSet) -> Iterator[Reference]:
    config, document = whole.config, whole.document
    if config is not None and document is not None and config.fallback is not None:
        yield Reference("receiver", config.fallback.text, document, config.fallback.span, "fallback")
    if config is not None and document is not None and config.canary is not None:
        yield Reference("receiver", config.canary.text, document, config.canary.span, "canary")


def _unknown(reference: Reference, names: list[str]) -> None:
    shown = ", ".join(names[:_SHOWN_MAX]) + (", …" if len(names) > _SHOWN_MAX else "")
    reference.document.fault(
        _CODES[reference.kind],
        reference.span,
        f"unknown {reference.kind} {quote(reference.name)} in {reference.owner}",
        expected=f"expected one of: {shown}" if names else f"there is no {reference.kind}",
        help=suggest(reference.name, names),
    )


def lint(whole: WholeSet) -> None:
    """Warnings. Call it only for a set without errors: a lint after a fault would as often be its echo."""
    lint_rules(whole.files)
    lint_quiet(whole.files, whole.now)
    lint_schedules(whole.files, whole.now, whole.find_gap)
    lint_routes(whole.files)
    lint_map(whole.files.mapped)
    if whole.config is None or whole.document is None:
        return
    built_in = _built_in_policy_pages(whole.files)
    _lint_defaults(whole.files, whole.document, whole.config, built_in)
    _lint_unused(whole.files, whole.document, whole.config, built_in)
    _lint_targets(whole, whole.config)
    lint_policies(whole.files, whole.config)
    _lint_open(whole.document, whole.config)


def _built_in_policy_pages(files: RuleFiles) -> bool:
    """Whether some incident can come to the built-in policy `default`."""
    if any(reference.kind == "policy" and reference.name == DEFAULT for reference in files.references):
        return DEFAULT not in files.policies
    routed = files.matchless_route is not None
    rules = [named.value for named in files.rules.values() if named.value is not None]
    unrouted = any(rule.mode is Mode.PAGE and not rule.policy for rule in rules) or DEFAULT not in files.rules
    return DEFAULT not in files.policies and not routed and unrouted


def _lint_defaults(files: RuleFiles, document: Document, config: Found, built_in: bool) -> None:
    at = config.rules_span
    if not config.receivers:
        document.lint(codes.NO_RECEIVER, at, "there is no receiver: nobody is paged", help="add receivers:")
    elif built_in:
        document.lint(
            codes.BUILT_IN_POLICY_PAGES,
            at,
            "an incident without a policy or route pages every receiver once",
            help='add a policy named "default", or a route without a match',
        )
    default = files.rules.get(DEFAULT)
    rule = default.value if default is not None else None
    if default is None or (rule is not None and (rule.match != MATCH_ALL or rule.when is not None)):
        document.lint(
            codes.BUILT_IN_RULE_TAKES,
            at,
            "an alert that no rule takes goes to the built-in rule",
            help='add a rule named "default", without a match, to say what happens to it',
        )


def _lint_unused(files: RuleFiles, document: Document, config: Found, built_in: bool) -> None:
    used = {(reference.kind, reference.name) for reference in files.references}
    named = {one.text for one in (config.fallback, config.canary) if one is not None}
    for word, span in config.receivers.items():
        if not built_in and ("receiver", word) not in used and word not in named:
            document.lint(codes.UNUSED_RECEIVER, span, f"receiver {quote(word)} is never used", help=UNUSED)
    for policy in files.policies.values():
        if ("policy", policy.name) not in used and policy.name != DEFAULT:
            policy.document.lint(
                codes.UNUSED_POLICY, policy.span, f"policy {quote(policy.name)} is never used", help=UNUSED
            )
    for person in files.people.values():
        if ("person", person.name) not in used:
            person.document.lint(
                codes.UNUSED_PERSON,
                person.span,
                f"person {quote(person.name)} is in no policy, schedule or team",
                help=UNUSED,
            )
    lint_unused(files, used)


def _lint_targets(whole: WholeSet, config: Found) -> None:
    """A target that never takes a page looks like somebody who is paged."""
    silent = {
        word for word, settings in config.settings.receivers.items() if PageKind.PAGE not in settings.receiver.send
    }
    for reference in [*whole.files.references, *_fallback(whole)]:
        if reference.kind == TargetKind.RECEIVER.value and reference.name in silent:
            reference.document.lint(
                codes.TARGET_TAKES_NO_PAGES,
                reference.span,
                f"receiver {quote(reference.name)} takes no pages: its send lacks page",
                help="add page to its send",
            )


def _lint_open(document: Document, config: Found) -> None:
    settings = config.settings
    if settings.auth.open and not settings.auth.tokens and not is_loopback(settings.listen.host):
        document.lint(
            codes.OPEN_BEYOND_LOOPBACK,
            config.listen,
            f"listens on {settings.listen} and lets everybody in",
            help="add auth: {tokens: […]} unless the network keeps others out",
        )
