"""Floor 1, from bytes to events: one pure decoder a sender. To add one: a file, a line in DECODERS, a test, a docs
section. Sees the model alone."""

from __future__ import annotations

from collections.abc import Callable

from imd.sources.alertmanager import AlertmanagerWebhook
from imd.sources.contract import Decoder
from imd.sources.labels import KnownLabels

DECODERS: dict[str, Callable[[KnownLabels], Decoder]] = {
    "alertmanager": AlertmanagerWebhook,
}
"""A source's `type` to its decoder. `KnownLabels(source.labels)` is one per source."""
