"""The table: seeds and presets through `imd replay`, beside the best naive rule, mean and spread.

    python -m benchmarks.correlation --eval FOLDER --rules rules/ --seeds 1-20 --presets calm,busy,storm
    python -m benchmarks.correlation --eval FOLDER --rules rules/ --seeds 1-20 --topology -- --pending 1

FOLDER (or $IMD_EVAL) holds the generator and the scorer, `simulate_outages.py` and `score_grouping.py`. What stands
behind `--` goes to the generator.
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

from benchmarks.correlation.trials import NAIVE, PRESETS, BadRules, Scores, Trial, run

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


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parse(argv)
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
            )
            for seed in arguments.seeds
        ]
        try:
            with ProcessPoolExecutor(min(PROCESSES_MAX, arguments.processes)) as pool:
                found = list(pool.map(run, trials))
        except BadRules as faults:
            sys.exit(str(faults))
        _show(preset, arguments, found)
    return 0


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
    if unknown := [name for name in names if name not in PRESETS]:
        raise argparse.ArgumentTypeError(f"no preset {', '.join(unknown)}; there are {', '.join(PRESETS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
