"""Mail, as `imd mail` hands it over: `{subject, from, to, text, date, message_id, auto_submitted}`.

Mail says what it means in words for people, so the built-in reading is a guess by its subject, and is described in
docs/sources.md: a status word at its beginning decides, else one at its end; what is left without such words is the
key. In doubt it fires: "pick up queue is stuck" has a good word, and neither begins nor ends with it. A source whose
mails are of one known form does better with a `map` of its own, which goes before.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from imd.model.alert import AlertReport
from imd.model.bodymap import BodyMap
from imd.sources.contract import NO_HEADERS, AlertRefused, BadBody, Decoded, Headers, Reason, collect, excerpt
from imd.sources.labels import KnownLabels
from imd.sources.made import Said, make, parse
from imd.sources.mapped import Mapped, text_of
from imd.sources.moments import read_instant

SUBJECT_CHARS_MAX = 1000
NAME_CHARS_MAX = 200
_GOOD = frozenset({"resolved", "recovery", "recovered", "ok", "up", "closed", "cleared", "normal"})
_SEVERITY = {
    "critical": "critical", "down": "critical", "disaster": "critical", "emergency": "critical", "alarm": "critical",
    "unreachable": "critical", "error": "error", "failed": "error", "failure": "error", "major": "error",
    "high": "error", "warning": "warning", "warn": "warning", "problem": "", "firing": "", "triggered": "",
    "unknown": "", "open": "", "info": "info",
}  # fmt: skip
_WORDS = _GOOD | _SEVERITY.keys()
_WORD = re.compile(r"[A-Za-z]+")
_PREFIXES = re.compile(r"(?:(?:re|aw|fwd?|wg)\s*:\s*)+", re.IGNORECASE)
_COUNT = re.compile(r"(?<=[A-Za-z]):\d+(?=\])")  # [FIRING:3]
_NOISE = re.compile(r"[\s*\[\]()<>|!:;,.\-–—_=#/\\\"']+")


class Email:
    """Decoder of one mail; `maps` go before the guess."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str, maps: tuple[BodyMap, ...]) -> None:
        self.known = known
        self._source = source
        self._mapped = Mapped(known, source, maps) if maps else None

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        value = parse(body, headers, self.known.limits.depth_max)
        if not isinstance(value, dict) or "subject" not in value:
            raise BadBody("no mail: an object with a subject is wanted, as `imd mail` makes it")
        if self._mapped is not None:
            return self._mapped.take(value, headers)
        return collect([value], self._report, lambda _: excerpt(body).encode())

    def _report(self, mail: dict[str, Any]) -> AlertReport:
        automatic = (text_of(mail.get("auto_submitted")) or "no").lower()
        if automatic.startswith("auto-replied"):
            raise AlertRefused(Reason.IGNORED, "says nothing of an alert: an automatic reply")
        subject = (text_of(mail.get("subject")) or "")[:SUBJECT_CHARS_MAX]
        told = read_subject(subject)
        if not told.key:
            raise AlertRefused(Reason.REQUIRED, "no key: the subject says nothing but a status")
        said = Said(
            labels={
                "alertname": told.name[:NAME_CHARS_MAX],
                "severity": told.severity,
                "from": text_of(mail.get("from")) or "",
            },
            resolved=told.resolved,
            key=f"{text_of(mail.get('from')) or ''} {told.key}".strip(),
            annotations={"summary": subject, "description": text_of(mail.get("text")) or ""},
            at=read_instant(text_of(mail.get("date")) or ""),
        )
        return make(self.known, self._source, said)


class Subject:
    """What a subject says: `name` and `key` are it without its status."""

    __slots__ = ("key", "name", "resolved", "severity")

    def __init__(self, name: str, key: str, resolved: bool, severity: str) -> None:
        self.name = name
        self.key = key
        self.resolved = resolved
        self.severity = severity


def read_subject(subject: str) -> Subject:
    """Whether it is over says a status at the beginning, marked as one (`RESOLVED`, `Resolved:`, `[ok]`), else one that
    is the last word. The severity is that of the gravest word."""
    plain = _COUNT.sub("", _PREFIXES.sub("", subject.strip()))
    found = [word for word in _WORD.finditer(plain) if word[0].lower() in _WORDS]
    first = found[0] if found and _begins(found[0], plain) else None
    last = found[-1] if found and not _NOISE.sub("", plain[found[-1].end() :]) else None
    deciding = first or last
    said = {_SEVERITY.get(word[0].lower(), "") for word in found}
    gravest = next((one for one in ("critical", "error", "warning", "info") if one in said), "")
    rest = _WORD.sub(lambda word: "" if word[0].lower() in _WORDS else word[0], plain)
    name = " ".join(part for part in _NOISE.split(rest) if part)
    return Subject(name, name.lower(), deciding is not None and deciding[0].lower() in _GOOD, gravest)


def _begins(word: re.Match[str], plain: str) -> bool:
    """Nothing but punctuation before it, and upper case or a mark behind it: `OK, call me` is a sentence."""
    behind = plain[word.end() :].lstrip()[:1]
    marked = behind in (":", "]", ")", ">", "|", "-", "*") or (word[0].isupper() and behind != ",")
    return marked and not _NOISE.sub("", plain[: word.start()])
