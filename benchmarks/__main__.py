"""All benchmarks, one after the other: `python -m benchmarks [--quick] [--rounds N] [--json FILE] [NAME …]`."""

from __future__ import annotations

from benchmarks import check, ingest, latency, memory, rules, start
from benchmarks.driver.options import options_of, parser

ALL = {"ingest": ingest, "latency": latency, "memory": memory, "rules": rules, "start": start, "check": check}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {', '.join(ALL)}")
    found = arguments.parse_args()
    if unknown := [name for name in found.names if name not in ALL]:
        arguments.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
    for name in found.names or ALL:
        print(f"## {name}\n", flush=True)
        ALL[name].main(options_of(found))


if __name__ == "__main__":
    main()
