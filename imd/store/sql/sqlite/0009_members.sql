-- Alerts of incidents that are past are found by their incident. Those that the engine holds are not: to find them it is
-- enough to go through the index of what is held, and each commit of new alerts writes a page less for every incident.

DROP INDEX alert_by_incident;
CREATE INDEX alert_past ON alert (incident) WHERE held = 0 AND incident <> '';

DROP INDEX alert_held;
CREATE INDEX alert_held ON alert (id, incident) WHERE held = 1;
