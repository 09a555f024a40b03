"""One run of an imd command, and what it used.

Owns the account of one process. A sum over all children grows by each, and its largest is that of any before; and a
process begins with the peak of the one that it was forked from. So a small process stands between, with one child.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass

_BETWEEN = """\
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.run([sys.executable, "-m", "imd", *sys.argv[2:]]).returncode
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024], file)
"""


@dataclass(frozen=True)
class Used:
    """`cpu_seconds` of the command and of those it started; `peak_bytes` of the largest of them."""

    output: str
    code: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(*arguments: str) -> Used:
    """`imd ARGUMENTS…`; its standard error is ours."""
    with tempfile.NamedTemporaryFile("r") as account:
        command = [sys.executable, "-c", _BETWEEN, account.name, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return Used(done.stdout, *json.load(account))
