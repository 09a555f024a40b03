"""`imd schema`: the JSON Schema of a kind of file, on standard output."""

from __future__ import annotations

import json
from argparse import Namespace

from imd.config.schema import schema


def run(arguments: Namespace) -> int:
    """0. Indented, a key a line, so that a committed copy shows what changed."""
    print(json.dumps(schema(arguments.kind), indent=2, ensure_ascii=False))
    return 0
