"""The commands that work on incidents, with their flags and their help."""

from __future__ import annotations

import argparse

from imd.cli.flags import INCIDENT, Commands, match_flag, positive, remote, several


def incidents_commands(commands: Commands[argparse.ArgumentParser]) -> None:
    for add in (_looking, _answering, _calling, _ending, _regrouping, _noting):
        add(commands)


def _looking(commands: Commands[argparse.ArgumentParser]) -> None:
    """The list, one incident, a report by a person, and why."""
    incidents = remote(
        commands,
        "incidents",
        "list incidents, or show one",
        "imd incidents",
        "imd incidents list --all --priority P1,P2 --since 24h",
        "imd incidents show 3",
        "imd incidents report 'checkout is slow' --label team=shop --priority P2",
    )
    incidents.add_argument(
        "action", nargs="?", choices=["list", "show", "report"], default="list", help="(default: list)"
    )
    incidents.add_argument(
        "incident", nargs="?", metavar="INCIDENT|TITLE", help=f"for show: {INCIDENT}; for report: what is wrong"
    )
    incidents.add_argument("--label", action="append", default=[], metavar="NAME=VALUE", help="for report; repeatable")
    incidents.add_argument("--policy", metavar="NAME", help="for report: the policy that pages (default: the routes')")
    incidents.add_argument("--note", default="", metavar="TEXT", help="for report: a line for the timeline")
    incidents.add_argument("--all", action="store_true", help="resolved and closed ones too")
    incidents.add_argument("--status", metavar="STATES", help="states, comma separated, or `open` (default: open)")
    incidents.add_argument("--priority", metavar="P1,P2", help="only these priorities")
    incidents.add_argument("--rule", metavar="NAME", help="only those that this rule opened")
    match_flag(incidents)
    incidents.add_argument("--since", metavar="TIME", help="opened since: RFC 3339, or how long ago (24h)")
    incidents.add_argument("--limit", type=positive, default=50, metavar="N", help="at most so many (default: 50)")

    why = remote(commands, "why", "say why an incident exists and who was paged", "imd why 3")
    why.add_argument("incident", metavar="INCIDENT", help=INCIDENT)


def _answering(commands: Commands[argparse.ArgumentParser]) -> None:
    """Somebody has it, or no longer, or it is over, or it can wait."""
    ack = remote(
        commands,
        "ack",
        "acknowledge incidents: somebody has them, escalation stops",
        "imd ack 3 4",
        "imd ack --match 'cluster=\"c1\"' --note 'rack power, on it'",
    )
    several(ack)
    match_flag(ack)
    unack = remote(commands, "unack", "give acknowledged incidents back to escalation", "imd unack 3")
    several(unack)
    resolve = remote(
        commands,
        "resolve",
        "resolve incidents by hand",
        "imd resolve 3 --note 'disk replaced'",
        "imd resolve 3 --force",
    )
    several(resolve)
    resolve.add_argument("--force", action="store_true", help="even while alerts fire")
    snooze = remote(
        commands,
        "snooze",
        "acknowledge incidents until a time",
        "imd snooze 3 --for 2h",
        "imd snooze 3 --until 2026-03-02T08:00:00Z --note 'vendor comes in the morning'",
    )
    several(snooze)
    snooze.add_argument("--for", dest="for_", metavar="DURATION", help="how long (2h, 1d12h)")
    snooze.add_argument("--until", metavar="TIME", help="until when, RFC 3339 with its zone, in place of --for")


def _calling(commands: Commands[argparse.ArgumentParser]) -> None:
    """Somebody else is to come."""
    assign = remote(commands, "assign", "say whose incidents these are, and page them", "imd assign 3 --to ben")
    several(assign)
    assign.add_argument("--to", required=True, metavar="PERSON", help="a name of people:")
    responder = remote(
        commands, "responder", "ask somebody more to help, and page them", "imd responder 3 --to team:database"
    )
    several(responder)
    responder.add_argument(
        "--to", required=True, metavar="WHO", help="a person, or schedule:NAME, team:NAME, receiver:NAME"
    )
    escalate = remote(commands, "escalate", "go on to the next escalation step now", "imd escalate 3")
    several(escalate)


def _ending(commands: Commands[argparse.ArgumentParser]) -> None:
    """Resolved ones: work goes on, or is done."""
    reopen = remote(commands, "reopen", "work on resolved incidents again", "imd reopen 3 --note 'it is back'")
    several(reopen)
    close = remote(
        commands,
        "close",
        "close resolved incidents after their review",
        "imd close 3 --outcome fixed --cause capacity --actionable yes",
    )
    several(close)
    close.add_argument("--outcome", default="", metavar="WORD", help="how it ended: fixed, false alarm…")
    close.add_argument("--cause", default="", metavar="WORD", help="why it happened: deploy, capacity…")
    close.add_argument("--actionable", choices=["yes", "no"], help="whether anybody had to do anything")


def _regrouping(commands: Commands[argparse.ArgumentParser]) -> None:
    """Alerts that belong elsewhere."""
    merge = remote(commands, "merge", "make incidents part of another", "imd merge 4 5 --into 3")
    several(merge)
    merge.add_argument("--into", required=True, metavar="INCIDENT", help="the one that lives on")
    split = remote(
        commands,
        "split",
        "take alerts out of an incident, into one of their own",
        "imd split 3 9ac8f1b2e0d4c756 41d5f0a9c3b2e817",
    )
    split.add_argument("incidents", nargs=1, metavar="INCIDENT", help=INCIDENT)
    split.add_argument(
        "fingerprints", nargs="+", metavar="FINGERPRINT", help="of its alerts; `imd incidents show` lists them"
    )
    split.add_argument("--note", default="", metavar="TEXT", help="a line for the timeline")


def _noting(commands: Commands[argparse.ArgumentParser]) -> None:
    """A line of one's own."""
    note = remote(commands, "note", "write a line into an incident's timeline", "imd note 3 'vendor called, ETA 14:00'")
    note.add_argument("incidents", nargs=1, metavar="INCIDENT", help=INCIDENT)
    note.add_argument("text", nargs="+", metavar="TEXT", help="what it says")
