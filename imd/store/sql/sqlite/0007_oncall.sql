-- Overrides of schedules that people set, kept as long as closed incidents: they say who was on call. And whose turn is
-- next at each escalation step with round_robin.

CREATE TABLE schedule_override (
    id      TEXT NOT NULL PRIMARY KEY,
    ends_at INTEGER NOT NULL,
    record  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
    step TEXT NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
