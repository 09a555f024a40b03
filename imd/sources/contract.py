"""What a source is: bytes of one request in, alert reports and refusals out.

Owns the shapes that every decoder shares and the checks of whole bodies. Knows nothing of HTTP, rules or stores.
A decoder is pure but for its label cache, which changes how fast it answers and never what.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Protocol, TypeVar, runtime_checkable

import msgspec

from imd.model.alert import NO_ANNOTATIONS, AlertReport

Item = TypeVar("Item")

NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
"""Everything that msgspec raises on somebody else's bytes (ValidationError is a DecodeError). The fourth is for
instants whose zone moves them beyond the years that there are."""

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

EXCERPT_CHARS_MAX = 500
_OBJECTS_MAX = 500_000  # a real alert takes 300 bytes and 3 objects, so 16 MiB hold a third of this; `{},{},…` more
_URL_CHARS_MAX = 4096
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on one alert and one body (design section 7)."""

    labels_max: int = 64
    label_value_bytes_max: int = 4096
    label_set_bytes_max: int = 1_048_576
    annotations_max: int = 64
    annotation_bytes_max: int = 4096
    depth_max: int = 32


DEFAULT_LIMITS = Limits()


class Reason(enum.StrEnum):
    """Why an alert or a body was refused; label `reason` of imd_alerts_rejected_total."""

    BODY = "body"
    TOO_LARGE = "too_large"
    SCHEMA = "schema"
    REQUIRED = "required"
    LABELS = "labels"
    LIMIT = "limit"
    ANNOTATIONS = "annotations"
    TIMES = "times"
    STATUS = "status"
    URL = "url"
    IGNORED = "ignored"
    ENGINE = "engine"


class Rejection(msgspec.Struct, frozen=True):
    """Alert `index` of the body (-1: the body as a whole) was refused; `excerpt` shows its beginning.
    `source` names the sender where the event that carries this has none."""

    index: int
    error: str
    reason: Reason
    excerpt: str = ""
    source: str = ""


class Decoded(msgspec.Struct, frozen=True):
    """Every alert of the body is in one of the three. `positions[i]` is where in the body `alerts[i]` stood. What is
    `ignored` is understood and says nothing of any alert (a test, an acknowledgement); it is kept for people to see."""

    alerts: list[AlertReport]
    rejected: list[Rejection]
    positions: list[int] | None = None
    ignored: list[Rejection] = []

    def position(self, index: int) -> int:
        return index if self.positions is None else self.positions[index]


class BadBody(ValueError):
    """The body as a whole is nothing that this source understands."""


class AlertRefused(ValueError):
    """One alert is refused, or with Reason.IGNORED passed over; the others of its body are not concerned."""

    def __init__(self, reason: Reason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


class Decoder(Protocol):
    """One per source; not to be used by two threads at once."""

    by_api: bool

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        """Raises BadBody, and nothing else whatever the bytes are. `headers` are those of the request; its names are
        found whatever their case."""
        ...


@runtime_checkable
class Splits(Decoder, Protocol):
    """A decoder whose large bodies can be taken apart, for one as a whole would hold the loop up: the decoded parts
    together say what the body says, and `check` holds what `decode` checks of a body as a whole."""

    def split(self, body: bytes, alerts_max: int) -> list[bytes]:
        """Bodies of at most so many alerts, in order. Raises BadBody."""
        ...

    def check(self, body: bytes, decoded: Decoded) -> None:
        """Raises BadBody."""
        ...


encode_items = msgspec.json.Encoder().encode


def parts(items: Sequence[msgspec.Raw], items_max: int) -> Iterator[list[msgspec.Raw]]:
    """So many at most in each, in order."""
    for start in range(0, len(items), items_max):
        yield list(items[start : start + items_max])


_NAMED = r"[\w-]*(?:token|secret|password|api_?key|routing_key|service_key)"
_SECRETS = re.compile(rf'("{_NAMED}"\s*:\s*")(?:[^"\\]|\\.)*|((?:^|[?&]){_NAMED}=)[^&\s]*', re.IGNORECASE)


def excerpt(raw: bytes | memoryview | msgspec.Raw) -> str:
    """The beginning, for people to see. What is named like a secret is starred out."""
    text = bytes(memoryview(raw)[: EXCERPT_CHARS_MAX * 4]).decode("utf-8", "replace")
    return _SECRETS.sub(lambda found: f"{found[1] or found[2]}***", text)[:EXCERPT_CHARS_MAX]


def instant(value: datetime | None) -> datetime | None:
    """The instant in UTC; None for year 1, which Go's senders write for "not set".

    Years that no calendar arithmetic survives are moved to 1900 or 9000: a deadline of then plus some days must not
    end the step that works it out.
    """
    if value is None or value.year == 1:
        return None
    if value.year >= _LATEST.year:
        return _LATEST
    return max(value if value.tzinfo is UTC else value.astimezone(UTC), _EARLIEST)


def safe_url(url: str | None) -> str:
    """The URL if a page may carry it as a link, else "" (`javascript:` was CVE-2023-40577)."""
    if url and url.startswith(("http://", "https://")) and len(url) <= _URL_CHARS_MAX and url.isprintable():
        return url
    return ""


def check_text(body: bytes) -> None:
    """Raises BadBody unless the body is UTF-8: what a decoder skips or keeps raw it does not look at."""
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise BadBody(f"not UTF-8: {error.reason} at byte {error.start}") from None
    if len(body) > _OBJECTS_MAX and body.count(b"{") > _OBJECTS_MAX:
        raise BadBody(f"more than {_OBJECTS_MAX} objects in one body")


_HALF = re.compile(
    rb"((?:[^\\]++|\\[^u]|\\u(?![dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})++)"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_PIECES_MAX = 40_000  # halves, and what lies between; 16 MiB of nothing else would take more than a second


def whole_characters(body: bytes) -> bytes:
    """The body with U+FFFD for each `\\ud83d` that has lost its other half, as Go's decoder reads it.

    A sender in JavaScript or Java that cuts a text in the middle of an emoji writes such a half. JSON's grammar allows
    it, and msgspec refuses the whole body for it with the good alerts beside it: this is for bodies that it refused.
    """
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _HALF.sub(lambda found: found[1] or b"\\ufffd", body, count=_PIECES_MAX)


_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKETS_ALIKE = bytes.maketrans(b"[]", b"{}")
_NO_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))


def check_depth(body: bytes, decoded: Decoded, others: int, depth_max: int) -> None:
    """Raises BadBody if well-formed JSON is nested deeper than `depth_max`.

    Only when there are more brackets than the decoded alerts account for, enough to reach the depth, is the body looked
    at again; so bodies as usual pay for two counts. `others` is how many shallow brackets the caller knows of beside
    the alerts' own, their labels' and their annotations'. Of empty objects at most one is part of the deepest nest.
    """
    spare = body.count(b"{") + _arrays(body) - others - 2 * len(decoded.alerts)
    if spare <= depth_max - 4:
        return
    spare -= sum([alert.annotations is not NO_ANNOTATIONS for alert in decoded.alerts])
    if spare <= depth_max - 4 or spare - max(0, body.count(b"{}") - 1) <= depth_max - 4:
        return
    check_nesting(body, depth_max)


def _arrays(body: bytes) -> int:
    """How many `[` there are. Mostly one: two searches then, which take a tenth of what a count does."""
    first = body.find(b"[")
    return body.count(b"[") if first >= 0 and body.find(b"[", first + 1) >= 0 else int(first >= 0)


def check_nesting(body: bytes, depth_max: int) -> None:
    """Raises BadBody if well-formed JSON is nested deeper than `depth_max`."""
    if body.count(b"{") + _arrays(body) <= depth_max:
        return
    brackets = _STRING.sub(b"", body).translate(_BRACKETS_ALIKE, _NO_BRACKETS)
    for _ in range(depth_max):
        shallower = brackets.replace(b"{}", b"")  # each pass takes the innermost level away
        if not shallower or len(shallower) == len(brackets):
            return
        brackets = shallower
    raise BadBody(f"nested deeper than {depth_max}")


def collect(
    items: Iterable[Item], report: Callable[[Item], AlertReport], raw: Callable[[Item], bytes | msgspec.Raw]
) -> Decoded:
    """Each item's report, or its refusal with an excerpt of what `raw` gives of it."""
    alerts: list[AlertReport] = []
    rejected: list[Rejection] = []
    ignored: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            alerts.append(report(item))
        except AlertRefused as refusal:
            passed_over = ignored if refusal.reason is Reason.IGNORED else rejected
            passed_over.append(Rejection(index, str(refusal), refusal.reason, excerpt(raw(item))))
        except NOT_JSON as error:
            rejected.append(Rejection(index, str(error), Reason.SCHEMA, excerpt(raw(item))))
    if not rejected and not ignored:
        return Decoded(alerts, rejected)
    others = {one.index for one in (*rejected, *ignored)}
    positions = [index for index in range(len(alerts) + len(others)) if index not in others]
    return Decoded(alerts, rejected, positions, ignored)
