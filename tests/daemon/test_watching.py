"""`watch: true`: what counts as a change, and when it is taken."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from imd.api.context import ReloadRefused, StoreDown
from imd.config.load import Looked
from imd.daemon.watching import Watch


class Reloads:
    """Counts them; the next one fails by `fails`."""

    def __init__(self) -> None:
        self.count = 0
        self.fails: Exception | None = None

    async def __call__(self) -> None:
        self.count += 1
        fails, self.fails = self.fails, None
        if fails is not None:
            raise fails


@pytest.fixture
def looked(tmp_path: Path) -> Looked:
    (tmp_path / "rules").mkdir()
    for name in ("config.yaml", "rules/a.yaml", "rules/a.test.yaml", "hosts.csv"):
        (tmp_path / name).write_text("{}")
    named = ("config.yaml", "rules/a.yaml", "hosts.csv", "not-there.token")
    return Looked(tuple(tmp_path / name for name in named), (tmp_path / "rules",))


@pytest.mark.parametrize(
    "change",
    [
        lambda at: (at / "config.yaml").write_text("{ }"),
        lambda at: (at / "hosts.csv").unlink(),
        lambda at: (at / "not-there.token").write_text("t"),
        lambda at: (at / "rules/b.yml").write_text("{}"),
        lambda at: os.utime(at / "rules/a.yaml", (1, 1)),
        lambda at: ((at / "new").write_text("{}"), (at / "new").rename(at / "rules/a.yaml")),
    ],
)
async def test_a_change_that_has_stood_still_is_taken_once(
    tmp_path: Path, looked: Looked, change: Callable[[Path], object]
) -> None:
    reloads = Reloads()
    watch = Watch(looked, lambda: True, reloads)
    await watch.look()
    change(tmp_path)
    await watch.look()
    assert reloads.count == 0, "somebody may still be writing"
    await watch.look()
    assert reloads.count == 1
    watch.loaded(watch.loads(), looked)
    for _ in range(3):
        await watch.look()
    assert reloads.count == 1


@pytest.mark.parametrize("name", ["rules/a.test.yaml", "rules/.#a.yaml", "rules/notes.md", "imd.db"])
async def test_what_no_load_reads_is_no_change(tmp_path: Path, looked: Looked, name: str) -> None:
    reloads = Reloads()
    watch = Watch(looked, lambda: True, reloads)
    (tmp_path / name).write_text("changed")
    for _ in range(3):
        await watch.look()
    assert reloads.count == 0


async def test_a_mount_that_changes_by_its_link_is_seen(tmp_path: Path) -> None:
    """As Kubernetes does with a ConfigMap: the folder that a link leads to is another one."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "config.yaml").write_text(version)
    (tmp_path / "data").symlink_to("1")
    reloads = Reloads()
    watch = Watch(Looked((tmp_path / "data/config.yaml",)), lambda: True, reloads)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "data")
    await watch.look()
    await watch.look()
    assert reloads.count == 1


async def test_what_changes_while_a_load_reads_is_taken_by_the_next(tmp_path: Path, looked: Looked) -> None:
    reloads = Reloads()
    watch = Watch(looked, lambda: True, reloads)
    before = watch.loads()
    (tmp_path / "config.yaml").write_text("written meanwhile")
    watch.loaded(before, looked)
    await watch.look()
    await watch.look()
    assert reloads.count == 1


async def test_a_store_that_is_down_is_asked_again_and_a_refusal_is_not(tmp_path: Path, looked: Looked) -> None:
    reloads = Reloads()
    watch = Watch(looked, lambda: True, reloads)
    (tmp_path / "config.yaml").write_text("changed")
    reloads.fails = StoreDown("full", 5)
    for _ in range(4):
        await watch.look()
    assert reloads.count == 2
    watch.loaded(watch.loads(), looked)
    (tmp_path / "config.yaml").write_text("broken")
    reloads.fails = ReloadRefused("broken")
    await watch.look()
    await watch.look()
    watch.loaded(watch.loads(), looked)
    await watch.look()
    await watch.look()
    assert reloads.count == 3
