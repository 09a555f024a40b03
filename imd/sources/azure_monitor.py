"""Azure Monitor's common alert schema.

Source: a body of Microsoft's own documentation (tests/payloads); its page was not read anew. `alertId` is one for the
firing and the resolving of one alert. Sev0 Critical, Sev1 Error, Sev2 Warning, Sev3 Informational, Sev4 Verbose. Alerts
of rules that are not stateful (most of logs, all of the activity log) never resolve.
"""

from __future__ import annotations

from imd.model.bodymap import BodyMap
from imd.sources.shapes import is_, moment, path, value, values

_SEVERITY = {"sev0": "critical", "sev1": "error", "sev2": "warning", "sev3": "info", "sev4": "info"}
_FACTS = "data.essentials"

MAPS = (
    BodyMap(
        when=is_("schemaId", "azureMonitorCommonAlertSchema"),
        resolved=is_(f"{_FACTS}.monitorCondition", "resolved"),
        firing=is_(f"{_FACTS}.monitorCondition", "fired"),
        key=value("{data.essentials.alertId}"),
        labels={
            "alertname": value("{data.essentials.alertRule}"),
            "severity": value("{data.essentials.severity}", table=_SEVERITY),
            "resource": value(
                "{data.essentials.configurationItems[0]}",
                "{data.essentials.alertTargetIDs[0]}",
                regex="(?:.*/)?([^/]+)",
            ),
            "resource_group": value("{data.essentials.alertTargetIDs[0]}", regex="(?i).*/resourcegroups/([^/]+)/.*"),
            "signal": value("{data.essentials.signalType}"),
            "monitoring_service": value("{data.essentials.monitoringService}"),
        },
        annotations=values(
            summary="{data.essentials.description}",
            target="{data.essentials.alertTargetIDs[*]}",
        ),
        spread_annotations=(path("data.alertContext.condition.allOf[*].dimensions[*]"), path("data.customProperties")),
        starts_at=moment("{data.essentials.firedDateTime}"),
        ends_at=moment("{data.essentials.resolvedDateTime}"),
        url=value("{data.essentials.investigationLink}"),
    ),
)
