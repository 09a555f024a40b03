"""Reads files: regular ones alone, bounded, and those that rule files name only inside the folders given to it.

`load` and the secrets open files through it and through nothing else on this floor. A FIFO, a device or a socket is
refused before anything is read, so that nothing waits for a writer that never comes. Rule files may come from a merge
request, and what is wrong with a file is shown with its lines: so a table or map that they name is not looked for
outside, whatever `..`, links or absolute paths say.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GLOB_FILES_MAX = 10_000
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}


class Outside(Exception):
    """The path leads out of the folders that may be read."""


class NotAFile(ValueError):
    """The path is something else; the text says what."""


class Disk:
    """Every file that was asked for is in `opened`, in order, whether it was there or not, and in `listed` the folders
    that were looked through: what `watch` looks at."""

    def __init__(self) -> None:
        self.opened: list[Path] = []
        self.listed: list[Path] = []
        self._folders: list[str] = []

    def reach(self, folder: Path) -> None:
        """From now on what lies in this folder, at any depth, may be named by rule files."""
        self._folders.append(os.path.realpath(folder))

    def within(self, path: Path) -> Path:
        """The path, if what it leads to lies in one of the folders. Raises Outside."""
        if not any(_lies_in(path, folder) for folder in self._folders):
            raise Outside(path)
        return path

    def read(self, path: Path, bytes_max: int) -> bytes:
        """Up to one byte more than `bytes_max`. Raises OSError, NotAFile, and ValueError for what cannot be a name."""
        self.opened.append(path)
        # Without O_NONBLOCK opening a FIFO waits for somebody to write.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            kind = stat.S_IFMT(os.fstat(handle).st_mode)
            if kind != stat.S_IFREG:
                raise NotAFile(f"it is {_KINDS.get(kind, 'something else')}, not a file")
            return file.read(bytes_max + 1)

    def matching(self, path: Path) -> list[Path]:
        """The files that the last part of a path, a pattern with * or ?, stands for; the path itself if it is none.
        Raises Outside, and OSError where there are too many."""
        if not set(path.name) & set("*?["):
            return [self.within(path)]
        self.listed.append(path.parent)
        found = list(_first(self.within(path.parent).glob(path.name), GLOB_FILES_MAX + 1))
        if len(found) > GLOB_FILES_MAX:
            raise OSError(0, f"it stands for more than {GLOB_FILES_MAX} files")
        return sorted(self.within(one) for one in found)


def _first(paths: Iterator[Path], count: int) -> Iterator[Path]:
    with suppress(StopIteration, OSError):
        for _ in range(count):
            yield next(paths)


def _lies_in(path: Path, folder: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), folder]) == folder


def folders_for(path: Path) -> list[Path]:
    """What may be read where a file or folder is named without a config: its folder, and the working directory if that
    holds it, as where rules/ and tables/ lie side by side."""
    folder, working = folder_of(path), os.path.realpath(os.curdir)
    return [folder, Path(working)] if working != os.sep and _lies_in(folder, working) else [folder]


def folder_of(path: Path) -> Path:
    """The folder itself, or the one that a file lies in."""
    return path if os.path.isdir(path) else path.parent
