"""The table: seeds and presets through `imd replay`, beside the best naive rule, mean and spread.

    python -m benchmarks.correlation --eval FOLDER --rules rules/ --seeds 1-20 --presets calm,busy,storm
    python -m benchmarks.correlation --eval FOLDER --rules rules/ --seeds 1-20 --topology -- --pending 1
    python -m benchmarks.correlation --eval FOLDER --seeds 1-20 --presets busy,own --topology --kinds --order
    python -m benchmarks.correlation --eval FOLDER --all

`--kinds` adds a line for each kind of fault, `--order` one that says how far incidents stay the same when events come
late, twice and out of order. The preset `own` is `benchmarks.correlation.sites`; it needs the scorer alone. `--all` is
the whole of docs/benchmarks.md: every setting, kinds and order with the first. FOLDER (or $IMD_EVAL) holds the
generator and the scorer, `simulate_outages.py` and `score_grouping.py`. What stands behind `--` goes to the generator.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.correlation.kinds import Kind
from benchmarks.correlation.trials import MADE, NAIVE, OWN, PRESETS, SHARES, BadRules, Found, Scores, Trial, run

PROCESSES_MAX = 2
COLUMNS = (
    ("bcubed_f1", "B3 F1", ".3f"),
    ("macro_f1", "macro F1", ".3f"),
    ("noise_absorbed", "noise absorbed", ".3f"),
    ("root_cause_at_1", "root@1", ".3f"),
    ("ttfp_p95_s", "first page p95, s", ".0f"),
    ("pages_per_true_incident", "pages / incident", ".2f"),
    ("noise_pages_an_hour", "noise pages / h", ".1f"),
    ("incidents_never_paged", "never paged", ".1f"),
    ("compression", "compression", ".1f"),
    ("us_per_event", "us / event", ".0f"),
)


ALL = (
    "--presets busy --topology --kinds --order",
    "--presets busy",
    "--presets busy --topology -- --drop-edges 0.2",
    "--presets busy --topology --onset --kinds -- --pending 1",
    "--presets busy --topology -- --pending 1",
    "--presets storm --topology",
    "--presets calm --topology",
    "--presets own --topology --kinds --order",
    "--presets own --kinds",
)
"""What --all stands for, a run a line."""

KINDS = (
    "faults", "alerts", "B3 precision", "B3 recall", "B3 F1", "macro F1", "root@1", "pages / fault",
    "incidents / fault", "never paged",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
    if arguments.all:
        same = ["--eval", str(arguments.eval), "--seeds", f"{arguments.seeds[0]}-{arguments.seeds[-1]}"]
        same += ["--processes", str(arguments.processes), "--rules", *map(str, arguments.rules)]
        same += ["--json", str(arguments.json)] if arguments.json else []
        return max(main([*same, *setting.split()]) for setting in ALL)
    print(f"| setting | rule | {' | '.join(title for _, title, _ in COLUMNS)} |")
    print("|---|---|" + "---|" * len(COLUMNS), flush=True)
    for preset in arguments.presets:
        trials = [
            Trial(
                arguments.eval,
                tuple(arguments.rules),
                preset,
                seed,
                topology=arguments.topology,
                onset=arguments.onset,
                extra=tuple(arguments.extra),
                order=arguments.order,
            )
            for seed in arguments.seeds
        ]
        try:
            with ProcessPoolExecutor(min(PROCESSES_MAX, arguments.processes)) as pool:
                found = list(pool.map(run, trials))
        except BadRules as faults:
            sys.exit(str(faults))
        _show(preset, arguments, [one.scores for one in found])
        if arguments.kinds:
            _show_kinds(found)
        if arguments.order:
            shares = ", ".join(f"{share:.0%}: {_mean(one.order[share] for one in found):.3f}" for share in SHARES)
            print(
                f"\nB3 F1 of the incidents with those of events late and doubled, by their share: {shares}\n",
                flush=True,
            )
    return 0


def _show_kinds(found: Sequence[Found]) -> None:
    kinds: dict[str, Kind] = {}
    for one in found:
        for name, kind in one.kinds.items():
            kinds.setdefault(name, Kind()).add(kind)
    print(f"\n| fault | {' | '.join(KINDS)} |\n|---|{'---|' * len(KINDS)}")
    for name, kind in sorted(kinds.items()):
        cells = [f"{value:.0f}" if isinstance(value, int) else f"{value:.3f}" for value in kind.scores().values()]
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def _show(preset: str, arguments: argparse.Namespace, found: list[dict[str, Scores]]) -> None:
    setting = " ".join([preset, *["topology"] * arguments.topology, *["onset"] * arguments.onset, *arguments.extra])
    best = max(NAIVE, key=lambda spec: _mean(scores[spec].get("bcubed_f1") for scores in found))
    for rule in ("imd", best):
        cells = [_cell([scores[rule].get(key) for scores in found], form) for key, _, form in COLUMNS]
        print(f"| {setting} | {rule} | {' | '.join(cells)} |", flush=True)
    if arguments.json:
        with arguments.json.open("a", encoding="utf-8") as file:
            for seed, scores in zip(arguments.seeds, found, strict=True):
                file.write(json.dumps({"setting": setting, "seed": seed, "scores": scores}) + "\n")


def _cell(values: Iterable[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    spread = f" ± {statistics.stdev(known):{form}}" if len(known) > 1 else ""
    return f"{statistics.mean(known):{form}}{spread}"


def _mean(values: Iterable[float | None]) -> float:
    return statistics.mean(value or 0.0 for value in values)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    given = list(sys.argv[1:] if argv is None else argv)
    extra = given[given.index("--") + 1 :] if "--" in given else []
    given = given[: given.index("--")] if "--" in given else given
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", type=Path, default=os.environ.get("IMD_EVAL"), metavar="FOLDER")
    parser.add_argument("--rules", type=Path, nargs="+", default=[Path("rules")], metavar="PATH")
    parser.add_argument("--seeds", type=_seeds, default=_seeds("1-20"), metavar="FROM-TO")
    parser.add_argument("--presets", type=_presets, default=list(PRESETS), metavar="NAME,…")
    parser.add_argument("--topology", action="store_true", help="the rules get the map")
    parser.add_argument("--onset", action="store_true", help="the rules get each alert's `for:`")
    parser.add_argument("--kinds", action="store_true", help="scores by kind of fault as well")
    parser.add_argument("--order", action="store_true", help="how far shuffled events end in the same incidents")
    parser.add_argument("--all", action="store_true", help="every setting of docs/benchmarks.md, one after the other")
    parser.add_argument("--processes", type=int, default=PROCESSES_MAX, help="at most 2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="append a line for every trial")
    arguments = parser.parse_args(given)
    if arguments.eval is None:
        parser.error("--eval FOLDER or IMD_EVAL: where simulate_outages.py and score_grouping.py are")
    for program in ("simulate_outages.py", "score_grouping.py"):
        if not (Path(arguments.eval) / program).is_file():
            parser.error(f"no {program} in {arguments.eval}")
    arguments.eval = Path(arguments.eval)
    arguments.extra = extra
    return arguments


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _presets(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in (*PRESETS, OWN, *MADE)]:
        raise argparse.ArgumentTypeError(
            f"no preset {', '.join(unknown)}; there are {', '.join((*PRESETS, OWN, *MADE))}"
        )
    return names


if __name__ == "__main__":
    sys.exit(main())
