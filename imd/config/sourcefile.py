"""`sources:` of config.yaml: who sends alerts, and what they show.

Owns the keys of a source and the table of its types. A token is kept as its SHA-256 alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from importlib.util import find_spec

from imd.config import codes, form
from imd.config.callerfile import ONE_TOKEN, TOKEN_SECRET, one_digest
from imd.config.diagnostic import Span
from imd.config.document import Mapping as MappingNode
from imd.config.document import Node, Scalar
from imd.config.form import Either, Table
from imd.config.mapfile import bodymaps
from imd.config.reading import is_web_url, labels
from imd.config.settings import Reconcile, Signing, SourceSettings
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    boolean,
    duration,
    listed,
    nested,
    not_one_of,
    read_keys,
    secret,
    secret_key,
    takes,
    text,
)
from imd.config.wording import quote
from imd.model.policy import Source
from imd.model.secret import Secret

SOURCES_BUILT = (
    "alertmanager", "prometheus", "grafana", "aws_cloudwatch_sns", "azure_monitor", "gcp_monitoring", "datadog",
    "newrelic", "zabbix", "icinga2", "nagios", "checkmk", "sentry", "splunk", "elastalert", "uptime_kuma",
    "uptimerobot", "statuscake", "healthchecks", "pagerduty", "opsgenie", "cloudevents",
    "email", "mapped",
)  # fmt: skip
TAKEN_BY = {
    "map": ("mapped", "aws_cloudwatch_sns", "cloudevents", "email"),
    "keys": ("pagerduty", "opsgenie"),
    "topics": ("aws_cloudwatch_sns",),
    "verify": ("aws_cloudwatch_sns",),
    "reconcile": ("alertmanager",),
    "signing": tuple(kind for kind in SOURCES_BUILT if kind not in ("pagerduty", "opsgenie", "email")),
}
"""Keys that only sources of these types take."""

_URL_NAME = re.compile("[A-Za-z0-9_.-]{1,64}")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z]{2}(-[a-z]+)+-[0-9]{1,2}:[0-9]{1,20}:[A-Za-z0-9_.-]{1,256}")
_YEAR = timedelta(days=365)


@takes(Table(TOKEN_SECRET, ONE_TOKEN))
def _token(node: Node, scope: Scope) -> str:
    at = scope.inside("", f"a token of {scope.owner}")
    return one_digest(read_keys(TOKEN_SECRET, node, at), node, at)


@takes(form.text("letters, digits, _ . -", "^[A-Za-z0-9_.-]{1,64}$"))
def _source_name(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _URL_NAME.fullmatch(value):
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} cannot name a source, whose name stands in a URL",
            expected="expected up to 64 of: letters, digits, _ . -",
        )
    return value


@takes(form.words(*SOURCES_BUILT))
def _source_type(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if value not in SOURCES_BUILT and isinstance(node, Scalar):
        raise not_one_of(node, scope, SOURCES_BUILT)
    return value


_HEADER = re.compile("[A-Za-z0-9-]{1,64}")


@takes(form.text("name of a header", f"^{_HEADER.pattern}$"))
def _header(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _HEADER.fullmatch(value):
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} in {scope.subject} names no header",
            expected="expected up to 64 of: letters, digits, -",
        )
    return value


SIGNING_SECRET: Keys = {"secret": secret_key(required=True, about="The secret itself.")}


@takes(Either((form.TEXT, Table(SIGNING_SECRET)), "text, or a map with secret or secret_file"))
def _signing_secret(node: Node, scope: Scope) -> Secret:
    """A secret, written there or in a file."""
    if not isinstance(node, MappingNode):
        return secret(node, scope)
    values = read_keys(SIGNING_SECRET, node, scope.inside("", f"a secret of {scope.owner}"))
    if "secret" not in values:
        raise Refused
    found: Secret = values["secret"]
    return found


SIGNING: Keys = {
    "secrets": Key(listed(_signing_secret, least=1), "Any of them will do, so that one can be changed.", required=True),
    "signature": Key(_header, "The header with the signature.", "X-Imd-Signature"),
    "timestamp": Key(_header, "The header with the time, in unix seconds.", "X-Imd-Timestamp"),
}

KEY: Keys = {"key": secret_key(required=True, about="The key itself.")}


@takes(Either((form.TEXT, Table(KEY)), "text, or a map with key or key_file"))
def _key(node: Node, scope: Scope) -> Secret:
    """A key, written there or in a file."""
    if not isinstance(node, MappingNode):
        return secret(node, scope)
    values = read_keys(KEY, node, scope.inside("", f"a key of {scope.owner}"))
    if "key" not in values:
        raise Refused
    found: Secret = values["key"]
    return found


@takes(form.text("ARN of an SNS topic", _TOPIC.pattern, "arn:aws:sns:eu-west-1:123456789012:alarms"))
def _topic(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _TOPIC.fullmatch(value):
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} in {scope.subject} names no topic",
            expected="expected arn:aws:sns:REGION:ACCOUNT:NAME",
        )
    return value


@takes(form.BOOLEAN)
def _verify(node: Node, scope: Scope) -> bool:
    """Signatures are checked by what an extra brings."""
    value = boolean(node, scope)
    if value and find_spec("cryptography") is None:
        raise scope.fault(
            codes.SIGNATURE_EXTRA,
            node,
            f"{scope.subject} needs the package cryptography, which is not installed",
            help="pip install 'imd[sns]'",
        )
    return value


def _is_url(value: Secret, node: Node, scope: Scope) -> None:
    if not is_web_url(value.reveal()):
        raise scope.fault(
            codes.BAD_URL, node, f"{scope.subject} is no URL", expected="expected http:// or https:// and a host"
        )


RECONCILE: Keys = {
    "url": secret_key(_is_url, required=True, about="The Alertmanager's own address, such as http://am.example:9093."),
    "every": Key(duration(timedelta(seconds=30), timedelta(days=1)), "How often it is asked.", "5m"),
}


SOURCE: Keys = {
    "name": Key(_source_name, "The last part of /v1/ingest/{source}.", required=True),
    "type": Key(_source_type, "Who speaks, and so how the body is read.", required=True),
    "tokens": Key(listed(_token), "The sender shows one of these.", []),
    "keys": Key(listed(_key), "What senders of PagerDuty's and Opsgenie's protocols show: each names this source.", []),
    "signing": Key(nested(SIGNING, Signing), "Each body must be signed, by HMAC-SHA256 over its time and itself."),
    "map": Key(bodymaps, "How a body becomes alerts, for type mapped."),
    "topics": Key(listed(_topic), "ARNs of the SNS topics that may speak, and whose subscription is confirmed.", []),
    "verify": Key(_verify, "Refuse SNS messages without a good signature.", False),
    "reconcile": Key(
        nested(RECONCILE, Reconcile),
        "Alerts that its Alertmanager does not list any more end, though it sent no resolve.",
    ),
    "labels": Key(labels, "Are added to each alert and join its identity.", {}),
    "expire_after": Key(
        duration(timedelta(minutes=1), _YEAR), "A webhook's alert that nobody speaks of any more expires then.", "5d"
    ),
    "silent_after": Key(
        duration(timedelta(minutes=1), _YEAR),
        "How long a silent source's alerts are kept firing past their deadline.",
        "1h",
    ),
}


@takes(Table(SOURCE))
def source(node: Node, scope: Scope) -> SourceSettings:
    values = read_keys(SOURCE, node, scope)
    tokens, keys, maps = values.pop("tokens", ()), values.pop("keys", ()), values.pop("map", ())
    own = {word: values.pop(word) for word in ("topics", "verify", "reconcile", "signing") if word in values}
    if "name" not in values or "type" not in values:
        raise Refused
    assert isinstance(node, MappingNode)
    _fits_type(node, scope, values["type"])
    if maps and not any(one.resolved for one in maps) and "expire_after" not in values:
        scope.document.lint(
            codes.NEVER_RESOLVES,
            node.entries["map"].key.span,
            f"nothing resolves the alerts of {scope.owner}; they expire 5d after they were last heard of",
            help="add resolved to its map, or expire_after beside it",
        )
    values["labels"] = {word: value for word, value in values.get("labels", {}).items() if value}
    made = Source(**values, maps=maps)
    return SourceSettings(source=made, token_sha256=tokens, keys=keys, **own)


def _fits_type(node: MappingNode, scope: Scope, kind: str) -> None:
    """Whether the keys go with the type; a map that was refused is there, too."""
    for word, kinds in TAKEN_BY.items():
        if word in node.entries and kind not in kinds:
            raise scope.fault(
                codes.NOT_OF_THIS_TYPE,
                node.entries[word].key,
                f"{quote(word)} in {scope.owner} does not go with type {kind}",
                expected=f"it goes with: {', '.join(kinds)}",
            )
    if kind == "mapped" and "map" not in node.entries:
        raise scope.fault(
            codes.MISSING_KEY,
            node.entries["type"].key,
            f"{scope.owner} has no {quote('map')}",
            expected=f"expected {quote('map')} beside it",
        )


_LABELS_TELL = frozenset({"alertmanager", "prometheus", "mapped"})


def check_keys(sources: Sequence[SourceSettings], places: Mapping[str, Span], scope: Scope) -> None:
    """A key names one source."""
    seen: dict[tuple[str, str], str] = {}
    for one in sources:
        for key in one.keys:
            first = seen.setdefault((one.source.type, key.reveal()), one.source.name)
            if first != one.source.name:
                scope.fault(
                    codes.KEY_TAKEN,
                    places[one.source.name],
                    f"source {quote(one.source.name)} has a key of source {quote(first)}",
                    help="a key names one source: take it from one of them",
                )


def lint_alike(sources: Sequence[SourceSettings], places: Mapping[str, Span], scope: Scope) -> None:
    """Two senders of one type number their alerts alike; only the sources' labels tell them apart."""
    seen: dict[tuple[str, frozenset[tuple[str, str]]], str] = {}
    for one in sources:
        source = one.source
        if source.type in _LABELS_TELL:
            continue
        first = seen.setdefault((source.type, frozenset(source.labels.items())), source.name)
        if first != source.name:
            scope.document.lint(
                codes.SOURCES_ALIKE,
                places[source.name],
                f"sources {quote(first)} and {quote(source.name)} have the same type and labels",
                help="give each a label of its own, so that alert 7 of one is not alert 7 of the other",
            )
