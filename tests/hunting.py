"""How many random histories a test tries, and which: the same few in every run, or fresh ones by the thousand.

`histories` makes the settings of a test that drives the engine by random events. `make hunt` runs every test that has
its settings from here with IMD_EXAMPLES examples each (2000 unless told), under a fresh seed, and says how to run the
same again: `make hunt IMD_SEED=… IMD_EXAMPLES=…`.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = 2000
_ROOT = Path(__file__).parents[1]


def histories(examples: int, steps: int = 50) -> settings:
    """So many examples, always the same; under IMD_EXAMPLES so many fresh ones. `steps`: a machine's, at most."""
    hunted = int(os.environ.get("IMD_EXAMPLES", "0"))
    return settings(
        max_examples=hunted or examples,
        stateful_step_count=steps,
        derandomize=not hunted,
        deadline=None,
        database=None,  # a seed tells it all
        phases=set(Phase) - {Phase.explain},
        suppress_health_check=list(HealthCheck),
    )


def hunted() -> list[str]:
    """The files of tests that have their settings from here."""
    asks = "from tests.hunting import"
    found = (path for path in (_ROOT / "tests").rglob("test_*.py") if asks in path.read_text(encoding="utf-8"))
    return sorted(str(path.relative_to(_ROOT)) for path in found)


def main(arguments: list[str]) -> int:
    """Runs them, or what the arguments name, as pytest takes them; its exit code."""
    seed = os.environ.get("IMD_SEED") or str(secrets.randbelow(2**32))
    examples = os.environ.get("IMD_EXAMPLES") or str(EXAMPLES)
    same = f"make hunt IMD_SEED={seed} IMD_EXAMPLES={examples}" + (
        f" ARGS='{' '.join(arguments)}'" if arguments else ""
    )
    print(f"{examples} histories a test; the same again: {same}", flush=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "faulthandler_timeout=0",
        f"--hypothesis-seed={seed}",
    ]
    environment = os.environ | {"IMD_EXAMPLES": examples}
    ended = subprocess.run([*command, *(arguments or hunted())], cwd=_ROOT, env=environment, check=False).returncode
    print("clean" if ended == 0 else f"failed; the same again: {same}")
    return ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
