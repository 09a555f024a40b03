"""Floor 1, from bytes to events: one pure decoder a sender. To add one: a file, a line in DECODERS, a test, a docs
section. Sees the model alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from imd.model.policy import Source
from imd.sources.alertmanager import AlertmanagerWebhook
from imd.sources.contract import DEFAULT_LIMITS, NO_HEADERS, Decoded, Decoder, Headers, Limits
from imd.sources.labels import KnownLabels
from imd.sources.mapped import Mapped

Factory = Callable[[KnownLabels, Source], Decoder]

DECODERS: dict[str, Factory] = {
    "alertmanager": lambda known, source: AlertmanagerWebhook(known),
    "mapped": lambda known, source: Mapped(known, source.name, source.maps),
}
"""A source's `type` to its decoder. `KnownLabels(source.labels)` is one per source."""

BUILT_IN = frozenset(DECODERS) - {"mapped"}
"""Types whose name is that of a source, too, where config has none of that name."""


def decode(
    source: Source, body: bytes, now: datetime, headers: Headers = NO_HEADERS, limits: Limits = DEFAULT_LIMITS
) -> Decoded:
    """What a body of this source means, for trying it out. Raises BadBody; KeyError for a type that has no decoder."""
    return DECODERS[source.type](KnownLabels(source.labels, limits), source).decode(body, now, headers)
