"""One entry of a list of an alertmanager.yml, asked key by key for what imd has a place for.

Owns that nothing is passed over: what nobody asked for is remarked, unless it says what Alertmanager does anyway. Owns
secrets' way into files of their own, and which templates can be imd's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as Mapping_
from datetime import timedelta

from imd.config.document import Mapping, Node, Scalar, Sequence
from imd.config.syntax import BadDuration, parse_duration
from imd.imports.gotemplate import Untranslated, translated
from imd.imports.remarks import Remarks
from imd.imports.secrets import MASKED, Secrets
from imd.imports.written import Value
from imd.model.template import BadTemplate, Template

_OWN_TEMPLATE = re.compile(r'\s*\{\{-?\s*template\s+"([a-z_]+\.default\.[A-Za-z_.]+)"\s+\.\s*-?\}\}\s*')
_TRUE = frozenset({"true", "yes", "on", "y"})
_HTTP = "put what it does (proxy, TLS, headers) before the service; imd calls it without"
_WHY = {
    "http_config": ("imd's channels take no http_config", _HTTP),
    "tls_config": ("imd verifies with the system's certificates", "add the certificate to the system's"),
    "priority": ("a page has its incident's priority", "set `priority:` of the rule"),
    "severity": ("a page has its incident's priority", "set `urgency:` or `priority:` of the rule"),
    "timeout": ("time-outs are one setting for all receivers", "see `limits: send_timeout`"),
}
_WORDED = frozenset({
    "title", "text", "message", "message_text", "html", "headers", "description", "summary", "content", "note",
    "details", "pretext", "footer", "fallback", "fields", "state_message", "entity_display_name", "attachments",
})  # fmt: skip
_TEXTS = "the text is imd's own"
_TO_DO_TEXTS = "word it with `templates:` of the receiver, see docs/receivers.md"
_TEMPLATES: dict[str, dict[str, str]] = {
    "slack": {"title": "title", "text": "body"},
    "email": {"headers.Subject": "title", "text": "body"},
    "telegram": {"message": "body"},
    "discord": {"title": "title", "message": "body"},
    "msteams": {"title": "title", "text": "body"},
    "msteamsv2": {"title": "title", "text": "body"},
    "mattermost": {"title": "title", "text": "body"},
    "webex": {"message": "body"},
    "pushover": {"title": "title", "message": "body"},
    "pagerduty": {"description": "title"},
    "opsgenie": {"message": "title", "description": "body"},
    "victorops": {"entity_display_name": "title", "state_message": "body"},
}
"""By kind, which keys hold words, and where imd has them."""


class Given:
    """One entry of a `*_configs` list: its keys are asked for by name, and what nobody asked for is remarked."""

    def __init__(
        self,
        kind: str,
        at: Mapping,
        what: str,
        name: str,
        settings: dict[str, Node],
        remarks: Remarks,
        secrets: Secrets,
        defined: Mapping_[str, str],
    ) -> None:
        self.kind, self.at, self.what, self.name = kind, at, what, name
        self._settings = settings
        self._remarks = remarks
        self._secrets = secrets
        self._defined = defined
        self._asked: set[str] = set()

    def node(self, key: str) -> Node | None:
        self._asked.add(key)
        entry = self.at.entries.get(key)
        return entry.value if entry is not None and not _empty(entry.value) else None

    def text(self, key: str, setting: str = "", default: str = "") -> str:
        """The text of a key, or else of a global setting."""
        node = self.node(key)
        if node is None and setting:
            node = self._settings.get(setting)
        return node.text if isinstance(node, Scalar) and not _empty(node) else default

    def flag(self, key: str, default: bool, setting: str = "") -> bool:
        said = self.text(key, setting)
        return said.lower() in _TRUE if said else default

    def plain(self, key: str, setting: str = "") -> str:
        """A text that is no template; a template is remarked and left out."""
        said = self.text(key, setting)
        if "{{" in said:
            node = self.node(key) or self.at
            self.lost(key, node, "it is a template, and here imd takes none", "write a value that is the same for all")
            return ""
        return said

    def secret(self, key: str, become: str = "", setting: str = "") -> dict[str, Value]:
        """`{become_file: path}`: of the key, its `_file` twin, or else the same of a global setting; {} without any."""
        become = become or key
        named = self.text(f"{key}_file")
        if named:
            return {f"{become}_file": self._secrets.elsewhere(named)}
        text = self.text(key)
        if text:
            return {f"{become}_file": self._written(f"{self.name}.{become}", text, key)}
        if not setting:
            return {}
        named, text = self._setting(f"{setting}_file"), self._setting(setting)
        if named:
            return {f"{become}_file": self._secrets.elsewhere(named)}
        return {f"{become}_file": self._written(setting, text, key)} if text else {}

    def _setting(self, key: str) -> str:
        node = self._settings.get(key)
        return node.text if isinstance(node, Scalar) else ""

    def _written(self, name: str, text: str, key: str) -> str:
        if text == MASKED:
            path = self._secrets.elsewhere(f"secrets/{name}")
            node = self.at.entries[key].value if key in self.at.entries else self.at
            self.lost(key, node, "the file read holds no secret, only its mask", f"put the secret into {path}")
            return path
        return self._secrets.written(name, text)

    def bearer(self) -> dict[str, Value]:
        """`{token_file: path}` of `http_config.authorization`, which is how Alertmanager shows a token."""
        node = self.node("http_config")
        found = node.entries.get("authorization") if isinstance(node, Mapping) else None
        if found is None or not isinstance(found.value, Mapping):
            return {}
        inner = Given("", found.value, f"{self.what}.http_config", self.name, {}, self._remarks, self._secrets, {})
        return inner.secret("credentials", "token")

    def templates(self) -> dict[str, Value]:
        """The words of the operator's own that imd's templates can be, by what they are there; {} without any."""
        words: dict[str, Value] = {}
        for key, become in _TEMPLATES.get(self.kind, {}).items():
            node = self._worded(key)
            if node is None or become in words:
                continue
            try:
                words[become], notes = translated(node.text, self._defined)
                Template(str(words[become]))
            except (Untranslated, BadTemplate) as error:
                words.pop(become, None)
                self.lost(key, node, f"{_TEXTS}, for what stands there is not: {error}", _TO_DO_TEXTS)
                continue
            if notes:
                self._remarks.differs(node, f"{self.what}.{key}", "; ".join(notes))
        return {"templates": words} if words else {}

    def _worded(self, key: str) -> Scalar | None:
        """What an operator wrote under a key, `headers.Subject` too; None for what Alertmanager has anyway."""
        outer, _, inner = key.partition(".")
        node = self.at.entries[outer].value if outer in self.at.entries else None
        if not inner:
            self._asked.add(outer)
        elif isinstance(node, Mapping):
            if node.entries.keys() <= {inner}:
                self._asked.add(outer)
            node = node.entries[inner].value if inner in node.entries else None
        if not isinstance(node, Scalar) or _empty(node) or self._built_in(node):
            return None
        return node

    def _built_in(self, node: Node) -> bool:
        """Whether Alertmanager would say it anyway."""
        found = _OWN_TEMPLATE.fullmatch(node.text) if isinstance(node, Scalar) else None
        return found is not None and found[1] not in self._defined

    def duration(self, key: str) -> timedelta | None:
        try:
            return parse_duration(self.text(key)) if self.text(key) else None
        except BadDuration:
            return None

    def lost(self, key: str, at: Node, why: str, to_do: str = "") -> None:
        self._remarks.lost(at, f"{self.what}.{key}" if key else self.what, why, to_do)

    def differs(self, key: str, why: str, to_do: str = "") -> None:
        at = self.at.entries[key].key if key in self.at.entries else self.at
        self._remarks.differs(at, f"{self.what}.{key}" if key else self.what, why, to_do)

    def rest(self) -> None:
        """Remarks every key that was not asked for, unless it holds what Alertmanager takes anyway."""
        for key, entry in self.at.entries.items():
            if key in self._asked or key == "send_resolved" or _empty(entry.value) or self._built_in(entry.value):
                continue
            worded = key in _WORDED or _templated(entry.value)
            usual = (_TEXTS, _TO_DO_TEXTS) if worded else ("imd has no such setting", "")
            why, to_do = _WHY.get(key, usual)
            self.lost(key, entry.key, why, to_do)


def _empty(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.text


def _templated(node: Node) -> bool:
    match node:
        case Scalar():
            return "{{" in node.text
        case Mapping():
            return any(_templated(entry.value) for entry in node.entries.values())
        case Sequence():
            return any(map(_templated, node.items))
        case _:
            return False
