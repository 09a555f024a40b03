"""Shifts as iCalendar (RFC 5545), for calendar programs: the extra `imd[ics]`.

One event a shift, in UTC; stretches with nobody are none. An event's UID comes from its schedule, beginning and person,
so that importing again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b

from imd.cli.failure import Failed
from imd.cli.oncall import Duty, Shift

EXTRA = "ics"


def calendar(duties: Iterable[Duty], now: datetime) -> str:
    """`now`: when the events were made. Raises Failed where the extra is not installed."""
    try:
        import icalendar
    except ImportError:
        raise Failed(f"--ics needs an extra that is not installed: pip install 'imd[{EXTRA}]'") from None
    made = icalendar.Calendar()
    made.add("prodid", "-//imd//on call//EN")
    made.add("version", "2.0")
    for duty in duties:
        for shift in duty.shifts or []:
            if shift.person is None:
                continue
            event = icalendar.Event()
            event.add("uid", _uid(duty, shift))
            event.add("summary", f"{shift.person} on call: {duty.schedule}")
            event.add("dtstamp", now)
            event.add("dtstart", shift.begins_at)
            event.add("dtend", shift.ends_at)
            event.add("description", shift.because)
            made.add_component(event)
    return str(made.to_ical().decode())


def _uid(duty: Duty, shift: Shift) -> str:
    name = f"{duty.schedule}\0{shift.begins_at.isoformat()}\0{shift.person}"
    return f"{blake2b(name.encode(), digest_size=16).hexdigest()}@imd"
