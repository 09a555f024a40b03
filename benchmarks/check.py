"""What `imd check` takes: 2,000 rules that use most keys, in twenty files, as a command.

    python -m benchmarks.check [--rounds N] [--quick] [--json FILE]

From the start of the process to its end, so mostly imports for few rules. Sound rules, for then every lint is looked
for; and the same with a fault in each, for then every place is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.driver import command
from benchmarks.driver.figures import Results
from benchmarks.driver.options import Options, conclude, parse

RULES, FILES = 2_000, 20
COLUMNS = ("seconds", "CPU seconds")
POLICY = "policies: [{name: platform, steps: [{notify: ['receiver:x']}]}]\n"


def rule(number: int, key: str) -> str:
    return f"""\
  - name: rule-{number}
    match: ['alertname=~"Kube{number}.*|Pod{number}"', 'severity!="none"', 'cluster="c{number % 7}"']
    group_by: [cluster, node]
    window: {{kind: while_open, gap: 15m, max_life: 24h, max_alerts: 5000}}
    {key}: 10s
    resolve: {{when: all, after: 1m}}
    impact: medium
    raise: [{{alerts: 10, impact: high}}]
    title: '{{{{ labels.cluster }}}}: node {{{{ labels.node }}}} lost ({{{{ firing }}}} alerts), case {number}'
    runbook: https://wiki.example/node-loss/{number}
    labels: {{team: t{number % 5}}}
    policy: platform
"""


def write(folder: Path, count: int, key: str) -> None:
    """The rules, in files of equal length; `key` stands where hold does."""
    each = max(1, count // FILES)
    for start in range(0, count, each):
        numbers = range(start, min(start + each, count))
        (folder / f"{start:05}.yaml").write_text("rules:\n" + "".join(rule(number, key) for number in numbers))
    (folder / "policies.yaml").write_text(POLICY)


def checked(folder: Path, fails: bool) -> dict[str, float]:
    """One run of the command, by the wall and by its own processor time."""
    used = command.run("check", str(folder))
    if used.code != int(fails):
        raise SystemExit(used.output[-2000:])
    return {"seconds": used.seconds, "CPU seconds": used.cpu_seconds}


def run(options: Options) -> Results:
    results = Results("check", COLUMNS)
    count = options.count(RULES)
    cells = {
        "1 rule": (1, "hold"),
        f"{count:,} rules": (count, "hold"),
        f"{count:,} rules, a fault each": (count, "hodl"),
    }
    for number in range(options.rounds):
        for cell, (rules, key) in cells.items():
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder), rules, key)
                results.add(cell, "imd check", number, **checked(Path(folder), key != "hold"))
    return results


def main(options: Options) -> Results:
    return conclude(run(options), options)


if __name__ == "__main__":
    main(parse(__doc__))
