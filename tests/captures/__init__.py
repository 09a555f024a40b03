"""Requests that real clients sent (README.md beside this)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def recorded(name: str) -> list[dict[str, Any]]:
    """The requests of one file, in order of their arrival."""
    return [json.loads(line) for line in (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()]
