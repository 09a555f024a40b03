"""What docs/tutorial.md shows is what its commands print."""

from __future__ import annotations

from pathlib import Path

from tests.tutorial import PAGE, play, steady


def test_every_command_prints_what_is_shown(tmp_path: Path) -> None:
    typed = list(play(PAGE.read_text(), tmp_path))
    for one in typed:
        assert steady(one.printed) == steady(one.shown), f"{one.command}\n`python -m tests.tutorial` renews the page"
    said = "\n".join(one.printed for one in typed)
    for word in ("error[R", "did you mean", "1 failed", "1 passed", "failed on lost-p1", "no incident any more"):
        assert word in said, word
