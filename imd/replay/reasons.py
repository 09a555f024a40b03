"""Why two rule sets come to different incidents, in one line that names the rule responsible.

Owns the sentences. Each looks at what the two sides recorded and at the keys in which their rules differ; where nothing
on record tells, it says no more than what changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta

from imd.core.opening import said, span_text
from imd.model.rule import Mode, Rule
from imd.replay.outcome import Ended
from imd.replay.sides import Side

NAMED_MAX = 3  # rules, causes or people in one sentence; the rest is counted
_SECOND = timedelta(seconds=1)


def lost(new: Side, lines: Sequence[int]) -> str:
    """What the new rules make of the lines of an incident that is no more."""
    return f"{_its(lines)} now {_fates(new, lines)}"


def appeared(old: Side, new: Side, b: Ended, lines: Sequence[int]) -> str:
    """What the old rules made of the lines of a new incident."""
    were = "was" if len(lines) == 1 else "were"
    return f"{_its(lines, were)} {_fates(old, lines)}; now {named(new, b.rule)} opens an incident"


def merged(old: Side, new: Side, olds: Sequence[Ended], b: Ended) -> str:
    change = _same_rule(old, new, olds, b.rule)
    if change is not None:
        return f"{named(new, b.rule)} makes one of them: {change}"
    before = _listed(dict.fromkeys(named(old, one.rule) for one in olds))
    return f"{named(new, b.rule)} makes one of them, by {_key(new.rule(b.rule))}; before, {before} had them"


def split(old: Side, new: Side, a: Ended, news: Sequence[Ended], shares: Sequence[int]) -> str:
    """`shares`: how many of its lines each of the new incidents has."""
    rules = {one.rule for one in news}
    if rules == {a.rule}:
        change = changed(old.rule(a.rule), new.rule(a.rule)) or "its alerts come with other labels or times"
        return f"{named(new, a.rule)} takes them apart: {change}"
    by_rule: Counter[str] = Counter()
    for one, share in zip(news, shares, strict=True):
        by_rule[one.rule] += share
    said_ = [f"{named(new, rule)} takes {count}" for rule, count in by_rule.most_common()]
    return f"of its {sum(shares)} alerts {_listed(said_)}; before, {named(old, a.rule)} had them"


def priority(old: Side, new: Side, a: Ended, b: Ended) -> str:
    if a.rule == b.rule:
        return f"{named(new, b.rule)}: {_arithmetic(new, b)}, in place of {_arithmetic(old, a)}"
    return f"{named(new, b.rule)}: {_arithmetic(new, b)}, in place of {named(old, a.rule)}: {_arithmetic(old, a)}"


def timing(old: Side, new: Side, a: Ended, b: Ended) -> str:
    before, after = old.rule(a.rule), new.rule(b.rule)
    first, second = old.first_page(a.number), new.first_page(b.number)
    assert first is not None
    assert second is not None
    said_: list[str] = []
    if abs(b.opened_at - a.opened_at) >= _SECOND:
        said_.append(f"it opens {_moved(b.opened_at - a.opened_at)}{_opens(before, after)}")
    if abs((second - b.opened_at) - (first - a.opened_at)) >= _SECOND:
        if before.hold != after.hold:
            said_.append(f"hold is {span_text(after.hold)} in place of {span_text(before.hold)}")
        else:
            said_.append(f"the first page leaves {_whole(second - b.opened_at)} after it opens")
    return f"{named(new, b.rule)}: {_listed(said_) or 'its first page leaves at another time'}"


def recipient(old: Side, new: Side, olds: Sequence[Ended], news: Sequence[Ended]) -> str:
    """Why other people are paged about the incidents of one story."""
    before = {to for one in olds for to in old.recipients(one.number)}
    after = {to for one in news for to in new.recipients(one.number)}
    if not after:
        return f"{named(new, news[0].rule)}: {_unpaged(news[0])}"
    if not before:
        return f"{named(new, news[0].rule)} pages; before, {_unpaged(olds[0])}"
    a = next((one for one in olds if old.recipients(one.number) - after), olds[0])
    b = next((one for one in news if new.recipients(one.number) - before), news[0])
    if a.policy != b.policy:
        return f"{named(new, b.rule)}: {b.routed or b.policy}, in place of {a.routed or a.policy}"
    if old.ruleset.policies.get(a.policy) != new.ruleset.policies.get(b.policy):
        return f"{named(new, b.rule)}: policy {b.policy} has other steps"
    if a.priority is not b.priority:
        return f"{named(new, b.rule)}: {b.priority.value} in place of {a.priority.value} under policy {b.policy}"
    was, is_ = _furthest(old, olds), _furthest(new, news)
    if was != is_:
        further = "further" if is_ > was else "less far"
        return f"{named(new, b.rule)}: policy {b.policy} goes {further}, to step {is_} in place of {was}"
    return f"{named(new, b.rule)}: other people at that time in policy {b.policy}"


def people(recipients: Iterable[tuple[str, str]]) -> str:
    """Who was paged; with the receiver where that is another word."""
    return _listed(to if to == receiver else f"{to} by {receiver}" for to, receiver in sorted(recipients)) or "nobody"


def named(side: Side, rule: str) -> str:
    """`rule node-loss (rules/k8s.yaml:12)`."""
    where = side.rule(rule).where
    return f"rule {rule} ({where})" if where else f"rule {rule}"


def changed(before: Rule, after: Rule) -> str:
    """The keys of a rule that decide what is one incident, where they differ; "" where none does."""
    keys = [
        ("group_by", _key(before), _key(after)),
        ("window", _window(before), _window(after)),
        ("relate", _related(before), _related(after)),
        ("open_when", _opened(before), _opened(after)),
        ("reopen_within", span_text(before.reopen_within), span_text(after.reopen_within)),
        ("resolve", _resolve(before), _resolve(after)),
        ("hold", span_text(before.hold), span_text(after.hold)),
    ]
    return "; ".join(f"{name} {is_} in place of {was}" for name, was, is_ in keys if was != is_)


# -- words ------------------------------------------------------------------------------------------------------------


def _its(lines: Sequence[int], verb: str = "") -> str:
    number = len(lines)
    return f"its alert {verb or 'is'}" if number == 1 else f"its {number} alerts {verb or 'are'}"


def _fates(side: Side, lines: Iterable[int]) -> str:
    fates = Counter(_fate(side, line) for line in lines)
    [(first, _), *others] = fates.most_common()
    return first if not others else f"{first} (and {sum(count for _, count in others)} of them otherwise)"


def _fate(side: Side, line: int) -> str:
    cancelled = side.cancelled(line)
    if cancelled is not None:
        hold = span_text(side.rule(cancelled.rule).hold)
        return f"over within the hold of {hold} of {named(side, cancelled.rule)}"
    verdict = side.verdict(line)
    if verdict is None:
        return "taken for late or known"
    if verdict.dropped_by:
        return f"stopped by the enrichment {verdict.dropped_by}"
    if verdict.rule and side.rule(verdict.rule).mode is Mode.DROP:
        return f"dropped by {named(side, verdict.rule)}"
    if verdict.suppressed_by:
        return f"suppressed by {_listed(_cause(side, cause) for cause in verdict.suppressed_by)}"
    if verdict.seen_off and verdict.rule:
        return f"in no incident of {named(side, verdict.rule)}: {verdict.seen_off}"
    return f"in no incident of {named(side, verdict.rule)}" if verdict.rule else "taken by no rule"


def _cause(side: Side, cause: str) -> str:
    kind, _, name = cause.partition("/")
    return f"{named(side, name)} (mode suppress)" if kind == "rule" else cause


def _unpaged(one: Ended) -> str:
    """Why nobody was paged."""
    said_ = one.not_notified.removeprefix("not notified: anybody, because ").removeprefix("not notified: ")
    return said_ or "it ended before anybody was paged"


def _furthest(side: Side, incidents: Iterable[Ended]) -> int:
    return max((page.step for one in incidents for page in side.pages.get(one.number, ())), default=0)


def _same_rule(old: Side, new: Side, olds: Sequence[Ended], rule: str) -> str | None:
    """What changed in the one rule that all of them are of; None where they are of several."""
    if {one.rule for one in olds} != {rule}:
        return None
    return changed(old.rule(rule), new.rule(rule)) or "its alerts come with other labels or times"


def _arithmetic(side: Side, one: Ended) -> str:
    rule = side.rule(one.rule)
    if rule.priority is not None:
        return f"priority {rule.priority.value} outright"
    if one.claimed:
        return f"{one.priority.value} as its sender says"
    return f"impact {one.impact} x urgency {one.urgency}"


def _opens(before: Rule, after: Rule) -> str:
    was, is_ = _opened(before), _opened(after)
    return f" (open_when {is_} in place of {was})" if was != is_ else ""


def _moved(by: timedelta) -> str:
    return f"{_whole(abs(by))} {'later' if by > timedelta(0) else 'earlier'}"


def _whole(span: timedelta) -> str:
    """To the second."""
    return span_text(timedelta(seconds=round(span.total_seconds())))


def _key(rule: Rule) -> str:
    return "[...]" if rule.group_by is None else f"[{', '.join(rule.group_by)}]"


def _window(rule: Rule) -> str:
    window = rule.window
    return f"{window.kind.value} (gap {span_text(window.gap)}, max_life {span_text(window.max_life)})"


def _opened(rule: Rule) -> str:
    return "none" if rule.open_when is None else said(rule.open_when)


def _related(rule: Rule) -> str:
    relate = rule.relate
    return "none" if relate is None else f"within {span_text(relate.within)}, {relate.max_hops} hops"


def _resolve(rule: Rule) -> str:
    return f"{rule.resolve.when.value} after {span_text(rule.resolve.after)}"


def _listed(words: Iterable[str]) -> str:
    found = list(dict.fromkeys(words))
    rest = f" and {len(found) - NAMED_MAX} more" if len(found) > NAMED_MAX else ""
    return ", ".join(found[:NAMED_MAX]) + rest
