"""How a silence is set and ended, whoever asks: imd's own paths and Alertmanager's share these rules.

Owns the checks of what people ask for and the choice of an id. A silence acts on reads and pages from the answer on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID, uuid4

import msgspec

from imd.api.context import Context
from imd.config.syntax import valid_label_name
from imd.model.event import SilenceExpired, SilenceSet
from imd.model.quiet import PAUSE, Silence, SilenceState, keeps_id, takes_empty
from imd.model.rule import BadPattern, Matcher

MATCHERS_MAX = 100
TEXT_CHARS_MAX = 16_384
BY_CHARS_MAX = 1_000
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class BadSilence(ValueError):
    """It cannot be set as it is; the text says why."""


class UnknownSilence(KeyError):
    """No silence has this id."""


def known(context: Context) -> dict[str, Silence]:
    """By id, without the pause."""
    return {silence.id: silence for silence in context.view.silences() if silence.id != PAUSE}


def uuid_of(text: str) -> str:
    """An id as it is kept; raises ValueError for what is no UUID."""
    return str(UUID(text)) if len(text) in (32, 36) else str(UUID(""))


def check(silence: Silence, now: datetime) -> None:
    """Raises BadSilence, in Alertmanager's words where it has some."""
    if silence.starts_at >= silence.ends_at:
        raise BadSilence("start time must be before end time")
    if silence.ends_at <= now:
        raise BadSilence("end time can't be in the past")
    if not 0 < len(silence.matchers) <= MATCHERS_MAX:
        raise BadSilence(f"a silence has 1 to {MATCHERS_MAX} matchers, not {len(silence.matchers)}")
    for matcher in silence.matchers:
        if not valid_label_name(matcher.name):
            raise BadSilence(f"silence invalid: invalid label name {matcher.name[:100]!a}")
    try:
        if takes_empty(silence.matchers):
            raise BadSilence("silence invalid: at least one matcher must not match the empty string")
    except BadPattern as error:
        raise BadSilence(f"silence invalid: {error}") from None
    texts = [silence.comment, *silence.annotations, *silence.annotations.values()]
    texts += [text for matcher in silence.matchers for text in (matcher.name, matcher.value)]
    if len(silence.created_by) > BY_CHARS_MAX or sum(map(len, texts)) > TEXT_CHARS_MAX:
        raise BadSilence(f"silence invalid: its texts are longer than {TEXT_CHARS_MAX} characters")


def placed(asked: Silence, silences: Mapping[str, Silence], now: datetime) -> SilenceSet:
    """The event that sets it: under the id asked for where that may stay, else under a fresh one in place of it. Raises
    BadSilence, UnknownSilence."""
    asked = msgspec.structs.replace(asked, updated_at=now, ends_at=min(asked.ends_at, _LATEST))
    old = silences.get(asked.id)
    if asked.id and old is None:
        raise UnknownSilence(asked.id)
    check(asked, now)
    if old is not None and keeps_id(old, asked, now):
        starts_at = old.starts_at if old.state(now) is SilenceState.ACTIVE else asked.starts_at
        return SilenceSet(msgspec.structs.replace(asked, starts_at=starts_at))
    fresh = msgspec.structs.replace(asked, id=str(uuid4()), starts_at=max(asked.starts_at, now))
    return SilenceSet(fresh, replaces=asked.id)


async def set_silence(context: Context, asked: Silence, size_bytes: int) -> Silence:
    """Sets it and answers with it as it is then. Between the look at the others and the step nothing else can happen:
    both are in one turn of the loop. Raises BadSilence, UnknownSilence."""
    event = placed(asked, known(context), context.clock.now())
    for refused in await context.submit(event, size_bytes):
        raise BadSilence(refused.error)
    return event.silence


async def expire(context: Context, silence_id: str, by: str) -> None:
    """Ends it; one that is over stays as it is. Raises UnknownSilence."""
    for _ in await context.submit(SilenceExpired(silence_id, by), 0):
        raise UnknownSilence(silence_id)


def takes_all(silence: Silence, filters: Iterable[Matcher]) -> bool:
    """Whether each filter is one of its matchers, word for word (Alertmanager's CheckSilenceMatchesFilterLabels)."""
    return all(matcher in silence.matchers for matcher in filters)


def in_order(silences: Iterable[Silence], now: datetime) -> list[Silence]:
    """Active ones by their end, pending ones by their start, then ended ones, the last first."""
    by_state: dict[SilenceState, list[Silence]] = {state: [] for state in SilenceState}
    for silence in silences:
        by_state[silence.state(now)].append(silence)
    return [
        *sorted(by_state[SilenceState.ACTIVE], key=lambda one: (one.ends_at, one.id)),
        *sorted(by_state[SilenceState.PENDING], key=lambda one: (one.starts_at, one.id)),
        *sorted(by_state[SilenceState.EXPIRED], key=lambda one: (one.ends_at, one.id), reverse=True),
    ]
