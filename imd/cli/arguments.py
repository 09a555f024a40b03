"""Every command with its flags and its help; what they do is elsewhere.

docs/cli.md has a section for each command and names each flag; a test compares the two.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from imd import __version__
from imd.cli.flags import DEFAULT_URL, Commands, Parser, add, duration_or_never, match_flag, positive, remote
from imd.cli.importflags import import_command, tee_command
from imd.cli.incidentflags import incidents_commands


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. A parsed command has `command` and its own flags."""
    parser: argparse.ArgumentParser = Parser(
        prog="imd",
        description="Alerts in, incidents decided, pages out.",
        epilog="`imd COMMAND --help` shows examples. Exit codes: 0 done, 1 faults found or failed, 2 used wrongly.",
    )
    parser.add_argument("--version", action="version", version=f"imd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _daemon(commands)
    _tests(commands)
    _alerts(commands)
    incidents_commands(commands)
    _quiet(commands)
    _on_call(commands)
    _observing(commands)
    _history(commands)
    import_command(commands)
    tee_command(commands)
    return parser


def _daemon(commands: Commands[argparse.ArgumentParser]) -> None:
    serve = add(commands, "serve", "run the daemon", "imd serve --config /etc/imd/config.yaml")
    serve.add_argument("--config", type=Path, required=True, metavar="FILE", help="config.yaml")
    check = add(
        commands,
        "check",
        "find every fault of config and rules",
        "imd check --config config.yaml",
        "imd check rules/ --strict",
        "imd check --config config.yaml --format github",
    )
    check.add_argument("--config", type=Path, metavar="FILE", help="config.yaml, and the rules that it names")
    check.add_argument("paths", type=Path, nargs="*", metavar="PATH", help="rule files, or folders of them")
    check.add_argument("--strict", action="store_true", help="a warning is a failure too")
    check.add_argument("--no-secrets", action="store_true", help="do not read secrets: for a machine that has none")
    formats = ["text", "json", "github", "sarif"]
    check.add_argument("--format", choices=formats, default="text", help="how to print (default: text)")
    check.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")


def _tests(commands: Commands[argparse.ArgumentParser]) -> None:
    test = add(
        commands,
        "test",
        "run the tests of rules, *.test.yaml, in virtual time",
        "imd test",
        "imd test rules/20-kubernetes.test.yaml -v",
        "imd test --config config.yaml --coverage --junit junit.xml",
    )
    test.add_argument(
        "paths",
        type=Path,
        nargs="*",
        metavar="PATH",
        help="test files, or folders of them (default: rules/, else here)",
    )
    test.add_argument("--config", type=Path, metavar="FILE", help="config.yaml: its receivers, sources and rules")
    test.add_argument("-k", metavar="SUBSTRING", default="", help="only tests whose file or name holds it")
    test.add_argument("-v", "--verbose", action="store_true", help="name passing tests too, and show whole timelines")
    test.add_argument("--coverage", action="store_true", help="name rules and escalation steps that no test reached")
    test.add_argument(
        "--coverage-min", type=float, metavar="PERCENT", help="exit 1 where less is reached; implies --coverage"
    )
    test.add_argument("--junit", type=Path, metavar="FILE", help="write the outcome as JUnit XML too")
    test.add_argument("--json", action="store_true", help="JSON for scripts in place of text")

    schema = add(
        commands,
        "schema",
        "print the JSON Schema of a kind of file, for editors",
        "imd schema rules > rules.schema.json",
    )
    schema.add_argument("kind", choices=["config", "rules", "tests"], help="config.yaml, rule files or *.test.yaml")
    schema.add_argument("--json", action="store_true", help="changes nothing: a schema is JSON")


def _alerts(commands: Commands[argparse.ArgumentParser]) -> None:
    send = remote(
        commands,
        "send",
        "send one test alert",
        "imd send DiskFull instance=db1 severity=critical --annotation summary='2% left on /var'",
        "imd send alertname=DiskFull instance=db1 severity=critical --resolve",
    )
    send.add_argument(
        "labels", nargs="+", metavar="NAME=VALUE", help="labels; a first word without `=` is the alertname"
    )
    send.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    send.add_argument("--resolve", action="store_true", help="the alert is over, instead of firing")
    heartbeat = remote(
        commands,
        "heartbeat",
        "say that a job is alive, or list who is heard and who is missing",
        "imd heartbeat nightly-backup",
        "imd heartbeat watchdog cluster=eu1",
        "imd heartbeat",
    )
    heartbeat.add_argument("name", nargs="?", default="", metavar="NAME", help="of a heartbeat in the rules")
    heartbeat.add_argument("labels", nargs="*", metavar="LABEL=VALUE", help="the values of its `by` labels")
    mail = remote(
        commands,
        "mail",
        "hand a mail from standard input to the daemon",
        "imd mail --source mail < message.eml",
        'in /etc/aliases: imd: "|/usr/bin/imd mail --source mail --token-file /etc/imd/mail.token"',
    )
    mail.add_argument("--source", required=True, metavar="NAME", help="the source, of type email")
    page = remote(
        commands, "page", "send a test page to one receiver", "imd page ops-chat 'test of the pager, no action needed'"
    )
    page.add_argument("receiver", metavar="RECEIVER", help="its name in config.yaml")
    page.add_argument("text", nargs="+", metavar="TEXT", help="what the page says")


def _quiet(commands: Commands[argparse.ArgumentParser]) -> None:
    silence = remote(
        commands,
        "silence",
        "mute alerts for a while, list silences, end them",
        "imd silence add DiskFull 'host=~\"db.*\"' --for 2h --comment 'disk swap'",
        "imd silence add --incident 3 --for 30m",
        "imd silence list",
        "imd silence expire 0d9c5a5e-5d6a-4b0e-8d5d-3d3f4ad3b7c1",
    )
    silence.add_argument("action", choices=["add", "list", "expire"])
    silence.add_argument(
        "what",
        nargs="*",
        metavar="MATCHER|ID",
        help='for add: matchers (name="value"), all must hold; a bare first word is the alertname. For expire: ids',
    )
    silence.add_argument(
        "--incident", metavar="INCIDENT", help="for add: the alerts of this incident, in place of matchers"
    )
    silence.add_argument("--for", dest="for_", metavar="DURATION", help="for add: how long, from its start (2h, 1d12h)")
    silence.add_argument("--until", metavar="TIME", help="for add: its end, RFC 3339 with its zone, in place of --for")
    silence.add_argument("--start", metavar="TIME", help="for add: its start (default: now)")
    silence.add_argument("--comment", default="", metavar="TEXT", help="for add: why")
    silence.add_argument("--id", metavar="ID", help="for add: change this silence")
    silence.add_argument("--all", action="store_true", help="for list: ended ones of the last five days too")
    match_flag(silence)
    silence.add_argument("--limit", type=positive, default=100, metavar="N", help="at most so many (default: 100)")

    maintenance = remote(
        commands, "maintenance", "list maintenance windows: in force, or when next", "imd maintenance list"
    )
    maintenance.add_argument("action", nargs="?", choices=["list"], default="list", help="(default: list)")

    pause = remote(
        commands,
        "pause",
        "page nobody about anything for a while, or say whether it is so",
        "imd pause 30m --reason 'network drill'",
        "imd pause --end",
        "imd pause",
    )
    pause.add_argument("duration", nargs="?", metavar="DURATION", help="how long (30m); a second pause moves the end")
    pause.add_argument("--reason", default="", metavar="TEXT", help="why")
    pause.add_argument("--end", action="store_true", help="end it now")


def _on_call(commands: Commands[argparse.ArgumentParser]) -> None:
    on_call = remote(
        commands,
        "oncall",
        "say who is on call, or put somebody else on call for a while",
        "imd oncall",
        "imd oncall --schedule primary --days 14",
        "imd oncall --config config.yaml --at 2026-12-24T18:00:00Z",
        "imd oncall override add primary ben --start '2026-12-24 18:00' --for 12h --comment 'swapped with ana'",
        "imd oncall override list",
        "imd oncall override remove 0d9c5a5e-5d6a-4b0e-8d5d-3d3f4ad3b7c1",
    )
    on_call.add_argument("override", nargs="?", choices=["override"], help="work on overrides")
    on_call.add_argument("verb", nargs="?", choices=["add", "list", "remove"], default="list", help="(default: list)")
    on_call.add_argument(
        "what", nargs="*", metavar="SCHEDULE PERSON|ID", help="for add: who is on call by what; for remove: an id"
    )
    on_call.add_argument("--at", metavar="TIME", help="at that instant, RFC 3339 with its zone (default: now)")
    on_call.add_argument("--schedule", metavar="NAME", help="only this one")
    on_call.add_argument("--days", type=positive, metavar="N", help="shift by shift over so many days, at most 366")
    on_call.add_argument("--ics", action="store_true", help="as iCalendar, 31 days unless --days says otherwise")
    on_call.add_argument("--config", type=Path, metavar="FILE", help="from these files alone, without a daemon")
    on_call.add_argument("--for", dest="for_", metavar="DURATION", help="for add: how long, from its start (4h, 1d12h)")
    on_call.add_argument("--until", metavar="TIME", help="for add: its end, in place of --for")
    on_call.add_argument("--start", metavar="TIME", help="for add: its start (default: now)")
    on_call.add_argument("--comment", default="", metavar="TEXT", help="for add: why")
    on_call.add_argument("--all", action="store_true", help="for list: ended ones of the last 400 days too")


def _observing(commands: Commands[argparse.ArgumentParser]) -> None:
    alerts = remote(
        commands, "alerts", "list the alerts that fire now", "imd alerts", "imd alerts --match 'severity=\"critical\"'"
    )
    match_flag(alerts)
    alerts.add_argument("--limit", type=positive, default=100, metavar="N", help="at most so many (default: 100)")
    deliveries = remote(
        commands, "deliveries", "list pages and how they went", "imd deliveries", "imd deliveries --state failed"
    )
    deliveries.add_argument("--incident", metavar="INCIDENT", help="only those of one incident")
    deliveries.add_argument("--state", choices=["pending", "accepted", "failed", "cancelled", "unknown"])
    deliveries.add_argument("--limit", type=positive, default=50, metavar="N", help="at most so many (default: 50)")
    rejected = remote(
        commands,
        "rejected",
        "list what came in and was refused, with the reason",
        "imd rejected",
        "imd rejected --source prom-eu --since 24h",
    )
    rejected.add_argument("--source", metavar="NAME", help="only what this source sent")
    rejected.add_argument("--since", metavar="TIME", help="since: RFC 3339, or how long ago (24h)")
    rejected.add_argument("--limit", type=positive, default=50, metavar="N", help="at most so many (default: 50)")
    remote(commands, "status", "show how the daemon is doing", "imd status", "imd status --json")


def _history(commands: Commands[argparse.ArgumentParser]) -> None:
    replay = add(
        commands,
        "replay",
        "run recorded events through the rules, in virtual time, and send nothing",
        "imd replay events.jsonl --rules rules/",
        "imd replay events.jsonl --config config.yaml --ack-after never",
        "imd replay - --rules rules/ --out out.jsonl < events.jsonl",
    )
    replay.add_argument("events", type=Path, metavar="EVENTS.jsonl", help="one event a line; `-` is standard input")
    replay.add_argument("--rules", type=Path, metavar="DIR", help="a rule file, or a folder of them")
    replay.add_argument("--config", type=Path, metavar="FILE", help="config.yaml: its receivers, sources and rules")
    replay.add_argument("--topology", type=Path, metavar="FILE", help="a map of entities, beside the rules' own")
    replay.add_argument(
        "--ack-after",
        type=duration_or_never,
        metavar="DURATION|never",
        help="acknowledge each incident so long after its first page (default: 0s; never for a recorded run)",
    )
    replay.add_argument("--expire", action="store_true", help="alerts also end for want of repeats")
    replay.add_argument("--out", type=Path, metavar="FILE", help="write what became of each event, as JSONL")
    replay.add_argument("--json", action="store_true", help="JSON for scripts in place of text")

    _backtest(commands)
    _explain(commands)
    journal = remote(
        commands,
        "journal",
        "write down a daemon's history, for `imd replay`",
        "imd journal export --since 30d --out events.jsonl",
    )
    journal.add_argument("verb", choices=["export"], help="export: as EVENTS.jsonl, one event a line")
    journal.add_argument("--since", metavar="WHEN", help="an instant, or how long ago (30d); default: all there is")
    journal.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")

    store = add(
        commands,
        "db",
        "look after the database: migrate, back up, verify, recover",
        "imd db backup /backup/imd.db --config /etc/imd/config.yaml",
        "imd db verify --store sqlite:////var/lib/imd/imd.db",
        "imd db recover --store sqlite:////var/lib/imd/imd.db",
    )
    store.add_argument(
        "verb",
        choices=["migrate", "backup", "verify", "recover"],
        help="backup and verify work while imd runs; migrate and recover need it stopped",
    )
    store.add_argument("file", nargs="?", type=Path, metavar="FILE", help="for backup: the file to write")
    store.add_argument("--store", metavar="URL", help="the database, as `store:` names it")
    store.add_argument("--config", type=Path, metavar="FILE", help="config.yaml, whose `store:` is meant")
    store.add_argument(
        "--quarantine", action="store_true", help="for recover: read nothing, move the files aside and start empty"
    )
    store.add_argument("--json", action="store_true", help="JSON for scripts in place of text")


def _explain(commands: Commands[argparse.ArgumentParser]) -> None:
    explain = add(
        commands,
        "explain",
        "say what would happen to an alert: which rule, which incident, who is paged when, and why",
        "imd explain KubePodNotReady cluster=c1 node=n1 severity=warning --rules rules/",
        "imd explain DiskFull instance=db1 severity=critical --config config.yaml --at 2026-12-24T03:00:00Z",
        "imd explain DiskFull instance=db1 severity=critical --url https://imd.example",
        "imd explain --config config.yaml --source checks --body alert.json",
    )
    explain.add_argument(
        "labels", nargs="*", metavar="NAME=VALUE", help="labels; a first word without `=` is the alertname"
    )
    explain.add_argument("--annotation", action="append", default=[], metavar="NAME=VALUE", help="may be repeated")
    explain.add_argument("--at", metavar="TIME", help="when: RFC 3339 with its zone (default: now)")
    explain.add_argument("--source", metavar="NAME", help="who sends it: a source of config.yaml, or a built-in type")
    explain.add_argument(
        "--body", type=Path, metavar="FILE", help="a body that the source was sent, in place of labels"
    )
    explain.add_argument(
        "--header", action="append", default=[], metavar="NAME:VALUE", help="a header of that body; may be repeated"
    )
    explain.add_argument("--all", action="store_true", help="every rule that was tried, not the nearest ten")
    explain.add_argument("--json", action="store_true", help="JSON for scripts in place of text")
    files = explain.add_argument_group("by files, as if nothing else fired")
    files.add_argument("--config", type=Path, metavar="FILE", help="config.yaml: its receivers, sources and rules")
    files.add_argument("--rules", type=Path, metavar="DIR", help="a rule file, or a folder of them")
    files.add_argument("--topology", type=Path, metavar="FILE", help="a map of entities, beside the rules' own")
    daemon = explain.add_argument_group("beside what fires in a running daemon (without --config and --rules)")
    daemon.add_argument("--url", help=f"where it listens (default: $IMD_URL, else {DEFAULT_URL})")
    daemon.add_argument("--token-file", type=Path, metavar="FILE", help="its first line is the token (or $IMD_TOKEN)")


def _backtest(commands: Commands[argparse.ArgumentParser]) -> None:
    backtest = add(
        commands,
        "backtest",
        "run the same history through two rule sets and say what differs",
        "imd backtest --rules new/ --against rules/ --events events.jsonl",
        "imd backtest --rules new/ --config config.yaml --since 30d",
        "imd backtest --rules new/ --config config.yaml --fail-on lost-p1,more-pages --markdown report.md",
    )
    backtest.add_argument("--rules", type=Path, required=True, metavar="NEW", help="the rules to try: a file or folder")
    backtest.add_argument("--against", type=Path, metavar="OLD", help="(default: what --config names, else none)")
    backtest.add_argument("--events", type=Path, metavar="FILE", help="EVENTS.jsonl; `-` is standard input")
    backtest.add_argument(
        "--store", metavar="URL", help="a store's journal, also of a running daemon (default: that of --config)"
    )
    backtest.add_argument("--since", metavar="WHEN", help="only from then on: an instant, or how long ago (30d)")
    backtest.add_argument("--config", type=Path, metavar="FILE", help="config.yaml: receivers, sources, rules, store")
    backtest.add_argument("--topology", type=Path, metavar="FILE", help="a map of entities, beside the rules' own")
    backtest.add_argument("--ack-after", type=duration_or_never, metavar="DURATION|never", help="as for `imd replay`")
    backtest.add_argument(
        "--fail-on",
        type=_words,
        action="extend",
        default=[],
        metavar="CONDITION",
        help="exit 1 where it holds: lost-p1, unpaged, more-pages, priority, any …; may be repeated",
    )
    backtest.add_argument("--markdown", type=Path, metavar="FILE", help="also write a report for a merge request")
    backtest.add_argument("--all", action="store_true", help="every difference, not the first ten of a kind")
    backtest.add_argument("--json", action="store_true", help="JSON for scripts in place of text")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
