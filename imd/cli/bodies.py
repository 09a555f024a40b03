"""What a source makes of a body in a file, for `imd explain --source NAME --body FILE`.

Owns how the file is read as a request and what is said of the parts that nothing follows from: refused, ignored, over.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import datetime

from imd.cli.failure import Failed, Misused
from imd.cli.screen import clean
from imd.model.alert import AlertReport
from imd.model.policy import Source
from imd.sources import DECODERS
from imd.sources.contract import BadBody, Decoded
from imd.sources.labels import KnownLabels

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def firing(source: Source, arguments: Namespace, at: datetime) -> tuple[list[AlertReport], bool]:
    """The alerts of the body that fire, and whether their ends are deadlines. The others are told of on standard
    error."""
    decoder = DECODERS[source.type](KnownLabels(source.labels), source)
    try:
        body = arguments.body.read_bytes()
        decoded = decoder.decode(body, at, _headers(body, arguments.header))
    except OSError as error:
        raise Failed(f"cannot read {arguments.body}: {error.strerror}") from None
    except BadBody as error:
        raise Failed(f"{arguments.body} is nothing that source {source.name} understands: {error}") from None
    for line in _told(decoded):
        print(f"imd: {clean(line)}", file=sys.stderr)
    return [one for one in decoded.alerts if not one.resolved], decoder.by_api


def _headers(body: bytes, given: list[str]) -> dict[str, str]:
    """What looks like a form is one, unless a header says otherwise."""
    headers: dict[str, str] = {}
    for one in given:
        name, colon, text = one.partition(":")
        if not colon or not name.strip():
            raise Misused(f"--header is NAME:VALUE, not {one!r}")
        headers[name.strip()] = text.strip()
    if any(name.lower() == "content-type" for name in headers) or body.lstrip()[:1] in (b"{", b"[") or b"=" not in body:
        return headers
    return _FORM | headers


def _told(decoded: Decoded) -> list[str]:
    """In the order of the body."""
    told = [(one.index, f"is refused: {one.error}") for one in decoded.rejected]
    told += [(one.index, f"is ignored, it {one.error}") for one in decoded.ignored]
    for number, report in enumerate(decoded.alerts):
        if report.resolved:
            identity = ", ".join(f'{name}="{text}"' for name, text in sorted(report.identity.labels().items()))
            when = f", since {report.ends_at:%Y-%m-%d %H:%M:%S} UTC" if report.ends_at is not None else ""
            told.append((decoded.position(number), f"is over{when}: it ends what fires as {{{identity}}}"))
    return [f"alert {index} {words}" for index, words in sorted(told)]
