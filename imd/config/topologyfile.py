"""The map of entities and the onset of alerts: shapes, and how several files add up.

Owns the keys of `topology:` and `onset:`, in rule files and in files of their own, and what Prometheus' rule files say
of each alert's `for:`. Opens no file. A large map is JSON, for which there is a short way without places in the text;
whatever is wrong with it is found and said on the long one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Document, Node
from imd.config.form import Form, Plain, Several, Table
from imd.config.prometheusfile import read_waits
from imd.config.reading import match
from imd.config.shape import (
    Key,
    Keys,
    Reader,
    Refused,
    Scope,
    boolean,
    choice,
    duration,
    listed,
    nested,
    peek,
    read_keys,
    text,
    whole,
)
from imd.config.shape import mapped as by_name
from imd.config.syntax import BadMatcher, parse_matchers
from imd.config.wording import quote
from imd.model.mapedges import leading_nowhere
from imd.model.rule import BadPattern, Match, Matcher, Op
from imd.model.topology import FROM_LABELS, AlertClass, ClassRule, Entity, FromLabels, Topology

MAP_BYTES_MAX = 64 * 1024 * 1024
"""A map or a Prometheus rule file may be so large; ten thousand entities have about 3 MiB."""

_TEMPLATE = re.compile(r"[^{}]*(?:\{[^{}?]+\??\}[^{}]*)+")
_PLAIN = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\\n]*)"')
_TIER = whole(1, 100)
_USUAL = duration(timedelta(0), timedelta(days=1))


class MapFile(msgspec.Struct, frozen=True):
    """A file that a rule file names, and where; `path` is as written, relative to that file."""

    path: str
    document: Document
    span: Span


class Placed(msgspec.Struct, frozen=True):
    """Where an entity is declared; of one in a JSON map where that file is named, and `said` names it."""

    document: Document
    span: Span
    said: str = ""


class Mapped(msgspec.Struct):
    """What all files say together. `declared` holds where, `came_from` by which JSON map, for those where that is
    known."""

    entities: dict[str, Entity] = {}
    declared: dict[str, Placed] = {}
    came_from: dict[str, Placed] = {}
    from_labels: list[FromLabels] = []
    classes: list[ClassRule] = []
    files: list[MapFile] = []
    prometheus: list[MapFile] = []
    pending: dict[str, dict[str, timedelta]] = {}
    usual: dict[str, timedelta] = {}

    def topology(self) -> Topology:
        from_labels = tuple(self.from_labels) or FROM_LABELS
        return Topology(
            entities=tuple(self.entities.values()),
            from_labels=from_labels,
            classes=tuple(self.classes),
            pending=self.pending,
            usual=self.usual,
            dangling=len(leading_nowhere(self.entities.values(), from_labels)),
        )


def _template(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _TEMPLATE.fullmatch(value):
        raise scope.fault(
            codes.BAD_ENTITY,
            node,
            f"{quote(value)} names no label",
            expected="expected a template such as pod/{namespace}/{pod}",
            help="an entity without labels in its name belongs under entities",
        )
    return value


def _kind(**values: Any) -> ClassRule:
    return ClassRule(kind=values["class"], match=values["match"])


_ID = Plain("entity id", form.TEXT.schema)
_ENTITY = form.text("template", r"\{[^{}]+\}", "pod/{namespace}/{pod}")


def _edges(item: Reader[str], form: Form) -> dict[str, Key]:
    """The four kinds of edge, as lists of what stands for entities."""
    return {
        word: Key(listed(item), about, [], form=Several(form))
        for word, about in {
            "part_of": "What contains it.",
            "runs_on": "What carries it.",
            "depends_on": "What it suffers from.",
            "serves": "What suffers from it.",
        }.items()
    }


ENTITY: Keys = {
    "id": Key(text, "Names the entity, such as host/n1, once over all files.", required=True, form=_ID),
    "match": Key(match, "Which alerts are on it."),
    **_edges(text, _ID),
    "tier": Key(_TIER, "How important it is; 1 is the most important."),
}
FROM_LABELS_KEYS: Keys = {
    "entity": Key(
        _template,
        "`{label}` is needed; `{label?}` may be empty, and takes the slash behind it along.",
        required=True,
        form=_ENTITY,
    ),
    **_edges(_template, _ENTITY),
    "broad": Key(boolean, "It never names an alert's own entity, only what that stands within.", False),
}
CLASS: Keys = {
    "class": Key(choice(AlertClass), "What kind of alert it is, which says what explains what.", required=True),
    "match": Key(match, "Which alerts are of it.", required=True),
}
ONSET: Keys = {
    "prometheus_rules": Key(
        listed(text), "Prometheus' rule files, or PrometheusRule objects; * in the last part is a pattern.", []
    ),
    "usual": Key(
        by_name(_USUAL), "How long alerts of a name mostly wait, where no rule file of Prometheus says it.", {}
    ),
}
# What adds to other files is read by read_topology; here stands what the keys are.
TOPOLOGY: Keys = {
    "entities": Key(
        text, "The map: hosts, services, databases and what they depend on.", [], form=Several(Table(ENTITY))
    ),
    "from_labels": Key(
        text,
        "Entities that labels name, tried in order; without any, those of Kubernetes and its exporters.",
        form=Several(Table(FROM_LABELS_KEYS)),
    ),
    "classes": Key(text, "Alert classes of your own, tried before the built-in ones.", [], form=Several(Table(CLASS))),
    "files": Key(text, "Files that hold the keys of this table; large maps as JSON.", [], form=Several(form.TEXT)),
}


def read_topology(node: Node, scope: Scope, mapped: Mapped) -> None:
    """`topology:` of a rule file, or the whole of a file of its own."""
    keys: Keys = {
        **TOPOLOGY,
        "entities": Key(listed(_entity_into(mapped))),
        "from_labels": Key(_extend(mapped.from_labels, listed(_owned(FROM_LABELS_KEYS, FromLabels, "from_labels")))),
        "classes": Key(_extend(mapped.classes, listed(_owned(CLASS, _kind, "classes")))),
        "files": Key(listed(_file_into(mapped.files))),
    }
    read_keys(keys, node, scope)


def read_onset(node: Node, scope: Scope, mapped: Mapped) -> None:
    """`onset:` of a rule file."""
    keys: Keys = {
        "prometheus_rules": Key(listed(_file_into(mapped.prometheus))),
        "usual": Key(_usual_into(mapped.usual)),
    }
    read_keys(keys, node, scope)


def _owned(keys: Keys, build: Callable[..., Any], owner: str) -> Callable[[Node, Scope], Any]:
    read = nested(keys, build)
    return lambda node, scope: read(node, scope.inside("", f"an entry of {quote(owner)}"))


def _extend(into: list[Any], read: Callable[[Node, Scope], tuple[Any, ...]]) -> Callable[[Node, Scope], None]:
    return lambda node, scope: into.extend(read(node, scope))


def _file_into(into: list[MapFile]) -> Callable[[Node, Scope], None]:
    return lambda node, scope: into.append(MapFile(text(node, scope), scope.document, node.span))


def _usual_into(into: dict[str, timedelta]) -> Callable[[Node, Scope], None]:
    """Over several files the first that names an alert counts: people's own stand before what they add to."""

    def read(node: Node, scope: Scope) -> None:
        for name, pending in by_name(_USUAL)(node, scope).items():
            into.setdefault(name, pending)

    return read


def _entity_into(mapped: Mapped) -> Callable[[Node, Scope], None]:
    def read(node: Node, scope: Scope) -> None:
        word = peek(node, "id")
        owner = f"entity {quote(word.text)}" if word is not None else "an entity"
        values = read_keys(ENTITY, node, scope.inside("", owner))
        if "id" not in values or word is None:
            raise Refused
        if values["id"] in mapped.entities:
            first = mapped.declared.get(values["id"])
            place = (
                f"first declared at {first.document.path}:{first.span.line}" if first else "declared in another file"
            )
            raise scope.fault(codes.NAME_TAKEN, word, f"{owner} is declared a second time", expected=place)
        mapped.declared[values["id"]] = Placed(scope.document, word.span)
        mapped.entities[values["id"]] = Entity(**values)

    return read


# Maps in JSON, the short way.


class _EntityRow(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    match: str | list[str | list[str]] | None = None
    part_of: tuple[str, ...] = ()
    runs_on: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    tier: int | None = None


class _MapRow(msgspec.Struct, forbid_unknown_fields=True):
    entities: list[_EntityRow] = []


_decode = msgspec.json.Decoder(_MapRow).decode


def take_json(raw: bytes, mapped: Mapped, place: Placed | None = None) -> str:
    """Adds a JSON map of entities, or says why not: it has a fault or other keys, and is to be read as a document.
    `place`: where the file is named."""
    try:
        rows = _decode(raw).entities
        entities = {row.id: _entity(row) for row in rows}
    except (msgspec.DecodeError, BadMatcher, BadPattern, ValueError, RecursionError) as error:
        return str(error) or type(error).__name__
    if len(entities) < len(rows) or entities.keys() & mapped.entities.keys():
        return "an entity is declared a second time"
    if "" in entities:
        return "an entity has no id"
    mapped.entities.update(entities)
    if place is not None:
        mapped.came_from.update(dict.fromkeys(entities, place))
    return ""


def _entity(row: _EntityRow) -> Entity:
    if row.tier is not None and not 1 <= row.tier <= 100:
        raise ValueError(row.tier)
    if not all((*row.part_of, *row.runs_on, *row.depends_on, *row.serves)):
        raise ValueError(row.id)
    return Entity(
        id=row.id,
        match=_match(row.match),
        part_of=row.part_of,
        runs_on=row.runs_on,
        depends_on=row.depends_on,
        serves=row.serves,
        tier=row.tier,
    )


def _match(given: str | list[str | list[str]] | None) -> Match:
    if given is None:
        return ()
    if isinstance(given, str):
        return (_matchers(given),)
    lists = [one for one in given if isinstance(one, list)]
    texts = [one for one in given if isinstance(one, str)]
    if lists and texts:
        raise ValueError("lists and matchers side by side")
    return tuple(_all_of(one) for one in lists) if lists else (_all_of(texts),)


def _all_of(texts: list[str]) -> tuple[Matcher, ...]:
    if not texts:
        raise ValueError("an empty list would match everything")
    return tuple(matcher for one in texts for matcher in _matchers(one))


@lru_cache(maxsize=1024)
def _matchers(written: str) -> tuple[Matcher, ...]:
    plain = _PLAIN.fullmatch(written)
    if plain is not None:
        return (Matcher(plain[1], Op.EQUAL, plain[2]),)
    found = parse_matchers(written)
    for matcher in found:
        matcher.test()
    if not found:
        raise ValueError("no matcher")
    return found


def take_prometheus(raw: bytes, mapped: Mapped) -> str:
    """Adds what the alerting rules of a Prometheus rule file say of `for:`. Where two rules have one alertname and
    severity, the shorter counts. The reason it cannot be read, or ""."""
    try:
        found = read_waits(raw)
    except ValueError as error:
        return str(error)
    for name, severity, pending in found:
        by_severity = mapped.pending.setdefault(name, {})
        by_severity[severity] = min(pending, by_severity.get(severity, pending))
    return ""
