"""Any JSON, or a form, by a map: paths, texts, tables and matchers of config.yaml or of a built-in source.

Owns what comes of a `BodyMap` for one body. A body is read whole and bounded in depth; regexes are RE2; what a path
does not lead to is absent. A wrong type is as good as absent, so the worst that a body can do is to be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from imd.model.alert import AlertReport
from imd.model.bodymap import BodyMap, Element, Every, Field, Having, Moment, Path, Root, Step, Text, Value, parse_path
from imd.model.enrich import Pattern, Replacement
from imd.model.rule import Match, match_test
from imd.sources.contract import NO_HEADERS, AlertRefused, BadBody, Decoded, Headers, Reason, collect
from imd.sources.labels import KnownLabels
from imd.sources.made import KEY, NEVER_IDENTITY, Said, make, parse, parse_json
from imd.sources.moments import read_instant

FOUND_MAX = 1000  # values that one path with [*] leads to, for one text
ALERTS_MAX = 100_000  # in one body
SHOWN_CHARS_MAX = 60

_encode = msgspec.json.Encoder().encode


class At(msgspec.Struct, frozen=True):
    """Where paths begin."""

    alert: Any
    body: Any
    headers: Headers


class Mapped:
    """Decoder by the first of `maps` whose `when` takes the body."""

    by_api = False

    def __init__(self, known: KnownLabels, source: str, maps: Sequence[BodyMap]) -> None:
        self.known = known
        self._source = source
        self._maps = [Compiled(one) for one in maps]

    def decode(self, body: bytes, now: datetime, headers: Headers = NO_HEADERS) -> Decoded:
        return self.take(parse(body, headers, self.known.limits.depth_max), headers)

    def take(self, value: Any, headers: Headers) -> Decoded:
        """Of a body that is read already, which this may change. Raises BadBody."""
        depth_max = self.known.limits.depth_max
        for one in self._maps:
            one.unpack(value, depth_max)
            if one.takes(At(value, value, headers)):
                return collect(one.alerts(value, headers), self._report, _shown)
        if not isinstance(value, dict):
            raise BadBody(f"{_kind(value)} where an object must stand")
        raise BadBody("nothing that this source understands: " + "; ".join(one.wants(value) for one in self._maps))

    def _report(self, one: tuple[Compiled, At]) -> AlertReport:
        compiled, at = one
        return make(self.known, self._source, compiled.said(at, self.known.limits.labels_max))


def _shown(one: tuple[Compiled, At]) -> bytes:
    return _encode(one[1].alert)


class Compiled:
    """One map, ready to be used on bodies."""

    def __init__(self, bodymap: BodyMap) -> None:
        self._map = bodymap
        self._when = Condition(bodymap.when)
        self._ignore = Condition(bodymap.ignore)
        self._resolved = Condition(bodymap.resolved)
        self._firing = Condition(bodymap.firing)
        values = [*bodymap.labels.values(), *([bodymap.key] if bodymap.key is not None else [])]
        self._takes_any = any(path.text == "." for value in values for text in value.texts for path in text.paths)

    def takes(self, at: At) -> bool:
        return self._when.holds(at)

    def wants(self, body: Any) -> str:
        """What a body lacks that this one does not take."""
        return self._when.said(At(body, body, NO_HEADERS)) or "an object"

    def unpack(self, body: Any, depth_max: int) -> None:
        """Texts that hold JSON become what they say, in the body itself."""
        for path in self._map.json:
            _unpack(body, path, depth_max)

    def alerts(self, body: Any, headers: Headers) -> Iterator[tuple[Compiled, At]]:
        """Raises BadBody where there is no list."""
        each = self._map.each
        found = [body]
        if each is not None:
            found = list(_follow(body, each.steps, ALERTS_MAX + 1))
            if not found and not any(isinstance(step, Every) for step in each.steps):
                raise BadBody(f"nothing stands at {each}")
            found = found[0] if len(found) == 1 and isinstance(found[0], list) else found
            if len(found) > ALERTS_MAX:
                raise BadBody(f"more than {ALERTS_MAX} alerts in one body")
        return ((self, At(alert, body, headers)) for alert in found)

    def said(self, at: At, labels_max: int) -> Said:
        """Raises AlertRefused."""
        bodymap = self._map
        if not isinstance(at.alert, dict) and not self._takes_any:
            raise AlertRefused(Reason.SCHEMA, f"{_kind(at.alert)} where an object must stand")
        if self._ignore.holds(at):
            raise AlertRefused(Reason.IGNORED, f"says nothing of an alert: {self._ignore.said(at)}")
        resolved = self._resolved.holds(at)
        if not resolved and not self._firing.holds(at):
            words = dict.fromkeys(part for one in (self._firing, self._resolved) if (part := one.said(at)))
            raise AlertRefused(Reason.STATUS, f"neither firing nor resolved: {', '.join(words)}")
        key = ""
        if bodymap.key is not None and not (key := read(bodymap.key, at)):
            raise AlertRefused(Reason.REQUIRED, f"no key: nothing stands at {_named(bodymap.key)}")
        labels = {name: read(value, at) for name, value in bodymap.labels.items()}
        annotations = {name: text for name, value in bodymap.annotations.items() if (text := read(value, at))}
        self._spread(at, labels, annotations, labels_max)
        if bodymap.key is None and not self._tells_apart(labels):
            where = ", ".join(_named(value) for value in bodymap.labels.values() if _named(value))
            raise AlertRefused(Reason.REQUIRED, f"no label: nothing stands at {where}")
        return Said(
            labels=labels,
            resolved=resolved,
            key=key,
            annotations=annotations,
            starts_at=moment(bodymap.starts_at, at),
            ends_at=moment(bodymap.ends_at, at),
            at=moment(bodymap.at, at),
            url=read(bodymap.url, at) if bodymap.url is not None else "",
        )

    def _tells_apart(self, labels: Mapping[str, str]) -> bool:
        """Whether some label comes from the body; severity alone says nothing of which alert it is."""
        constant = {name for name, value in self._map.labels.items() if not any(text.reads for text in value.texts)}
        return any(text and name not in constant | NEVER_IDENTITY for name, text in labels.items())

    def _spread(self, at: At, labels: dict[str, str], annotations: dict[str, str], labels_max: int) -> None:
        room = labels_max - len(labels) - 3  # key, alertname and severity may come to them
        for path in self._map.spread_labels:
            for name, text in fields(find(path, at), _last(path)):
                if room > 0 and fits_label(name, text):
                    room -= name not in labels
                    labels[name] = labels.get(name) or text
                else:
                    annotations.setdefault(name, text)
        for path in self._map.spread_annotations:
            for name, text in fields(find(path, at), _last(path)):
                annotations.setdefault(name, text)


def fits_label(name: str, text: str) -> bool:
    """Whether a field that nobody named as a label may be one."""
    return name != KEY and len(name) + len(text) <= LABEL_CHARS_MAX and "\n" not in text and "\0" not in name + text


LABEL_CHARS_MAX = 512
"""A longer text, or one of several lines, that nobody named as a label is an annotation."""


class Condition:
    """Matchers whose names are paths."""

    def __init__(self, match: Match) -> None:
        self._always = any(not matchers for matchers in match)
        self._never = not match
        self._paths = {matcher.name: parse_path(matcher.name) for matchers in match for matcher in matchers}
        self._test = match_test(match) if match else None

    def holds(self, at: At) -> bool:
        if self._always or self._test is None:
            return self._always
        return self._test({name: found_text(path, at) for name, path in self._paths.items()})

    def said(self, at: At) -> str:
        """What stands at its paths."""
        shown = ((name, found_text(path, at)) for name, path in self._paths.items())
        return ", ".join(f"{name} is {_short(text)}" if text else f"no {name}" for name, text in shown)


# Values.


def read(value: Value, at: At) -> str:
    """Its text; "" where there is none."""
    found = next((text for one in value.texts if (text := render(one, at))), "")
    if found and value.regex is not None:
        pattern, replacement = _pattern(value.regex, value.replacement)
        groups = pattern.groups(found)
        found = replacement.expand(groups).strip() if groups is not None else ""
    if found and value.table is not None:
        rows = value.table
        row = rows.get(found)
        found = rows.get(found.lower(), value.default or found) if row is None else row
    return found or value.default


@lru_cache(maxsize=1024)
def _pattern(regex: str, replacement: str) -> tuple[Pattern, Replacement]:
    pattern = Pattern(regex)
    return pattern, Replacement(replacement, pattern.names)


def render(text: Text, at: At) -> str:
    """The text with what stands at its paths; "" where nothing stands at one of them."""
    shown = []
    for part in text.parts:
        if isinstance(part, Path):
            part = found_text(part, at)
            if not part:
                return ""
        shown.append(part)
    return "".join(shown)


def moment(when: Moment | None, at: At) -> datetime | None:
    if when is None:
        return None
    return read_instant(read(when.value, at), _zone(when.timezone), when.format)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def found_text(path: Path, at: At) -> str:
    found = find(path, at)
    return text_of(found) or ""


def text_of(value: Any) -> str | None:
    """The text of a text, number, boolean or list of such; None of anything else, and of what is blank."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return ", ".join(text for one in value[:FOUND_MAX] if not isinstance(one, list) and (text := text_of(one)))
    return None


# Paths.


def find(path: Path, at: At) -> Any:
    """What stands there; a list where the path has [*]; None where nothing does."""
    if path.root is Root.HEADERS:
        step = path.steps[0]
        assert isinstance(step, Field)
        return _header(at.headers, step.name)
    start = at.body if path.root is Root.BODY else at.alert
    found = list(_follow(start, path.steps))
    if any(isinstance(step, Every) for step in path.steps):
        return found
    return found[0] if found else None


def _header(headers: Headers, name: str) -> str | None:
    value = headers.get(name) or next((value for known, value in headers.items() if known.lower() == name), None)
    return None if value is None else value.encode("utf-8", "replace").decode()


def _follow(start: Any, steps: Iterable[Step], found_max: int = FOUND_MAX) -> Sequence[Any]:
    values = [start]
    for step in steps:
        values = [below for value in values for below in _below(value, step)][:found_max]
        if not values:
            return ()
    return values


def _below(value: Any, step: Step) -> Iterable[Any]:
    match step:
        case Field(name=name):
            return (value[name],) if isinstance(value, dict) and value.get(name) is not None else ()
        case Every():
            return value if isinstance(value, list) else ()
        case Element(index=index):
            there = isinstance(value, list) and -len(value) <= index < len(value)
            return (value[index],) if there and value[index] is not None else ()
        case Having(name=name, value=wanted):
            elements = value if isinstance(value, list) else ()
            return [one for one in elements if isinstance(one, dict) and text_of(one.get(name)) == wanted][:1]


def _unpack(body: Any, path: Path, depth_max: int) -> None:
    """A text that holds JSON becomes what it says; any other stays the text it is."""
    last = path.steps[-1]
    for holder in _follow(body, path.steps[:-1]):
        if not isinstance(last, Field) or not isinstance(holder, dict):
            continue
        text = holder.get(last.name)
        if isinstance(text, str) and text.lstrip()[:1] in ("{", "["):
            try:
                holder[last.name] = parse_json(text.encode("utf-8", "replace"), depth_max)
            except BadBody:
                continue


def fields(value: Any, own_name: str) -> Iterator[tuple[str, str]]:
    """The names and texts of an object's fields, of a list's `{name|key, value}` or `name:value`, of a text of such
    with commas. Words without a name are one text together, under the name of the whole."""
    if isinstance(value, dict):
        yield from ((name, text) for name, one in value.items() if name and (text := text_of(one)))
        return
    if isinstance(value, str):
        value = value.split(",")
    lone: list[str] = []
    for one in value[:FOUND_MAX] if isinstance(value, list) else ():
        if isinstance(one, dict):
            name, text = text_of(one.get("name", one.get("key", one.get("tag")))), text_of(one.get("value"))
            if name and text:
                yield name, text
        elif isinstance(one, list):
            name, text = (text_of(one[0]), text_of(one[1])) if len(one) == 2 else (None, None)
            if name and text:
                yield name, text
        elif word := text_of(one):
            name, mark, text = word.partition(":" if ":" in word else "=")
            if mark and name.strip() and text.strip():
                yield name.strip(), text.strip()
            else:
                lone.append(word)
    if lone:
        yield own_name, ", ".join(lone)


# Words of refusals.


def _last(path: Path) -> str:
    last = path.steps[-1] if path.steps else None
    return last.name if isinstance(last, Field) else path.text


def _named(value: Value) -> str:
    return " or ".join(dict.fromkeys(path.text for text in value.texts for path in text.paths))


def _short(text: str) -> str:
    shown = text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "…"
    return f'"{shown}"'


def _kind(value: Any) -> str:
    words: Mapping[type, str] = {list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return words.get(type(value), "a number")
