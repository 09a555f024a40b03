"""An alertmanager.yml into config.yaml and a rule file.

Owns the whole of this import and what belongs to no part of it: global settings, templates, the files' frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import PurePath

from imd.config import codes
from imd.config.document import Document, Scalar
from imd.config.yamlfile import DATA_BYTES_MAX, read_document
from imd.imports.alertmanagerfile import read_alertmanager
from imd.imports.alertmanagerreceivers import Channels, channels
from imd.imports.alertmanagerrules import Rules
from imd.imports.alertmanagershape import File, Route
from imd.imports.alertmanagertimes import Times
from imd.imports.alternatives import ALTERNATIVES_MAX, Alternative, TooMany, alternatives
from imd.imports.gotemplate import Untranslated, definitions
from imd.imports.imported import Imported, Unreadable, header
from imd.imports.remarks import Remarks
from imd.imports.secrets import Secrets
from imd.imports.written import Value, document

CONFIG, RULES = "config.yaml", "rules/alertmanager.yaml"
_RESOLVE_TIMEOUT = timedelta(minutes=5)
_USED_SETTINGS = (
    "smtp_from", "smtp_smarthost", "smtp_auth_username", "smtp_auth_password", "smtp_auth_password_file",
    "smtp_require_tls", "smtp_force_implicit_tls", "slack_api_url", "slack_api_url_file", "slack_app_token",
    "slack_app_token_file", "slack_app_url", "pagerduty_url", "opsgenie_api_url", "opsgenie_api_key",
    "opsgenie_api_key_file", "victorops_api_url", "victorops_api_key", "victorops_api_key_file", "telegram_api_url",
    "telegram_bot_token", "telegram_bot_token_file", "mattermost_webhook_url", "mattermost_webhook_url_file",
)  # fmt: skip
_SETTINGS_WHY = {
    "resolve_timeout": ("an alert without an end lasts 5m after its last report", ""),
    "http_config": ("imd's channels take no http_config", "put a proxy's or TLS's work before the service"),
    "smtp_hello": ("imd greets with its host's name", ""),
    "smtp_auth_secret": ("imd logs in by PLAIN or LOGIN, not by CRAM-MD5", "give the receivers username and password"),
    "smtp_auth_identity": ("imd logs in as the user alone", ""),
    "smtp_tls_config": ("imd verifies with the system's certificates", "add the certificate to the system's"),
}
_UNUSED_KINDS = ("wechat_", "jira_", "rocketchat_", "webex_")


ReadFiles = Callable[[str], Iterable[str]]
"""The texts of the files that a pattern of `templates` names; none where there are none, or they cannot be read."""


def from_alertmanager(path: str, raw: bytes, read_files: ReadFiles = lambda _pattern: ()) -> Imported:
    """`path` is how the file is named, in remarks and faults too. Raises Unreadable."""
    read = read_document(path, raw, DATA_BYTES_MAX, secrets=True, anchors=True)
    remarks = Remarks(path)
    file = read_alertmanager(read, remarks)
    if file is None:
        raise Unreadable([fault for fault in read.faults if fault.severity == "error"])
    found = _alternatives(file, read)
    secrets = Secrets(PurePath(path).parent)
    made = _receivers(file, remarks, secrets, _templates(file, remarks, read_files))
    times = Times(file.intervals, remarks)
    rules = Rules({name: one.targets for name, one in made.items()}, times, remarks)
    parts = rules.parts(found, file.inhibits, file.root)
    _settings(file, remarks)
    _unused_times(file, remarks)
    receivers: list[Value] = [entry for one in made.values() for entry in one.entries.values()]
    config: dict[str, Value] = {
        "listen": "127.0.0.1:9490",
        "store": "sqlite:///var/imd.db",
        "rules": ["rules/"],
        "receivers": receivers,
    }
    said = remarks.ordered()
    head = header(f"alertmanager {path}", said)
    return Imported(
        files={CONFIG: document(head, config), RULES: document(head[:1], parts)},
        secrets=secrets.files,
        remarks=tuple(said),
        counts={"receivers": len(receivers)}
        | {key: len(value) for key, value in parts.items() if isinstance(value, list | dict)},
    )


def _alternatives(file: File, read: Document) -> list[Alternative]:
    try:
        return alternatives(file.root)
    except TooMany as error:
        at = error.route.at.span
        read.fault(
            codes.OUT_OF_BOUNDS,
            at,
            f"{error.route.what}: routes with `continue` make more than {ALTERNATIVES_MAX} combinations here",
            help="take `continue` from routes that alerts need not leave, or join their receivers into one",
        )
        raise Unreadable([fault for fault in read.faults if fault.severity == "error"]) from None


def _templates(file: File, remarks: Remarks, read_files: ReadFiles) -> dict[str, str]:
    """What the files of `templates` define."""
    defined: dict[str, str] = {}
    for pattern in file.templates:
        texts = list(read_files(pattern.text))
        if not texts:
            to_do = "run the import where they are, or word texts with `templates:` of a receiver, in Jinja"
            remarks.lost(pattern, "templates", "no such file can be read here", to_do)
        for text in texts:
            try:
                defined |= definitions(text)
            except Untranslated as error:
                remarks.lost(pattern, "templates", f"one of its files cannot be read: {error}")
    return defined


def _receivers(file: File, remarks: Remarks, secrets: Secrets, defined: dict[str, str]) -> dict[str, Channels]:
    every: dict[str, timedelta] = {}
    _intervals(file.root, every)
    names: set[str] = set()
    made = {}
    for name, receiver in file.receivers.items():
        made[name] = channels(receiver, file.settings, every.get(name), names, remarks, secrets, defined)
    return made


def _intervals(route: Route, every: dict[str, timedelta]) -> None:
    known = every.get(route.receiver, route.group_interval)
    every[route.receiver] = min(known, route.group_interval)
    for child in route.children:
        _intervals(child, every)


def _settings(file: File, remarks: Remarks) -> None:
    for key, node in file.settings.items():
        if key in _USED_SETTINGS or key.startswith(_UNUSED_KINDS):
            continue
        if key == "resolve_timeout" and isinstance(node, Scalar) and node.text == "5m":
            continue
        why, to_do = _SETTINGS_WHY.get(key, ("imd has no such setting", ""))
        remarks.lost(node, f"global.{key}", why, to_do)


def _unused_times(file: File, remarks: Remarks) -> None:
    used = set(_used(file.root))
    for name, interval in file.intervals.items():
        if name not in used:
            remarks.lost(interval.at, f"time_intervals {name}", "no route names it")


def _used(route: Route) -> list[str]:
    return [*route.mute, *route.active, *(name for child in route.children for name in _used(child))]
