"""An SQLite VFS whose N-th write, sync or truncate fails: that one alone, or all from it on until it is mended.

It stands under the real back end on a real file: what fails is the call to the operating system.
"""

from __future__ import annotations

import apsw

NAME = "imd-faulty"


class FaultyDisk(apsw.VFS):
    """Register by construction, `unregister` when done. `fail_at` counts operations from 1; 0 never fails."""

    def __init__(self, error: type[apsw.Error] = apsw.IOError) -> None:
        self.error = error
        self.fail_at = 0
        self.operations = 0
        self.failed = 0
        self.once = False
        super().__init__(NAME, "")

    def arm(self, fail_at: int, once: bool = False) -> None:
        self.operations = self.failed = 0
        self.fail_at = fail_at
        self.once = once

    def mend(self) -> None:
        self.fail_at = 0

    def operation(self) -> None:
        self.operations += 1
        if self.fail_at and self.operations >= self.fail_at and not (self.once and self.failed):
            self.failed += 1
            raise self.error(f"injected at operation {self.operations}")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.disk.operation()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.disk.operation()
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.disk.operation()
        super().xTruncate(newsize)
