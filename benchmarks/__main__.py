"""All benchmarks, one after the other: `python -m benchmarks [--quick] [--rounds N] [--json FILE] [NAME …]`; at the end
what is to be reached, beside what was."""

from __future__ import annotations

from benchmarks import aims, check, crash, ingest, latency, memory, offline, rules, start, storm
from benchmarks.driver.options import options_of, parser

ALL = {
    "ingest": ingest,
    "latency": latency,
    "memory": memory,
    "rules": rules,
    "storm": storm,
    "crash": crash,
    "start": start,
    "check": check,
    "offline": offline,
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(ALL)}")
    found = arguments.parse_args()
    if unknown := [name for name in found.names if name not in ALL]:
        arguments.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
    every = []
    for name in found.names or ALL:
        print(f"## {name}\n", flush=True)
        every.append(ALL[name].main(options_of(found)))
    print(f"## aims\n\n{aims.table(every)}\n", flush=True)


if __name__ == "__main__":
    main()
