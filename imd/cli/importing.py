"""`imd import`: another tool's configuration into a folder of imd's files.

Owns reading the file, writing the folder and what is printed. What becomes of what is `imports`. Nothing that is there
is overwritten without --force, and nothing is written unless all of it can be. Secrets go into files of their own that
only their owner may read, and are never printed.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import msgspec

from imd.cli.failure import Failed, Misused
from imd.cli.screen import Screen
from imd.clock import SystemClock
from imd.config import codes, load
from imd.config.diagnostic import Diagnostic, Severity
from imd.core import oncall
from imd.imports.alertmanager import CONFIG, from_alertmanager
from imd.imports.imported import Imported, Unreadable
from imd.imports.oncall import from_oncall
from imd.imports.opsgenie import from_opsgenie
from imd.imports.remarks import Kind, Remark

_READERS: dict[str, Callable[[str, bytes], Imported]] = {
    "alertmanager": lambda path, raw: from_alertmanager(path, raw, lambda pattern: _texts(Path(path).parent, pattern)),
    "opsgenie": from_opsgenie,
    "oncall": from_oncall,
}


_FILES_MAX, _FILE_BYTES_MAX = 100, 1024 * 1024


class _Said(msgspec.Struct, omit_defaults=True):
    """What --json prints. `files` are their texts where nothing was written. Secrets are named, not shown."""

    folder: str | None
    written: list[str]
    secrets: list[str]
    counts: dict[str, int]
    not_carried: list[Remark]
    differs: list[Remark]
    files: dict[str, str] = {}


def run(arguments: Namespace) -> int:
    """0: read, and written if asked to; 1: faults in the file, files in the way, or with --strict something lost.

    That a secret's file cannot be read here is shown, and is no failure: it may be there where imd will run."""
    made = _made(arguments.tool, arguments.file)
    out: Path | None = arguments.out
    if out is not None:
        _write(made, out, arguments.force)
    if arguments.json:
        print(msgspec.json.encode(_said(made, out)).decode())
    else:
        _print(made, out, Screen.of_process())
    found = _faults(out / CONFIG) if out is not None else []
    for fault in found:
        print(fault.render(), file=sys.stderr)
    lost = any(one.kind is Kind.NOT_CARRIED for one in made.remarks)
    broken = any(one.code != codes.SECRET_UNREADABLE for one in found)
    return 1 if broken or (arguments.strict and lost) else 0


def _made(tool: str, file: Path) -> Imported:
    if str(file) != "-" and (not file.exists() or file.is_dir()):
        raise Misused(f"no such file: {file}")
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise Failed(f"cannot read {file}: {error.strerror}") from None
    try:
        return _READERS[tool](str(file), raw)
    except Unreadable as unreadable:
        color = Screen.of_process(sys.stderr).colour
        print("\n".join(fault.render(color=color) for fault in unreadable.faults), file=sys.stderr)
        count = len(unreadable.faults)
        raise Failed(f"{file} is not imported: {count} fault{'' if count == 1 else 's'}") from None


def _texts(folder: Path, pattern: str) -> Iterator[str]:
    """Of the files that a pattern names, relative to the folder of the file that holds it."""
    for found in sorted(glob(str(folder / pattern)))[:_FILES_MAX]:
        try:
            with open(found, "rb") as file:
                yield file.read(_FILE_BYTES_MAX).decode()
        except (OSError, UnicodeDecodeError):
            continue


def _write(made: Imported, out: Path, force: bool) -> None:
    """All or nothing, as far as a disk allows: what is in the way is looked for first."""
    texts = {**made.files, **made.secrets}
    there = [name for name in texts if os.path.lexists(out / name)]
    if there and not force:
        raise Failed(f"{out}: there already: {', '.join(there)}; nothing was written (--force replaces them)")
    try:
        for name, text in texts.items():
            _put(out / name, text, secret=name in made.secrets)
    except OSError as error:
        raise Failed(f"cannot write {error.filename or out}: {error.strerror}") from None


def _put(file: Path, text: str, secret: bool) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if secret else 0o777)
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o666), "wb") as stream:
        stream.write(text.encode())
    beside.replace(file)


def _faults(config: Path) -> list[Diagnostic]:
    """What `imd check` would say of it; its secrets are read too."""
    found = load.examine(config, [], now=SystemClock().now(), find_gap=oncall.gap_ahead, secrets=True)
    return [one for one in found.diagnostics if one.severity is Severity.ERROR]


def _said(made: Imported, out: Path | None) -> _Said:
    return _Said(
        folder=None if out is None else str(out),
        written=[] if out is None else [*made.files, *made.secrets],
        secrets=[*made.secrets],
        counts=made.counts,
        not_carried=[one for one in made.remarks if one.kind is Kind.NOT_CARRIED],
        differs=[one for one in made.remarks if one.kind is Kind.DIFFERS],
        files={} if out is not None else made.files,
    )


def _print(made: Imported, out: Path | None, screen: Screen) -> None:
    if out is None:
        for name, text in made.files.items():
            print(f"--- # {name}\n{text}", file=screen.out)
    for one in made.remarks:
        screen.line(one.text)
    counts = ", ".join(f"{count} {what}" for what, count in made.counts.items())
    if out is None:
        screen.line(f"{counts}; nothing was written, --out FOLDER does that")
        return
    screen.line(f"{counts}; written to {out}: {', '.join(made.files)}")
    if made.secrets:
        screen.line(f"{len(made.secrets)} secrets are in {out}/secrets/, a file each, for its owner alone to read")
