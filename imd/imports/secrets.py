"""Secrets of an imported file: each goes into a file of its own, which the new config names as `…_file`.

Owns the names of these files and what goes into them. A secret is never in a text that is shown, nor in the YAML.
"""

from __future__ import annotations

import re
from pathlib import PurePath

FOLDER = "secrets"
MASKED = "<secret>"
"""What Alertmanager shows in place of one, in its status page and API."""


class Secrets:
    """`beside` is the folder of the file read, to which its own `…_file` paths are relative."""

    def __init__(self, beside: PurePath) -> None:
        self._beside = beside
        self.files: dict[str, str] = {}

    def written(self, name: str, text: str) -> str:
        """The path, relative to config.yaml, of the file that holds it. The same name and text is one file."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "secret"
        path, number = f"{FOLDER}/{stem}", 1
        while self.files.get(path, text) != text:
            number += 1
            path = f"{FOLDER}/{stem}-{number}"
        self.files[path] = text
        return path

    def elsewhere(self, path: str) -> str:
        """A file that is there already, where it is."""
        return str(self._beside / path)
