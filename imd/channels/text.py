"""What a message says to people: title, sentences, alerts, links; written once here, dressed by each channel.

Owns the words, the operator's templates with the built-in text behind them, and cutting to a channel's room. Markup is
a Dialect's: it makes all text harmless that comes from alerts, and only it may add marks. Nothing is cut after it was
marked up but whole lines, so no mark is left open; the headline is never cut unless it alone is too long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from imd.channels.said import Said, SaidAlert, SaidIncident, raw, read
from imd.config.channelsettings import Templates
from imd.model.effect import Delivery
from imd.model.policy import PageKind, PageReason
from imd.model.template import Labelled, RenderFailed, Template

VALUE_CHARS_MAX = 200  # of one label, summary or reason
LABELS_MAX = 8  # on one line
TITLE_CHARS_MAX = 300
DIGEST_LINES_MIN = 10  # incidents of a digest that keep their titles before others get so much as their number

Measure = Callable[[str], int]


def utf8(text: str) -> int:
    """Bytes, as most vendors count bodies."""
    return len(text.encode("utf-8", "replace"))


def utf16(text: str) -> int:
    """Code units, as Telegram counts."""
    return len(text.encode("utf-16-le", "replace")) // 2


class Dialect(msgspec.Struct, frozen=True):
    """A markup. `escape` makes any text harmless, mentions included; `bold` takes escaped text; `link` takes escaped
    text and a URL that `safe_url` let through. `whole`: text cut between two lines may be broken (HTML)."""

    escape: Callable[[str], str]
    bold: Callable[[str], str]
    link: Callable[[str, str], str]
    bullet: str = "• "
    newline: str = "\n"
    whole: bool = False


def _same(text: str) -> str:
    return text


PLAIN = Dialect(escape=_same, bold=_same, link=lambda text, url: f"{text}: {url}")


class Message(msgspec.Struct, frozen=True):
    """The words of one delivery, without markup. `title` is the incident's; `headline` is what happened to it in one
    line; `happened` says it in a sentence, "" for a first page."""

    delivery: Delivery
    said: Said
    title: str
    headline: str
    happened: str

    @property
    def incident(self) -> SaidIncident | None:
        return self.said.incident

    @property
    def state(self) -> str:
        return self.said.incident.state if self.said.incident is not None else ""

    @property
    def trial(self) -> bool:
        """A test page: it asks whether this way to reach people works, so it rings as an ordinary page does."""
        return self.said.incident is None and self.delivery.kind is PageKind.NOTE


class Writer:
    """The words for one receiver. `failed` is told which template failed and why."""

    def __init__(self, templates: Templates | None = None, failed: Callable[[str, str], None] | None = None) -> None:
        self._templates = templates or Templates()
        self._failed = failed or (lambda _which, _why: None)

    def message(self, delivery: Delivery) -> Message:
        said = read(delivery)
        built_in = said.incident.title if said.incident is not None and said.incident.title else ""
        title, headline = built_in, delivery.headline
        if self._templates.title is not None and said.incident is not None:
            own = self._rendered("title", self._templates.title, delivery, said, built_in, None)
            if own is not None and not own.strip():
                self._failed("title", "it came out empty")
            title = one_line(own, TITLE_CHARS_MAX) if own is not None and own.strip() else built_in
            headline = f"{delivery.kind.value.upper()} {delivery.priority.value} #{delivery.number} {title}"
        headline = one_line(headline, TITLE_CHARS_MAX + 40)
        return Message(delivery, said, title or headline, headline, _happened(delivery, said))

    def body(
        self,
        message: Message,
        dialect: Dialect = PLAIN,
        room: int = 1 << 30,
        measure: Measure = len,
        *,
        head: str = "",
    ) -> str:
        """Everything below the headline, or below `head`, already marked up, which then is its first line: the
        operator's text if there is a template and it works, else the built-in one; no longer than `room`."""
        own = self.own_body(message, dialect, room, measure, head=head)
        return own if own is not None else self.built_in(message, dialect, room, measure, head=head)

    def built_in(
        self, message: Message, dialect: Dialect, room: int = 1 << 30, measure: Measure = len, *, head: str = ""
    ) -> str:
        """As `body`, of the built-in text."""
        return fit(_parts(message, dialect, head), dialect, room, measure)

    def own_body(
        self, message: Message, dialect: Dialect, room: int = 1 << 30, measure: Measure = len, *, head: str = ""
    ) -> str | None:
        """As `body`, of the operator's template; None where there is none or it fails."""
        template = self._templates.body
        if template is None or message.incident is None:
            return None
        own = self._rendered("body", template, message.delivery, message.said, message.title, dialect)
        if own is None:
            return None
        lines = [*([head] if head else []), *own.strip("\n").split("\n")]
        text = dialect.newline.join(lines)
        if measure(text) <= room:
            return text
        if dialect.whole:
            self._failed("body", f"longer than the {room} that fit")
            return None
        while len(lines) > 1 and measure(dialect.newline.join([*lines, "…"])) > room:
            lines.pop()
        return cut(dialect.newline.join([*lines, "…"]), room, measure)

    def _rendered(
        self, which: str, template: Template, delivery: Delivery, said: Said, title: str, dialect: Dialect | None
    ) -> str | None:
        try:
            return template.render(values(delivery, said, title), None if dialect is None else dialect.escape)
        except RenderFailed as failed:
            self._failed(which, str(failed))
            return None


def values(delivery: Delivery, said: Said, title: str) -> Mapping[str, Any]:
    """What a receiver's templates see: the body's fields, and short names for what most of them want."""
    body = raw(delivery)
    incident = body.get("incident") or {}
    labels, group = Labelled(incident.get("labels", {})), Labelled(incident.get("group_key", {}))
    return {
        **body,
        "alerts": [_merged(alert) for alert in body.get("alerts", [])],
        "incident": {**incident, "labels": labels, "group_key": group} if incident else {},
        "title": title,
        "headline": delivery.headline,
        "happened": _happened(delivery, said),
        "priority": delivery.priority.value,
        "number": delivery.number,
        "state": incident.get("state", ""),
        "to": delivery.to,
        "receiver": delivery.receiver,
        "labels": labels,
        "group": group,
        "firing": (incident.get("alert_count") or {}).get("firing", 0),
        "cause": (incident.get("root_cause") or {}).get("entity", ""),
    }


def _merged(alert: dict[str, Any]) -> dict[str, Any]:
    return {
        **alert,
        "labels": Labelled({**alert.get("labels", {}), **alert.get("enriched", {})}),
        "annotations": Labelled(alert.get("annotations", {})),
    }


# Sentences.


def _happened(delivery: Delivery, said: Said) -> str:
    incident = said.incident
    if incident is None:
        return ""
    match delivery.kind:
        case PageKind.PAGE:
            return _PAGED[delivery.reason or PageReason.FIRST].format(to=delivery.to, priority=delivery.priority.value)
        case PageKind.UPDATE:
            return f"Changed: {_counts(incident)}."
        case PageKind.ACKNOWLEDGED:
            return f"Acknowledged by {one_line(incident.acknowledged_by or 'somebody', VALUE_CHARS_MAX)}."
        case PageKind.RESOLVED:
            return _resolved(incident)
        case PageKind.NOTE:
            return f"Note: {paragraph(said.note or '')}"
        case PageKind.DIGEST:
            return ""


_PAGED = {
    PageReason.FIRST: "",
    PageReason.ESCALATED: "Nobody answered yet: escalated to {to}.",
    PageReason.REPEATED: "Nobody has it: paged again.",
    PageReason.RAISED: "Raised to {priority}.",
    PageReason.REOPENED: "It is back.",
    PageReason.ACK_LAPSED: "The acknowledgement ran out.",
    PageReason.FLAPPING: "An alert keeps coming and going.",
}


def _resolved(incident: SaidIncident) -> str:
    if incident.merged_into:
        return f"Merged into {incident.merged_into}."
    after = ""
    if incident.opened_at is not None and incident.resolved_at is not None:
        after = f" after {span(incident.resolved_at - incident.opened_at)}"
    because = one_line(incident.resolved_because, VALUE_CHARS_MAX) if incident.resolved_because else ""
    because = (" " if because.startswith("by ") else ": ") + because if because else ""
    return f"Resolved{after}{because}."


def _counts(incident: SaidIncident) -> str:
    counts = incident.alert_count
    said = [f"{counts.firing} firing"]
    said += [f"{counts.resolved} resolved"] if counts.resolved else []
    said += [f"{counts.suppressed} suppressed"] if counts.suppressed else []
    return ", ".join(said)


def facts(message: Message) -> list[tuple[str, str]]:
    """Name and value of what a reader wants first. Values are one line each, not escaped."""
    incident = message.incident
    if incident is None:
        return []
    found = [("Priority", message.delivery.priority.value), ("State", incident.state), ("Alerts", _counts(incident))]
    if incident.opened_at is not None:
        found.append(("Since", instant(incident.opened_at)))
    if incident.root_cause is not None and incident.root_cause.entity:
        cause = incident.root_cause
        found.append(("Cause", one_line(f"{cause.entity}, {cause.reason}".removesuffix(", "), VALUE_CHARS_MAX)))
    shown = {name: value for name, value in (incident.group_key or incident.labels).items() if value}
    if shown:
        found.append(("Labels", labels_text(shown)))
    if incident.assignee or incident.acknowledged_by:
        found.append(("With", one_line(incident.assignee or incident.acknowledged_by or "", VALUE_CHARS_MAX)))
    if message.delivery.to not in ("", message.delivery.receiver):
        found.append(("To", one_line(message.delivery.to, VALUE_CHARS_MAX)))
    return found


def links(message: Message) -> list[tuple[str, str]]:
    """Name and URL, only those that are safe to click."""
    all_links = message.said.links
    named = [("Incident", all_links.incident), ("Runbook", all_links.runbook), ("Acknowledge", all_links.ack)]
    return [(name, safe) for name, url in named if url and (safe := safe_url(url))]


def alert_text(alert: SaidAlert, common: Mapping[str, str]) -> tuple[str, str, str]:
    """Status, name with the labels that are its own, and summary; one line each, not escaped."""
    labels = alert.all_labels
    name = labels.pop("alertname", "") or "alert"
    own = {key: value for key, value in labels.items() if common.get(key) != value and key != "severity"}
    summary = alert.annotations.get("summary") or alert.annotations.get("description") or ""
    status = "suppressed" if alert.suppressed_by and alert.status == "firing" else alert.status
    named = f"{one_line(name, VALUE_CHARS_MAX)} {labels_text(own)}".strip()
    return status, named, one_line(summary, VALUE_CHARS_MAX)


def labels_text(labels: Mapping[str, str]) -> str:
    shown = [f"{name}={one_line(value, VALUE_CHARS_MAX)}" for name, value in list(labels.items())[:LABELS_MAX]]
    return " ".join(shown) + (" …" if len(labels) > LABELS_MAX else "")


# Lines, and fitting them.


class Parts(msgspec.Struct):
    """Marked-up lines. `head` is given up last, `alerts` first; `more` counts alerts that are not in it. `numbers` are
    those of a digest's incidents, which are its `alerts`: what stands for one that has no line."""

    head: list[str]
    alerts: list[str]
    more: int
    tail: list[str]
    numbers: list[str] = []


def _parts(message: Message, dialect: Dialect, head: str) -> Parts:
    escape, bold = dialect.escape, dialect.bold
    lines = [head] if head else []
    lines += [escape(line) for line in message.happened.split("\n") if line]
    said = message.said
    if message.incident is None:
        lines += [] if said.note is None else [escape(line) for line in paragraph(said.note).split("\n")]
        lines += [escape(f"A test page by {one_line(said.by, VALUE_CHARS_MAX)}.")] if said.by else []
        numbers = [f"#{one.number}" for one in said.incidents]
        return Parts(lines, [_digest_line(one, dialect) for one in said.incidents], said.truncated, [], numbers)
    if message.delivery.kind is not PageKind.NOTE:
        lines += [f"{bold(escape(name))}: {escape(value)}" for name, value in facts(message)]
    common = message.incident.labels
    alerts = (
        [] if message.delivery.kind is PageKind.NOTE else [_alert_line(one, common, dialect) for one in said.alerts]
    )
    more = said.truncated if alerts else 0
    return Parts(lines, alerts, more, [dialect.link(escape(name), url) for name, url in links(message)])


def _alert_line(alert: SaidAlert, common: Mapping[str, str], dialect: Dialect) -> str:
    status, named, summary = (dialect.escape(each) for each in alert_text(alert, common))
    return f"{dialect.bullet}{status} {dialect.bold(named)}{': ' + summary if summary else ''}"


def _digest_line(incident: SaidIncident, dialect: Dialect) -> str:
    title = one_line(incident.title, TITLE_CHARS_MAX)
    return f"{dialect.bullet}{dialect.escape(f'{incident.priority} #{incident.number} {title} ({incident.state})')}"


def roll(message: Message, room: int, measure: Measure = len) -> str:
    """Every incident of a digest, a line each without markup: whole, else with shorter titles, else by number alone.
    Nothing is left out that has room for its number, since a digest is all that some receivers hear of an incident."""
    incidents, truncated = message.said.incidents, message.said.truncated
    for title_max in (TITLE_CHARS_MAX, 120, 60, 30, 12):
        lines = [f"{one.priority} #{one.number} {one_line(one.title, title_max)} ({one.state})" for one in incidents]
        found = "\n".join([*lines, *([f"… and {truncated} more"] if truncated else [])])
        if measure(found) <= room:
            return found
    return cut(" ".join(f"#{one.number}" for one in incidents), room, measure)


def fit(parts: Parts, dialect: Dialect, room: int, measure: Measure = len) -> str:
    """As many lines as there is room for: first alerts go, from the last, then links, then the head's last lines. Of a
    digest, those that go are still named by their numbers."""
    if parts.numbers and (named := _fit_digest(parts, dialect, room, measure)):
        return named
    head, alerts, tail, more = list(parts.head), list(parts.alerts), list(parts.tail), parts.more
    while True:
        counted = [dialect.escape(f"… and {more} more")] if more else []
        text = dialect.newline.join([*head, *alerts, *counted, *tail])
        if measure(text) <= room or not (head or tail or alerts):
            return text
        if alerts:
            # Many at once where much is too long: a thousand alerts must not take a thousand joins.
            drop = max(1, len(alerts) // 4) if measure(text) > 2 * room else 1
            del alerts[-drop:]
            more += drop
        elif tail:
            tail.pop()
        elif len(head) > 1:
            head.pop()
        elif measure(head[0]) <= room:
            return head[0]
        else:
            return "" if dialect.whole else cut(head[0], room, measure)


def _fit_digest(parts: Parts, dialect: Dialect, room: int, measure: Measure) -> str:
    """As many whole lines as leave room for the numbers of all others; of very many DIGEST_LINES_MIN lines, if they
    fit, and as many numbers as have room behind them. "" where not one line fits."""
    total = len(parts.alerts)

    def made(lines: int, numbers: int) -> str:
        left, rest = total - lines + parts.more, parts.numbers[lines : lines + numbers]
        named = (": " + " ".join(rest) if rest else "") + (" …" if rest and left > len(rest) else "")
        counted = [dialect.escape(f"… and {left} more{named}")] if left else []
        return dialect.newline.join([*parts.head, *parts.alerts[:lines], *counted, *parts.tail])

    def fits(lines: int, numbers: int) -> bool:
        return measure(made(lines, numbers)) <= room

    lines = _most(total, lambda lines: fits(lines, total - lines))
    if lines >= min(DIGEST_LINES_MIN, total):
        return made(lines, total - lines)
    lines = _most(min(DIGEST_LINES_MIN, total), lambda lines: fits(lines, 0))
    return made(lines, _most(total - lines, lambda numbers: fits(lines, numbers))) if lines else ""


def _most(at_most: int, fits: Callable[[int], bool]) -> int:
    """The largest number that fits, where nothing fits that is larger than one that does not; 0 where none does."""
    low = 0
    while low < at_most:
        middle = (low + at_most + 1) // 2
        low, at_most = (middle, at_most) if fits(middle) else (low, middle - 1)
    return low


def cut(text: str, room: int, measure: Measure = len) -> str:
    """`text` with an ellipsis at its end where it does not fit; whole characters only."""
    if measure(text) <= room:
        return text
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if measure(text[:middle] + "…") <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "…" if measure("…") <= room else ""


def one_line(text: str, chars_max: int) -> str:
    """Without line breaks, control characters and direction marks, cut with an ellipsis."""
    if not text.isprintable() or "  " in text:
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def paragraph(text: str, lines_max: int = 40) -> str:
    """Several lines, each as `one_line`."""
    lines = [one_line(line, 1000) for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:lines_max])


def safe_url(url: str) -> str:
    """The URL with whatever ends one in some markup percent-encoded; "" for what is not http, https or mailto."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return ""
    if scheme not in ("http", "https", "mailto"):
        return ""
    return quote(url.encode("utf-8", "replace"), safe="%/:=&?~#+!$,;@[]-._")


def instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def span(length: timedelta) -> str:
    """`3d 4h`, `12m 5s`, `0s`: the two largest units."""
    seconds = max(0, int(length.total_seconds()))
    found = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            found.append(f"{count}{unit}")
    return " ".join(found[:2]) or "0s"
