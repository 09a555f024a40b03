"""One test played through the engine: what happens, what the receivers do, and what is expected when.

Owns the order of things. At one instant come events, in the order of the file, then what is due, then expectations; one
that holds throughout is looked at after each instant. Without a config every receiver name is a recording sink; nobody
acknowledges but by an event. The engine's clockwork is `run`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, assert_never

import msgspec

from imd.config.diagnostic import Span, excerpt
from imd.config.testevents import (
    Act,
    Answer,
    Away,
    Beats,
    Deed,
    End,
    EndOverride,
    Fire,
    Mute,
    Pause,
    PutOnCall,
    Reload,
    Report,
    SetClock,
    Settle,
    Unmute,
)
from imd.config.testfile import Expected, Happening, RuleTest
from imd.config.testvalues import Moment
from imd.config.wording import quote, suggest
from imd.model.alert import Identity, fingerprint
from imd.model.effect import Delivery, Effect
from imd.model.event import (
    ActionTaken,
    AlertsExpired,
    AlertsReported,
    ClockStepped,
    Event,
    HeartbeatBeat,
    IncidentReported,
    Outcome,
    OverrideEnded,
    OverrideSet,
    PauseSet,
    Restarted,
    RulesChanged,
    SilenceExpired,
    SilenceSet,
)
from imd.model.policy import Ruleset
from imd.model.quiet import PAUSE, Silence
from imd.model.schedule import Override
from imd.replay.journal import Recorded
from imd.replay.judging import judge, unknown_names
from imd.replay.run import Replay
from imd.replay.seen import Line, Seen, flow, time_text
from imd.replay.senders import NotFiring, Senders

_NAMES_MAX = 10
_SKEW_MAX = timedelta(days=10 * 365)
_INSTANT = timedelta(microseconds=1)
_NO_TIME = timedelta(0)
_FIELDS = {"for": "until", "alerts": "fingerprints"}  # words of a test, as fields of ActionTaken


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was not as the test says. `at`: when in the test, in words and in seconds. `diff` lines begin with
    `- ` (expected), `+ ` (was) or two blanks; `source` is the line of the file, of which `width` characters from
    `caret` are meant."""

    path: str
    line: int
    column: int
    at: str
    after_seconds: float
    message: str
    diff: tuple[str, ...] = ()
    help: str = ""
    source: str = ""
    caret: int = 0
    width: int = 1

    def headline(self) -> str:
        """`file:line:col: at 2m: …`"""
        return f"{self.path}:{self.line}:{self.column}: at {self.at}: {self.message}"

    def __str__(self) -> str:
        return "\n".join([self.headline(), *(f"  {line}" for line in self.diff)])


class _Back(msgspec.Struct, frozen=True):
    """imd starts again."""

    alive_at: datetime


class _Over(msgspec.Struct, frozen=True):
    """The time for which a receiver answers so is over, unless it was told something else since."""

    answer: Answer


class _Unknown(Exception):
    """An event names something that the rules do not have, or that is not there just now."""


class Play:
    """One test. Its own time counts what passes; the engine's wall clock is ahead of that by `skew`, once set."""

    def __init__(self, test: RuleTest, path: str, lines: Sequence[str], ruleset: Ruleset) -> None:
        self.failures: list[Failure] = []
        self.seen = Seen(test.start)
        self.rules_beside: Callable[[Iterable[str]], Ruleset] = lambda names: ruleset
        self._test, self._path, self._lines = test, path, lines
        self._ruleset = ruleset
        self.rulesets = [ruleset]
        self._skew = _NO_TIME
        self._reported = 0
        self._away = False
        self._answers: dict[str, Answer] = {}
        self._silences: list[Silence] = []
        self._overrides: list[Override] = []
        self._put_on_call = 0
        self._agenda: list[tuple[timedelta, int, Happening | _Back | _Over]] = []
        self._planned = 0
        self._judged: set[Span] = set()
        self._replay = Replay(ruleset, beats=True, world=self)
        self._replay.begin(test.start)
        state = self._replay.engine.state
        self.seen.begin(self._replay.story, lambda incident: state.incidents[incident].policy)
        self.seen.under(ruleset)
        self._senders = Senders(test.alerts, ruleset.sources, self._fires, self._moment)
        self.seen.names = self._senders.names
        for event in test.events:
            for at in event.times():
                self._plan(at, event)

    def through(self) -> None:
        """To the last expectation."""
        expect = self._test.expect
        for at in sorted({moment for one in expect for moment in (one.begins, one.to)}):
            self._reach(at)
            for expected in expect:
                if expected.to == at:
                    self._judge(expected, messages=True)

    # -- the world of the replay --------------------------------------------------------------------------------------

    def answer(self, delivery: Delivery) -> tuple[Outcome, str] | None:
        message = self.seen.messages.get(delivery.id)
        if message is not None:
            message.left = True
        told = self._answers.get(delivery.receiver)
        if told is None:
            return Outcome.ACCEPTED, ""
        return None if told.outcome is None else (told.outcome, told.error)

    def watch(self, effect: Effect) -> None:
        self.seen.take(effect)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _now(self) -> datetime:
        return self._test.start + self.seen.at + self._skew

    def _plan(self, at: timedelta, what: Happening | _Back | _Over) -> None:
        self._planned += 1
        heapq.heappush(self._agenda, (at, self._planned, what))

    def _reach(self, at: timedelta) -> None:
        """Everything up to and including `at`; what is expected throughout is looked at after each instant."""
        while (instant := self._next()) is not None and instant <= at:
            self._live(instant)
        self.seen.at = at
        self._look()

    def _next(self) -> timedelta | None:
        """When something happens or falls due next."""
        planned = self._agenda[0][0] if self._agenda else None
        due = None if self._away else self._replay.next_due()
        if due is None:
            return planned
        instant = max(self.seen.at, due - self._skew - self._test.start)
        return instant if planned is None else min(instant, planned)

    def _live(self, instant: timedelta) -> None:
        if instant > self.seen.at:
            self._look()
        self.seen.at = instant
        while self._agenda and self._agenda[0][0] <= instant:
            self._happen(heapq.heappop(self._agenda)[2])
        if not self._away:
            self._replay.pass_time(self._now() + _INSTANT)

    def _look(self) -> None:
        """What is expected throughout, as it stands."""
        for expected in self._test.expect:
            if expected.begins <= self.seen.at < expected.to:
                self._judge(expected, messages=False)

    # -- what happens -------------------------------------------------------------------------------------------------

    def _happen(self, what: Happening | _Back | _Over) -> None:
        match what:
            case _Back(alive_at=alive_at):
                self._away = False
                self._take(Restarted(alive_at))
            case _Over(answer=answer):
                if self._answers.get(answer.receiver) is answer:
                    self._recover(answer.receiver)
            case Happening(deed=deed):
                self.seen.lines.append(Line(self.seen.at, 0, what.told))
                try:
                    refused = self._do(deed)
                except _Unknown as unknown:
                    self._fail(what.span, str(unknown))
                else:
                    self._refused(what, refused)

    def _refused(self, event: Happening, refused: list[str]) -> None:
        said = "; ".join(refused)
        if event.refused is None and refused:
            self._fail(event.span, f"imd refused this: {said}")
        elif event.refused is not None and event.refused not in said:
            was = f"+ refused: {flow(said)}" if refused else "+ (imd took it)"
            self._fail(event.span, "not refused so", (f"- refused: {flow(event.refused)}", was))

    def _do(self, deed: Deed) -> list[str]:
        """What the engine refused of it. Raises _Unknown."""
        if self._away:
            raise _Unknown("imd is stopped just now, and hears nothing of this")
        match deed:
            case Fire() | End():
                return self._report(deed)
            case Act() | Report():
                return self._act(deed) if isinstance(deed, Act) else self._report_by_hand(deed)
            case Mute() | Unmute() | Pause():
                return self._quiet(deed)
            case PutOnCall() | EndOverride():
                return self._override(deed)
            case Answer() | Settle():
                self._answer_so(deed)
                return []
            case SetClock(by=by):
                if abs(self._skew + by) > _SKEW_MAX:
                    raise _Unknown(f"the clock would be off by more than {time_text(_SKEW_MAX)}")
                self._skew += by
                return self._take(ClockStepped(by))
            case Away(wait=wait):
                self._replay.pass_time(self._now())
                self._away = True
                self._plan(self.seen.at + wait, _Back(self._now()))
                return []
            case Beats(heartbeat=name, labels=labels):
                known = {one.name: one for one in self._ruleset.heartbeats}
                words = known[name].by if name in known else ()
                return self._take(HeartbeatBeat(name, tuple((word, labels.get(word, "")) for word in words)))
            case Reload(paths=named):
                self._ruleset = self.rules_beside(named)
                self.rulesets.append(self._ruleset)
                self.seen.under(self._ruleset)
                return self._take(RulesChanged(self._ruleset))
            case _:
                assert_never(deed)

    def _report(self, deed: Fire | End) -> list[str]:
        now = self._now()
        try:
            events = self._senders.fire(deed, now) if isinstance(deed, Fire) else self._senders.end(deed, now)
        except NotFiring as quiet:
            raise _Unknown(f"{quiet} does not fire, so there is nothing to repeat") from None
        return [refusal for event in events for refusal in self._take(event)]

    def _act(self, act: Act) -> list[str]:
        refused: list[str] = []
        fields = {_FIELDS.get(word, word): self._of_action(word, value) for word, value in act.fields.items()}
        for number in (*act.incidents, *([act.fields["into"]] if "into" in act.fields else [])):
            if f"i{number:012d}" not in self._replay.story.incidents:
                raise _Unknown(f"there is no incident {number} so far")
        for number in act.incidents:
            refused += self._take(ActionTaken(kind=act.kind, incident=f"i{number:012d}", through="test", **fields))
        return refused

    def _of_action(self, word: str, value: Any) -> Any:
        """As the engine wants it: an instant, an id, fingerprints."""
        match word:
            case "for":
                return self._now() + value
            case "into":
                return f"i{value:012d}"
            case "alerts":
                return tuple(fingerprint(self._senders.identity(ref).labels()) for ref in value)
        return value

    def _report_by_hand(self, report: Report) -> list[str]:
        self._reported += 1
        words = {**msgspec.structs.asdict(report), "key": f"report-{self._reported}", "through": "test"}
        return self._take(IncidentReported(**words))

    def _take(self, event: Event) -> list[str]:
        lines = tuple(0 for _ in event.alerts) if isinstance(event, AlertsReported | AlertsExpired) else ()
        return self._replay.take(Recorded(self._now(), lines, event))

    def _fires(self, identity: Identity) -> bool:
        alert = self._replay.engine.state.alerts.get(identity.key)
        return alert is not None and alert.firing

    def _moment(self, moment: Moment) -> datetime:
        return self._test.start + moment + self._skew if isinstance(moment, timedelta) else moment

    # -- quiet and receivers ------------------------------------------------------------------------------------------

    def _quiet(self, deed: Mute | Unmute | Pause) -> list[str]:
        now = self._now()
        match deed:
            case Pause(wait=None, by=by):
                return self._take(SilenceExpired(PAUSE, by))
            case Pause(wait=wait, by=by, reason=reason):
                assert wait is not None
                return self._take(PauseSet(until=now + wait, by=by, reason=reason))
            case Unmute(name=name, by=by):
                silence = next(one for one in reversed(self._silences) if self.seen.silences[one.id] == name)
                return self._take(SilenceExpired(silence.id, by))
            case Mute():
                number = len(self._silences) + 1
                silence = Silence(
                    id=f"00000000-0000-4000-8000-{number:012d}",
                    matchers=deed.matchers,
                    starts_at=now,
                    ends_at=now + deed.wait,
                    updated_at=now,
                    created_by=deed.by,
                    comment=deed.comment,
                )
                self._silences.append(silence)
                self.seen.silences[silence.id] = deed.name or str(number)
                return self._take(SilenceSet(silence))

    def _override(self, deed: PutOnCall | EndOverride) -> list[str]:
        now = self._now()
        known = self._ruleset.schedules
        if deed.schedule not in known:
            raise _Unknown(f"there is no schedule {quote(deed.schedule)}{_instead(deed.schedule, known)}")
        if isinstance(deed, EndOverride):
            ends = [one.id for one in self._overrides if one.schedule == deed.schedule and one.ends_at > now]
            if not ends:
                raise _Unknown(f"schedule {quote(deed.schedule)} has no override just now")
            self._overrides = [one for one in self._overrides if one.id != ends[-1]]
            return self._take(OverrideEnded(ends[-1], deed.by))
        if deed.person not in self._ruleset.people:
            raise _Unknown(f"there is no person {quote(deed.person)}{_instead(deed.person, self._ruleset.people)}")
        begins_at = now if deed.begins is None else self._moment(deed.begins)
        self._put_on_call += 1
        override = Override(
            schedule=deed.schedule,
            person=deed.person,
            begins_at=begins_at,
            ends_at=begins_at + deed.wait,
            id=f"00000000-0000-4000-9000-{self._put_on_call:012d}",
            created_by=deed.by,
            created_at=now,
            comment=deed.comment,
        )
        self._overrides.append(override)
        return self._take(OverrideSet(override))

    def _answer_so(self, deed: Answer | Settle) -> None:
        known = self._ruleset.receivers
        if deed.receiver not in known:
            raise _Unknown(f"there is no receiver {quote(deed.receiver)}{_instead(deed.receiver, known)}")
        match deed:
            case Settle(receiver=receiver, outcome=outcome):
                self._replay.settle(receiver, outcome, self._now())
            case Answer(receiver=receiver, outcome=Outcome.ACCEPTED):
                self._recover(receiver)
            case Answer(receiver=receiver, wait=wait):
                self._answers[receiver] = deed
                if wait is not None:
                    self._plan(self.seen.at + wait, _Over(deed))

    def _recover(self, receiver: str) -> None:
        self._answers.pop(receiver, None)
        self._replay.settle(receiver, Outcome.ACCEPTED, self._now())

    # -- what is expected ---------------------------------------------------------------------------------------------

    def _judge(self, expected: Expected, *, messages: bool) -> None:
        """An expectation throughout fails once, at the first instant at which it is not so."""
        state = expected.span not in self._judged
        for mismatch in judge(expected, self.seen, state=state, messages=messages):
            self._judged.add(expected.span)
            unknown = "; ".join(unknown_names(expected, self._ruleset))
            self._fail(mismatch.span, mismatch.message, mismatch.diff, unknown)

    def _fail(self, span: Span, message: str, diff: tuple[str, ...] = (), hint: str = "") -> None:
        line = self._lines[span.line - 1] if span.line <= len(self._lines) else ""
        end = span.end_column if span.end_line == span.line else len(line) + 1
        shown, caret = excerpt(line, span.column - 1)
        self.failures.append(
            Failure(
                path=self._path,
                line=span.line,
                column=span.column,
                at=time_text(self.seen.at),
                after_seconds=self.seen.at.total_seconds(),
                message=message,
                diff=diff,
                help=hint,
                source=shown,
                caret=caret,
                width=max(1, min(end - span.column, len(shown) - caret)),
            )
        )


def _instead(name: str, known: Iterable[str]) -> str:
    """What may have been meant, or what there is."""
    hint, names = suggest(name, known), list(known)
    return f"; {hint}" if hint else f", only {', '.join(names[:_NAMES_MAX])}" if names else ""
