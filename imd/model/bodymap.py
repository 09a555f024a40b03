"""How any JSON becomes alerts: paths into a body, texts around them, and what an alert is made of.

Owns the shapes of `map:` and its two small grammars. What comes of a map for one body is `sources.mapped`; how one
stands in config.yaml is `config.mapfile`.

A path is names and places, `incident.tags[0].name`:

- `name`: the field of an object; `["any name"]` where it holds one of `. [ ] { } "`;
- `[2]`, `[-1]`: an element of a list, from its beginning or its end; `[*]`: every element;
- `[name=BucketName]`: the first element of a list whose field `name` is that text;
- it begins at the alert, `$` at the whole body, `@` at the request's headers: `$.version`, `@ce-type`. `.` alone is the
  alert itself, `$` alone the body.

A text is what it says, with `{path}` for what stands there; `{{` and `}}` are braces.
"""

from __future__ import annotations

import enum
import re

import msgspec

from imd.model.rule import MATCH_ALL, Match

TEXT_CHARS_MAX = 4096
STEPS_MAX = 32


class BadPath(ValueError):
    """Not a path, or no text around paths; `offset` counts characters from 0."""

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(reason)
        self.offset = offset


class Root(enum.StrEnum):
    """Where a path begins: at the alert, at the whole body, at the request's headers."""

    ALERT = ""
    BODY = "$"
    HEADERS = "@"


class Field(msgspec.Struct, frozen=True):
    name: str


class Element(msgspec.Struct, frozen=True):
    """By its place, from 0; negative from the end."""

    index: int


class Every(msgspec.Struct, frozen=True):
    """Each element of a list."""


class Having(msgspec.Struct, frozen=True):
    """The first element whose field is this text."""

    name: str
    value: str


Step = Field | Element | Every | Having


class Path(msgspec.Struct, frozen=True):
    """`text` is how it is written."""

    root: Root
    steps: tuple[Step, ...]
    text: str

    def __str__(self) -> str:
        return self.text


_NAME = re.compile(r'[^.\[\]{}"\s](?:[^.\[\]{}"]*[^.\[\]{}"\s])?')
_QUOTED = re.compile(r'\["((?:[^"\\]|\\["\\])+)"\]')
_PLACE = re.compile(r"\[(-?[0-9]{1,6})\]")
_HAVING = re.compile(r'\[([^\[\]{}"=]+)=([^\[\]{}"]*)\]')
_ESCAPED = re.compile(r'\\(["\\])')


def parse_path(text: str) -> Path:
    """Raises BadPath."""
    if len(text) > TEXT_CHARS_MAX:
        raise BadPath(f"longer than {TEXT_CHARS_MAX} characters")
    if text in (".", "$"):
        return Path(Root.BODY if text == "$" else Root.ALERT, (), text)
    root = Root(text[:1]) if text[:1] in ("$", "@") else Root.ALERT
    at = len(root.value)
    if root is Root.HEADERS:
        name = text[1:].strip()
        if not re.fullmatch("[A-Za-z0-9_-]+", name):
            raise BadPath("@ takes the name of a header, such as @ce-type", 1)
        return Path(root, (Field(name.lower()),), text)
    steps: list[Step] = []
    while at < len(text) or not steps:
        step, at = _step(text, at, first=not steps, rooted=root is Root.BODY)
        steps.append(step)
        if len(steps) > STEPS_MAX:
            raise BadPath(f"more than {STEPS_MAX} steps", at)
    return Path(root, tuple(steps), text)


def _step(text: str, at: int, first: bool, rooted: bool) -> tuple[Step, int]:
    if text[at : at + 1] == "[":
        return _place(text, at)
    if not first or rooted:
        if text[at : at + 1] != ".":
            raise BadPath("a dot or [ must stand here", at)
        at += 1
    found = _NAME.match(text, at)
    if found is None:
        raise BadPath("a name must stand here", at)
    return Field(found[0]), found.end()


def _place(text: str, at: int) -> tuple[Step, int]:
    if text.startswith("[*]", at):
        return Every(), at + 3
    if found := _PLACE.match(text, at):
        return Element(int(found[1])), found.end()
    if found := _QUOTED.match(text, at):
        return Field(_ESCAPED.sub(r"\1", found[1])), found.end()
    if found := _HAVING.match(text, at):
        return Having(found[1].strip(), found[2].strip()), found.end()
    raise BadPath('[ begins a place: [0], [-1], [*], [name=value] or ["any name"]', at)


class Text(msgspec.Struct, frozen=True):
    """Literal parts and paths in turn. Where something is missing at one of its paths there is no text at all."""

    parts: tuple[str | Path, ...]

    @property
    def reads(self) -> bool:
        """Whether it depends on the body at all."""
        return any(isinstance(part, Path) for part in self.parts)

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(part for part in self.parts if isinstance(part, Path))


_PIECE = re.compile(r"([^{}]+)|(\{\{)|(\}\})|\{([^{}]*)\}")


def parse_text(text: str) -> Text:
    """Raises BadPath."""
    if len(text) > TEXT_CHARS_MAX:
        raise BadPath(f"longer than {TEXT_CHARS_MAX} characters")
    parts: list[str | Path] = []
    at = 0
    while at < len(text):
        found = _PIECE.match(text, at)
        if found is None:
            raise BadPath(f"a lone {text[at]}; write it twice for itself", at)
        if found[4] is not None:
            parts.append(_inner(found[4].strip(), at + 1))
        else:
            literal = found[1] or found[0][0]
            if parts and isinstance(parts[-1], str):
                parts[-1] += literal
            else:
                parts.append(literal)
        at = found.end()
    return Text(tuple(parts))


def _inner(text: str, at: int) -> Path:
    if not text:
        raise BadPath("a path must stand between { and }", at)
    try:
        return parse_path(text)
    except BadPath as error:
        raise BadPath(str(error), at + error.offset) from None


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """One text of an alert. The first of `texts` that is there and not empty; of it, what `replacement` says of the
    match of the whole by `regex` (no match: nothing); then its row of `table`, whatever its case. `default` stands in
    for what is not there, and for what has no row; without a default what has no row passes as it is."""

    texts: tuple[Text, ...]
    regex: str | None = None
    replacement: str = "$1"
    table: dict[str, str] | None = None
    default: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """An instant. Without `format`: ISO 8601, or seconds, milli-, micro- or nanoseconds since 1970 by their size. With
    one: strptime's. `timezone` is that of times that name none."""

    value: Value
    format: str = ""
    timezone: str = "UTC"


class BodyMap(msgspec.Struct, frozen=True, kw_only=True):
    """How one shape of body is read. It is for bodies of which `when` holds; matchers name paths where those of rules
    name labels.

    `each` leads to the alerts, and each of the other paths begins at one of them; without it the body is one alert.
    `json`: texts that hold JSON, read as such before all else. An alert that `ignore` takes says nothing; one that
    `resolved` takes has ended; else it fires, if `firing` takes it.

    `key` is which alert it is; without one all its labels but severity and priority are. `spread_labels` and
    `spread_annotations` lead to objects whose fields become labels and annotations of their own names, behind those
    that are named. `at` is when it was said: the start or the end of an alert, unless those are given by themselves.
    """

    when: Match = MATCH_ALL
    each: Path | None = None
    json: tuple[Path, ...] = ()
    ignore: Match = ()
    resolved: Match = ()
    firing: Match = MATCH_ALL
    key: Value | None = None
    labels: dict[str, Value]
    spread_labels: tuple[Path, ...] = ()
    annotations: dict[str, Value] = {}
    spread_annotations: tuple[Path, ...] = ()
    at: Moment | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    url: Value | None = None
