"""`imd journal export`: a daemon's history as EVENTS.jsonl. Asks page by page, so that history may be long."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path
from typing import BinaryIO

from imd.cli.failure import Failed, Misused
from imd.cli.remote import Daemon


def export(arguments: Namespace) -> int:
    daemon, out = Daemon.of(arguments, os.environ), arguments.out
    if out is None:
        _write(daemon, arguments.since, sys.stdout.buffer)
        return 0
    if not out.parent.is_dir():
        raise Misused(f"no such folder: {out.parent}")
    unfinished = out.with_name(f"{out.name}.part")
    try:
        with unfinished.open("wb") as file:
            count = _write(daemon, arguments.since, file)
        unfinished.replace(out)
    except OSError as error:
        raise Failed(f"cannot write {out}: {error.strerror}") from None
    finally:
        _remove(unfinished)
    print(f"{count} events to {out}")
    return 0


def _write(daemon: Daemon, since: str | None, file: BinaryIO) -> int:
    count = 0
    for page in daemon.pages("/v1/journal", [("since", since)] if since else []):
        file.writelines(bytes(line) + b"\n" for line in page)
        count += len(page)
    return count


def _remove(unfinished: Path) -> None:
    """Half an export would look like a whole one."""
    unfinished.unlink(missing_ok=True)
