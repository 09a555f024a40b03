"""Commands that look on: alerts, deliveries, status."""

from __future__ import annotations

import os
from argparse import Namespace

from imd.cli.remote import Daemon


def run(arguments: Namespace) -> int:
    Daemon.of(arguments, os.environ)
    return 0
