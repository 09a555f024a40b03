"""Whether a run was as a test expects, and if not, in what way: expected and actual beside each other.

Owns comparison and the lines of a difference. How a value is found is `seen`; what may be expected `config.testkeys`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from imd.config.diagnostic import Span
from imd.config.testfile import Expected, Wanted
from imd.config.testvalues import AlertRef
from imd.config.wording import quote, suggest
from imd.model.alert import Alert
from imd.model.incident import Incident, IncidentState
from imd.model.policy import PageKind, Ruleset
from imd.replay.seen import INCIDENT_VALUES, MESSAGE_VALUES, Message, Seen, called, flow, time_text

A = TypeVar("A")
B = TypeVar("B")
_SHOWN_OF_EXTRA = ("rule", "state", "priority", "alerts", "group_key")
_ALIGNED_MAX = 250_000  # comparisons; longer lists are laid side by side
_TIMES_MAX = 5
_NOT_BARE = ("kind", "times")


class Mismatch(msgspec.Struct, frozen=True):
    """One thing that was not as expected. `diff` lines begin with `- ` (expected), `+ ` (was) or two blanks (as
    expected)."""

    span: Span
    message: str
    diff: tuple[str, ...]


def judge(expected: Expected, seen: Seen, *, state: bool = True, messages: bool = True) -> Iterator[Mismatch]:
    """Everything in which the run, as it stands, is not as expected: what was sent, and the rest, its `state`."""
    seen.looked_at_anew()
    for word, judged in _JUDGES.items():
        wanted = getattr(expected, word)
        if wanted is not None and (messages if word == "pages" else state):
            yield from judged(wanted, expected, seen)


def unknown_names(expected: Expected, ruleset: Ruleset) -> Iterator[str]:
    """Of what is expected, names that the rules do not have: nothing could ever be so."""
    rules = [rule.name for rule in ruleset.rules] + [one.rule for one in ruleset.heartbeats]
    people = [*ruleset.people, *ruleset.receivers]
    incidents = [*(expected.incidents or ()), *(expected.incidents_include or ())]
    named = [("rule", one.fields.get("rule"), rules) for one in incidents]
    named += [("policy", one.fields.get("policy"), list(ruleset.policies)) for one in incidents]
    named += [("person or receiver", one.fields.get("to"), people) for one in expected.pages or ()]
    named += [("receiver", one.fields.get("receiver"), list(ruleset.receivers)) for one in expected.pages or ()]
    for kind, name, known in dict.fromkeys((kind, name, tuple(known)) for kind, name, known in named):
        if name and name not in known:
            hint = suggest(name, known)
            yield f"there is no {kind} {quote(name)}" + (f"; {hint}" if hint else "")


# Incidents.


def _incidents(wanted: tuple[Wanted, ...], expected: Expected, seen: Seen) -> Iterator[Mismatch]:
    found = seen.incidents()
    pairs = _aligned(wanted, found, lambda one, incident: not differing(one, incident, seen))
    if all(one is not None and incident is not None for one, incident in pairs) and not _unlike(pairs, seen):
        return
    lines: list[str] = []
    for one, incident in pairs:
        lines += _incident_lines(one, incident, seen)
    message = "incidents are not as expected"
    if len(found) != len(wanted):
        message = f"{_count(len(found), 'incident')}, expected {len(wanted)}"
    yield Mismatch(_place(pairs, expected, seen), message, tuple(lines))


def _unlike(pairs: Iterable[tuple[Wanted | None, Incident | None]], seen: Seen) -> list[tuple[Wanted, str]]:
    """Of those that stand for each other, each key that is not as expected."""
    return [
        (one, word)
        for one, incident in pairs
        if one is not None and incident is not None
        for word in differing(one, incident, seen)
    ]


def _place(pairs: Sequence[tuple[Wanted | None, Incident | None]], expected: Expected, seen: Seen) -> Span:
    """Where the first thing stands that was not so; the list where something is there too much."""
    unlike = _unlike(pairs, seen)
    if unlike and all(one is not None and incident is not None for one, incident in pairs):
        one, word = unlike[0]
        return one.spans[word]
    missing = next((one for one, incident in pairs if incident is None and one is not None), None)
    return missing.span if missing is not None else expected.spans["incidents"]


def _incident_lines(wanted: Wanted | None, incident: Incident | None, seen: Seen) -> list[str]:
    if wanted is None:
        assert incident is not None
        return [f"+ #{incident.number} {flow(_values(_SHOWN_OF_EXTRA, incident, seen))}"]
    if incident is None:
        return [f"- {flow(_expected(wanted, seen))}"]
    unlike = differing(wanted, incident, seen)
    if not unlike:
        return [f"  #{incident.number} {flow(_expected(wanted, seen))}"]
    was = {
        word: one if word in unlike else wanted.fields[word]
        for word, one in _values(wanted.fields, incident, seen).items()
    }
    return [f"- #{incident.number} {flow(_expected(wanted, seen))}", f"+ #{incident.number} {flow(_shown(was))}"]


def _values(words: Iterable[str], incident: Incident, seen: Seen) -> dict[str, Any]:
    found = {}
    for word in words:
        value = INCIDENT_VALUES[word](seen, incident)
        if word == "members":
            value = called(seen, value)
        elif word == "root_cause":
            value = value[0]
        found[word] = value
    return found


def _expected(wanted: Wanted, seen: Seen) -> dict[str, Any]:
    return _shown(wanted.fields)


def _shown(fields: dict[str, Any]) -> dict[str, Any]:
    """As a person would write it."""
    return {word: _plain(value) for word, value in fields.items()}


def _plain(value: Any) -> Any:
    match value:
        case AlertRef():
            return value.name or value.labels
        case tuple() | list():
            return [_plain(one) for one in value]
        case datetime():
            return value.isoformat()
        case _:
            return value


def differing(wanted: Wanted, incident: Incident, seen: Seen) -> list[str]:
    """The keys that are not as expected."""
    return [word for word, value in wanted.fields.items() if not _holds(word, value, incident, seen)]


def _holds(word: str, wanted: Any, incident: Incident, seen: Seen) -> bool:
    found = INCIDENT_VALUES[word](seen, incident)
    match word:
        case "group_key" | "labels":
            return all(found.get(name, "") == value for name, value in wanted.items())
        case "members":
            return _stand_for_each_other(wanted, found, seen.means)
        case "root_cause":
            return wanted in found
        case "timeline":
            return all(any(words in line for line in found) for words in wanted)
        case "opened_at" | "resolved_at":
            return bool(found == time_text(wanted))
        case _:
            return bool(found == wanted)


def _include(wanted: tuple[Wanted, ...], expected: Expected, seen: Seen) -> Iterator[Mismatch]:
    """Each stands for an incident of its own. Merged and cancelled ones are looked at where that is asked for."""
    listed, every = seen.incidents(), seen.every_incident()
    found = [_candidates(one, listed, every, seen) for one in wanted]
    matched = _matched(found)
    for number, one in enumerate(wanted):
        if number in matched:
            continue
        nearest = sorted(
            every if _asks_for_gone(one) else listed, key=lambda incident: len(differing(one, incident, seen))
        )
        lines = [f"- {flow(_expected(one, seen))}"]
        lines += [f"+ #{incident.number} {flow(_values(one.fields, incident, seen))}" for incident in nearest[:5]]
        lines += [f"  and {len(nearest) - 5} more"] if len(nearest) > 5 else []
        message = "no incident is so" if not found[number] else "no further incident is so"
        yield Mismatch(one.span, message, tuple(lines))


def _asks_for_gone(wanted: Wanted) -> bool:
    return wanted.fields.get("state") in (IncidentState.MERGED, IncidentState.CANCELLED) or bool(
        wanted.fields.get("merged_into")
    )


def _candidates(wanted: Wanted, listed: list[Incident], every: list[Incident], seen: Seen) -> list[int]:
    pool = every if _asks_for_gone(wanted) else listed
    return [incident.number for incident in pool if not differing(wanted, incident, seen)]


# Messages.


def _pages(wanted: tuple[Wanted, ...], expected: Expected, seen: Seen) -> Iterator[Mismatch]:
    kinds = {PageKind.PAGE.value, *(one.fields["kind"].value for one in wanted if "kind" in one.fields)}
    sent = [
        one
        for one in seen.messages.values()
        if one.delivery.kind.value in kinds and expected.since <= one.at <= expected.to
    ]
    # Each message stands for one of an entry's `times`; the entry is so if it has all of them, and none is left over.
    places = [number for number, one in enumerate(wanted) for _ in range(one.fields.get("times", 1))]
    fitting = [[at for at, number in enumerate(places) if _is_so(wanted[number], message)] for message in sent]
    taken = _matched(fitting)
    got = Counter(places[at] for at in taken.values())
    over = [message for number, message in enumerate(sent) if number not in taken]
    if not over and len(taken) == len(places):
        return
    words = list(dict.fromkeys(word for one in wanted for word in one.fields if word not in _NOT_BARE))
    lines: list[str] = []
    first: Wanted | None = None
    for number, one in enumerate(wanted):
        times = one.fields.get("times", 1)
        if got[number] == times:
            lines.append(f"  {flow(_expected(one, seen))}")
            continue
        first = first or one
        lines.append(f"- {flow(_expected(one, seen))}")
        lines.append(f"+ {flow({**_shown(one.fields), 'times': got[number]})}")
    lines += _left_over(over, words or ["to"])
    span = first.span if first is not None else expected.spans["pages"]
    yield Mismatch(
        span,
        f"{_count(len(sent), 'message' if len(kinds) > 1 else 'page')}{_stretch(expected)}, not as expected",
        tuple(lines),
    )


def _stretch(expected: Expected) -> str:
    return f" since {time_text(expected.since)}" if expected.since else ""


def _is_so(wanted: Wanted, message: Message) -> bool:
    if "kind" not in wanted.fields and message.delivery.kind is not PageKind.PAGE:
        return False
    for word, value in wanted.fields.items():
        if word == "times":
            continue
        found = MESSAGE_VALUES[word](message)
        if found != value and not (word == "to" and message.delivery.receiver == value):
            return False
    return True


def _left_over(messages: Iterable[Message], words: list[str]) -> list[str]:
    """Messages that nobody expected, those that look alike in one line, with their times."""
    shown: dict[str, list[timedelta]] = {}
    for message in messages:
        found = {word: MESSAGE_VALUES[word](message) for word in dict.fromkeys(["to", *words])}
        if message.delivery.kind is not PageKind.PAGE:
            found["kind"] = message.delivery.kind.value
        found.setdefault("reason", MESSAGE_VALUES["reason"](message))
        found.setdefault("incident", message.delivery.number)
        line = flow({word: value for word, value in found.items() if value != ""})
        shown.setdefault(line, []).append(message.at)
    return [f"+ {line[:-1]}, times: {len(ats)}}}  # at {_times(ats)}" for line, ats in shown.items()]


def _times(ats: Sequence[timedelta]) -> str:
    return ", ".join(time_text(at) for at in ats[:_TIMES_MAX]) + (", …" if len(ats) > _TIMES_MAX else "")


# Verdicts and alerts.


def _suppressed(wanted: tuple[Wanted, ...], expected: Expected, seen: Seen) -> Iterator[Mismatch]:
    """Every entry holds, and every suppressed alert has one."""
    found = seen.suppressed()
    bad = [one for one in wanted if not any(_is_muted(one, alert, seen) for alert in found)]
    unsaid = [alert for alert in found if not any(seen.means(one.fields["alert"], alert) for one in wanted)]
    if not bad and not unsaid:
        return
    lines = [f"{'- ' if one in bad else '  '}{flow(_expected(one, seen))}" for one in wanted]
    wrong = [alert for alert in found if any(seen.means(one.fields["alert"], alert) for one in bad)]
    for alert in [*wrong, *unsaid]:
        for cause in alert.suppressed_by:
            kind, name = seen.cause(cause)
            shown = {"alert": seen.called(alert), "by": kind, **({"name": name} if name else {})}
            lines.append(f"+ {flow(shown)}")
    span = bad[0].span if bad else expected.spans["suppressed"]
    yield Mismatch(span, f"{_count(len(found), 'alert')} suppressed, not as expected", tuple(dict.fromkeys(lines)))


def _is_muted(wanted: Wanted, alert: Alert, seen: Seen) -> bool:
    if not seen.means(wanted.fields["alert"], alert):
        return False
    by, name = wanted.fields.get("by"), wanted.fields.get("name")
    return any(
        by in (None, kind) and name in (None, known)
        for kind, known in (seen.cause(cause) for cause in alert.suppressed_by)
    )


def _alerts(
    word: str, find: Callable[[Seen], list[Alert]]
) -> Callable[[tuple[AlertRef, ...], Expected, Seen], Iterator[Mismatch]]:
    def judged(wanted: tuple[AlertRef, ...], expected: Expected, seen: Seen) -> Iterator[Mismatch]:
        found = find(seen)
        pairs = _aligned(wanted, found, seen.means, ordered=False)
        if all(ref is not None and alert is not None for ref, alert in pairs):
            return
        lines = []
        for ref, alert in pairs:
            if ref is not None:
                lines.append(f"{'  ' if alert is not None else '- '}{flow(_plain(ref))}")
            elif alert is not None:
                lines.append(f"+ {flow(seen.called(alert))}")
        yield Mismatch(expected.spans[word], f"{_count(len(found), 'alert')} {word}, not as expected", tuple(lines))

    return judged


_JUDGES: dict[str, Callable[[Any, Expected, Seen], Iterator[Mismatch]]] = {
    "incidents": _incidents,
    "incidents_include": _include,
    "pages": _pages,
    "suppressed": _suppressed,
    "unmatched": _alerts("unmatched", Seen.unmatched),
    "dropped": _alerts("dropped", Seen.dropped),
    "waiting": _alerts("waiting", Seen.waiting),
}


# Which of two lists stand for each other.


def _stand_for_each_other(wanted: Sequence[A], found: Sequence[B], fits: Callable[[A, B], bool]) -> bool:
    return len(wanted) == len(found) and len(
        _matched([[at for at, b in enumerate(found) if fits(a, b)] for a in wanted])
    ) == len(wanted)


def _matched(fitting: Sequence[Sequence[int]]) -> dict[int, int]:
    """As many as can be, each with a place of its own among those that fit it (augmenting paths, Kuhn)."""
    holder: dict[int, int] = {}

    def placed(one: int, asked: set[int]) -> bool:
        for place in fitting[one]:
            if place in asked:
                continue
            asked.add(place)
            if place not in holder or placed(holder[place], asked):
                holder[place] = one
                return True
        return False

    for one in range(len(fitting)):
        placed(one, set())
    return {one: place for place, one in holder.items()}


def _aligned(
    wanted: Sequence[A], found: Sequence[B], fits: Callable[[A, B], bool], ordered: bool = True
) -> list[tuple[A | None, B | None]]:
    """Pairs in order; None where the other has no counterpart. What differs between two that fit is paired as it
    stands, so that a change shows as one."""
    if not ordered:
        matched = _matched([[at for at, b in enumerate(found) if fits(a, b)] for a in wanted])
        rest = [b for at, b in enumerate(found) if at not in matched.values()]
        return [(a, found[matched[n]] if n in matched else None) for n, a in enumerate(wanted)] + [
            (None, b) for b in rest
        ]
    if len(wanted) * len(found) > _ALIGNED_MAX:
        anchors = [(n, n) for n in range(min(len(wanted), len(found))) if fits(wanted[n], found[n])]
    else:
        anchors = _common(wanted, found, fits)
    pairs: list[tuple[A | None, B | None]] = []
    a = b = 0
    for at, bt in [*anchors, (len(wanted), len(found))]:
        pairs += _side_by_side(wanted[a:at], found[b:bt])
        if at < len(wanted):
            pairs.append((wanted[at], found[bt]))
        a, b = at + 1, bt + 1
    return pairs


def _side_by_side(wanted: Sequence[A], found: Sequence[B]) -> list[tuple[A | None, B | None]]:
    longest = max(len(wanted), len(found))
    return [(wanted[n] if n < len(wanted) else None, found[n] if n < len(found) else None) for n in range(longest)]


def _common(wanted: Sequence[A], found: Sequence[B], fits: Callable[[A, B], bool]) -> list[tuple[int, int]]:
    """The longest common subsequence, as pairs of indices."""
    longest = [[0] * (len(found) + 1) for _ in range(len(wanted) + 1)]
    same = [[fits(a, b) for b in found] for a in wanted]
    for a in reversed(range(len(wanted))):
        for b in reversed(range(len(found))):
            longest[a][b] = longest[a + 1][b + 1] + 1 if same[a][b] else max(longest[a + 1][b], longest[a][b + 1])
    pairs = []
    a = b = 0
    while a < len(wanted) and b < len(found):
        if same[a][b] and longest[a][b] == longest[a + 1][b + 1] + 1:
            pairs.append((a, b))
            a, b = a + 1, b + 1
        elif longest[a + 1][b] >= longest[a][b + 1]:
            a += 1
        else:
            b += 1
    return pairs


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
