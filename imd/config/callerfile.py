"""`auth:` of config.yaml: who may call, and the tokens they show.

Owns its keys, and lists of entries with a name. A token is kept as its SHA-256 alone. Checking what a caller shows
is the API's.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from imd.config import codes, form
from imd.config.diagnostic import Span
from imd.config.document import Entry, Node, Sequence
from imd.config.document import Mapping as MappingNode
from imd.config.form import Several, Table
from imd.config.settings import Auth, Token
from imd.config.settings import Scope as TokenScope
from imd.config.shape import (
    Key,
    Keys,
    Refused,
    Scope,
    boolean,
    choice,
    form_of,
    listed,
    misspelt,
    name,
    peek,
    read_keys,
    secret_key,
    sound,
    takes,
    text,
    wrong_type,
)
from imd.config.wording import quote
from imd.model.secret import Secret

T = TypeVar("T")
_SHA256 = re.compile("[0-9a-f]{64}")


def entries(root: Node) -> dict[str, Entry]:
    """The entries of a map; none where the node is something else."""
    return dict(root.entries) if isinstance(root, MappingNode) else {}


def named(
    item: Callable[[Node, Scope], T], kind: str
) -> Callable[[Node, Scope], tuple[list[T], dict[str, Span], bool]]:
    """A list of maps with a `name`, each name once; also all names with their places, and whether one is unreadable."""

    @takes(Several(form_of(item)))
    def read(node: Node, scope: Scope) -> tuple[list[T], dict[str, Span], bool]:
        if not isinstance(node, Sequence):
            raise wrong_type(node, scope, "a list")
        names: dict[str, Span] = {}
        values: list[T] = []
        lost = False
        for number, entry in enumerate(node.items, 1):
            word = peek(entry, "name")
            owner = f"{kind} {quote(word.text)}" if word and word.text else f"{kind} {number}"
            lost = lost or word is None or not word.text
            if word is not None and word.text in names:
                scope.fault(
                    codes.NAME_TAKEN,
                    word,
                    f"{owner} is named a second time",
                    expected=f"first named in line {names[word.text].line}",
                )
                continue
            if word is not None:
                names[word.text] = word.span
            values.extend(sound(item, [entry], scope.inside("", owner)))
        return values, names, lost

    return read


# auth and tokens.


class _Open(enum.StrEnum):
    OPEN = "open"


@takes(form.text("64 hex digits", "^[0-9a-f]{64}$"))
def _digest(node: Node, scope: Scope) -> str:
    value = text(node, scope)
    if not _SHA256.fullmatch(value):
        raise scope.fault(
            codes.BAD_SECRET,
            node,
            f"{scope.subject} is no SHA-256",
            expected="expected 64 lower-case hex digits",
            help="make it with: printf %s TOKEN | sha256sum",
        )
    return value


TOKEN_SECRET: Keys = {
    "sha256": Key(_digest, "SHA-256 of the token: printf %s TOKEN | sha256sum."),
    "token": secret_key(about="The token itself; only its SHA-256 is kept."),
}
ONE_TOKEN = {"oneOf": [{"required": [word]} for word in ("sha256", "token", "token_file")]}
TOKEN: Keys = {
    "name": Key(name, "What the records call its bearer.", required=True),
    "scopes": Key(listed(choice(TokenScope), least=1), "What its bearer may do.", required=True),
    **TOKEN_SECRET,
}


def one_digest(values: dict[str, Any], node: Node, scope: Scope) -> str:
    """The digest of the one way in which a token is given."""
    given = [word for word in ("sha256", "token", "token_file") if word in entries(node)]
    if {"token", "token_file"} <= set(given):
        raise Refused  # said already
    if not given and misspelt(node, TOKEN, TOKEN_SECRET):
        raise Refused
    if len(given) != 1:
        code = codes.MISSING_KEY if not given else codes.EXCLUSIVE_KEYS
        raise scope.fault(
            code,
            node if not given else entries(node)[given[1]].key.span,
            f"{scope.owner} has {' and '.join(given) if given else 'no token'}",
            expected="expected one of: sha256, token_file, token",
        )
    if "sha256" in values:
        return str(values["sha256"])
    if "token" not in values:
        raise Refused
    token: Secret = values["token"]
    return sha256(token.reveal().encode()).hexdigest()


@takes(Table(TOKEN, ONE_TOKEN))
def _token(node: Node, scope: Scope) -> Token:
    values = read_keys(TOKEN, node, scope)
    digest = one_digest(values, node, scope)
    if "name" not in values or "scopes" not in values:
        raise Refused
    return Token(name=values["name"], scopes=frozenset(values["scopes"]), sha256=digest)


AUTH: Keys = {
    "tokens": Key(named(_token, "token"), "Who may call.", []),
    "open": Key(boolean, "Everybody may call, beyond loopback too.", False),
    "metrics": Key(choice(_Open), "`open`: /metrics without a token."),
}


@takes(Table(AUTH))
def auth(node: Node, scope: Scope) -> Auth:
    values = read_keys(AUTH, node, scope)
    tokens, _, _ = values.get("tokens", ([], {}, False))
    return Auth(tokens=tuple(tokens), open=values.get("open", False), metrics_open="metrics" in values)
