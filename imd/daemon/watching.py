"""`watch: true`: a reload when a file changes that the configuration is made of.

Owns the looking, once a second, at the files that the last load asked for (secrets, tables and maps too) and at the
rule files of the folders that it looked through. A change counts once it has stood still from one look to the next, so
that a file is not read while an editor or a checkout still writes. Links are followed: a mounted ConfigMap changes by
its link. What a reload makes of it is the daemon's; files with faults are looked at as well, so that mending them is
seen.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from imd.api.context import ReloadRefused, StoreDown
from imd.config.load import RULE_SUFFIXES, TEST_SUFFIXES, Looked

LOOK_EVERY_SECONDS = 1.0

Stand = tuple[int, int, int] | None
"""A file as it is: inode, size and time of its last change in nanoseconds. None: it is not there."""


class Watch:
    """Looks while `wanted`, and calls `reload`. What that refuses is logged there, and metrics say so."""

    def __init__(
        self, looked: Looked, wanted: Callable[[], bool], reload: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._looked = looked
        self._wanted = wanted
        self._reload = reload
        self._known = stands(looked)
        self._changing: Mapping[Path, Stand] | None = None
        self._task: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Looks from now on, where that is wanted; it may be wanted, or not any more, by each reload."""
        if self._wanted() and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def loads(self) -> Mapping[Path, Stand]:
        """The files as they are before a load; what changes while it reads is then seen."""
        return stands(self._looked)

    def loaded(self, before: Mapping[Path, Stand], looked: Looked) -> None:
        """What a load asked for, sound or not."""
        self._looked = looked
        now = stands(looked)
        self._known = now | {path: at for path, at in before.items() if path in now}

    async def _run(self) -> None:
        while self._wanted():
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self.look()

    async def look(self) -> None:
        found = await asyncio.to_thread(stands, self._looked)
        if found == self._known or not self._wanted():
            self._changing = None
        elif found != self._changing:
            self._changing = found
        else:
            self._changing = None
            try:
                await self._reload()
            except ReloadRefused:
                pass
            except StoreDown:
                self._known = {}  # another try at the next look but one


def stands(looked: Looked) -> dict[Path, Stand]:
    """How each of the files is, and each rule file in the folders."""
    found = {path: _stand(path) for path in looked.files}
    for folder in looked.folders:
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                path = folder / entry.name
                rules = entry.name.endswith(RULE_SUFFIXES) and not entry.name.endswith(TEST_SUFFIXES)
                if rules and not entry.name.startswith("."):
                    found.setdefault(path, _stand(path))
    return found


def _stand(path: Path) -> Stand:
    try:
        at = os.stat(path)
    except (OSError, ValueError):
        return None
    return at.st_ino, at.st_size, at.st_mtime_ns
