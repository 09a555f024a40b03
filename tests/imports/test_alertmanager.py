"""alertmanager.yml into files: every kind of receiver, what is said of the rest, and faults with their places."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from imd.config.diagnostic import Severity
from imd.config.load import examine
from imd.imports.imported import Unreadable
from imd.imports.remarks import Kind
from imd.model.policy import PageKind
from tests.imports.played import NOON, imported, loaded, written

HERE = Path(__file__).parent
KEY = "0123456789abcdef0123456789abcdef"


def of(receiver: str, settings: str = "") -> str:
    """A file whose root pages this receiver, a flow map of `*_configs` in YAML."""
    return f"global: {{{settings}}}\nroute: {{receiver: r}}\nreceivers:\n  - {{name: r, {receiver}}}\n"


KINDS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("webhook_configs: [{url: 'http://h.example/x', max_alerts: 7}]", "", "webhook", {}),
    (
        "email_configs: [{to: 'a@example.com, B <b@example.com>'}]",
        "smtp_smarthost: 'mail.example:465', smtp_from: imd@example.com, smtp_auth_username: u, smtp_auth_password: p",
        "email",
        {"host": "mail.example", "port": 465, "to": ("a@example.com", "b@example.com"), "username": "u"},
    ),
    (
        "email_configs: [{to: a@example.com, from: b@example.com, smarthost: 'localhost:25', require_tls: false}]",
        "",
        "email",
        {"host": "localhost", "port": 25},
    ),
    ("slack_configs: [{api_url: 'https://hooks.slack.com/services/x'}]", "", "slack", {}),
    ("slack_configs: [{}]", "slack_api_url: 'https://hooks.slack.com/services/x'", "slack", {}),
    (
        "slack_configs: [{api_url: 'https://slack.com/api/chat.postMessage', channel: '#ops', "
        "http_config: {authorization: {credentials: xoxb-1}}}]",
        "",
        "slack",
        {"channel": "#ops"},
    ),
    (f"pagerduty_configs: [{{routing_key: {KEY}}}]", "", "pagerduty", {"api_url": "https://events.pagerduty.com"}),
    (
        f"pagerduty_configs: [{{routing_key: {KEY}}}]",
        "pagerduty_url: 'https://events.eu.pagerduty.com/v2/enqueue'",
        "pagerduty",
        {"api_url": "https://events.eu.pagerduty.com"},
    ),
    (
        "opsgenie_configs: [{responders: [{name: ops, type: team}], tags: 'a, b'}]",
        "opsgenie_api_key: k, opsgenie_api_url: 'https://api.eu.opsgenie.com/'",
        "opsgenie",
        {"api_url": "https://api.eu.opsgenie.com", "responders": (("team", "ops"),), "tags": ("a", "b")},
    ),
    ("victorops_configs: [{api_key: k, routing_key: db}]", "", "victorops", {"routing_key": "db"}),
    ("pushover_configs: [{token: t, user_key: u, retry: 1m, expire: 9h, sound: siren}]", "", "pushover", {}),
    (
        "telegram_configs: [{bot_token: '1:x', chat_id: -1001, message_thread_id: 4}]",
        "",
        "telegram",
        {"chat": "-1001", "topic": 4},
    ),
    ("discord_configs: [{webhook_url: 'https://discord.com/api/webhooks/1/x'}]", "", "discord", {}),
    ("msteams_configs: [{webhook_url: 'https://x.webhook.office.com/y'}]", "", "teams", {}),
    ("msteamsv2_configs: [{webhook_url: 'https://x.logic.azure.com/y'}]", "", "teams", {}),
    (
        "mattermost_configs: [{webhook_url: 'https://mm.example/hooks/x', channel: ops}]",
        "",
        "mattermost",
        {"channel": "ops"},
    ),
    (
        "webex_configs: [{room_id: r1, http_config: {authorization: {credentials: t}}}]",
        "",
        "webex",
        {"room": "r1"},
    ),
]


@pytest.mark.parametrize(("receiver", "settings", "kind", "fields"), KINDS)
def test_receivers_of_every_kind(
    receiver: str, settings: str, kind: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    """They load as what they were, and nothing is said to be lost."""
    made = imported(of(receiver, settings))
    assert [one for one in made.remarks if one.kind is Kind.NOT_CARRIED] == []
    [one] = loaded(made, tmp_path).settings.receivers.values()
    assert (one.receiver.name, one.type) == ("r", kind)
    assert {name: getattr(one.channel, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("receiver", "sends"),
    [
        ("webhook_configs: [{url: 'http://h.example/x'}]", True),
        ("webhook_configs: [{url: 'http://h.example/x', send_resolved: no}]", False),
        ("slack_configs: [{api_url: 'http://h.example/x'}]", False),
        ("slack_configs: [{api_url: 'http://h.example/x', send_resolved: true}]", True),
    ],
)
def test_who_hears_of_the_end(receiver: str, sends: bool, tmp_path: Path) -> None:
    [one] = loaded(imported(of(receiver)), tmp_path).settings.receivers.values()
    assert (PageKind.RESOLVED in one.receiver.send) == sends


@pytest.mark.parametrize("kind", ["wechat", "sns", "rocketchat", "jira", "incidentio", "carrier_pigeon"])
def test_a_kind_without_a_channel_becomes_a_console_and_is_said(kind: str, tmp_path: Path) -> None:
    """So that nobody is left out in silence."""
    made = imported(of(f"{kind}_configs: [{{to: x}}]"))
    [one] = loaded(made, tmp_path).settings.receivers.values()
    assert one.type == "console"
    [lost] = made.remarks
    assert lost.text.startswith("alertmanager.yml:4:")
    assert f"receivers[0].{kind}_configs[0]: imd has no channel for it; use the receiver type" in lost.text


def test_several_ways_of_one_receiver_are_receivers_of_one_step(tmp_path: Path) -> None:
    ways = "email_configs: [{to: a@example.com}, {to: b@example.com}], webhook_configs: [{url: 'http://h.example/'}]"
    made = loaded(imported(of(ways, "smtp_smarthost: 'm:25', smtp_from: c@example.com")), tmp_path)
    [policy] = [one for one in made.ruleset.policies.values() if one.name == "r"]
    assert [target.name for target in policy.steps[0].notify] == ["r-email-1", "r-email-2", "r-webhook"]


def test_every_key_is_carried_or_said(tmp_path: Path) -> None:
    """The golden file names each: what is not in the files is on the list, with its line and column."""
    text = (HERE / "everything.yml").read_text()
    made = imported(text, "everything.yml")
    found = examine(written(made, tmp_path), [], now=NOON, find_gap=lambda *_: None, secrets=True)
    assert [one.headline() for one in found.diagnostics if one.severity is Severity.ERROR] == []
    said = "\n".join(one.text for one in made.remarks) + "\n"
    golden = HERE / "everything.txt"
    assert said == golden.read_text(), f"python -m tests.imports.test_alertmanager > {golden}"


def test_no_secret_is_in_what_is_shown() -> None:
    made = imported((HERE / "everything.yml").read_text(), "everything.yml")
    shown = "\n".join([*made.files.values(), *(one.text for one in made.remarks)])
    assert made.secrets
    for path, secret in made.secrets.items():
        assert secret not in shown, path


def test_a_masked_secret_is_on_the_list() -> None:
    """As Alertmanager's status page shows its own file."""
    made = imported(of("slack_configs: [{api_url: <secret>}]"))
    assert made.secrets == {}
    [lost] = made.remarks
    assert "put the secret into" in lost.to_do


def test_anchors_and_merge_keys_are_followed(tmp_path: Path) -> None:
    text = (
        "x-mail: &mail {smarthost: 'm.example:587', from: a@example.com}\n"
        "route: &root\n  receiver: r\n  group_wait: 7s\n  routes:\n    - &db {matchers: ['a=\"b\"'], receiver: r}\n"
        "    - {<<: *db, matchers: ['a=\"c\"']}\n"
        "receivers:\n  - {name: r, email_configs: [{<<: *mail, to: b@example.com}]}\n"
    )
    made = loaded(imported(text), tmp_path)
    first, second, *_ = made.ruleset.rules
    assert [str(one.match[0][0]) for one in (first, second)] == ['a="b"', 'a="c"']
    assert first.hold == second.hold == timedelta(seconds=7)
    [receiver] = made.settings.receivers.values()
    assert (receiver.type, receiver.channel.host) == ("email", "m.example")


FAULTS = [
    ("route: {receiver: r}\nreceivers: [{name: s}]\n", "1:19: error[R501]"),
    ("route: {receiver: r, match: {a: b}}\nreceivers: [{name: r}]\n", "1:22: error[R003]"),
    ("route: {receiver: r, routes: [{matcher: [a=b]}]}\nreceivers: [{name: r}]\n", "1:32: error[R003]"),
    ("route: {receiver: r, routes: [{matchers: ['a=~\"(\"']}]}\nreceivers: [{name: r}]\n", "1:48: error[R203]"),
    ("route: {receiver: r, routes: [{match_re: {a: '('}}]}\nreceivers: [{name: r}]\n", "1:46: error[R203]"),
    ("route: {receiver: r, group_wait: 5}\nreceivers: [{name: r}]\n", "1:34: error[R201]"),
    ("route: {receiver: r, group_interval: 0s}\nreceivers: [{name: r}]\n", "1:38: error[R006]"),
    ("route: {receiver: r, group_by: ['...', a]}\nreceivers: [{name: r}]\n", "1:32: error[R405]"),
    ("route: {receiver: r}\nreceivers: [{name: r}, {name: r}]\n", "2:24: error[R401]"),
    ("receivers: [{name: r}]\n", "1:1: error[R002]"),
    ("route: {group_wait: 5s}\nreceivers: [{name: r}]\n", "1:9: error[R002]"),
    ("route: {receiver: r, routes: [{mute_time_intervals: [t]}]}\nreceivers: [{name: r}]\n", "1:54: error[R510]"),
    (
        "route: {receiver: r}\nreceivers: [{name: r}]\n"
        "time_intervals: [{name: t, time_intervals: [{weekdays: ['friday:monday']}]}]\n",
        "3:57: error[R006]",
    ),
    (
        "route: {receiver: r}\nreceivers: [{name: r}]\n"
        "time_intervals: [{name: t, time_intervals: [{times: [{start_time: '17:00', end_time: '09:00'}]}]}]\n",
        "3:86: error[R",
    ),
    (
        "route: {receiver: r}\nreceivers: [{name: r}]\ninhibit_rules: [{source_match: {a: b}, targets: x}]\n",
        "3:40: error[R003]",
    ),
    ("route: {receiver: r\nreceivers: [{name: r}]\n", "error[R"),
    ("", "1:1: error[R"),
    ("[]\n", "1:1: error[R"),
]


@pytest.mark.parametrize(("text", "said"), FAULTS)
def test_faults_have_their_places(text: str, said: str) -> None:
    with pytest.raises(Unreadable) as refused:
        imported(text, "am.yml")
    headlines = [one.headline() for one in refused.value.faults]
    assert any(said in one and one.startswith("am.yml:") for one in headlines), headlines


def test_all_faults_are_said_at_once() -> None:
    text = "route: {receiver: x, group_wait: 5, routes: [{receiver: y}, {matchers: ['=']}]}\nreceivers: [{name: r}]\n"
    with pytest.raises(Unreadable) as refused:
        imported(text)
    assert len(refused.value.faults) == 4


def test_a_file_of_aliases_has_its_bound() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1]"]
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{name}: &{name} [{', '.join(['*' + before] * 8)}]")
    with pytest.raises(Unreadable) as refused:
        imported("\n".join(lines))
    assert "aliases make more than" in refused.value.faults[0].message


if __name__ == "__main__":
    for remark in imported((HERE / "everything.yml").read_text(), "everything.yml").remarks:
        print(remark.text)
