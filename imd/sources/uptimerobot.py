"""UptimeRobot's webhook alert contact, with the fields that docs/sources.md names, as JSON or as a form.

Source: a recorded body (tests/payloads) and others' receivers of it. alertType 1 is down, 2 up, 3 a certificate that is
about to expire, which nothing takes back. A variable that does not exist is sent as it was written, `*so*`.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, there, value, values

MAPS = (
    BodyMap(
        when=is_("alertType", "3"),
        key=value("uptimerobot/{monitorID}/certificate"),
        labels={**values(alertname="{monitorFriendlyName}", instance="{monitorURL}"), "severity": value("warning")},
        annotations=values(
            summary="the certificate expires in {sslExpiryDaysLeft} days, on {sslExpiryDate}", details="{alertDetails}"
        ),
        at=moment("{alertDateTime}"),
    ),
    BodyMap(
        when=there("monitorID"),
        resolved=is_("alertType", "2"),
        firing=is_("alertType", "1"),
        key=value("uptimerobot/{monitorID}"),
        labels={**values(alertname="{monitorFriendlyName}", instance="{monitorURL}"), "severity": value("critical")},
        annotations=values(summary="{alertTypeFriendlyName}: {alertDetails}"),
        at=moment("{alertDateTime}"),
    ),
)
