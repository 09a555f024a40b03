"""From files to settings and a Ruleset: merging, order, names, secrets, hashes, speed."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from imd.config.channelsettings import ExecSettings, FileSettings, WebhookSettings
from imd.config.load import Faulty, Loaded, check, load, load_config, load_rules
from imd.config.settings import LogLevel, Scope
from imd.model.incident import Level, Priority
from imd.model.policy import PageKind, Target, TargetKind
from imd.model.rule import MATCH_ALL, Matcher, Mode, Op, ResolveWhen, WindowKind
from imd.model.secret import Secret

ROOT = Path(__file__).parent.parent.parent


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def _rules(folder: Path, text: str) -> Loaded:
    return load_rules([_write(folder, rules=text) / "rules.yaml"])


def _codes(folder: Path, config: str, **files: str) -> list[str]:
    _write(folder, config=config, **files)
    return [one.code for one in check(folder / "config.yaml", (), {})]


def test_a_rule_with_every_key(tmp_path: Path) -> None:
    """Each key reaches the model."""
    text = (ROOT / "docs/rules.md").read_text().split("## rules")[1].split("```yaml\n")[1].split("```")[0]
    rule = _rules(tmp_path, text).ruleset.rules[0]
    assert rule.name == "node-loss"
    assert rule.match[0][1] == Matcher("severity", Op.NOT_EQUAL, "none")
    assert rule.group_by == ("cluster", "node")
    assert (rule.window.kind, rule.window.gap) == (WindowKind.WHILE_OPEN, timedelta(minutes=15))
    assert (rule.resolve.when, rule.resolve.after) == (ResolveWhen.ALL, timedelta(minutes=1))
    assert [(one.at_least, one.distinct, one.impact) for one in rule.raises] == [
        (10, "", Level.HIGH),
        (5, "service", Level.HIGH),
    ]
    assert rule.title is not None
    assert rule.title.render({"labels": {"cluster": "c", "node": "n"}, "firing": 2}) == "c: node n lost (2 alerts)"
    assert (rule.policy, rule.mode, rule.impact) == ("platform", Mode.PAGE, Level.MEDIUM)
    assert rule.labels == {"team": "platform", "category": "availability"}
    assert rule.where.endswith("rules.yaml:2")


def test_group_by_all_and_none(tmp_path: Path) -> None:
    """`['...']` is every label, `[]` one group, nothing the default."""
    rules = _rules(
        tmp_path,
        "rules:\n- {name: a, match: 'a=\"b\"', group_by: ['...']}\n- {name: b, match: 'a=\"c\"', group_by: []}\n"
        "- {name: c, match: 'a=\"d\"'}\n",
    ).ruleset.rules
    assert [rule.group_by for rule in rules[:3]] == [None, (), ("alertname", "cluster", "namespace", "service")]


def test_the_rule_default_is_last_wherever_it_stands(tmp_path: Path) -> None:
    """And is there if no file has it."""
    rules = _rules(tmp_path, "rules:\n- {name: default, hold: 0s}\n- {name: a, match: 'a=\"b\"'}\n").ruleset.rules
    assert [(rule.name, rule.match == MATCH_ALL) for rule in rules] == [("a", False), ("default", True)]
    assert rules[-1].hold == timedelta(0)
    assert [rule.name for rule in _rules(tmp_path, "rules: []\n").ruleset.rules] == ["default"]


def test_a_default_with_a_match_leaves_the_rest_to_the_built_in_one(tmp_path: Path) -> None:
    """No alert is taken by no rule."""
    rules = _rules(tmp_path, "rules:\n- {name: default, match: 'a=\"b\"', mode: drop}\n").ruleset.rules
    assert [(rule.name, rule.mode) for rule in rules] == [("default", Mode.DROP), ("built-in", Mode.PAGE)]
    assert rules[-1].match == MATCH_ALL


def test_lists_add_up_over_files_and_the_matchless_route_is_last(tmp_path: Path) -> None:
    """A folder's files by name; tests, hidden files and folders inside are not read; a file twice counts once."""
    _write(
        tmp_path,
        a="routes: [{policy: p}]\nrules: [{name: one, match: 'a=\"1\"'}]\n",
        b="routes: [{priority: [P1], policy: p}, {match: 'a=\"b\"', policy: p}]\n"
        "rules: [{name: two, match: 'a=\"2\"'}]\n",
        c="policies: [{name: p, steps: [{notify: ['receiver:x']}]}]\npriority: {matrix: {low: {low: P4}}}\n",
    )
    for name in ("a.test.yaml", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text("nonsense: [")
    (tmp_path / "inner.yaml").mkdir()
    loaded = load_rules([tmp_path, tmp_path / "a.yaml", tmp_path / "a.test.yaml"])
    ruleset = loaded.ruleset
    assert [rule.name for rule in ruleset.rules] == ["one", "two", "default"]
    assert [route.priority for route in ruleset.routes] == [frozenset({Priority.P1}), None, None]
    assert ruleset.routes[-1].match == MATCH_ALL
    assert ruleset.priority.matrix[Level.LOW][Level.LOW] is Priority.P4
    assert ruleset.priority.matrix[Level.HIGH][Level.HIGH] is Priority.P1
    assert [file.name for file in loaded.looked.files] == ["a.yaml", "b.yaml", "c.yaml"]


def test_without_a_config_every_receiver_is_known(tmp_path: Path) -> None:
    """Those that are named, in order; where none is, there is one, `default`."""
    text = "policies: [{name: p, steps: [{notify: ['receiver:x', 'person:ana']}]}]\n"
    text += "people: [{name: ana, reach: [{receiver: y}]}]\n"
    ruleset = _rules(tmp_path, text).ruleset
    assert sorted(ruleset.receivers) == ["x", "y"]
    assert ruleset.policies["p"].steps[0].notify == (Target(TargetKind.RECEIVER, "x"), Target(TargetKind.PERSON, "ana"))
    assert ruleset.policies["p"].remind == timedelta(hours=4)
    bare = _rules(tmp_path, "{}\n").ruleset
    assert list(bare.receivers) == ["default"]
    assert bare.policies["default"].once
    assert [str(target) for target in bare.policies["default"].steps[0].notify] == ["receiver:default"]


def test_remind_0s_is_never(tmp_path: Path) -> None:
    """Zero reminders, not endless ones."""
    text = "policies: [{name: default, remind: 0s, steps: [{notify: ['receiver:x']}]}]\n"
    assert _rules(tmp_path, text).ruleset.policies["default"].remind is None


def test_settings_from_a_config(tmp_path: Path) -> None:
    """Types, twins, variables, systemd credentials, and paths beside the file."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "hook").write_text("https://hook.example/s3cr3t-path\n")
    (tmp_path / "hook").write_text("https://not.this/\n")
    (tmp_path / "ci.token").write_text("sesame\n")
    (tmp_path / "config.yaml").write_text(
        "listen: '[::1]:1234'\nexternal_url: https://imd.example/pager/\nprefixes: [/am/]\n"
        "receivers:\n"
        "- {name: hook, type: webhook, url_file: hook, secret: 'x${SALT}y', allow_private: false, send_alerts: all}\n"
        "- {name: log, type: file, path: pages.jsonl, send: [page], min_priority: P2}\n"
        "- {name: run, type: exec, command: [bin/run, -x], timeout: 2s}\n"
        "fallback: log\n"
        "sources: [{name: am, type: alertmanager, tokens: [{token: t}], labels: {region: eu}, silent_after: 2h}]\n"
        "auth: {tokens: [{name: ci, scopes: [ingest, read], token_file: ci.token}], metrics: open}\n"
        "limits: {open_alerts_max: 7, lateness: 30s}\nlog: {level: debug}\nwatch: true\nstorm: {pages: 9}\n"
    )
    loaded = load_config_with(tmp_path, {"SALT": "salt", "CREDENTIALS_DIRECTORY": str(credentials)})
    settings = loaded.settings
    assert (settings.listen.host, settings.listen.port, str(settings.listen)) == ("::1", 1234, "[::1]:1234")
    assert (settings.external_url, settings.prefixes) == ("https://imd.example/pager", ("/pager", "/am"))
    hook, log, run = (one.channel for one in settings.receivers.values())
    assert isinstance(hook, WebhookSettings)
    assert hook.url.reveal() == "https://hook.example/s3cr3t-path"
    assert hook.secret == Secret("xsalty")
    assert not hook.allow_private
    assert isinstance(log, FileSettings)
    assert log.path == tmp_path / "pages.jsonl"
    assert isinstance(run, ExecSettings)
    assert run.command == (str(tmp_path / "bin/run"), "-x")
    assert settings.receivers["hook"].receiver.send_alerts is None
    assert settings.receivers["log"].receiver.send == frozenset({PageKind.PAGE})
    token = settings.auth.tokens[0]
    assert token.sha256 == sha256(b"sesame").hexdigest()
    assert token.scopes == frozenset({Scope.INGEST, Scope.READ})
    assert settings.auth.metrics_open
    assert settings.sources["am"].token_sha256 == (sha256(b"t").hexdigest(),)
    assert loaded.ruleset.sources["am"].silent_after == timedelta(hours=2)
    assert loaded.ruleset.bounds.open_alerts_max == 7
    assert loaded.ruleset.fallback == "log"
    assert (settings.log.level, settings.watch, settings.storm.pages) == (LogLevel.DEBUG, True, 9)
    assert credentials / "hook" in loaded.looked.files
    assert "s3cr3t-path" not in repr(settings) + str(hook.url) + f"{hook.url}"


def load_config_with(folder: Path, environ: dict[str, str]) -> Loaded:
    return load(folder / "config.yaml", (), environ)


@pytest.mark.parametrize(
    ("listen", "refused"),
    [
        ("127.0.0.1:1", False), ("127.8.0.1:1", False), ("localhost:1", False), ("'[::1]:1'", False), ("':1'", True),
        ("0.0.0.0:1", True), ("'[::]:1'", True), ("192.168.1.5:1", True), ("imd.example:1", True),
    ],
)  # fmt: skip
def test_beyond_loopback_only_with_auth(tmp_path: Path, listen: str, refused: bool) -> None:
    """An error, unless there are tokens or it is said to be meant."""
    assert ("R301" in _codes(tmp_path, f"listen: {listen}\n")) is refused
    assert "R301" not in _codes(tmp_path, f"listen: {listen}\nauth: {{open: true}}\n")
    token = f"auth: {{tokens: [{{name: a, scopes: [read], sha256: {'0' * 64}}}]}}\n"
    assert "R301" not in _codes(tmp_path, f"listen: {listen}\n{token}")


def test_all_faults_of_all_files_in_order(tmp_path: Path) -> None:
    """Sorted by file, line and column, none hidden by another."""
    _write(
        tmp_path,
        config="recievers: []\nrules: [b.yaml, a.yaml]\nwatch: 1\n",
        a="rules: [{name: x, hold: 5}]\n",
        b="rules: [\n",
    )
    found = check(tmp_path / "config.yaml", (), {})
    assert [(Path(one.path).name, one.code) for one in found] == [
        ("a.yaml", "R002"),
        ("a.yaml", "R201"),
        ("b.yaml", "R106"),
        ("config.yaml", "R003"),
        ("config.yaml", "R004"),
    ]
    with pytest.raises(Faulty) as raised:
        load_config(tmp_path / "config.yaml")
    assert raised.value.diagnostics == tuple(found)
    assert str(raised.value).startswith("5 errors, the first: ")


@pytest.mark.parametrize(
    ("config", "rules", "codes"),
    [
        ("recievers: [{name: x, type: console}]", "", ["R003"]),
        ("receivers: [{name: x, type: aprise}]", "", ["R005"]),
        ("receivers: [{type: console}]", "", ["R002"]),
        ("receivers: {name: x}", "", ["R004"]),
        ("receivers: [{name: x, type: console}]", "polices: [{name: p}]\n", ["R003"]),
        ("receivers: [{name: x, type: console}]", "people: [{name: ana, reach: []}]\n", ["R404"]),
    ],
)
def test_one_mistake_is_one_message(tmp_path: Path, config: str, rules: str, codes: list[str]) -> None:
    """A name that may be hidden behind a fault is not called unknown as well."""
    uses = "routes: [{policy: p}]\n" if "polices" in rules else ""
    uses += "policies: [{name: p, steps: [{notify: ['receiver:x', 'person:ana']}]}]\n" if "people" in rules else ""
    uses += "policies: [{name: p, steps: [{notify: ['receiver:x']}]}]\n" if not rules else ""
    assert _codes(tmp_path, f"{config}\nrules: [rules.yaml]\n", rules=rules + uses) == codes


def test_paths_stand_in_for_the_configs_rules(tmp_path: Path) -> None:
    """`imd check --config FILE PATH` checks those rules against that config's receivers."""
    _write(
        tmp_path,
        config="receivers: [{name: x, type: console}]\nrules: [broken.yaml]\n",
        broken="[",
        new="routes: [{policy: p}]\n",
    )
    assert [one.code for one in check(tmp_path / "config.yaml", [tmp_path / "new.yaml"], {})] == ["R502"]


@pytest.mark.parametrize("path", ["nowhere.yaml", "nowhere/"])
def test_a_path_that_is_not_there(tmp_path: Path, path: str) -> None:
    """Named, whoever asked for it."""
    assert [one.code for one in check(None, [tmp_path / path], {})] == ["R101"]
    assert [one.code for one in check(tmp_path / path, (), {})] == ["R101"]


def test_names_that_the_system_refuses(tmp_path: Path) -> None:
    """Too long, a loop of links, a folder for a secret: faults at their place, not exceptions."""
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    long = "x" * 5000
    assert _codes(tmp_path, f"rules: [{long}, loop.yaml]\n") == ["R101", "R101"]
    text = f"receivers:\n- {{name: a, type: webhook, url_file: .}}\n- {{name: b, type: webhook, url_file: {long}}}\n"
    assert _codes(tmp_path, text) == ["R302", "R302"]
    (tmp_path / "big").write_bytes(b"x" * 100_000)
    (tmp_path / "bytes").write_bytes(b"\xff")
    text = "receivers:\n- {name: a, type: webhook, url_file: big}\n- {name: b, type: webhook, url_file: bytes}\n"
    assert _codes(tmp_path, text) == ["R302", "R302"]


def test_the_inbox_holds_at_least_one_body(tmp_path: Path) -> None:
    """Else the largest body would be answered 503 for ever."""
    assert "R006" in _codes(tmp_path, "limits: {inbox_bytes_max: 1048576}\n")
    assert "R006" not in _codes(tmp_path, "limits: {inbox_bytes_max: 1048576, body_bytes_max: 1048576}\n")


def test_the_hash_is_of_what_decides(tmp_path: Path) -> None:
    """Not of comments, key order, paths, lines or PYTHONHASHSEED; but of every value."""
    rule = "rules: [{name: a, match: 'a=\"b\"', hold: 5s, title: '{{ cause }}'}]\n"
    rule += "routes: [{priority: [P1, P2, P3], policy: p}]\n"
    policy = "policies: [{name: p, steps: [{notify: ['receiver:x']}]}]\n"
    one = _rules(tmp_path, rule + policy).ruleset.config_hash
    assert len(one) == 12
    assert int(one, 16) >= 0
    assert (
        _rules(
            tmp_path,
            "# why\n\n" + policy + rule.replace("hold: 5s, title: '{{ cause }}'", "title: '{{ cause }}', hold: 5000ms"),
        ).ruleset.config_hash
        == one
    )
    assert _rules(tmp_path, rule.replace("5s", "6s") + policy).ruleset.config_hash != one
    assert _rules(tmp_path, rule.replace("{{ cause }}", "{{ alerts }}") + policy).ruleset.config_hash != one
    program = (
        "import sys; from pathlib import Path; from imd.config.load import load_rules; "
        "print(load_rules([Path(sys.argv[1])]).ruleset.config_hash)"
    )
    _write(tmp_path, other=rule + policy)
    for seed in ("1", "2"):
        command = [sys.executable, "-c", program, str(tmp_path / "other.yaml")]
        done = subprocess.run(
            command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True, cwd=ROOT
        )
        assert done.stdout.strip() == one


def test_diagnostics_encode_to_json(tmp_path: Path) -> None:
    """For `check --json`."""
    found = check(None, [tmp_path / "nowhere"], {})
    assert msgspec.json.decode(msgspec.json.encode(found))[0]["code"] == "R101"


def test_two_thousand_rules_in_a_second(tmp_path: Path) -> None:
    """Matchers, windows, labels and all."""
    rule = "- {{name: r{n}, match: ['alertname=\"A{n}\"', 'pod=~\"web-{n}-.*\"'], "
    rule += "group_by: [cluster], hold: 30s, labels: {{team: t{n}}}}}\n"
    text = "rules:\n" + "".join(rule.format(n=number) for number in range(2000))
    spent = []
    for _ in range(3):  # the best of three: what it costs, whoever else is at work on this machine
        started = time.process_time()
        assert len(_rules(tmp_path, text).ruleset.rules) == 2001
        spent.append(time.process_time() - started)
    assert min(spent) < 1.0
