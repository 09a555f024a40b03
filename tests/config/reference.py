"""The tables of keys in the reference, held against the tables that files are checked with.

A table in docs/rules.md or docs/config.md stands below a comment that names its key tables, `<!-- keys: window -->`.
Its first column are the keys, all of them; the second says what they take, the third their default; the fourth is for
people. `python -m tests.config.reference` writes the second and third column anew and adds rows for new keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from imd.config import (
    callerfile,
    configfile,
    enrichfile,
    mapfile,
    oncallkeys,
    openingkeys,
    quietkeys,
    receiverfile,
    rulekeys,
    sourcefile,
    templatekeys,
    topologyfile,
)
from imd.config.form import ByName, Either, Form, Plain, Several, Table
from imd.config.shape import Key, Keys

ROOT = Path(__file__).parent.parent.parent
RULES, CONFIG = ROOT / "docs/rules.md", ROOT / "docs/config.md"
RULE_TABLES: Mapping[str, Keys] = {
    "top": rulekeys.TOP,
    "enrich": enrichfile.ENRICH,
    "extract": enrichfile.EXTRACT,
    "relabel": enrichfile.RELABEL,
    "rules": rulekeys.RULE,
    "window": rulekeys.WINDOW,
    "resolve": rulekeys.RESOLVE,
    "open_when": openingkeys.OPEN_WHEN,
    "count": openingkeys.COUNT,
    "all_of": openingkeys.ALL_OF,
    "absent": openingkeys.ABSENT,
    "rate": openingkeys.RATE,
    "flapping": openingkeys.FLAPPING,
    "raise-alerts": rulekeys.RAISE_ALERTS,
    "raise-distinct": rulekeys.RAISE_DISTINCT,
    "relate": rulekeys.RELATE,
    "topology": topologyfile.TOPOLOGY,
    "entities": topologyfile.ENTITY,
    "from_labels": topologyfile.FROM_LABELS_KEYS,
    "classes": topologyfile.CLASS,
    "onset": topologyfile.ONSET,
    "heartbeats": openingkeys.HEARTBEAT,
    "priority": rulekeys.PRIORITY,
    "targets": rulekeys.TARGET,
    "people": oncallkeys.PERSON,
    "reach": oncallkeys.REACH,
    "teams": oncallkeys.TEAM,
    "schedules": oncallkeys.SCHEDULE,
    "rotations": oncallkeys.ROTATION,
    "handoff": oncallkeys.HANDOFF,
    "overrides": oncallkeys.OVERRIDE,
    "policies": rulekeys.POLICY,
    "steps": rulekeys.STEP,
    "routes": rulekeys.ROUTE,
    "inhibit": quietkeys.INHIBIT,
    "maintenance": quietkeys.MAINTENANCE,
    "times": quietkeys.INTERVAL,
    "weekly": quietkeys.WEEKLY,
    "monthly": quietkeys.MONTHLY,
    "once": quietkeys.ONCE,
}
CONFIG_TABLES: Mapping[str, Keys] = {
    "config": configfile.CONFIG,
    "receivers": receiverfile.RECEIVER,
    "worded": receiverfile.WORDED,
    "templates": templatekeys.TEMPLATES,
    "sources": sourcefile.SOURCE,
    "source-key": sourcefile.KEY,
    "reconcile": sourcefile.RECONCILE,
    "signing": sourcefile.SIGNING,
    "signing-secret": sourcefile.SIGNING_SECRET,
    "map": mapfile.MAP,
    "value": mapfile.VALUE,
    "moment": mapfile.MOMENT,
    "auth": callerfile.AUTH,
    "token": callerfile.TOKEN,
    "storm": configfile.STORM,
    "links": configfile.LINKS,
    "watchdog": configfile.WATCHDOG,
    "canary": configfile.CANARY,
    "log": configfile.LOG,
    "limits": configfile.LIMITS,
}
PAGES = {RULES: RULE_TABLES, CONFIG: CONFIG_TABLES}
FREE = ("name", "text", "list of text", "list of names")
"""Of which the page may say more: whose name, what text."""
_MARK = re.compile(r"^<!-- keys: ([\w -]+) -->$")


class Row(NamedTuple):
    key: str
    type: str
    default: str
    meaning: str

    def __str__(self) -> str:
        return f"| `{self.key}` | {self.type} | {self.default} | {self.meaning} |".replace("|  |", "| |")


class Listed(NamedTuple):
    """A table of the page: the key tables it is of, its rows, and the lines in which they stand, from `first`."""

    tables: tuple[str, ...]
    rows: list[Row]
    first: int
    last: int


def listed(page: str) -> Iterator[Listed]:
    """Every table below a mark."""
    lines = page.split("\n")
    for number, line in enumerate(lines):
        mark = _MARK.match(line)
        if mark is None:
            continue
        first = last = number + 3  # behind the heading and its rule
        while last < len(lines) and lines[last].startswith("|"):
            last += 1
        rows = [_row(lines[at]) for at in range(first, last)]
        yield Listed(tuple(mark[1].split()), rows, first, last)


def _row(line: str) -> Row:
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
    key, *others = cells
    return Row(key.strip("`"), *others) if len(others) == 3 else Row(key.strip("`"), "", "", others[-1])


def built(tables: Mapping[str, Keys], names: tuple[str, ...]) -> dict[str, Key]:
    """The keys that these tables have together."""
    return {word: key for name in names for word, key in tables[name].items()}


def type_of(key: Key) -> str:
    """What a key takes, in the words of its form."""
    return _said(key.taken()).replace("|", "\\|")


def _said(form: Form) -> str:
    match form:
        case Plain(said=said, bounds=bounds):
            return f"{said}, {bounds}" if bounds else said
        case Table():
            return "map"
        case Several(of=of, least=least):
            return f"list of {_plural(_said(of))}" + (", not empty" if least else "")
        case ByName(of=of):
            return f"map of {_plural(_said(of))}"
        case Either(forms=forms, said=said):
            return said or ", or ".join(dict.fromkeys(map(_said, forms)))


def _plural(said: str) -> str:
    if said.startswith("one of: "):
        return said.removeprefix("one of: ")
    if " with " in said or " to " in said.partition(",")[0]:
        return said
    head, comma, rest = said.partition(",")
    if " of " in head:
        what, of, others = head.partition(" of ")
        return f"{what}s{of}{others}{comma}{rest}"
    return head + ("" if head.endswith(("s", "text", "RE2", "CEL")) else "s") + comma + rest


def default_of(key: Key) -> str:
    """What stands where a key is not given; "" where there is nothing: the page may say in words what then is."""
    if key.required:
        return "needed"
    return "" if key.default is None else f"`{_flow(key.default)}`"


def _flow(value: Any) -> str:
    """As YAML has it."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "null"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{word}: {_flow(one)}" for word, one in value.items()) + "}"
    text = str(value)
    return f'"{text}"' if re.fullmatch(r"[0-9]+:[0-9]+", text) else text


def rewritten(page: str, tables: Mapping[str, Keys]) -> str:
    """The page with the second and third column as the code has them, and a row for each key."""
    lines = page.split("\n")
    for table in reversed(list(listed(page))):
        keys = built(tables, table.tables)
        rows = [_as_coded(row, keys[row.key]) for row in table.rows if row.key in keys]
        there = {row.key for row in rows}
        rows += [
            _as_coded(Row(word, "", "", _clause(key.about)), key) for word, key in keys.items() if word not in there
        ]
        lines[table.first : table.last] = [str(row) for row in rows]
    return "\n".join(lines)


def _clause(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].removesuffix(".")


def _as_coded(row: Row, key: Key) -> Row:
    default, said = default_of(key), type_of(key)
    if said in FREE and row.type:
        said = row.type
    if not default:
        stands = row.default if row.default and not row.default.startswith("needed") else "none"
        default = row.default if row.default.startswith("needed ") else stands
    elif default == "needed" and row.default.startswith("needed"):
        default = row.default
    return row._replace(type=said, default=default)


def main() -> None:
    for file, tables in PAGES.items():
        file.write_text(rewritten(file.read_text(), tables))


if __name__ == "__main__":
    main()
