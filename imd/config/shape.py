"""From nodes to values: typed readers, and tables of the keys that a map may hold.

Owns the one way a key is read, refused or suggested, and the words of those faults. Knows nothing of what the keys
mean: config.yaml's tables are in `configfile`, those of rules in `rulefile`.

A reader takes a node and its Scope and returns a value, or reports the fault and raises Refused; whoever called leaves
that value out and goes on with the next. So one fault gives one diagnostic and hides no other.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Broken, Document, Entry, Node, Scalar, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.form import ANYTHING, ByName, Form, Plain, Several, Table
from imd.config.places import point_in
from imd.config.syntax import BadDuration, format_duration, parse_duration
from imd.config.wording import describe, near, quote, suggest
from imd.model.secret import Secret

T = TypeVar("T")
E = TypeVar("E", bound=enum.StrEnum)
TEXT_CHARS_MAX = 16_384
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_YES_NO = frozenset({"yes", "no", "on", "off", "y", "n"})


class Refused(Exception):
    """The fault is reported; leave the value out."""


class SecretSource(Protocol):
    """Where secrets come from; `load` has the real one."""

    def read(self, name: str) -> str:
        """The text of a file or systemd credential. Raises OSError, or ValueError with the reason."""
        ...

    def variable(self, name: str) -> str | None:
        """An environment variable, None where it is not set."""
        ...


class _NoSecrets:
    """Stands for secrets that are not looked at."""

    def read(self, name: str) -> str:
        return "unread"

    def variable(self, name: str) -> str | None:
        return "unread"


NO_SECRETS = _NoSecrets()


class Scope(msgspec.Struct, frozen=True):
    """Where a value stands: `"key" in owner` of a document."""

    document: Document
    key: str
    owner: str
    secrets: SecretSource | None = None

    @property
    def subject(self) -> str:
        return f"{quote(self.key)} in {self.owner}" if self.key else self.owner

    def fault(self, code: str, at: Node | Span, message: str, *, expected: str = "", help: str = "") -> Refused:  # noqa: A002
        """Reports an error; raise what it returns."""
        self.document.fault(code, at if isinstance(at, Span) else at.span, message, expected=expected, help=help)
        return Refused()

    def inside(self, key: str, owner: str) -> Scope:
        return Scope(self.document, key, owner, self.secrets)


Reader = Callable[[Node, Scope], T]


class Read(Generic[T]):
    """A reader that carries the form of what it takes."""

    __slots__ = ("_read", "form")

    def __init__(self, form: Form, read: Reader[T]) -> None:
        self.form = form
        self._read = read

    def __call__(self, node: Node, scope: Scope) -> T:
        return self._read(node, scope)


def takes(form: Form) -> Callable[[Reader[T]], Read[T]]:
    """For a reader whose form does not follow from those that it is made of."""
    return lambda read: Read(form, read)


def form_of(read: Reader[Any]) -> Form:
    """The form that a reader carries; ANYTHING where it carries none."""
    return read.form if isinstance(read, Read) else ANYTHING


class Key(msgspec.Struct, frozen=True):
    """How a key is read, and what it means: `about` is one sentence for an editor's hover and for the reference, with
    the unit if there is one; `default` is as YAML has it, None where there is none; `form` that of the reader, where
    another one reads the key.

    `secret`: has a `_file` twin; `check` sees the text of whichever of the two is given, and raises Refused.
    """

    read: Reader[Any]
    about: str = ""
    default: object = None
    examples: tuple[object, ...] = ()
    required: bool = False
    secret: bool = False
    check: Callable[[Secret, Node, Scope], None] | None = None
    form: Form | None = None

    def taken(self) -> Form:
        """What may stand there."""
        return self.form or form_of(self.read)


Keys = Mapping[str, Key]


def wrong_type(node: Node, scope: Scope, expected: str, help: str = "") -> Refused:  # noqa: A002
    """Reports that the node is something else than expected; silent where it was refused before."""
    if isinstance(node, Broken):
        return Refused()
    return scope.fault(
        codes.WRONG_TYPE, node, f"{scope.subject} is {describe(node)}", expected=f"expected {expected}", help=help
    )


# Maps with known keys.


def read_keys(keys: Keys, node: Node, scope: Scope) -> dict[str, Any]:
    """The values of those keys that are there and sound. Faults of every key are reported; Refused if it is no map."""
    if not isinstance(node, MappingNode):
        raise wrong_type(node, scope, "a map of keys")
    owner = scope.owner if not scope.key else f"{quote(scope.key)} of {scope.owner}"
    values: dict[str, Any] = {}
    _hide_secrets(keys, node, scope)
    for name, entry in node.entries.items():
        try:
            _read_entry(keys, name, entry, scope.inside(name, owner), values)
        except Refused:
            continue
    _required(keys, node, scope, owner, _misspelt(node, keys))
    return values


def _hide_secrets(keys: Keys, node: MappingNode, scope: Scope) -> None:
    """Before any fault of this map shows its line. A secret under a misspelt key is one all the same."""
    for name, entry in node.entries.items():
        meant = (name,) if name in keys else near(name, keys) if name.removesuffix("_file") not in keys else ()
        if any(keys[word].secret for word in meant):
            scope.document.hide(entry.value.span)


def misspelt(node: Node, keys: Keys, words: Iterable[str]) -> bool:
    """Whether an unknown key was meant to be one of these words, so that none of them is missed."""
    return isinstance(node, MappingNode) and not _misspelt(node, keys).isdisjoint(words)


def _misspelt(node: MappingNode, keys: Keys) -> set[str]:
    unknown = [name for name in node.entries if name not in keys and name.removesuffix("_file") not in keys]
    return {meant for name in unknown for meant in near(name, keys)}


def _read_entry(keys: Keys, name: str, entry: Entry, scope: Scope, values: dict[str, Any]) -> None:
    base = name.removesuffix("_file") if name not in keys else name
    key = keys.get(base)
    if key is None or (base != name and not key.secret):
        raise _unknown(keys, name, entry, scope)
    if base in values:
        twin = name if base != name else f"{name}_file"
        raise scope.fault(
            codes.EXCLUSIVE_KEYS, entry.key, f"{scope.owner} has both {quote(base)} and {quote(twin)}", help="keep one"
        )
    value = _secret_file(entry.value, scope) if base != name else key.read(entry.value, scope)
    if key.check is not None and scope.secrets is not NO_SECRETS:
        key.check(value, entry.value, scope)
    values[base] = value


def _unknown(keys: Keys, name: str, entry: Entry, scope: Scope) -> Refused:
    known = list(keys)
    twins = [f"{word}_file" for word in known if keys[word].secret]
    return scope.fault(
        codes.UNKNOWN_KEY,
        entry.key,
        f"unknown key {quote(name)} in {scope.owner}",
        expected=f"expected one of: {', '.join(known)}",
        help=suggest(name, [*known, *twins]),
    )


def _required(keys: Keys, node: MappingNode, scope: Scope, owner: str, meant: Container[str]) -> None:
    """Reports what is missing, but for what an unknown key was meant to be, which is said there."""
    first = next(iter(node.entries.values())).key.span if node.entries else node.span
    for name, key in keys.items():
        if (
            key.required
            and name not in node.entries
            and name not in meant
            and not (key.secret and f"{name}_file" in node.entries)
        ):
            twin = f" or {quote(name + '_file')}" if key.secret else ""
            scope.fault(
                codes.MISSING_KEY,
                first,
                f"{owner} has no {quote(name)}{twin}",
                expected=f"expected {quote(name)} beside it",
            )


def peek(node: Node, key: str) -> Scalar | None:
    """The scalar under a key, before the map is read; None where there is none."""
    entry = node.entries.get(key) if isinstance(node, MappingNode) else None
    return entry.value if entry and isinstance(entry.value, Scalar) else None


# Single values.


@takes(form.TEXT)
def text(node: Node, scope: Scope) -> str:
    """Any text that is not empty. A plain number is taken as it is written."""
    value = any_text(node, scope)
    if not value:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} is empty")
    return value


@takes(form.ANY_TEXT)
def any_text(node: Node, scope: Scope) -> str:
    """Text, which may be empty if it is quoted."""
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        hint = "put it in quotes" if isinstance(node, Scalar) and node.text else ""
        raise wrong_type(node, scope, "text", hint)
    if len(node.text) > TEXT_CHARS_MAX:
        raise scope.fault(codes.OUT_OF_BOUNDS, node, f"{scope.subject} is longer than {TEXT_CHARS_MAX} characters")
    if "\0" in node.text:
        raise scope.fault(codes.CONTROL_CHARACTER, node, f"{scope.subject} holds U+0000")
    return node.text


NAME_CHARS_MAX = 100


@takes(Plain("name", {**form.TEXT.schema, "maxLength": NAME_CHARS_MAX}))
def name(node: Node, scope: Scope) -> str:
    """A name: up to 100 printable characters, no blank at its ends."""
    value = text(node, scope)
    if len(value) > NAME_CHARS_MAX or value != value.strip() or not value.isprintable():
        raise scope.fault(
            codes.BAD_NAME,
            node,
            f"{quote(value)} is no name",
            expected=f"expected up to {NAME_CHARS_MAX} printable characters",
        )
    return value


@takes(form.BOOLEAN)
def boolean(node: Node, scope: Scope) -> bool:
    if isinstance(node, Scalar) and isinstance(node.value, bool):
        return node.value
    word = node.text.lower() if isinstance(node, Scalar) else ""
    raise wrong_type(
        node, scope, "true or false", "yes, no, on and off are plain text in YAML 1.2" if word in _YES_NO else ""
    )


def whole(low: int, high: int) -> Read[int]:
    """A whole number from `low` to `high`."""

    @takes(form.whole(low, high))
    def read(node: Node, scope: Scope) -> int:
        if not isinstance(node, Scalar) or not isinstance(node.value, int) or isinstance(node.value, bool):
            raise wrong_type(node, scope, "a whole number")
        if not low <= node.value <= high:
            raise scope.fault(
                codes.OUT_OF_BOUNDS, node, f"{scope.subject} is {node.value}", expected=f"expected {low} to {high}"
            )
        return node.value

    return read


def duration(low: timedelta, high: timedelta) -> Read[timedelta]:
    """A Prometheus duration from `low` to `high`."""

    @takes(form.duration(format_duration(low), format_duration(high)))
    def read(node: Node, scope: Scope) -> timedelta:
        if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
            raise wrong_type(node, scope, "a duration such as 30s or 1h30m")
        try:
            value = parse_duration(node.text)
        except BadDuration as error:
            raise _bad_duration(node, scope, error) from None
        if not low <= value <= high:
            between = f"expected {format_duration(low)} to {format_duration(high)}"
            raise scope.fault(codes.OUT_OF_BOUNDS, node, f"{scope.subject} is {node.text}", expected=between)
        return value

    return read


def _bad_duration(node: Scalar, scope: Scope, error: BadDuration) -> Refused:
    return scope.fault(
        codes.BAD_DURATION,
        point_in(scope.document, node, error.offset),
        f"{quote(node.text)} for {scope.subject} is no duration: {error}",
        expected="expected a duration such as 30s or 1h30m",
        help=f'did you mean "{node.text}s"?' if node.text.isdigit() and len(node.text) < 9 else "",
    )


def choice(words: type[E]) -> Read[E]:
    """One word of an enum."""

    @takes(form.words(*(word.value for word in words)))
    def read(node: Node, scope: Scope) -> E:
        known = [word.value for word in words]
        if not isinstance(node, Scalar) or node.value is None:
            raise wrong_type(node, scope, f"one of: {', '.join(known)}")
        try:
            return words(node.text)
        except ValueError:
            raise not_one_of(node, scope, known) from None

    return read


def not_one_of(node: Scalar, scope: Scope, known: Iterable[str]) -> Refused:
    """Reports a word that is none of the known ones."""
    known = list(known)
    return scope.fault(
        codes.NOT_ONE_OF,
        node,
        f"{scope.subject} is {quote(node.text)}",
        expected=f"expected one of: {', '.join(known)}",
        help=suggest(node.text, known),
    )


# Lists and maps of values.


def listed(item: Reader[T], *, least: int = 0) -> Read[tuple[T, ...]]:
    """A list; items that are refused are left out of the value."""

    @takes(Several(form_of(item), least))
    def read(node: Node, scope: Scope) -> tuple[T, ...]:
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list", "put it in [ ]" if isinstance(node, Scalar) and node.text else "")
        if len(node.items) < least:
            raise scope.fault(codes.EMPTY, node, f"{scope.subject} is an empty list")
        return tuple(sound(item, node.items, scope))

    return read


def sound(item: Reader[T], nodes: Iterable[Node], scope: Scope) -> Iterable[T]:
    """The values of the nodes that are not refused."""
    for node in nodes:
        try:
            value = item(node, scope)
        except Refused:
            continue
        yield value


def mapped(value: Reader[T]) -> Read[dict[str, T]]:
    """A map with free keys; values that are refused are left out."""

    @takes(ByName(form_of(value)))
    def read(node: Node, scope: Scope) -> dict[str, T]:
        if not isinstance(node, MappingNode):
            raise wrong_type(node, scope, "a map")
        owner = f"{quote(scope.key)} of {scope.owner}"
        found: dict[str, T] = {}
        for word, entry in node.entries.items():
            try:
                found[word] = value(entry.value, scope.inside(word, owner))
            except Refused:
                continue
        return found

    return read


def nested(keys: Keys, build: Callable[..., T]) -> Read[T]:
    """A map with known keys, built into a struct from those that are there; refused as a whole if a required one is
    missing or unsound."""

    @takes(Table(keys))
    def read(node: Node, scope: Scope) -> T:
        values = read_keys(keys, node, scope)
        if any(key.required and word not in values for word, key in keys.items()):
            raise Refused
        return build(**values)

    return read


# Secrets.


def secret_key(
    check: Callable[[Secret, Node, Scope], None] | None = None, about: str = "", *, required: bool = False
) -> Key:
    """A key that holds a secret and has a `_file` twin."""
    return Key(secret, about, required=required, secret=True, check=check)


@takes(form.TEXT)
def secret(node: Node, scope: Scope) -> Secret:
    """A secret written in the file, `${NAME}` replaced from the environment."""
    scope.document.hide(node.span)
    raw = text(node, scope)
    missing = [word for word in _VARIABLE.findall(raw) if scope.secrets is None or scope.secrets.variable(word) is None]
    if missing:
        raise scope.fault(
            codes.SECRET_UNSET,
            node,
            f"{scope.subject} names the variable {missing[0]}, which is not set",
            help=f"set {missing[0]}, or use {scope.key}_file",
        )
    source = scope.secrets
    value = _VARIABLE.sub(lambda found: (source.variable(found[1]) or "") if source else "", raw)
    if not value:
        raise scope.fault(codes.EMPTY, node, f"{scope.subject} is empty once its variables are replaced")
    return Secret(value)


def _secret_file(node: Node, scope: Scope) -> Secret:
    path = text(node, scope)
    if scope.secrets is None:
        raise Refused
    try:
        value = scope.secrets.read(path).rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise scope.fault(
            codes.SECRET_UNREADABLE,
            node,
            f"{scope.subject}: cannot read {quote(path)}: {reason}",
            help="it is looked for in $CREDENTIALS_DIRECTORY, then beside this file",
        ) from None
    if not value:
        raise scope.fault(codes.SECRET_UNREADABLE, node, f"{scope.subject}: {quote(path)} is empty")
    return Secret(value)
